"""The value that a model gives, in counts, and between which edges it lies; what that is: model/net.py."""

try:
    import micropython
except ImportError:  # CPython: the same source, word by word
    from sensewell._port import micropython, ptr8, ptr16, ptr32


@micropython.viper
def answer(given, out, facts, scores) -> int:
    """facts: array('i'): bytes of a number, its index, zero point + 2**15, gain, shift, offset + 2**15, how many edges;
    then the edges + 2**15. Fills scores; the class.
    """
    p = ptr32(facts)
    i = p[1]
    if p[0] == 1:
        v = (ptr8(out)[i] ^ 0x80) + 0x7F80
    else:
        v = ptr16(out)[i] ^ 0x8000
    v = ((v - p[2]) * p[3] + (1 << p[4] >> 1) >> p[4]) + p[5]
    if v < 0:
        v = 0
    elif v > 0xFFFF:
        v = 0xFFFF
    s = ptr32(scores)
    s[0] = v - 0x8000
    n = p[6]
    best = 0
    i = 0
    while i < n:
        s[i + 1] = v - p[7 + i]
        i += 1
        if v >= p[6 + i]:
            best = i
    return best
