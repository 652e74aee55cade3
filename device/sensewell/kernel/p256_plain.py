"""ECDSA on the curve P-256: verification in plain integers, for boards without the native module sensewell_p256.

The same functions and verdicts as device/native/p256. Only public numbers come here, so no time needs to be constant.
"""

try:
    from micropython import const
except ImportError:
    from sensewell._port import micropython

    const = micropython.const

# Verdicts, as device/native/p256/sw_p256.h numbers them
VALID = const(0)
LENGTH = const(1)
DER = const(2)
R = const(3)
S = const(4)
POINT = const(5)
WRONG = const(6)

# FIPS 186-4, D.1.2.3: y**2 = x**3 - 3 * x + B modulo P; G = (GX, GY) generates N points, all there are.
P = 0xFFFFFFFF00000001000000000000000000000000FFFFFFFFFFFFFFFFFFFFFFFF
N = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
B = 0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B
GX = 0x6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296
GY = 0x4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5


def parse(der, rs):
    """Strict DER of a signature -> rs, bytearray(64): r and s, big-endian. Returns a verdict.

    DER: SEQUENCE of two INTEGERs, each in its shortest form, and nothing else. R or S: not in 0..2**256-1.
    """
    n = len(der)
    if not 8 <= n <= 129 or der[0] != 0x30 or der[1] != n - 2:  # a length of more than a byte: no sound one needs that
        return DER
    at = 2
    verdict = VALID
    for end, out_of_range in ((32, R), (64, S)):
        if at + 3 > n or der[at] != 2:
            return DER
        size = der[at + 1]
        at += 2
        if not 0 < size <= n - at:
            return DER
        first = der[at]
        if size > 1 and first in (0, 255) and first >> 7 == der[at + 1] >> 7:
            return DER
        if first == 0:
            at += 1
            size -= 1
        if first > 127 or size > 32:
            verdict = verdict or out_of_range
        else:
            rs[end - 32 : end] = bytes(32 - size) + bytes(der[at : at + size])
        at += size
    return verdict if at == n else DER


def point(key):
    """Is `key`, 64 bytes of x and y, big-endian, a point of the curve? Returns a verdict: VALID, LENGTH or POINT."""
    if len(key) != 64:
        return LENGTH
    x = int.from_bytes(key[:32], "big")
    y = int.from_bytes(key[32:], "big")
    return VALID if x < P and y < P and (y * y - (x * x - 3) * x - B) % P == 0 else POINT


def verify(key, digest, rs):
    """Did the owner of `key` (64 bytes) sign `digest` (32 bytes) with `rs` (64 bytes)? Returns a verdict.

    FIPS 186-4, 6.4: (x, y) = (digest / s) * G + (r / s) * key, valid where x is r modulo N.
    """
    if len(key) != 64 or len(digest) != 32 or len(rs) != 64:
        return LENGTH
    r = int.from_bytes(rs[:32], "big")
    s = int.from_bytes(rs[32:], "big")
    if not 0 < r < N:
        return R
    if not 0 < s < N:
        return S
    if point(key):
        return POINT
    w = inverse(s, N)
    qx = int.from_bytes(key[:32], "big")
    qy = int.from_bytes(key[32:], "big")
    x, _, z = twice_multiplied(int.from_bytes(digest, "big") * w % N, r * w % N, qx, qy)
    if z == 0:
        return WRONG
    z = z * z % P
    # x / z**2 is below P, so it is r modulo N when it is r or r + N
    return VALID if (r * z - x) % P == 0 or (r + N < P and ((r + N) * z - x) % P == 0) else WRONG


def inverse(a, m):
    """1 / a modulo the prime m, by Euclid's algorithm; a not 0."""
    u, v = 1, 0
    b = m
    while a > 1:
        q = b // a
        a, b = b - q * a, a
        u, v = v - q * u, u
    return u % m


def twice_multiplied(g, q, qx, qy):
    """g * G + q * (qx, qy) as (X, Y, Z): x is X / Z**2, y is Y / Z**3 modulo P; Z is 0 for the point at infinity.

    Both numbers bit by bit from the top, one doubling for both (Shamir); what to add is G, Q or G + Q.
    """
    both = affine(*_add(GX, GY, 1, qx, qy))
    g = g.to_bytes(32, "big")
    q = q.to_bytes(32, "big")
    x = y = 1
    z = 0
    for i in range(32):
        bits_g = g[i]
        bits_q = q[i]
        bit = 128
        while bit:
            if z:
                x, y, z = _double(x, y, z)
            if bits_g & bit:
                if not bits_q & bit:
                    x, y, z = _add(x, y, z, GX, GY)
                elif both:
                    x, y, z = _add(x, y, z, *both)
            elif bits_q & bit:
                x, y, z = _add(x, y, z, qx, qy)
            bit >>= 1
    return x, y, z


def affine(x, y, z):
    """The point (X, Y, Z) as (x, y), None for infinity."""
    if z == 0:
        return None
    z = inverse(z, P)
    zz = z * z % P
    return x * zz % P, y * zz * z % P


# Points as (X, Y, Z): x = X / Z**2, y = Y / Z**3. Explicit-Formulas Database, short Weierstrass curves with a = -3.
def _double(x, y, z):
    # dbl-2001-b; no point of this curve has y = 0
    zz = z * z % P
    yy = y * y % P
    beta = 4 * x * yy % P
    alpha = 3 * (x - zz) * (x + zz) % P
    x3 = (alpha * alpha - 2 * beta) % P
    return x3, (alpha * (beta - x3) - 8 * yy * yy) % P, 2 * y * z % P


def _add(x, y, z, ax, ay):
    # madd, for a second point with Z = 1
    if z == 0:
        return ax, ay, 1
    zz = z * z % P
    h = (ax * zz - x) % P
    r = (ay * zz * z - y) % P
    if h == 0:
        return _double(x, y, z) if r == 0 else (1, 1, 0)
    hh = h * h % P
    v = x * hh % P
    hh = hh * h % P
    x3 = (r * r - hh - 2 * v) % P
    return x3, (r * (v - x3) - y * hh) % P, z * h % P
