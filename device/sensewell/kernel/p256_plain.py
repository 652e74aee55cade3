"""ECDSA on the curve P-256: verification in plain integers, for boards without the native module sensewell_p256.

The same functions and verdicts as device/native/p256. Only public numbers come here, so no time needs to be constant.
"""

try:
    from micropython import const
except ImportError:
    from sensewell._port import micropython

    const = micropython.const

# Verdicts, as device/native/p256/sw_p256.h numbers them
_VALID = const(0)
_LENGTH = const(1)
_DER = const(2)
_R = const(3)
_S = const(4)
_POINT = const(5)
_WRONG = const(6)

# FIPS 186-4, D.1.2.3: y**2 = x**3 - 3 * x + B modulo P; G generates N points, all there are.
_P = const(0xFFFFFFFF00000001000000000000000000000000FFFFFFFFFFFFFFFFFFFFFFFF)
_N = const(0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551)
_B = const(0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B)
_G = const(
    (
        0x6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296,
        0x4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5,
    )
)
CURVE = (_P, _N, _B, _G)  # for those who sign


def parse(der, rs):
    """Strict DER of a signature -> rs, bytearray(64): r and s, big-endian. Returns a verdict.

    DER: SEQUENCE of two INTEGERs, each in its shortest form, and nothing else. R or S: not in 0..2**256-1.
    """
    n = len(der)
    if not 8 <= n <= 129 or der[0] != 0x30 or der[1] != n - 2:  # a length of more than a byte: no sound one needs that
        return _DER
    at = 2
    verdict = _VALID
    for end, out_of_range in ((32, _R), (64, _S)):
        if at + 3 > n or der[at] != 2:
            return _DER
        size = der[at + 1]
        at += 2
        if not 0 < size <= n - at:
            return _DER
        first = der[at]
        if size > 1 and first in (0, 255) and first >> 7 == der[at + 1] >> 7:
            return _DER
        if first == 0:
            at += 1
            size -= 1
        if first > 127 or size > 32:
            verdict = verdict or out_of_range
        else:
            rs[end - 32 : end] = bytes(32 - size) + bytes(der[at : at + size])
        at += size
    return verdict if at == n else _DER


def point(key):
    """Is `key`, 64 bytes of x and y, big-endian, a point of the curve? Returns a verdict: VALID, LENGTH or POINT."""
    if len(key) != 64:
        return _LENGTH
    x = int.from_bytes(key[:32], "big")
    y = int.from_bytes(key[32:], "big")
    return _VALID if x < _P and y < _P and (y * y - (x * x - 3) * x - _B) % _P == 0 else _POINT


def verify(key, digest, rs):
    """Did the owner of `key` (64 bytes) sign `digest` (32 bytes) with `rs` (64 bytes)? Returns a verdict.

    FIPS 186-4, 6.4: (x, y) = (digest / s) * G + (r / s) * key, valid where x is r modulo N.
    """
    if len(key) != 64 or len(digest) != 32 or len(rs) != 64:
        return _LENGTH
    r = int.from_bytes(rs[:32], "big")
    s = int.from_bytes(rs[32:], "big")
    if not 0 < r < _N:
        return _R
    if not 0 < s < _N:
        return _S
    if point(key):
        return _POINT
    w = inverse(s, _N)
    q = int.from_bytes(key[:32], "big"), int.from_bytes(key[32:], "big")
    x, _, z = twice_multiplied(int.from_bytes(digest, "big") * w % _N, r * w % _N, q)
    if z == 0:
        return _WRONG
    z = z * z % _P
    # x / z**2 is below P, so it is r modulo N when it is r or r + N
    return _VALID if (r * z - x) % _P == 0 or (r + _N < _P and ((r + _N) * z - x) % _P == 0) else _WRONG


def inverse(a, m):
    """1 / a modulo the prime m, by Euclid's algorithm; a not 0."""
    u, v = 1, 0
    b = m
    while a > 1:
        q = b // a
        a, b = b - q * a, a
        u, v = v - q * u, u
    return u % m


def twice_multiplied(a, b, q):
    """a * G + b * q, q = (x, y), as (X, Y, Z): x is X / Z**2, y is Y / Z**3 modulo P; Z is 0 for the point at infinity.

    Both numbers bit by bit from the top, one doubling for both (Shamir); what to add is G, q or G + q.
    """
    both = affine(_add(_G + (1,), q))
    a = a.to_bytes(32, "big")
    b = b.to_bytes(32, "big")
    p = (1, 1, 0)
    for i in range(32):
        bits_a = a[i]
        bits_b = b[i]
        bit = 128
        while bit:
            if p[2]:
                p = _double(p)
            if bits_a & bit:
                if not bits_b & bit:
                    p = _add(p, _G)
                elif both:
                    p = _add(p, both)
            elif bits_b & bit:
                p = _add(p, q)
            bit >>= 1
    return p


def affine(p):
    """The point (X, Y, Z) as (x, y), None for infinity."""
    x, y, z = p
    if z == 0:
        return None
    z = inverse(z, _P)
    zz = z * z % _P
    return x * zz % _P, y * zz * z % _P


# Points as (X, Y, Z): x = X / Z**2, y = Y / Z**3. Explicit-Formulas Database, short Weierstrass curves with a = -3.
def _double(p):
    # dbl-2001-b; no point of this curve has y = 0
    x, y, z = p
    zz = z * z % _P
    yy = y * y % _P
    beta = 4 * x * yy % _P
    alpha = 3 * (x - zz) * (x + zz) % _P
    x3 = (alpha * alpha - 2 * beta) % _P
    return x3, (alpha * (beta - x3) - 8 * yy * yy) % _P, 2 * y * z % _P


def _add(p, q):
    # madd: q is (x, y), its Z is 1
    x, y, z = p
    if z == 0:
        return q + (1,)
    zz = z * z % _P
    h = (q[0] * zz - x) % _P
    r = (q[1] * zz * z - y) % _P
    if h == 0:
        return _double(p) if r == 0 else (1, 1, 0)
    hh = h * h % _P
    v = x * hh % _P
    hh = hh * h % _P
    x3 = (r * r - hh - 2 * v) % _P
    return x3, (r * (v - x3) - y * hh) % _P, z * h % _P
