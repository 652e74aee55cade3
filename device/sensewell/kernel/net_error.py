"""How badly an autoencoder reconstructs its input, as scores; what they are: model/net.py."""

try:
    import micropython
except ImportError:  # CPython: the same source, word by word
    from sensewell._port import micropython, ptr8, ptr32


@micropython.viper
def answer(given, out, facts, scores) -> int:
    """facts: array('i'): numbers, zero points of input and output + 128, their gains, shift, limit. The class."""
    x = ptr8(given)
    y = ptr8(out)
    p = ptr32(facts)
    n = p[0]
    low = 0  # the sum in two halves: n * 2**28 is beyond 32 bits
    high = 0
    i = 0
    while i < n:
        e = ((x[i] ^ 0x80) - p[1]) * p[3] - ((y[i] ^ 0x80) - p[2]) * p[4]
        e = e + (1 << p[5] >> 1) >> p[5]
        if e > 16383:
            e = 16383
        elif e < -16383:
            e = -16383
        e *= e
        low += e & 0xFFFF
        high += e >> 16
        i += 1
    i = high // n
    e = (i << 16) + (((high - i * n) << 16) + low) // n
    limit = p[6]
    best = 1 if e > limit else 0
    while e + limit > 0xFFFF:
        e >>= 1
        limit >>= 1
    i = (e << 14) // (e + limit)
    s = ptr32(scores)
    s[0] = 16384 - i
    s[1] = i
    return best
