"""DEPTHWISE_CONV_2D in viper: the sums of all channels grow together, tap by tap, over contiguous bytes.

Must not know files; the words are those of build/neural_dense.py.
"""

# mypy: disable-error-code="valid-type"
# (ptr8 is a type of viper only)
try:
    import micropython
    from micropython import const
except ImportError:  # CPython: the same source, word by word
    from sensewell._port import micropython, ptr8, ptr16, ptr32, uint

    const = micropython.const

_WORDS = const(35)


@micropython.viper
def run(x: ptr8, w: ptr8, bases, words):
    p = ptr32(words)
    top = 1
    top <<= 31
    mask = top + top - 1
    source = uint(ptr8(bases[p[0]])) + p[1]
    y = ptr8(uint(ptr8(bases[p[2]])) + p[3])
    weights = uint(ptr8(bases[p[4]])) + p[5]
    sums = uint(ptr8(bases[1])) + p[8]
    t = ptr32(sums)
    add = t
    if p[6] != 255:
        add = ptr32(uint(ptr8(bases[p[6]])) + p[7])
    n = p[15]
    z = p[24]
    shifts = ptr8(uint(p) + 4 * (_WORDS + p[31]))
    halves = ptr16(uint(p) + 4 * _WORDS)  # of the multipliers
    each = p[30]
    zero = p[25]
    low = p[26]
    high = p[27]
    image = p[9]
    while image:
        line_0 = 0 - p[22]
        i = p[13]
        while i:
            left = 0 - p[23]
            j = p[14]
            while j:
                t = ptr32(sums)
                c = n
                while c:
                    c -= 1
                    t[c] = 0
                    if p[6] != 255:
                        t[c] = add[c]
                u = 0
                line = line_0
                while u < p[16]:
                    v = 0
                    column = left
                    while v < p[17]:
                        if line >= 0 and line < p[10] and column >= 0 and column < p[11]:
                            x = ptr8(source + (line * p[11] + column) * p[12])
                            w = ptr8(weights + (u * p[17] + v) * n)
                            t = ptr32(sums)
                            if p[28] == 1:
                                c = n >> 2
                                while c:
                                    t[0] = ((w[0] ^ 128) - 128) * ((x[0] ^ 128) - z) + t[0]
                                    t[1] = ((w[1] ^ 128) - 128) * ((x[1] ^ 128) - z) + t[1]
                                    t[2] = ((w[2] ^ 128) - 128) * ((x[2] ^ 128) - z) + t[2]
                                    t[3] = ((w[3] ^ 128) - 128) * ((x[3] ^ 128) - z) + t[3]
                                    x = ptr8(uint(x) + 4)
                                    w = ptr8(uint(w) + 4)
                                    t = ptr32(uint(t) + 16)
                                    c -= 1
                                c = n & 3
                                while c:
                                    c -= 1
                                    t[c] = ((w[c] ^ 128) - 128) * ((x[c] ^ 128) - z) + t[c]
                            else:
                                c = p[12]
                                while c:
                                    m = (x[0] ^ 128) - z
                                    g = p[28] >> 2
                                    while g:
                                        t[0] = ((w[0] ^ 128) - 128) * m + t[0]
                                        t[1] = ((w[1] ^ 128) - 128) * m + t[1]
                                        t[2] = ((w[2] ^ 128) - 128) * m + t[2]
                                        t[3] = ((w[3] ^ 128) - 128) * m + t[3]
                                        w = ptr8(uint(w) + 4)
                                        t = ptr32(uint(t) + 16)
                                        g -= 1
                                    g = p[28] & 3
                                    while g:
                                        t[0] = ((w[0] ^ 128) - 128) * m + t[0]
                                        w = ptr8(uint(w) + 1)
                                        t = ptr32(uint(t) + 4)
                                        g -= 1
                                    x = ptr8(uint(x) + 1)
                                    c -= 1
                        column += p[21]
                        v += 1
                    line += p[20]
                    u += 1
                t = ptr32(sums)
                channel = 0
                at = 0
                while channel < n:
                    # as kernel/neural_scale.py
                    s = (t[channel] & mask ^ top) - top
                    c = 32 - shifts[at]
                    if c < 0:
                        s = (s << 0 - c & mask ^ top) - top
                        c = 0
                    m = s >> 16
                    s &= 0xFFFF
                    u = halves[2 * at]
                    v = s * halves[2 * at + 1] + (s * u >> 16 & 0xFFFF)
                    u = m * u
                    s = m * halves[2 * at + 1] + (v >> 16) + (u >> 16)
                    s = (s << 1) + ((v & 0xFFFF) + (u & 0xFFFF) + 16384 >> 15)
                    if c:
                        if s < 0:
                            s = 0 - ((0 - s >> c - 1) + 1 >> 1)
                        else:
                            s = (s >> c - 1) + 1 >> 1
                    s += zero
                    if s < low:
                        s = low
                    if s > high:
                        s = high
                    y[channel] = s ^ 128
                    channel += 1
                    at += each
                y = ptr8(uint(y) + n)
                left += p[19]
                j -= 1
            line_0 += p[18]
            i -= 1
        source += p[10] * p[11] * p[12]
        image -= 1
