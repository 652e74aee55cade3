"""Whom a board believes, and how it comes to believe otherwise without a moment in which it could run nothing.

Reads a board's trust root, choice of development mode and journal with the device's own code; plans what a deploy has
to store before and after it switches. Knows no keys and nothing of how bundles travel.
"""

from __future__ import annotations

import binascii
import hashlib
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from sensewell_host.advice import with_advice
from sensewell_host.board import Board, BoardInfo, BoardScriptError
from sensewell_host.device_path import use_device_path
from sensewell_host.errors import SensewellError

use_device_path()

from sensewell import trust, trust_store  # noqa: E402
from sensewell.bundle import FORMAT, Bundle  # noqa: E402
from sensewell.journal import Journal  # noqa: E402
from sensewell.policy import DEVELOPMENT, UNSIGNED, Policy  # noqa: E402
from sensewell.refusal import Refused  # noqa: E402

HEADER_BYTES = FORMAT[3]
SLOTS = "/slot"
_LONGEST = 18000  # beginning of a bundle
Chain = Sequence[bytes]
"""Trust root files, oldest first."""

_STORE = """
import sys
sys.path.insert(0, {code!r})
from sensewell.trust_store import store
try:
    for data in {roots!r}:
        store(data)
    print("STORED")
except Exception as error:
    print(getattr(error, "reason", type(error).__name__), error)
"""


# The beginning of a bundle: header, manifest, signatures (device/sensewell/bundle.py); nothing where it is none
_HEAD = """
from binascii import b2a_base64
try:
    with open({path!r}, "rb") as file:
        head = file.read(56)
        manifest = int.from_bytes(head[8:12], "little")
        left = manifest + -manifest % 8 + int.from_bytes(head[16:20], "little")
        if head[:4] == b"SWB1" and left <= 18000:
            print(b2a_base64(head).decode(), end="")
            while left:
                block = file.read(min(left, 1536))
                if not block:
                    break
                print(b2a_base64(block).decode(), end="")
                left -= len(block)
except OSError:
    pass
"""


@dataclass(frozen=True)
class Beliefs:
    """What a board believes now. root: a Trust, or None; active: the beginning of the bundle in its active slot, with
    all that is signed and the signatures, or None."""

    root: Any
    unsigned: bool
    active: bytes | None
    device: str | None

    def plan(self, content: bytes, info: BoardInfo, chain: Chain, unsigned: bool) -> Plan:
        """How the board comes to believe `content`, a bundle; SensewellError if it never would.

        chain: trust roots that it shall follow; unsigned: development mode, from now on.
        """
        newest, newer = self.root, []
        for data in chain:
            try:
                if newest is None or trust.Trust(data).version > newest.version:
                    newest = trust.accept(data, newest)
                    newer.append(data)
            except Refused as refused:
                said = f"{info.name} would not accept this trust root: {with_advice(refused)}"
                raise SensewellError(said) from refused
        develops = unsigned or (self.unsigned and not chain)
        if newest is None and not develops:
            raise SensewellError(
                f"{info.name} believes nobody yet: give it a trust root with --trust (`sensewell key rotate` makes "
                "one), or choose --unsigned for development"
            )
        policy = Policy(info.name, UNSIGNED if develops else newest, arch=info.mpy_arch or None, device=self.device)
        try:
            Bundle.open(content, policy)
        except Refused as refused:
            if refused.reason not in ("bundle.clock", "bundle.expired"):  # the board has the clock
                said = f"{info.name} would refuse the bundle: {with_advice(refused, 'nothing was written')}"
                raise SensewellError(said) from refused
        first = not newer or develops or self.unsigned or self.root is None or self.active is None
        if not first and not _believed(newest, self.active or b""):
            if not _believed(self.root, content):
                raise SensewellError(
                    "neither does the new trust root believe the bundle that runs, nor the old one the new bundle: a "
                    "power cut in between would leave the board with nothing to run; sign the new bundle with an old "
                    "key, too"
                )
            return Plan((), tuple(newer), develops, False)
        return Plan(tuple(newer), (), develops, self.unsigned and not develops)


@dataclass(frozen=True)
class Plan:
    """Trust roots to store before the new bundle is proven, and after it was switched to; development mode or not."""

    first: tuple[bytes, ...]
    last: tuple[bytes, ...]
    unsigned: bool
    ends_development: bool

    def before(self, board: Board, code: str) -> None:
        """code: a folder on the board with the code that knows how."""
        if self.unsigned:
            board.put(DEVELOPMENT, b"Every decision of this board says unsigned, because this file is here.\n")
        _store(board, code, self.first)

    def after(self, board: Board, code: str) -> None:
        """The same for what comes after the switch."""
        _store(board, code, self.last)
        if self.ends_development:
            board.remove(DEVELOPMENT)


class Files(Protocol):
    """What lies on a board's flash: a Board, or a Link to the node that runs there."""

    def get(self, path: str) -> bytes: ...

    def exists(self, path: str) -> bool: ...


def choice(files: Files) -> tuple[Any, bool]:
    """(trust root or None, development mode) of a board."""
    with tempfile.TemporaryDirectory(prefix="sensewell-") as folder:
        fetch(files, trust_store.FOLDER, ("a", "b"), Path(folder))
        try:
            root = trust_store.stored(folder)
        except Refused as refused:
            said = f"the board's trust root is lost ({refused}): remove {trust_store.FOLDER} there"
            raise SensewellError(said) from refused
    return root, files.exists(DEVELOPMENT)


def look(board: Board) -> Beliefs:
    """What `board` believes."""
    root, unsigned = choice(board)
    path = active_path(board)
    device = board.exec(
        "try:\n from machine import unique_id\n from binascii import hexlify\n print(hexlify(unique_id()).decode())\n"
        "except ImportError:\n pass"
    )
    return Beliefs(root, unsigned, head(board, path) if path else None, device.strip() or None)


def journal(files: Files) -> Any:
    """The board's Journal, None where it has none."""
    with tempfile.TemporaryDirectory(prefix="sensewell-") as folder:
        fetch(files, SLOTS, ("journal.0", "journal.1"), Path(folder))
        found = Journal(folder)
        return found if found.load() else None


def active_path(board: Board) -> str | None:
    """Where the active bundle lies on the board, None: nowhere."""
    found = journal(board)
    if found is None or found.active > 1:
        return None
    path = f"{SLOTS}/{'ab'[found.active]}.swb"
    return path if board.exists(path) else None


def head(board: Board, path: str) -> bytes | None:
    """Header, manifest and signatures of the bundle at `path` on the board; None: there is none, or not of our kind."""
    return _sound(b"".join(map(binascii.a2b_base64, board.exec(_HEAD.format(path=path)).splitlines())))


def head_of(read: Callable[[int], bytes]) -> bytes | None:
    """The same of a bundle of which read(bytes) gives the beginning."""
    first = read(HEADER_BYTES)
    end = HEADER_BYTES + int.from_bytes(first[8:12], "little")
    size = end + -end % 8 + int.from_bytes(first[16:20], "little")
    return _sound(read(size)) if size < _LONGEST else None


def _sound(said: bytes) -> bytes | None:
    end = HEADER_BYTES + int.from_bytes(said[8:12], "little")
    whole = len(said) == end + -end % 8 + int.from_bytes(said[16:20], "little")
    return said if whole and hashlib.sha256(said[HEADER_BYTES:end]).digest() == said[20:52] else None


def fetch(files: Files, folder: str, names: Sequence[str], here: Path) -> None:
    """Those of the files that are there, to the folder `here`."""
    for name in names:
        try:
            (here / name).write_bytes(files.get(f"{folder}/{name}"))
        except BoardScriptError as error:
            if "OSError" not in str(error):
                raise


def _store(board: Board, code: str, roots: Sequence[bytes]) -> None:
    if not roots:
        return
    board.soft_reset()
    said = board.exec(_STORE.format(code=code, roots=list(roots)), timeout_s=120).strip()
    if said != "STORED":
        raise SensewellError(f"the board does not take the trust root: {with_advice(said.partition(' ')[2] or said)}")


def _believed(root: Any, bundle: bytes) -> bool:
    # its beginning is enough
    from sensewell_host.pack import digest_of, signatures_of

    try:
        Policy(trust=root).believes(digest_of(bundle), signatures_of(bundle))
        return True
    except Refused:
        return False
