"""ADD, SUB and MUL in viper, item by item. Must not know files; the words are those of build/neural_point.py."""

# mypy: disable-error-code="valid-type"
# (ptr8 is a type of viper only)
try:
    import micropython
except ImportError:  # CPython: the same source, word by word
    from sensewell._port import micropython, ptr8, ptr32, uint


@micropython.viper
def run(x: ptr8, z: ptr8, bases, words):
    # words: 0..3 places, 4, 5 of z; 6 what: 0 ADD, 41 SUB, 18 MUL; 7..9 zero points + 128, 10, 11 limits + 128;
    # 12 multiplier, shift + 32 of x, of z, of the result; five each from 18: sizes, x's steps, z's, counters
    p = ptr32(words)
    top = 1
    top <<= 31
    mask = top + top - 1
    x = ptr8(uint(ptr8(bases[p[0]])) + p[1])
    z = ptr8(uint(ptr8(bases[p[4]])) + p[5])
    y = ptr8(uint(ptr8(bases[p[2]])) + p[3])
    i = 33
    while i < 38:
        p[i] = 0
        i += 1
    x_at = 0
    z_at = 0
    first = 0
    is_more = 1
    while is_more:
        i = 12
        s = (x[x_at] ^ 128) - p[7]
        if p[6] == 18:
            s *= (z[z_at] ^ 128) - p[8]
            i = 16
        else:
            s <<= 20
        while i < 18:
            # as kernel/neural_scale.py
            m = p[i]
            c = 32 - p[i + 1]
            if c < 0:
                s = (s << 0 - c & mask ^ top) - top
                c = 0
            u = (s >> 16) * (m & 0xFFFF)
            v = (s & 0xFFFF) * (m >> 16) + ((s & 0xFFFF) * (m & 0xFFFF) >> 16 & 0xFFFF)
            s = (s >> 16) * (m >> 16) + (v >> 16) + (u >> 16)
            s = (s << 1) + ((v & 0xFFFF) + (u & 0xFFFF) + 16384 >> 15)
            if c:
                if s < 0:
                    s = 0 - ((0 - s >> c - 1) + 1 >> 1)
                else:
                    s = (s >> c - 1) + 1 >> 1
            if i == 12:
                first = s
                s = (z[z_at] ^ 128) - p[8] << 20
            if i == 14:
                if p[6]:
                    s = first - s
                else:
                    s = first + s
            i += 2
        s += p[9]
        if s < p[10]:
            s = p[10]
        if s > p[11]:
            s = p[11]
        y[0] = s ^ 128
        y = ptr8(uint(y) + 1)
        is_more = 0
        i = 5
        while i:
            i -= 1
            x_at += p[23 + i]
            z_at += p[28 + i]
            n = p[33 + i] + 1
            p[33 + i] = n
            if n < p[18 + i]:
                is_more = 1
                i = 0
            else:
                x_at -= n * p[23 + i]
                z_at -= n * p[28 + i]
                p[33 + i] = 0
