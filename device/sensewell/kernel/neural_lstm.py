"""UNIDIRECTIONAL_SEQUENCE_LSTM in viper. Must not know files; the words are those of build/neural_state.py."""

from sensewell.kernel.neural_scale import rescale

# mypy: disable-error-code="valid-type"
# (ptr8 is a type of viper only)
try:
    import micropython
    from micropython import const
except ImportError:  # CPython: the same source, word by word
    from sensewell._port import micropython, ptr8, ptr16, ptr32, uint

    const = micropython.const

_GATES = const(28)  # 10 words each: places of weights of inputs, of the hidden state, of the bias; two multipliers
_SAID = const(68)  # what the four gates said
_TABLE = const(72)


@micropython.viper
def curve(words, x: int, is_tanh: int) -> int:
    """The int16 logistic of x / 3, x in Q3.12, or tanh: Q0.15, between the points of the table."""
    table = ptr16(uint(ptr32(words)) + 4 * _TABLE)
    bits = 9 - is_tanh
    a = x
    if a < 0:
        a = 0 - a
    i = a >> bits
    if i >= 255:
        y = 0x7FFF << 10
        if is_tanh:
            y = 0xFFFF << 8
    else:
        y = table[i]
        y = (y << bits) + (a & (1 << bits) - 1) * (table[i + 1] - y)
    if is_tanh:
        if x >= 0:
            return y - (1 << 23) + 128 >> 8
        return (1 << 23) - y + 127 >> 8
    if x >= 0:
        return y + 512 >> 10
    return (1 << 25) - y + 511 >> 10


@micropython.viper
def scaled(words, x: int, at: int) -> int:
    """x times the multiplier at words[at], as an int16."""
    p = ptr32(words)
    top = 1
    top <<= 31
    mask = top + top - 1
    p[0] = x
    p[1] = p[at]
    p[2] = p[at + 1]
    rescale(words)
    x = (p[0] & mask ^ top) - top
    if x < 0 - 32768:
        x = 0 - 32768
    if x > 32767:
        x = 32767
    return x


@micropython.viper
def run(x: ptr8, w: ptr8, bases, words):
    # words: 0..2 for rescale; 3..10 places of x, y, hidden, cell; 11 batches, 12 times, 13 inputs, 14 outputs, 15 time
    # comes first; 16 x's zero point + 128, 17 that of hidden; 18 clip, 19 tanh shift + 32; 20 multiplier, shift + 32
    # of forget, input, output; 26 scratch
    p = ptr32(words)
    top = 1
    top <<= 31
    mask = top + top - 1
    wide = 255
    n = p[14]
    image = 0
    while image < p[11]:
        hidden = ptr8(uint(ptr8(bases[p[7]])) + (p[8] + image * n))
        cell = ptr16(uint(ptr8(bases[p[9]])) + (p[10] + 2 * image * n))
        time = 0
        while time < p[12]:
            row = image * p[12] + time
            if p[15]:
                row = time * p[11] + image
            y = ptr8(uint(ptr8(bases[p[5]])) + (p[6] + row * n))
            # what goes in and what was hidden, before that changes, as bytes + 128
            x = ptr8(uint(ptr8(bases[p[3]])) + (p[4] + row * p[13]))
            w = ptr8(uint(ptr8(bases[1])) + p[26])
            c = p[13]
            while c:
                c -= 1
                w[c] = x[c] ^ 128
            w = ptr8(uint(w) + p[13])
            c = n
            while c:
                c -= 1
                w[c] = hidden[c] ^ 128
            i = 0
            while i < n:
                gate = 0
                while gate < 4:
                    said = 0
                    x = ptr8(uint(ptr8(bases[1])) + p[26])
                    at = _GATES + 10 * gate
                    part = 0
                    while part < 2:
                        s = 0
                        k = n
                        if part == 0:
                            add = ptr32(uint(ptr8(bases[p[at + 4]])) + p[at + 5])
                            s = add[i]
                            k = p[13]
                        w = ptr8(uint(ptr8(bases[p[at + 2 * part]])) + (p[at + 2 * part + 1] + i * k))
                        zero = p[16 + part]
                        c = k >> 2
                        while c:
                            s += (x[0] - zero) * ((w[0] ^ 128) - 128)
                            s += (x[1] - zero) * ((w[1] ^ 128) - 128)
                            s += (x[2] - zero) * ((w[2] ^ 128) - 128)
                            s += (x[3] - zero) * ((w[3] ^ 128) - 128)
                            x = ptr8(uint(x) + 4)
                            w = ptr8(uint(w) + 4)
                            c -= 1
                        c = k & 3
                        while c:
                            s += (x[0] - zero) * ((w[0] ^ 128) - 128)
                            x = ptr8(uint(x) + 1)
                            w = ptr8(uint(w) + 1)
                            c -= 1
                        p[0] = s
                        p[1] = p[at + 6 + 2 * part]
                        p[2] = p[at + 7 + 2 * part]
                        rescale(words)
                        s = (p[0] & mask ^ top) - top
                        if s < 0 - 32768:
                            s = 0 - 32768
                        if s > 32767:
                            s = 32767
                        said += s
                        part += 1
                    if said < 0 - 32768:
                        said = 0 - 32768
                    if said > 32767:
                        said = 32767
                    c = 0
                    if gate == 2:
                        c = 1
                    p[_SAID + gate] = int(curve(words, 3 * said, c))
                    gate += 1
                s = int(scaled(words, p[_SAID] * ((cell[i] ^ 0x8000) - 0x8000), 20))
                c = (p[_SAID + 2] & mask ^ top) - top
                s += int(scaled(words, p[_SAID + 1] * c, 22))
                if s < 0 - 32768:
                    s = 0 - 32768
                if s > 32767:
                    s = 32767
                if p[18]:
                    if s > p[18]:
                        s = p[18]
                    if s < 0 - p[18]:
                        s = 0 - p[18]
                cell[i] = s
                c = 32 - p[19]
                if c > 0:
                    s = 3 * s + (1 << c - 1) >> c
                else:
                    s = s * 3 << 0 - c
                p[0] = int(curve(words, s, 1)) * p[_SAID + 3]
                p[1] = p[24]
                p[2] = p[25]
                rescale(words)
                s = (p[0] & mask ^ top) - top + p[17]
                if s < 0:
                    s = 0
                if s > wide:
                    s = wide
                hidden[i] = s ^ 128
                y[i] = s ^ 128
                i += 1
            time += 1
        image += 1
