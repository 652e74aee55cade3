"""Trust roots on the host: the next version made, signed by several people one after the other, and kept in order.

The file is described where it is read: device/sensewell/trust.py, which also judges each one made here. Knows no
passphrases; private keys come unlocked.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec

from sensewell_host import sign
from sensewell_host.device_path import use_device_path
from sensewell_host.errors import SensewellError

use_device_path()

from sensewell import trust  # noqa: E402
from sensewell.refusal import Refused  # noqa: E402

MAGIC, FORMAT, HEADER, MOST_KEYS, MOST_REVOKED = trust.FORMAT
ROLES = {"root": int(trust.ROOT), "release": int(trust.RELEASE)}


@dataclass(frozen=True)
class TrustRoot:
    """What a trust root says. The board's words for it are in device/sensewell/trust.py."""

    version: int
    keys: Mapping[bytes, frozenset[str]]
    """Roles (of ROLES) by key of 64 bytes."""
    thresholds: Mapping[str, int]
    """By role."""
    revoked: frozenset[bytes] = frozenset()
    """Key ids."""
    signatures: bytes = field(default=b"", compare=False)
    """The block, possibly not complete."""

    @property
    def ids(self) -> dict[bytes, frozenset[str]]:
        """Roles by key id."""
        return {sign.key_id(key): roles for key, roles in self.keys.items()}

    def body(self) -> bytes:
        """What is signed."""
        rows = sorted((sign.key_id(key), bytes([sum(ROLES[role] for role in roles)]) + key)
                      for key, roles in self.keys.items())  # fmt: skip
        size = struct.calcsize(HEADER) + sum(len(row) for _, row in rows) + 16 * len(self.revoked)
        need = self.thresholds["root"], self.thresholds["release"]
        if len(rows) > MOST_KEYS or len(self.revoked) > MOST_REVOKED or max(need) > MOST_KEYS:
            raise SensewellError(f"a trust root holds {MOST_KEYS} keys and {MOST_REVOKED} revoked ones at most")
        head = struct.pack(HEADER, MAGIC, FORMAT, size, self.version, *need, len(rows), len(self.revoked))
        return head + b"".join(row for _, row in rows) + b"".join(sorted(self.revoked))

    def file(self) -> bytes:
        """The bytes of the file."""
        return self.body() + self.signatures

    def signed(self, keys: Iterable[ec.EllipticCurvePrivateKey]) -> TrustRoot:
        """This one with signatures by `keys` added."""
        digest = _judged(self.body()).signed
        return replace(self, signatures=sign.add(self.signatures, digest, keys))


def parse(data: bytes) -> TrustRoot:
    """A trust root from its file, signed by enough or not; SensewellError with the board's reason if it is unsound."""
    read = _judged(data)
    keys = {key: frozenset(name for name, bit in ROLES.items() if bit & roles) for roles, key in read.keys.values()}
    thresholds = {name: read.need[bit] for name, bit in ROLES.items()}
    return TrustRoot(read.version, keys, thresholds, frozenset(read.revoked), bytes(read.signatures))


def refusal(new: TrustRoot, old: TrustRoot | None) -> str | None:
    """Why a board with the trust root `old` (None: with none) would refuse `new`; None: it would accept it."""
    try:
        before = None if old is None else trust.Trust(old.file())
        trust.accept(new.file(), before)
    except Refused as refused:
        return str(refused)
    return None


def following(
    old: TrustRoot | None,
    add: Mapping[bytes, Iterable[str]] | None = None,
    drop: Iterable[bytes] = (),
    revoke: Iterable[bytes] = (),
    thresholds: Mapping[str, int] | None = None,
) -> TrustRoot:
    """The trust root after `old` (None: the first), not signed yet.

    add: roles by key, in place of those that it had; drop, revoke: key ids. A revoked key need not be in `old`.
    SensewellError: nothing changes, an unknown key or role, thresholds that cannot be met, a revoked key comes back.
    """
    keys = dict(old.keys) if old else {}
    need = dict(old.thresholds) if old else dict.fromkeys(ROLES, 1)
    revoked = set(old.revoked) if old else set[bytes]()
    for name in drop:
        if name not in {sign.key_id(key) for key in keys}:
            raise SensewellError(f"the key {name.hex()} is not in the trust root: there is nothing to drop")
    revoked |= set(revoke)
    gone = {*drop, *revoked}
    keys = {key: roles for key, roles in keys.items() if sign.key_id(key) not in gone}
    for key, roles in (add or {}).items():
        if lacking := set(roles) - set(ROLES):
            raise SensewellError(f"there is no role {', '.join(sorted(lacking))}: take {' or '.join(ROLES)}, or both")
        if sign.key_id(key) in revoked:
            raise SensewellError(f"the key {sign.key_id(key).hex()} is revoked: it can never come back; make a new one")
        keys[key] = frozenset(roles)
    need |= thresholds or {}
    for role in ROLES:
        able = sum(role in roles for roles in keys.values())
        if not 0 < need[role] <= able:
            raise SensewellError(
                f"{need[role]} signatures by {role} keys would be needed, with {able} such keys: "
                f"give a key this role or set another threshold"
            )
    new = TrustRoot(old.version + 1 if old else 1, keys, need, frozenset(revoked))
    if old and replace(new, version=old.version) == old:
        raise SensewellError("nothing would change: say which key to add, drop or revoke, or which threshold to set")
    return new


def signers(new: TrustRoot, old: TrustRoot | None) -> frozenset[bytes]:
    """Ids of the keys whose signatures count for `new` on a board that has `old`."""
    both = [*new.ids.items(), *(old.ids.items() if old else ())]
    return frozenset(name for name, roles in both if "root" in roles)


def changes(new: TrustRoot, old: TrustRoot | None) -> list[str]:
    """What `new` changes, a line each; keys by their ids."""
    before = old.ids if old else {}
    lines = []
    for name in sorted({*before, *new.ids}):
        was, now = (", ".join(sorted(root.get(name, ()))) for root in (before, new.ids))
        if was != now:
            gone = "revoked" if name in new.revoked else "dropped"
            lines.append(f"{name.hex()}: {f'was {was}, is ' if was else 'new, is '}{now or gone}")
    for name in sorted(new.revoked - (old.revoked if old else frozenset()) - {*before}):
        lines.append(f"{name.hex()}: revoked")
    for role, need in new.thresholds.items():
        if old is None or old.thresholds[role] != need:
            lines.append(f"threshold of {role}: {need}")
    return lines


# --- a folder of trust roots: trust-0001.swt, trust-0002.swt ... ------------------------------------------------------


@dataclass(frozen=True)
class Stored:
    """A trust root in its file."""

    path: Path
    root: TrustRoot
    before: TrustRoot | None
    """The version before it in the folder."""

    @property
    def missing(self) -> str | None:
        """Why boards refuse it still; None: it is complete."""
        return refusal(self.root, self.before)


def load_all(folder: Path) -> list[Stored]:
    """The trust roots in `folder`, by version. SensewellError where a file is damaged or not what its name says."""
    found: list[Stored] = []
    for path in sorted(folder.glob("trust-*.swt")):
        try:
            root = parse(path.read_bytes())
        except OSError as error:
            raise SensewellError(f"cannot read {path}: {error.strerror}") from error
        except SensewellError as error:
            raise SensewellError(f"{path}: {error}") from error
        if path.name != file_name(root.version):
            raise SensewellError(f"{path} holds version {root.version}: name it {file_name(root.version)}")
        found.append(Stored(path, root, found[-1].root if found else None))
    return found


def current(folder: Path) -> TrustRoot | None:
    """The newest trust root in `folder`, None: there is none. SensewellError if it still waits for signatures."""
    chain = load_all(folder)
    if chain and (missing := chain[-1].missing):
        raise SensewellError(
            f"{chain[-1].path.name} waits for signatures ({missing}): "
            f"`sensewell key sign {chain[-1].path}`, or delete it"
        )
    return chain[-1].root if chain else None


def file_name(version: int) -> str:
    """What the file of this version is called."""
    return f"trust-{version:04d}.swt"


def save(root: TrustRoot, folder: Path) -> Path:
    """Write `root` into `folder`, replacing the file of this version at once; return its path."""
    path = folder / file_name(root.version)
    beside = path.with_suffix(".new")
    beside.write_bytes(root.file())
    os.replace(beside, path)
    return path


def _judged(data: bytes) -> Any:
    try:
        return trust.Trust(data)
    except Refused as refused:
        raise SensewellError(f"this is no trust root that a board would read: {refused}") from refused
