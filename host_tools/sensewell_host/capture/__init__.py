"""Capture: labelled raw samples from a board's sensor into a folder, without losing what was received.

wire.py is what the board runs and says, store.py the folder, session.py joins them through broken wires.
"""
