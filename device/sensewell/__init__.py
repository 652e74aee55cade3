"""Sensewell on the board: from sensor samples to decisions that carry their grounds.

Import the stations you need, e.g. `from sensewell.node import Node`; nothing is imported here, to keep RAM free.
"""

__version__ = "0.1.0"
RUNTIME = (0, 1)  # what a bundle's `min_runtime` is compared with
