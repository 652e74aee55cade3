"""The scores of a network that ends in SOFTMAX or LOGISTIC; what they are: model/net.py."""

try:
    import micropython
except ImportError:  # CPython: the same source, word by word
    from sensewell._port import micropython, ptr8, ptr32


@micropython.viper
def answer(given, out, facts, scores) -> int:
    """facts: array('i'): numbers of the output. Fills scores; the class."""
    q = ptr8(out)
    s = ptr32(scores)
    n = ptr32(facts)[0]
    if n == 1:
        i = q[0] ^ 0x80
        s[0] = 256 - i
        s[1] = i
        return 1 if i > 128 else 0
    best = 0
    i = 0
    while i < n:
        s[i] = q[i] ^ 0x80
        if s[i] > s[best]:
            best = i
        i += 1
    return best
