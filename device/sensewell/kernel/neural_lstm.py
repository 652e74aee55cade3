"""UNIDIRECTIONAL_SEQUENCE_LSTM in viper. Must not know files; the words are those of build/neural_state.py."""

# mypy: disable-error-code="valid-type"
# (ptr8 is a type of viper only)
try:
    import micropython
    from micropython import const
except ImportError:  # CPython: the same source, word by word
    from sensewell._port import micropython, ptr8, ptr16, ptr32, uint

    const = micropython.const

_GATES = const(28)  # 10 words each: places of weights of inputs, of the hidden state, of the bias; two multipliers
_SAID = const(68)  # what forget, input, cell, output said; the last, tanh of the cell's state, stays in `said`
_TABLE = const(72)


@micropython.viper
def run(x: ptr8, w: ptr8, bases, words):
    # words: 3..10 places of x, y, hidden, cell; 11 batches, 12 times, 13 inputs, 14 outputs, 15 time comes first;
    # 16 zero point of x + 128, 17 of hidden; 18 clip, 19 tanh shift + 32; 20 multiplier, shift + 32 of forget, of
    # input, of output; 26 scratch
    p = ptr32(words)
    top = 1
    top <<= 31
    mask = top + top - 1
    table = ptr16(uint(p) + 4 * _TABLE)
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
                said = 0
                # steps 0..7 the gates, each for inputs and for the hidden state; 8, 9 the cell's state; 10 the output
                step = 0
                while step < 11:
                    if step < 8:
                        at = step & 1
                        zero = p[16 + at]
                        part = _GATES + 10 * (step >> 1)
                        k = n
                        s = 0
                        if at == 0:
                            k = p[13]
                            s = ptr32(uint(ptr8(bases[p[part + 4]])) + p[part + 5])[i]
                            x = ptr8(uint(ptr8(bases[1])) + p[26])
                        at = part + 2 * at
                        w = ptr8(uint(ptr8(bases[p[at]])) + (p[at + 1] + i * k))
                        at += 6
                        c = k >> 2
                        while c:
                            s += ((w[0] ^ 128) - 128) * (x[0] - zero) + ((w[1] ^ 128) - 128) * (x[1] - zero)
                            s += ((w[2] ^ 128) - 128) * (x[2] - zero) + ((w[3] ^ 128) - 128) * (x[3] - zero)
                            x = ptr8(uint(x) + 4)
                            w = ptr8(uint(w) + 4)
                            c -= 1
                        c = k & 3
                        while c:
                            s += ((w[0] ^ 128) - 128) * (x[0] - zero)
                            x = ptr8(uint(x) + 1)
                            w = ptr8(uint(w) + 1)
                            c -= 1
                    elif step == 8:
                        s = p[_SAID] * ((cell[i] ^ 0x8000) - 0x8000)
                        at = 20
                    elif step == 9:
                        s = p[_SAID + 1] * p[_SAID + 2]
                        at = 22
                    else:
                        s = said * p[_SAID + 3]
                        at = 24
                    # as kernel/neural_scale.py
                    s = (s & mask ^ top) - top
                    c = 32 - p[at + 1]
                    if c < 0:
                        s = (s << 0 - c & mask ^ top) - top
                        c = 0
                    m = p[at]
                    u = s >> 16
                    s &= 0xFFFF
                    v = s * (m >> 16) + (s * (m & 0xFFFF) >> 16 & 0xFFFF)
                    s = u * (m >> 16)
                    u *= m & 0xFFFF
                    s = (s + (v >> 16) + (u >> 16) << 1) + ((v & 0xFFFF) + (u & 0xFFFF) + 16384 >> 15)
                    if c:
                        if s < 0:
                            s = 0 - ((0 - s >> c - 1) + 1 >> 1)
                        else:
                            s = (s >> c - 1) + 1 >> 1
                    if step == 10:
                        s += p[17]
                        if s < 0:
                            s = 0
                        if s > 255:
                            s = 255
                        hidden[i] = s ^ 128
                        y[i] = s ^ 128
                    else:
                        if s < 0 - 32768:
                            s = 0 - 32768
                        if s > 32767:
                            s = 32767
                        if step & 1:
                            s += said
                            if s < 0 - 32768:
                                s = 0 - 32768
                            if s > 32767:
                                s = 32767
                            # the int16 logistic of s in Q3.12, or tanh: Q0.15, between the points of the table
                            at = 9
                            if step == 5:
                                at = 8
                            c = 3 * s
                            if step == 9:
                                at = 8
                                if p[18]:
                                    if s > p[18]:
                                        s = p[18]
                                    if s < 0 - p[18]:
                                        s = 0 - p[18]
                                cell[i] = s
                                c = 32 - p[19]
                                if c > 0:
                                    c = 3 * s + (1 << c - 1) >> c
                                else:
                                    c = s * 3 << 0 - c
                            u = c
                            if c < 0:
                                u = 0 - c
                            v = u >> at
                            if v >= 255:
                                v = 0xFFFF << 8
                                if at == 9:
                                    v = 0x7FFF << 10
                            else:
                                m = table[v]
                                v = (m << at) + (u & (1 << at) - 1) * (table[v + 1] - m)
                            if at == 9:
                                if c < 0:
                                    v = (1 << 25) - v - 1
                                said = v + 512 >> 10
                            else:
                                v -= 1 << 23
                                if c < 0:
                                    v = 0 - v - 1
                                said = v + 128 >> 8
                            if step < 8:
                                p[_SAID + (step >> 1)] = said
                        else:
                            said = s
                    step += 1
                i += 1
            time += 1
        image += 1
