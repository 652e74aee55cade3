"""Trust roots that may not follow TRUST, each under the reason that a board must give. Runs on a PC."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator

from bad_bundles import flipped, patched
from roots import KEYS, block_by, root_body, root_file, signature_by
from sensewell.signature import key_id
from sensewell.trust import RELEASE, ROOT
from signer import block, der

KEYS_OF = {1: ROOT, 2: ROOT, 4: RELEASE, 5: RELEASE}
TRUST = root_file(1, keys=KEYS_OF, revoked=(3,))
STRICTER = root_file(1, version=2, keys=KEYS_OF, revoked=(3,), need=(1, 2))
"""Bundles need two signatures from here on."""


def trust_roots() -> Iterator[tuple[str, bytes]]:
    """(reason, trust root file) that may not follow TRUST."""
    keys = {"version": 2, "keys": KEYS_OF, "revoked": (3,)}
    body = root_body(**keys)
    good = root_file(1, **keys)
    first = 16 + 65 * 4  # revoked ids begin here

    def by_one(data: bytes) -> bytes:
        return data + block_by((1,), hashlib.sha256(data).digest())

    yield "trust.magic", flipped(good, 0)
    yield "trust.format", flipped(good, 4)
    yield "trust.length", flipped(good, 6)
    yield "trust.version", patched(good, 8, "I", 0)
    yield "trust.threshold", patched(good, 12, "B", 3)
    yield "trust.keys", patched(good, 14, "B", 0)
    yield "trust.truncated", good[:10]
    yield "trust.truncated", good[:100]
    yield "trust.roles", by_one(patched(body, 16, "B", 4))
    yield "trust.order", by_one(body[:16] + body[81:146] + body[16:81] + body[146:])
    yield (
        "trust.order",
        by_one(
            patched(body, 15, "B", 2)[:6]
            + struct.pack("<H", len(body) + 16)
            + body[8:15]
            + b"\2"
            + body[16:]
            + body[first:]
        ),
    )
    yield "trust.point trust.order", by_one(off_the_curve(body))
    yield "trust.revoked_key", root_file(1, version=2, keys=KEYS_OF, revoked=(3, 5))
    yield "trust.rollback", root_file(1, version=1, keys=KEYS_OF, revoked=(3,))
    yield "trust.forgotten", root_file(1, version=2, keys=KEYS_OF)
    yield "trust.too_few_old", root_file(6, version=2, keys={6: ROOT | RELEASE}, revoked=(3,))
    yield "trust.too_few_new", root_file(1, version=2, keys={6: ROOT, 4: RELEASE}, revoked=(3,))
    yield "signature.wrong", flipped(good, 8)
    yield "signature.none", body
    yield "signature.none", body + bytes(8)
    yield "signature.role", root_file(4, **keys)
    yield "signature.revoked_key", root_file(3, **keys)
    yield "signature.wrong", body + block((KEYS[1], signature_by(2, hashlib.sha256(body).digest())))
    yield "signature.r", body + block((KEYS[1], der(0, 1)))


def off_the_curve(body: bytes) -> bytes:
    """The first key's y is one more, and its id still the lowest."""
    low = [at for at in range(16, 16 + 65 * 4, 65)]
    for more in range(1, 4000):
        y = int.from_bytes(body[low[0] + 33 : low[0] + 65], "big") + more
        key = body[low[0] + 1 : low[0] + 33] + y.to_bytes(32, "big")
        if key_id(key) < key_id(body[low[1] + 1 : low[1] + 65]):
            return body[: low[0] + 1] + key + body[low[1] :]
    raise AssertionError
