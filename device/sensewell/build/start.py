"""Chooses the bundle at a start, composes its node, has it watched on probation; and what follows when it ends.

Knows the slots, /setup.py and how the board restarts; nothing of samples. Whose fault what goes wrong is decides here:

| what goes wrong                            | then                                                                |
|--------------------------------------------|---------------------------------------------------------------------|
| there is no setup.py                       | setup.missing; the prompt                                           |
| setup.py, sensor() or outputs() raise      | setup.exception; on probation the other application, as setup.py    |
|                                            | may be meant for it, if there is one; else the prompt               |
| code does not load, or raises in composing | slots.code; the other application                                   |
| the bundle is refused: damaged, expired... | its reason; the other application; without one the prompt           |
| its model is refused                       | its reason; the other application; without one by rules alone       |
| /calibration.json is no calibration        | calibration....; rules alone: what a model sees would be wrong      |
| it does badly on probation, or raises      | probation....; the other application; without one safe mode         |
| the board starts over and over             | counted before any of these is run; the same                        |

An application is a slot's bundle and code. A restart leads into the code of another one.
"""

import gc
import sys

from sensewell.build import thrifty
from sensewell.journal import Journal
from sensewell.node import compose
from sensewell.policy import of_board
from sensewell.probation import Probation, limits
from sensewell.refusal import Refused
from sensewell.slots import Slots

SLOTS = "/slot"


class SetupError(Exception):
    """What /setup.py raised: the bundle has no part in it. `reason` is its name."""

    reason = "setup.exception"


def prover(policy):
    """What Slots asks of a bundle: prove(path) -> (version, release counter), or Refused."""

    def prove(path):
        from sensewell.bundle import Bundle
        from sensewell.pipeline import Pipeline

        thrifty(True)
        try:
            bundle = Bundle.open(path, policy)
            bundle.prove(Pipeline(bundle))
            limits(bundle.manifest)  # nobody else reads them before it runs
            return bundle.version, bundle.manifest.get("release", 0)
        finally:
            thrifty(False)

    return prove


def prepare(keeping):
    """The node to run, None: there is nothing to run, as was said. keeping: gets the slots, until they are settled."""
    slots = Slots(lambda path: prover(_policy())(path), SLOTS)
    keeping.append(slots)
    active = slots.journal.active if slots.journals else -1  # as the loader saw it
    slots.boot(_how_it_ended())
    path = slots.path
    if path and not _is_here(path):
        if slots.journal.active == active:  # the code that belongs to it did not load
            slots.refuse("slots.code")
            path = slots.path or path  # where there is no other bundle, its proof will tell if this code does
        if not _is_here(path):
            _restart(slots)
    about = []
    node = _compose(slots, path, about) if path else None
    if node is None:
        print("sensewell: %s: nothing to run (sensewell deploy brings a bundle)" % slots.why)
    if node is None or not node.limits:
        slots.stopped()
        keeping.clear()
    else:
        _watch(node, keeping)
    if node:
        _listen(node, keeping, about)
    _forget()
    return node


def ended(keeping, error):
    """The run is over. error: None, KeyboardInterrupt or what was raised."""
    gc.collect()
    slots = keeping[0] if keeping else None
    if error is None or isinstance(error, KeyboardInterrupt):
        print("sensewell: stopped")
        if slots:
            slots.stopped()
        if getattr(sys.modules.get("setup"), "WATCHDOG_MS", 0):
            print("sensewell: restarting, as the watchdog cannot be stopped; Ctrl-C again for the prompt")
            _reset()
        return
    reason = _say(error)
    if not slots:
        return
    if not isinstance(error, SetupError):
        if slots.on_probation:
            slots.give_up("probation.exception")
            _restart(slots)
    else:
        # without a setup.py no application can run: that is no reason to leave this one
        if reason != "setup.missing" and slots.on_probation and slots.refuse(reason):
            _restart(slots)
        slots.stopped()


def _compose(slots, path, about):
    # The node of the bundle at `path`; one that is refused gives way to the other. about: gets path, name, version
    setup = _setup()

    def facts(manifest):
        about[:] = [path, manifest["name"], manifest["version"]]
        return None if uncalibrated else limits(manifest)  # nobody learns how a bundle does without its model

    policy = _policy()
    wdt = _watchdog(setup)
    sensor = _of_setup(setup, "sensor")
    outputs = _of_setup(setup, "outputs") if hasattr(setup, "outputs") else (print,)
    if wdt:
        wdt.feed()
    calibration, uncalibrated = _calibration(setup)
    while path:
        safe = slots.why if slots.safe else uncalibrated
        try:
            node = compose(sensor, path, None, None, outputs, wdt, calibration, policy, safe, facts)
            reason = "" if safe else node.pipeline.refusal
        except Exception as error:
            node = None
            reason = _say(error)
        if not reason:
            break
        if node:
            print("sensewell: the model was refused:", reason)
        if slots.refuse(reason):
            node = None
            _restart(slots)
        elif node:  # by its rules alone then
            if slots.on_probation:
                slots.give_up(reason)
            break
        path = slots.path
    if node:
        way = node.pipeline
        engines = tuple([getattr(one, "engine", "none") for one in (way.features, way.model)])
        print("sensewell: %s, %s; features %s, model %s" % ((path, slots.why) + engines))
        if way.refusal:
            print("sensewell: rules only:", way.refusal)
    return node


def _watch(node, keeping):
    # Until the bundle is confirmed or given up
    def settled(failed):
        keeping.clear()
        if failed:
            print("sensewell: %s, restarting" % failed)
            _reset()

    node.outputs = tuple(node.outputs) + (Probation(node, keeping[0], node.limits, settled),)


def _listen(node, keeping, about):
    # Hosts may talk to it while it runs; where that cannot be, they stop it
    try:
        from select import POLLIN, poll

        from sensewell.link import Link

        stream = getattr(sys.stdin, "buffer", sys.stdin)
        poller = poll()
        poller.register(stream, POLLIN)
        node.sleep_us = Link(node, keeping, about, stream, poller)
    except (ImportError, AttributeError, OSError, ValueError):
        pass


# -- setup.py ----------------------------------------------------------------------------------------------------------
def _setup():
    try:
        import setup
    except Exception as error:
        if isinstance(error, ImportError) and "'setup'" in str(error):
            error = SetupError("no /setup.py that says which sensor to read (see sensewell/start.py)")
            error.reason = "setup.missing"
            raise error
        _raised(error)
    return setup


def _of_setup(setup, name):
    try:
        return getattr(setup, name)()
    except Exception as error:
        _raised(error)


def _calibration(setup):
    # (what compose() takes, why there is none that can be trusted)
    calibration = getattr(setup, "CALIBRATION", None)
    if calibration is None:
        from sensewell.build.calibration import load

        try:
            calibration = load()
        except Refused as error:
            return None, _say(error)
    return calibration, ""


def _watchdog(setup):
    if getattr(setup, "WATCHDOG_MS", 0):
        try:
            from machine import WDT

            return WDT(timeout=setup.WATCHDOG_MS)
        except Exception as error:
            _raised(error)
    return None


def _raised(error):
    _print_exception(error)
    raise SetupError(repr(error))


def _policy():
    setup = _setup()
    now_s = _of_setup(setup, "now_s") if hasattr(setup, "now_s") else None
    return of_board(getattr(setup, "BOARD", None), now_s, getattr(setup, "CHANNELS", None))


# -- the board ---------------------------------------------------------------------------------------------------------
def _is_here(path):
    # Is the code that runs the one that belongs to this bundle? (Elsewhere than in a slot it belongs to all)
    here = sys.path[0]
    return not here.startswith(SLOTS + "/") or path == here + ".swb"


def _how_it_ended():
    # in the words of Slots.boot
    try:
        import machine

        cause = machine.reset_cause()
    except (ImportError, AttributeError):
        return "crash"
    for name, word in (("PWRON_RESET", "power"), ("WDT_RESET", "watchdog"), ("DEEPSLEEP_RESET", "wake")):
        if cause == getattr(machine, name, None):
            return word
    return "crash"


def _restart(slots):
    # Into the code of what is active now, if the flash says so, too. Boards that cannot reset go on with what they have
    flash = Journal(SLOTS)
    if flash.load() and flash.active == slots.journal.active:
        print("sensewell: %s, restarting into %s" % (slots.journal.cause, slots.path))
        _reset()


def _reset():
    try:
        from machine import reset
    except ImportError:
        return
    reset()


def _forget():
    # What only a probation needs is in RAM for as long as somebody holds it; nobody shall find it by its name
    if sys.implementation.name != "micropython":
        return
    import sensewell

    for name in ("slots", "journal", "probation"):
        sys.modules.pop("sensewell." + name, None)
        if hasattr(sensewell, name):
            setattr(sensewell, name, None)  # the slot of a deleted attribute would keep the old value alive
            delattr(sensewell, name)


def _say(error):
    # What is named is named; anything else is a defect, and says where. Returns the reason
    reason = getattr(error, "reason", "")
    if reason:
        print("sensewell: refused:" if not isinstance(error, SetupError) else "sensewell: %s:" % reason, error)
        return reason
    if isinstance(error, MemoryError):
        print("sensewell: refused: bundle.memory")
        return "bundle.memory"
    _print_exception(error)
    return "slots.code"


def _print_exception(error):
    if hasattr(sys, "print_exception"):
        sys.print_exception(error)
    else:
        print(repr(error))
