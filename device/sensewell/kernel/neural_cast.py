"""QUANTIZE and DEQUANTIZE where floats or int16 are on a side, in viper. Floats are handled as their bits.

Must not know files; the words are those of build/neural_point.py.
"""

from sensewell.kernel.neural_scale import rescale

# mypy: disable-error-code="valid-type"
# (ptr8 is a type of viper only)
try:
    import micropython
except ImportError:  # CPython: the same source, word by word
    from sensewell._port import micropython, ptr8, ptr16, ptr32, uint


# words: 0..2 for rescale, 3..6 places, 7 how many, 8 x's type and 9 y's as the schema counts them, 10 x's zero point
# and 11 y's + 32768, 12 multiplier, 13 shift + 32, 14 the scale as the bits of a float32
@micropython.viper
def run(a: ptr8, y: ptr8, bases, words):
    """To integers."""
    p = ptr32(words)
    top = 1
    top <<= 31
    mask = top + top - 1
    a = ptr8(uint(ptr8(bases[p[3]])) + p[4])
    h = ptr16(uint(a))
    f = ptr32(uint(a))
    y = ptr8(uint(ptr8(bases[p[5]])) + p[6])
    wide = ptr16(uint(y))
    low = 0
    high = 255
    if p[9] == 9:
        low = 0 - 128
        high = 127
    if p[9] == 7:
        low = 0 - 32768
        high = 32767
    i = 0
    while i < p[7]:
        if p[8]:
            v = a[i]
            if p[8] == 9:
                v = (v ^ 128) - 128
            if p[8] == 7:
                v = (h[i] ^ 0x8000) - 0x8000
            p[0] = v - (p[10] - 32768)
            p[1] = p[12]
            p[2] = p[13]
            rescale(words)
            v = (p[0] & mask ^ top) - top
        else:
            v = f[i]
            sign = v >> 31 & 1
            e = v >> 23 & 255
            if e == 0:
                v = 0
            elif e == 255:
                v = 1 << 29
            else:
                # the quotient of the 24 bits of each, to 24 bits, ties to even; then its exponent
                v = v & 0x7FFFFF | 0x800000
                d = p[14]
                e -= d >> 23
                d = d & 0x7FFFFF | 0x800000
                if v < d:
                    v <<= 1
                    e -= 1
                q = 0
                n = 24
                while n:
                    q <<= 1
                    if v >= d:
                        v -= d
                        q |= 1
                    v <<= 1
                    n -= 1
                if v > d:
                    q += 1
                elif v == d:
                    q += q & 1
                e -= 23  # q * 2**e
                if e > 5:
                    v = 1 << 29  # saturates all the same
                elif e >= 0:
                    v = q << e
                elif e < 0 - 25:
                    v = 0
                else:
                    v = (q >> 0 - e - 1) + 1 >> 1
            if sign:
                v = 0 - v
        v += p[11] - 32768
        if v < low:
            v = low
        if v > high:
            v = high
        if p[9] == 7:
            wide[i] = v
        else:
            y[i] = v
        i += 1


@micropython.viper
def to_float(a: ptr8, unused: ptr8, bases, words):
    """(x - zero point) * scale, ties to even."""
    p = ptr32(words)
    top = 1
    top <<= 31
    a = ptr8(uint(ptr8(bases[p[3]])) + p[4])
    h = ptr16(uint(a))
    y = ptr32(uint(ptr8(bases[p[5]])) + p[6])
    e_of_scale = p[14] >> 23
    low = p[14] & 0x7FF  # the scale's 24 bits in two parts, of 11 and 13
    high = p[14] >> 11 & 0xFFF | 0x1000
    i = 0
    while i < p[7]:
        v = a[i]
        if p[8] == 9:
            v = (v ^ 128) - 128
        if p[8] == 7:
            v = (h[i] ^ 0x8000) - 0x8000
        v -= p[10] - 32768
        sign = 0
        if v < 0:
            sign = top
            v = 0 - v
        if v:
            # v below 2**16: 17 bits by 24, as rest of 11 bits below m of 30
            rest = v * low
            m = v * high + (rest >> 11)
            rest &= 0x7FF
            e = e_of_scale
            # to 24 bits and what is below
            n = 0
            while m >> n + 13 != 0:
                n += 1
            # n bits too many (m began with 13 of the scale's 24): m has 13 + n bits, wanted 24
            if n < 11:
                m = (m << 11 - n) + (rest >> n)
                rest = (rest & (1 << n) - 1) << 11 - n
                half = 1 << 10
            else:
                half = 1 << n - 1
                rest |= (m & (1 << n - 11) - 1) << 11
                m >>= n - 11
            if n:
                if rest > half:
                    m += 1
                elif rest == half:
                    m += m & 1
            v = (e + n - 1 << 23) + m
        y[i] = v | sign
        i += 1
