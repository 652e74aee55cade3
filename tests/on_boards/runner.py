"""Runs one device test file on a MicroPython board and says what passed. Runs on the board; knows no test."""

import gc
import sys


def run(name):
    """Import test module `name`, call every test_ function; print a line each and a closing count."""
    module = __import__(name)
    passed = failed = 0
    for key in sorted(dir(module)):
        if not key.startswith("test_"):
            continue
        gc.collect()
        try:
            getattr(module, key)()
            passed += 1
            print("PASS", key)
        except Exception as error:
            failed += 1
            print("FAIL", key)
            sys.print_exception(error)
    print("DONE", passed, failed)
