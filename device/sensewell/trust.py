"""The trust root: the keys that may sign for this board, what for, how many of them it takes, and who never again.

Knows keys, roles and thresholds; what is signed is just a digest. Where the file lies is its user's business.

The file, little-endian (host_tools/sensewell_host/trust_root.py writes it); all before the signatures is signed:

| at | bytes | what                                                                      | else refused as           |
|----|-------|---------------------------------------------------------------------------|---------------------------|
|  0 |   4   | magic, b"SWT1"                                                            | trust.magic               |
|  4 |   2   | format version, 1                                                         | trust.format              |
|  6 |   2   | bytes of what is signed: 16 + 65 * keys + 16 * revoked                    | trust.length, .truncated  |
|  8 |   4   | version of this trust root, 1..2**31-1                                    | trust.version             |
| 12 |   1   | threshold of role root: so many of its keys sign the next trust root      | trust.threshold           |
| 13 |   1   | threshold of role release: so many of its keys sign a bundle              | trust.threshold           |
| 14 |   2   | number of keys, 2..16 or 1 that has both roles; number of revoked, 0..64  | trust.keys                |
| 16 |       | keys, by ascending id, each: 1 byte, roles (1 root, 2 release, 3 both);   | trust.order, .roles       |
|    |       | 64 bytes, x and y, a point of the curve                                   | trust.point               |
|    |       | ids of revoked keys, 16 bytes each, ascending; none is among the keys     | trust.order, .revoked_key |
|    |       | signatures over the SHA-256 of all before: a block as in signature.py     | signature.                |

There is one byte string for each trust root, so two boards that trust the same hold the same file. A key may sign for
a role or for both; whichever way it signs twice, it counts once.
"""

import hashlib
import struct

from sensewell import signature
from sensewell.refusal import Refused

try:
    from micropython import const
except ImportError:
    from sensewell._port import micropython

    const = micropython.const

_MAGIC = const(b"SWT1")
_FORMAT = const(1)
_HEADER = const("<4sHHIBBBB")
_HEADER_BYTES = const(16)
_KEY_BYTES = const(65)
_ID_BYTES = const(16)
_MOST_KEYS = const(16)
_MOST_REVOKED = const(64)
_MOST_BYTES = const(4096)
FORMAT = (_MAGIC, _FORMAT, _HEADER, _MOST_KEYS, _MOST_REVOKED)  # for those who write trust roots

ROOT = const(1)
RELEASE = const(2)


class Trust:
    """A trust root as the file `data` says: sound by itself; `accept` below says whether it may be trusted.

    .version; .keys: {key id: (roles, key)}; .need: thresholds, by role; .revoked: a set of key ids; .signed: the
    digest that is signed; .signatures: the block. Refused as in the table above.
    """

    def __init__(self, data):
        data = bytes(data)
        if len(data) < _HEADER_BYTES:
            raise Refused("trust.truncated", "it has %d bytes" % len(data))
        magic, form, size, version, root, release, n_keys, n_revoked = struct.unpack_from(_HEADER, data)
        if magic != _MAGIC:
            raise Refused("trust.magic")
        if form != _FORMAT:
            raise Refused("trust.format", "expected %d, got %d" % (_FORMAT, form))
        if not 0 < version < 1 << 31:
            raise Refused("trust.version")
        if not 0 < n_keys <= _MOST_KEYS or n_revoked > _MOST_REVOKED:
            raise Refused("trust.keys", "%d keys, %d revoked" % (n_keys, n_revoked))
        if size != _HEADER_BYTES + _KEY_BYTES * n_keys + _ID_BYTES * n_revoked:
            raise Refused("trust.length")
        if len(data) < size:
            raise Refused("trust.truncated", "%d bytes, the header says %d" % (len(data), size))
        self.version = version
        self.need = (0, root, release)
        self.keys = keys = {}
        last = b""
        for at in range(_HEADER_BYTES, size - _ID_BYTES * n_revoked, _KEY_BYTES):
            key = data[at + 1 : at + _KEY_BYTES]
            name = signature.key_id(key)
            if name <= last:
                raise Refused("trust.order", "keys")
            if not 0 < data[at] < 4:
                raise Refused("trust.roles")
            if not signature.on_curve(key):
                raise Refused("trust.point")
            keys[name] = (data[at], key)
            last = name
        for role in (ROOT, RELEASE):
            if not 0 < self.need[role] <= sum([roles & role != 0 for roles, _ in keys.values()]):
                raise Refused("trust.threshold", "keys of role %d" % role)
        self.revoked = set()
        last = b""
        for at in range(size - _ID_BYTES * n_revoked, size, _ID_BYTES):
            name = data[at : at + _ID_BYTES]
            if name <= last:
                raise Refused("trust.order", "revoked")
            if name in keys:
                raise Refused("trust.revoked_key")
            self.revoked.add(name)
            last = name
        self.signed = hashlib.sha256(data[:size]).digest()
        self.signatures = data[size:]

    def check(self, role, digest, signatures):
        """Return how many keys of `role` (ROOT, RELEASE) signed `digest`, if those are enough.

        signatures: a block as in signature.py. Each by a key of the role must be right: Refused("signature....") as in
        signature.verify. One by another key is passed over, so that a file may be signed for boards of several trust
        roots. If those that count are too few, the reason is the gravest of what did not count:
        signature.revoked_key, signature.role, signature.unknown_key; signature.too_few where all did.
        """
        signatures = signature.split(signatures)
        return self._enough(role, _signers((self,), role, digest, signatures), signatures, "signature.unknown_key")

    def _enough(self, role, signers, signatures, unknown, too_few="signature.too_few"):
        count = 0
        for name in signers:
            if name in self.keys and self.keys[name][0] & role:
                count += 1
        if count < self.need[role]:
            reason = too_few
            for name, _ in signatures:
                if name in self.revoked:
                    reason = "signature.revoked_key"
                    break
                if name not in self.keys:
                    if reason == too_few:
                        reason = unknown
                elif not self.keys[name][0] & role:
                    reason = "signature.role"
            raise Refused(reason, "%d of %d" % (count, self.need[role]))
        return count


def accept(data, old=None):
    """The Trust in the file `data`, if it may follow `old`, the Trust that this board has; None: it has none.

    It must be signed by enough root keys of its own, and of the old one, whose revoked keys it remembers and whose
    version it exceeds (not necessarily by one). Refused("trust.rollback", "trust.forgotten", "trust.too_few_old",
    "trust.too_few_new", "signature...." as in Trust.check); the first one is only as good as the way it came.
    """
    new = Trust(data)
    signatures = signature.split(new.signatures)
    if old is None:
        roots = (new,)
    else:
        roots = (new, old)
        if new.version <= old.version:
            raise Refused("trust.rollback", "version %d, the board has %d" % (new.version, old.version))
        for name in old.revoked:
            if name not in new.revoked:
                raise Refused("trust.forgotten")
    signers = _signers(roots, ROOT, new.signed, signatures)
    if old is not None:
        old._enough(ROOT, signers, signatures, "trust.too_few_old", "trust.too_few_old")
        signatures = ()  # those that count for the old one only are no fault
    new._enough(ROOT, signers, signatures, "trust.too_few_new", "trust.too_few_new")
    return new


def read(path):
    """The bytes of the file at `path`; Refused("trust.missing", ".unreadable", ".large", ".memory")."""
    try:
        with open(path, "rb") as f:
            size = f.seek(0, 2)
            if size > _MOST_BYTES:
                raise Refused("trust.large", "it has %d bytes" % size)
            f.seek(0)
            return f.read(size)
    except MemoryError:
        raise Refused("trust.memory")
    except OSError as e:
        raise Refused("trust.missing" if e.errno == 2 else "trust.unreadable", path)


def _signers(roots, role, digest, signatures):
    # ids of the keys with `role` in one of `roots` whose signatures are right; each is verified once
    signers = set()
    for name, der in signatures:
        for root in roots:
            if name in root.keys and root.keys[name][0] & role and name not in signers:
                signature.verify(root.keys[name][1], digest, der)
                signers.add(name)
    return signers
