"""A start of the board: what build/start.py composes runs here; at its end there is the prompt, or a restart.

This alone stays in RAM beside the node. What this board is, the user's own /setup.py says (all optional but `sensor`):

    BOARD = "esp32c3"; WATCHDOG_MS = 0
    CALIBRATION = [...]             instead of /calibration.json, see Condition; [] for none
    CHANNELS = [("ax", "g"), ...]   names and units of what sensor() reads: bundles are held to
                                    them, `sensewell calibrate` goes by them
    def sensor(): return an object with read(row) -> t_ms
    def outputs(): return callables that take a Decision          (default: print)
    def now_s(): seconds since 1970 by a clock to be trusted, or None

While the node runs, hosts may ask how it does and bring its next bundle (link.py): leave stdin to them.

Nothing is started with a file /safe on the flash, or after Ctrl-C in the first two seconds. A watchdog cannot be
stopped once it runs: it is started after these seconds, and Ctrl-C then restarts the board, so that they come again.
It watches sensor() and the proof of the bundle, too (WATCHDOG_MS must suffice for either), and has the board start
anew after an exception.
"""

import os

try:
    from time import sleep_ms

    from micropython import kbd_intr
except ImportError:
    from sensewell._port import sleep_ms

    def kbd_intr(char):
        pass


GRACE_MS = 2000
SAFE = "/safe"


def prover(policy):
    """What Slots asks of a bundle: prove(path) -> (version, release counter), or Refused."""
    from sensewell.build.start import prover

    return prover(policy)


def run():
    """Until the sensor's end, Ctrl-C or an exception."""
    try:
        os.stat(SAFE)
        print("sensewell: safe mode, nothing started (remove the file %s to leave it)" % SAFE)
        return
    except OSError:
        pass
    keeping = []  # the slots, while this start may still change them
    node = error = None
    try:
        print("sensewell: starting in %d ms, Ctrl-C for the prompt" % GRACE_MS)
        sleep_ms(GRACE_MS)
        node = _prepare(keeping)
        if not node:
            return
        node.run()
    except KeyboardInterrupt as e:
        error = e
    except Exception as e:
        error = e
    while True:  # hosts send Ctrl-C twice: the second one must not end what the first one began
        try:
            kbd_intr(-1)
            break
        except KeyboardInterrupt:
            pass
    node = None  # its RAM may be needed now
    try:
        _ended(keeping, error)
    finally:
        kbd_intr(3)


def _prepare(keeping):
    from sensewell.build.start import prepare

    return prepare(keeping)


def _ended(keeping, error):
    from sensewell.build.start import ended

    ended(keeping, error)
