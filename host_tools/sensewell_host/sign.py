"""Signatures on the host: blocks of them over a digest, made with private keys, read and judged by the device's code.

The block is described where it is read: device/sensewell/signature.py. Knows no files, no passphrases, no roles.
"""

from __future__ import annotations

from collections.abc import Iterable

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed

from sensewell_host.device_path import use_device_path
from sensewell_host.errors import SensewellError

use_device_path()

from sensewell import signature  # noqa: E402
from sensewell.refusal import Refused  # noqa: E402

ID_BYTES, MOST_SIGNATURES = signature.LIMITS
Signatures = list[tuple[bytes, bytes]]
"""(key id, DER) of each."""


def public_bytes(key: ec.EllipticCurvePublicKey) -> bytes:
    """The 64 bytes that boards know a key by: x and y, big-endian. SensewellError if it is not on P-256."""
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise SensewellError("expected a key on the curve P-256: `sensewell key new` makes one")
    numbers = key.public_numbers()
    return numbers.x.to_bytes(32, "big") + numbers.y.to_bytes(32, "big")


def key_id(public: bytes) -> bytes:
    """The id, 16 bytes, of a key of 64 bytes."""
    return bytes(signature.key_id(public))


def sign(key: ec.EllipticCurvePrivateKey, digest: bytes) -> tuple[bytes, bytes]:
    """(key id, DER): the signature of `digest` (32 bytes); the same each time where OpenSSL can do that (RFC 6979)."""
    if len(digest) != 32:
        raise SensewellError(f"expected a SHA-256 digest to sign, got {len(digest)} bytes")
    prehashed = Prehashed(hashes.SHA256())
    public = public_bytes(key.public_key())
    try:
        der = key.sign(digest, ec.ECDSA(prehashed, deterministic_signing=True))
    except UnsupportedAlgorithm:
        der = key.sign(digest, ec.ECDSA(prehashed))
    return key_id(public), der


def split(block: bytes) -> Signatures:
    """The signatures of a block; none for an empty one. SensewellError where it is damaged."""
    if not any(block):
        return []
    try:
        return [(bytes(name), bytes(der)) for name, der in signature.split(block)]
    except Refused as refused:
        raise SensewellError(f"the signatures are damaged: {refused}") from refused


def join(signatures: Iterable[tuple[bytes, bytes]]) -> bytes:
    """The block of `signatures`, by ascending key id; of several by one key the last is kept."""
    kept = sorted(dict(signatures).items())
    if len(kept) > MOST_SIGNATURES:
        raise SensewellError(f"{len(kept)} keys have signed, boards read {MOST_SIGNATURES} signatures: leave some out")
    data = bytes([len(kept)]) + b"".join(name + bytes([len(der)]) + der for name, der in kept)
    return data + bytes(-len(data) % 8)


def add(block: bytes, digest: bytes, keys: Iterable[ec.EllipticCurvePrivateKey]) -> bytes:
    """`block` (may be empty) with signatures of `digest` by `keys` added, or renewed."""
    return join([*split(block), *(sign(key, digest) for key in keys)])
