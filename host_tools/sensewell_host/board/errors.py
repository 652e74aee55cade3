"""What goes wrong with a board, as one clear sentence: what was expected, what came, what to do.

BoardError is the wire or the machine behind it; BoardScriptError is Python code that failed on the board.
"""

from __future__ import annotations

from sensewell_host.errors import SensewellError


class BoardError(SensewellError):
    """A board is not there, is busy, does not answer, or the wire to it broke."""


class BoardScriptError(BoardError):
    """Code raised an exception on the board. The wire is fine and the board can be used on."""

    def __init__(self, traceback: str, output: str = "") -> None:
        self.traceback = traceback.strip()
        """The board's traceback, as MicroPython printed it."""
        self.output = output
        """What the code printed before it failed."""
        lines = self.traceback.splitlines()
        super().__init__(f"code on the board raised {lines[-1] if lines else 'an exception'}")
