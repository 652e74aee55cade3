"""MEAN in viper. Must not know files; the words are those of build/neural_pool.py."""

from sensewell.kernel.neural_scale import rescale

# mypy: disable-error-code="valid-type"
# (ptr8 is a type of viper only)
try:
    import micropython
except ImportError:  # CPython: the same source, word by word
    from sensewell._port import micropython, ptr8, ptr32, uint


@micropython.viper
def run(a: ptr8, unused: ptr8, bases, words):
    # words: 0..2 for rescale, 3 multiplier, 4 shift, 5 offset of the sum, 6 y's zero point + 128; 8..11 places;
    # five each from 12: sizes of dimensions that remain, that are summed, steps, two counters
    p = ptr32(words)
    top = 1
    top <<= 31
    mask = top + top - 1
    a = ptr8(uint(ptr8(bases[p[8]])) + p[9])
    y = ptr8(uint(ptr8(bases[p[10]])) + p[11])
    i = 27
    while i < 37:
        p[i] = 0
        i += 1
    start = 0
    is_more = 1
    while is_more:
        s = 0
        at = start
        while is_more:
            s += a[at] ^ 128
            is_more = 0
            i = 5
            while i:
                i -= 1
                at += p[22 + i]
                n = p[27 + i] + 1
                p[27 + i] = n
                if n < p[17 + i]:
                    is_more = 1
                    i = 0
                else:
                    at -= n * p[22 + i]
                    p[27 + i] = 0
        p[0] = s - p[5]
        p[1] = p[3]
        p[2] = p[4]
        rescale(words)
        s = (p[0] & mask ^ top) - top + p[6]
        if s < 0:
            s = 0
        if s > 255:
            s = 255
        y[0] = s ^ 128
        y = ptr8(uint(y) + 1)
        i = 5
        while i:
            i -= 1
            start += p[22 + i]
            n = p[32 + i] + 1
            p[32 + i] = n
            if n < p[12 + i]:
                is_more = 1
                i = 0
            else:
                start -= n * p[22 + i]
                p[32 + i] = 0
