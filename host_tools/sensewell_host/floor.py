"""Sets back the floor of release counters on one board, after a jump that was a mistake: root keys must sign it.

What is signed holds the board's id, its floor and how often it was set back: it serves this board, and once. It is put
together here, of what the board tells: root keys sign nothing that merely came over the wire.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

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


@dataclass(frozen=True)
class Request:
    """What root keys shall sign: this board's floor from `old` to `new`, after so many resets; block: who has."""

    device: str
    """The board's unique id in hex; "": it has none."""
    resets: int
    old: int
    new: int
    block: bytes = field(default=b"", compare=False)

    def message(self) -> bytes:
        """The id, "SWFR", and the numbers as device/sensewell/command.py has them. Signed is its SHA-256."""
        numbers = (number.to_bytes(4, "little") for number in (self.resets, self.old, self.new))
        return self.device.encode() + b"SWFR" + b"".join(numbers)

    def signed(self, keys: Sequence[ec.EllipticCurvePrivateKey]) -> Request:
        return replace(self, block=sign.add(self.block, hashlib.sha256(self.message()).digest(), keys))

    def save(self, path: Path) -> None:
        path.write_text(json.dumps({**asdict(self), "block": self.block.hex()}) + "\n")

    @staticmethod
    def load(path: Path) -> Request:
        """What save() wrote; SensewellError."""
        try:
            found = json.loads(path.read_text())
            told = _TOLD.fullmatch(f"{found['device'] or '-'} {found['resets']} {found['old']}")
            if told and isinstance(found["new"], int) and 0 <= found["new"] < 1 << 30:
                return _request(told, found["new"], bytes.fromhex(found["block"]))
        except OSError as error:
            raise SensewellError(f"cannot read {path}: {error.strerror}") from error
        except (ValueError, KeyError, TypeError):
            pass
        raise SensewellError(
            f"{path} holds no signatures for a floor: `sensewell slots floor ... --signatures` makes it"
        )


def reset(
    board: Board, floor: int, unlock: Callable[[], Sequence[ec.EllipticCurvePrivateKey]], path: Path | None = None
) -> None:
    """Set the board's floor to `floor`. unlock: gives the root keys. SensewellError with the board's named reason.

    path: a file that may hold signatures by others; those of the keys here are added to it.
    """
    told = _TOLD.fullmatch(_said(board, _ASK))
    if not told:
        raise SensewellError("the board does not tell its id and its floor: nothing was signed")
    request = _request(told, floor)
    if path and path.exists():
        kept = Request.load(path)
        request = kept if kept == request else request  # signatures for another state or board are of no use
    request = request.signed(unlock())
    if path:
        request.save(path)
    try:
        _said(board, _RESET.format(floor=floor, block=request.block))
    except SensewellError as error:
        if path and "signature.too_few" in str(error):
            raise SensewellError(
                f"{error}; send {path} to holders of other root keys, for `sensewell slots floor {floor} --signatures "
                f"{path.name}`, and come again with what they send back"
            ) from error
        raise


def _request(told: re.Match[str], new: int, block: bytes = b"") -> Request:
    return Request(told[1].strip("-"), int(told[2]), int(told[3]), new, block)


def _said(board: Board, script: str) -> str:
    board.soft_reset()
    said = board.exec(script, timeout_s=120).strip().splitlines()
    word, _, rest = (said[-1] if said else "").partition(" ")
    if word != "M":
        raise SensewellError(f"the board refuses: {rest or 'it gave no reason'}")
    return rest
