"""Scales without floats: what float arithmetic would give, to the last bit. Must not know what they scale.

A net's scales are float32; TFLite folds up to three of them, in float64, into one multiplier m * 2**shift with 31 bits
of m. Scales are handed around as the bits of their float32. The same as device/native/neural/sw_neural_scale.c.
"""

ONE = 0x3F800000
SIX = 0x40C00000


def is_usable(bits):
    """Is it a positive float32 that no operator can take out of range?"""
    return 27 <= bits >> 23 <= 227


def fraction(bits):
    """The 24 bits of a float32, of which 150 - exponent are behind the point; 0 for 0."""
    return bits & 0x7FFFFF | 0x800000 if bits else 0


def exponent(bits):
    return (bits >> 23 & 255) - 150


def length(a):
    """Bits of a."""
    n = 0
    while a >> n >= 256:
        n += 8
    while a >> n:
        n += 1
    return n


def quotient(a, b, c, bits):
    """(q, e): a * b / c as float arithmetic rounds it, ties to even, to `bits` bits: q * 2**e. q 0: a or b is."""
    over = fraction(a) * fraction(b)
    if not over:
        return 0, 0
    under = fraction(c)
    e = length(over) - 24
    if over < under << e if e >= 0 else over << -e < under:
        e -= 1
    e -= bits - 1  # now over / under / 2**e has just so many bits before the point
    if e < 0:
        over <<= -e
    else:
        under <<= e
    q = over // under
    rest = 2 * (over - q * under)
    if rest > under or (rest == under and q & 1):
        q += 1
    return q, e + exponent(a) + exponent(b) - exponent(c)


def fold(a, b, c, more=0):
    """(m, shift) for a * b / c * 2**more. m has 31 bits, or is 0 where that is 0 or below 2**-32; shift >= -31."""
    q, e = quotient(a, b, c, 53)
    if not q:
        return 0, 0
    m = (q + (1 << 21)) >> 22
    shift = e + 53 + more
    if m >> 31:
        m >>= 1
        shift += 1
    return (m, shift) if shift >= -31 else (0, 0)


def nearest(a, c):
    """The integer nearest to the float32 a / c, halves away from zero, at most 2**30."""
    q, e = quotient(a, ONE, c, 24)
    if e > 5:
        return 1 << 30
    if e >= 0:
        return q << e
    return 0 if e < -25 else ((q >> (-e - 1)) + 1) >> 1


def times31(a, b):
    """a * b / 2**31, rounded to nearest, halves up."""
    return (a * b + (1 << 30)) >> 31


def halved(x, bits):
    """x / 2**bits, rounded to nearest, halves away from zero; bits 0..31."""
    mask = (1 << bits) - 1
    return (x >> bits) + ((x & mask) > (mask >> 1) + (x < 0))


def scaled(x, by):
    """x * m * 2**shift, rounded twice, as the specification has it."""
    m, shift = by
    if shift > 0:
        x = (x << shift) & 0xFFFFFFFF
        return times31(x - (x >> 31 << 32), m)
    return halved(times31(x, m), -shift)


def clamped(x, low, high):
    return low if x < low else high if x > high else x
