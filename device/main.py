"""Starts what the active slot holds (sensewell/start.py says how); if its code does not load, the other slot's.

Whatever happens, the prompt is reached. Your own part of the application is /setup.py, see sensewell/start.py.
"""

import gc
import sys


def load():
    """sensewell.start of the slot that the loader chose, else of the other one; None if neither's code loads."""
    for _ in (0, 1):
        try:
            import sensewell.build.start  # noqa: F401  all that it takes to give way to the other slot
            from sensewell import start

            return start
        except Exception as error:
            print("sensewell: code that does not load:", sys.path[0], repr(error))
        for name in list(sys.modules):
            if name.startswith("sensewell"):
                sys.modules.pop(name)
        if not sys.path[0].startswith("/slot/"):
            break  # the loader has found none
        sys.path[0] = "/slot/a" if sys.path[0] == "/slot/b" else "/slot/b"
    return None


if __name__ == "__main__":
    if hasattr(gc, "threshold"):
        gc.threshold(4096)  # what stays shall lie close together: a large model needs its room in one piece
    application = load()
    if application:
        application.run()
