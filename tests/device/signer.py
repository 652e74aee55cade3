"""Signs for tests, even on boards, where no private key may ever be: these are 1, 2, 3 ... and everybody knows them."""

import hashlib

from sensewell import signature
from sensewell.kernel import p256_plain as p256

_, N, _, G = p256.CURVE


def key(number):
    """The public key of the private key `number`, 64 bytes."""
    x, y = p256.affine(_times_g(number))
    return x.to_bytes(32, "big") + y.to_bytes(32, "big")


def sign(number, digest):
    """The DER of a signature over `digest` by the private key `number`. The nonce is a hash: good for tests alone."""
    k = int.from_bytes(hashlib.sha256(digest + bytes([number])).digest(), "big") % N
    r = p256.affine(_times_g(k))[0] % N
    s = p256.inverse(k, N) * (int.from_bytes(digest, "big") + r * number) % N
    return der(r, s)


def der(r, s):
    """DER of two numbers >= 0."""
    body = _integer(r) + _integer(s)
    return b"\x30" + bytes([len(body)]) + body


def block(*signatures):
    """A block of (key or key id, DER) pairs."""
    data = bytes([len(signatures)])
    for name, one in signatures:
        data += (signature.key_id(name) if len(name) == 64 else name) + bytes([len(one)]) + one
    return data + bytes(-len(data) % 8)


def reason_of(function, *args):
    """The reason with which `function` refuses; None where it does not."""
    from sensewell.refusal import Refused

    try:
        function(*args)
    except Refused as refused:
        return refused.reason
    return None


def _integer(value):
    data = value.to_bytes(40, "big")
    while len(data) > 1 and data[0] == 0 and data[1] < 128:
        data = data[1:]
    return b"\x02" + bytes([len(data)]) + data


def _times_g(number):
    return p256.twice_multiplied(number, 0, G)
