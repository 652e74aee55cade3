"""Runs first at every start of a board; main.py follows.

It does nothing that could fail: the prompt must be reachable whatever happens to bundles and sensors.
"""

import sys

if "/lib" not in sys.path:  # some ports leave it out
    sys.path.append("/lib")
