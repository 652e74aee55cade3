"""FULLY_CONNECTED and CONV_2D in viper: sums of products, rescaled for each output channel.

What an output looks at is laid side by side first; then each output channel is one sum over contiguous bytes. An int8
is handled as the byte of it + 128, X and W: the sum of (X - z)(W - 128), z the zero point + 128, is that of X W, less
128 times the sum of X, plus what does not depend on X and stands in `words`. FULLY_CONNECTED is a convolution with one
tap over an image of one line. Must not know files; the words are those of build/neural_dense.py.
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
def prepare(bases, words):
    """What does not depend on the input: for each channel bias - z * sum of W + 128 * z * k."""
    p = ptr32(words)
    w = ptr8(uint(ptr8(bases[p[4]])) + p[5])
    add = p
    has = 0
    if p[6] != 255:
        has = 1
        add = ptr32(uint(ptr8(bases[p[6]])) + p[7])
    k = p[29]
    n = p[15]
    z = p[24]
    at = _WORDS + p[31]
    i = 0
    while i < n:
        s = 0
        c = 0
        while c < k:
            s += w[c] ^ 128
            c += 1
        w = ptr8(uint(w) + k)
        s = 128 * z * k - z * s
        if has:
            s += add[i]
        p[at + i] = s
        i += 1


@micropython.viper
def run(x: ptr8, w: ptr8, bases, words):
    p = ptr32(words)
    if p[32]:
        prepare(bases, words)
    top = 1
    top <<= 31
    mask = top + top - 1
    word = 0x4040
    word = (word << 16) + word << 1  # 0x80808080, of which constants have too few bits
    source = uint(ptr8(bases[p[0]])) + p[1]
    y = ptr8(uint(ptr8(bases[p[2]])) + p[3])
    weights = uint(ptr8(bases[p[4]])) + p[5]
    row = uint(ptr8(bases[1])) + p[8]
    depth = p[33]
    n = p[34]
    k = p[29]
    fill = p[24]
    merges = 0
    if p[28] == 1 and p[21] == 1:
        merges = 1
    apart = depth | p[1] | p[12]
    if int(uint(ptr8(bases[p[0]]))) & 3:
        apart |= 1
    constants = ptr32(uint(p) + 4 * (_WORDS + p[31]))
    shifts = ptr8(uint(p) + 4 * (_WORDS + p[31] + p[15]))
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
                g = 0
                while g < p[28]:
                    # the row: where the image is, and its zero point around it
                    w = ptr8(row)
                    line = line_0
                    u = p[16]
                    while u:
                        column = left
                        v = p[17]
                        while v:
                            if line < 0 or line >= p[10] or column < 0 or column >= p[11]:
                                c = depth
                                while c:
                                    c -= 1
                                    w[c] = fill
                                w = ptr8(uint(w) + depth)
                                column += p[21]
                                v -= 1
                            else:
                                m = 1
                                if merges:
                                    m = p[11] - column
                                    if m > v:
                                        m = v
                                x = ptr8(source + (line * p[11] + column) * p[12] + g * depth)
                                c = m * depth
                                if apart & 3:
                                    while c:
                                        c -= 1
                                        w[c] = x[c] ^ 128
                                else:
                                    from_4 = ptr32(uint(x))
                                    to_4 = ptr32(uint(w))
                                    c >>= 2
                                    while c:
                                        c -= 1
                                        to_4[c] = from_4[c] ^ word
                                w = ptr8(uint(w) + m * depth)
                                column += m * p[21]
                                v -= m
                        line += p[20]
                        u -= 1
                    total = 0
                    x = ptr8(row)
                    c = k >> 2
                    while c:
                        total += x[0] + x[1] + x[2] + x[3]
                        x = ptr8(uint(x) + 4)
                        c -= 1
                    c = k & 3
                    while c:
                        c -= 1
                        total += x[c]
                    total <<= 7
                    w = ptr8(weights + g * n * k)
                    channel = g * n
                    at = channel * each
                    end = channel + n
                    while channel < end:
                        x = ptr8(row)
                        s = constants[channel] - total
                        c = k >> 3
                        while c:
                            s += (w[0] ^ 128) * x[0] + (w[1] ^ 128) * x[1] + (w[2] ^ 128) * x[2] + (w[3] ^ 128) * x[3]
                            s += (w[4] ^ 128) * x[4] + (w[5] ^ 128) * x[5] + (w[6] ^ 128) * x[6] + (w[7] ^ 128) * x[7]
                            x = ptr8(uint(x) + 8)
                            w = ptr8(uint(w) + 8)
                            c -= 1
                        if k & 4:
                            s += (w[0] ^ 128) * x[0] + (w[1] ^ 128) * x[1] + (w[2] ^ 128) * x[2] + (w[3] ^ 128) * x[3]
                            x = ptr8(uint(x) + 4)
                            w = ptr8(uint(w) + 4)
                        c = k & 3
                        while c:
                            s += (w[0] ^ 128) * x[0]
                            x = ptr8(uint(x) + 1)
                            w = ptr8(uint(w) + 1)
                            c -= 1
                        # as kernel/neural_scale.py
                        s = (s & mask ^ top) - top
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
                        y[0] = s ^ 128
                        y = ptr8(uint(y) + 1)
                        channel += 1
                        at += each
                    g += 1
                left += p[19]
                j -= 1
            line_0 += p[18]
            i -= 1
        source += p[10] * p[11] * p[12]
        image -= 1
