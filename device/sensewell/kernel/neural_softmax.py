"""SOFTMAX in viper, over a table of e**-x. Must not know files; the words are those of build/neural_point.py."""

from sensewell.kernel.neural_scale import rescale

# mypy: disable-error-code="valid-type"
# (ptr8 is a type of viper only)
try:
    import micropython
except ImportError:  # CPython: the same source, word by word
    from sensewell._port import micropython, ptr8, ptr32, uint


@micropython.viper
def run(x: ptr8, y: ptr8, bases, words):
    # words: 0..2 for rescale, 3..6 places, 7 rows, 8 depth, 9 numbers in the table; then the table, Q0: by how much
    # less than the greatest a number is; beyond it e**-x is 0
    p = ptr32(words)
    top = 1
    top <<= 31
    mask = top + top - 1
    x = ptr8(uint(ptr8(bases[p[3]])) + p[4])
    y = ptr8(uint(ptr8(bases[p[5]])) + p[6])
    depth = p[8]
    rows = p[7]
    while rows:
        most = 0
        i = 0
        while i < depth:
            v = x[i] ^ 128
            if v > most:
                most = v
            i += 1
        half = 0  # the sum, Q12; then (1 + a) / 2 in Q0, a in 0..1
        i = 0
        while i < depth:
            v = most - (x[i] ^ 128)
            if v < p[9]:
                v = p[10 + v]
                half += (v >> 12) + (v >> 11 & 1)
            i += 1
        shift = 32 - 34
        while half >> 30 == 0:
            half <<= 1
            shift += 1
        # 2 / (1 + a) in Q2, by three steps of Newton from 48/17 - 32/17 half
        p[0] = half
        p[1] = 0 - 1010580540
        p[2] = 32
        rescale(words)
        v = 757935405
        v = (v << 1) + p[0]
        v = (v & mask ^ top) - top
        i = 3
        while i:
            p[0] = half
            p[1] = v
            rescale(words)
            p[1] = (1 << 29) - p[0]
            p[0] = v
            rescale(words)
            v += p[0] << 2
            v = (v & mask ^ top) - top
            i -= 1
        if v >> 30:
            v = top - 1
        else:
            v <<= 1
        p[1] = v  # 1 / (1 + a) in Q0
        i = 0
        while i < depth:
            v = most - (x[i] ^ 128)
            if v < p[9]:
                p[0] = p[10 + v]
                p[2] = shift
                rescale(words)
                v = p[0]
                if v > 255:
                    v = 255
            else:
                v = 0
            y[i] = v ^ 128
            i += 1
        x = ptr8(uint(x) + depth)
        y = ptr8(uint(y) + depth)
        rows -= 1
