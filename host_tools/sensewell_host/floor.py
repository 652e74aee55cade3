"""Sets back the floor of release counters on one board, after a jump that was a mistake: root keys must sign it.

What is signed holds the board's id, its floor and how often it was set back: it serves this board, and once.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence

from cryptography.hazmat.primitives.asymmetric import ec

from sensewell_host import sign
from sensewell_host.board import Board
from sensewell_host.errors import SensewellError

_OPEN = """
try:
    from sensewell import command
    from sensewell.policy import device_id, of_board
    from sensewell.slots import Slots
    from sensewell.start import prover
    slots = Slots(prover(of_board()))
"""
_ASK = (
    _OPEN
    + """
    print("M", ((device_id() or "").encode() + command.floor_message(slots, {floor})).hex())
except Exception as error:
    print("REFUSED", error)
"""
)
_RESET = (
    _OPEN
    + """
    command.reset_floor(slots, {floor}, command.signed_by_root({block!r}))
    print("M", slots.journal.floor)
except Exception as error:
    print("REFUSED", error)
"""
)


def reset(board: Board, floor: int, unlock: Callable[[], Sequence[ec.EllipticCurvePrivateKey]]) -> None:
    """Set the board's floor to `floor`. unlock: gives the root keys. SensewellError with the board's named reason."""
    message = bytes.fromhex(_said(board, _ASK.format(floor=floor)))
    block = sign.add(b"", hashlib.sha256(message).digest(), unlock())
    _said(board, _RESET.format(floor=floor, block=block))


def _said(board: Board, script: str) -> str:
    board.soft_reset()
    said = board.exec(script, timeout_s=120).strip().splitlines()
    word, _, rest = (said[-1] if said else "").partition(" ")
    if word != "M":
        raise SensewellError(f"the board refuses: {rest or 'it gave no reason'}")
    return rest
