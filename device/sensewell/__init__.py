"""Sensewell on the board: from sensor samples to decisions that carry their grounds.

Import the stations you need, e.g. `from sensewell.node import Node`; nothing is imported here, to keep RAM free. Where
`sensewell deploy` brought it, this file lies in a slot, and device/loader.py leads there.
"""

__version__ = "0.1.0"
