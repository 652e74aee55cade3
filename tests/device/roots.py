"""Trust roots for tests: made of keys 1 ... 6, signed by whom you like; damaged ones too."""

import hashlib
import struct

from sensewell import signature
from sensewell.trust import RELEASE, ROOT
from signer import block, key, sign

BOTH = ROOT | RELEASE
# private keys: 1, 2, 3 sign trust roots, 4, 5 bundles, 6 both
KEYS = [b""] + [key(number) for number in range(1, 7)]
IDS = [b""] + [signature.key_id(one) for one in KEYS[1:]]
DIGEST = hashlib.sha256(b"a bundle").digest()
_kept = {}


def signature_by(number, digest=DIGEST):
    """As signer.sign, but each signature is computed once: boards take their time."""
    if (number, digest) not in _kept:
        _kept[number, digest] = sign(number, digest)
    return _kept[number, digest]


def root_body(version=1, keys={1: ROOT, 4: RELEASE}, need=(1, 1), revoked=(), **other):
    rows = [(IDS[number], bytes([role]) + KEYS[number]) for number, role in keys.items()]
    names = [name if isinstance(name, bytes) else IDS[name] for name in revoked]
    size = 16 + 65 * len(rows) + 16 * len(names)
    head = struct.pack("<4sHHIBBBB", b"SWT1", 1, size, version, need[0], need[1], len(rows), len(names))
    return head + b"".join([row for _, row in sorted(rows)]) + b"".join(sorted(names))


def signed(body, *by):
    digest = hashlib.sha256(body).digest()
    return body + block_by(by, digest)


def block_by(by, digest=DIGEST):
    return block(*[(KEYS[number], signature_by(number, digest)) for number in by])


def root_file(*by, **what):
    return signed(root_body(**what), *by)
