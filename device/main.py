"""Composes a node from the active bundle and runs it; whatever goes wrong is named, and the prompt is there.

What this board is, the user's own /setup.py says (all optional but `sensor`):
    BOARD = "esp32c3"; CALIBRATION = None; WATCHDOG_MS = 0
    def sensor(): return an object with read(row) -> t_ms
    def outputs(): return callables that take a Decision          (default: print)

Safe mode, in which nothing is started: a file /safe, or Ctrl-C in the first two seconds. A watchdog cannot be stopped
once it runs; it is started after these seconds, so that they come again after the reset.
"""

import os
import sys
import time

BUNDLE = "/bundle.swb"
GRACE_MS = 2000


def exists(path):
    try:
        os.stat(path)
        return True
    except OSError:
        return False


def compose():
    """The Node of this board. Raises Refused with the named reason, or what setup.py raises."""
    import setup
    from sensewell import node

    outputs = setup.outputs() if hasattr(setup, "outputs") else (print,)
    made = node.compose(
        setup.sensor(), BUNDLE, getattr(setup, "BOARD", None), None, outputs, None, getattr(setup, "CALIBRATION", None)
    )
    way = made.pipeline
    engines = tuple([getattr(one, "engine", "none") for one in (way.features, way.model)])
    print("sensewell: features %s, model %s" % engines)
    if way.refusal:
        print("sensewell: rules only, the model was refused:", way.refusal)
    if getattr(setup, "WATCHDOG_MS", 0):
        from machine import WDT

        made.wdt = WDT(timeout=setup.WATCHDOG_MS)
    return made


def run():
    if exists("/safe"):
        print("sensewell: safe mode, nothing started (remove the file /safe to leave it)")
        return
    if not exists(BUNDLE):
        print("sensewell: bundle.missing: no", BUNDLE, "on this board (sensewell deploy brings one)")
        return
    if not (exists("/setup.py") or exists("/setup.mpy")):
        print("sensewell: setup.missing: no /setup.py that says which sensor to read (see main.py)")
        return
    print("sensewell: starting in %d s, Ctrl-C for the prompt" % (GRACE_MS // 1000))
    try:
        time.sleep_ms(GRACE_MS)
        compose().run()
    except KeyboardInterrupt:
        print("sensewell: stopped")
    except Exception as error:
        if hasattr(error, "reason"):  # Refused; anything else is a defect, and says where
            print("sensewell: refused:", error)
        else:
            sys.print_exception(error)


if __name__ == "__main__":
    run()
