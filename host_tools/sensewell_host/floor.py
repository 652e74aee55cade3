"""Sets back the floor of release counters on one board, after a jump that was a mistake: root keys must sign it.

What is signed holds the board's id, its floor and how often it was set back: it serves this board, and once. It is put
together here, of what the board tells: root keys sign nothing that merely came over the wire.
"""

from __future__ import annotations

import hashlib
import re
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
    print("M", device_id() or "-", slots.journal.resets, slots.journal.floor)
except Exception as error:
    print("REFUSED", error)
"""
)
_TOLD = re.compile(r"(-|(?:[0-9a-f]{2}){1,32}) ([0-9]{1,5}) (1?[0-9]{1,9})")
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
    told = _TOLD.fullmatch(_said(board, _ASK))
    if not told:
        raise SensewellError("the board does not tell its id and its floor: nothing was signed")
    digest = hashlib.sha256(message(told[1].strip("-"), int(told[2]), int(told[3]), floor)).digest()
    _said(board, _RESET.format(floor=floor, block=sign.add(b"", digest, unlock())))


def message(device: str, resets: int, old: int, new: int) -> bytes:
    """What root keys sign: the board's id in hex, "SWFR", and the numbers as device/sensewell/command.py has them."""
    return device.encode() + b"SWFR" + b"".join(number.to_bytes(4, "little") for number in (resets, old, new))


def _said(board: Board, script: str) -> str:
    board.soft_reset()
    said = board.exec(script, timeout_s=120).strip().splitlines()
    word, _, rest = (said[-1] if said else "").partition(" ")
    if word != "M":
        raise SensewellError(f"the board refuses: {rest or 'it gave no reason'}")
    return rest
