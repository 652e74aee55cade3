"""Boards: what there is (catalog), virtual ones (virtual), and one way to talk to any of them (connect).

with connect("socket://127.0.0.1:4001") as board:
    print(board.exec("print('hello')"))
"""

from __future__ import annotations

from sensewell_host.board.base import Board, BoardInfo, Wire
from sensewell_host.board.errors import BoardError, BoardScriptError
from sensewell_host.board.transport import WireBoard
from sensewell_host.board.unix import UnixBoard

__all__ = ["Board", "BoardError", "BoardInfo", "BoardScriptError", "Wire", "connect"]


def connect(address: str, timeout_s: float = 5.0, hold: bool = True) -> Board:
    """Take hold of the board at an address, or raise BoardError. hold: False: at the first call that needs it.

    `unix` or `unix:FOLDER` is MicroPython on this computer with that folder as its flash; everything else is what
    `mpremote connect` takes: socket://127.0.0.1:PORT, /dev/ttyACM0, COM3.
    """
    if address == "unix" or address.startswith("unix:"):
        return UnixBoard.connect(address)
    return WireBoard.connect(address, timeout_s, hold)
