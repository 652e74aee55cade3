"""Signatures: ECDSA on P-256 with SHA-256, one or several in a block, each under the id of its key.

Knows what a signature is. Whose signatures count is trust.py's, what is signed the bundle's or the trust root's.

The block, behind what it signs (host_tools/sensewell_host/sign.py writes it):

| bytes | what                                                                         | else refused as               |
|-------|------------------------------------------------------------------------------|-------------------------------|
|   1   | number of signatures, 1..8                                                   | signature.none, .block        |
|       | each: 16 bytes, the id of its key; 1 byte, its length; strict DER of r and s | .block; .der, .r, .s, .wrong  |
|       | zero bytes to a multiple of 8, and nothing behind                            | signature.block               |

A key is 64 bytes, x and y, big-endian. Its id: the first 16 bytes of the SHA-256 of 0x04, x and y.
"""

import hashlib

from sensewell.refusal import Refused

try:
    from micropython import const
except ImportError:
    from sensewell._port import micropython

    const = micropython.const

# Who computes it: the native module where the board has one, else plain integers. Both give the same verdicts.
try:
    import sensewell_p256
except ImportError:
    sensewell_p256 = None

if sensewell_p256:
    engine = "native"
    _p256 = sensewell_p256
else:
    from sensewell.kernel import p256_plain as _p256

    engine = "plain"

# by the number of the verdict: native/p256/sw_p256.h
REASONS = const(" length der r s point wrong")
_ID_BYTES = const(16)
_MOST = const(8)
LIMITS = (_ID_BYTES, _MOST)  # for those who write blocks


def verify(key, digest, der):
    """Return if `der` is the signature of `digest` (32 bytes) by the owner of `key` (64 bytes).

    Raises Refused("signature.length", ".der", ".r", ".s": zero or not below the group's order; ".point": the key is
    not on the curve; ".wrong": sound, but not of this key over this digest; ".memory": plain integers need 5 KiB or 6).
    """
    try:
        rs = bytearray(64)
        verdict = _p256.parse(der, rs) or _p256.verify(key, digest, rs)
    except MemoryError:
        raise Refused("signature.memory")
    if verdict:
        raise Refused("signature.%s" % REASONS.split(" ")[verdict])


def on_curve(key):
    """Is `key` (64 bytes) a point of the curve?"""
    return _p256.point(key) == 0


def key_id(key):
    """The id of `key`, 16 bytes."""
    return hashlib.sha256(b"\x04" + bytes(key)).digest()[:_ID_BYTES]


def split(block):
    """The block's signatures: a list of (key id, DER). Raises Refused("signature.none", "signature.block")."""
    block = bytes(block)
    size = len(block)
    if not size or not block[0]:
        raise Refused("signature.none")
    if block[0] > _MOST or size % 8:
        raise Refused("signature.block")
    found = []
    at = 1
    while len(found) < block[0]:
        begin = at + _ID_BYTES + 1
        if begin > size or begin + block[begin - 1] > size:
            raise Refused("signature.block", "one is truncated")
        found.append((block[at : begin - 1], block[begin : begin + block[begin - 1]]))
        at = begin + block[begin - 1]
    if size - at > 7 or any(block[at:]):
        raise Refused("signature.block", "%d bytes behind the last signature" % (size - at))
    return found
