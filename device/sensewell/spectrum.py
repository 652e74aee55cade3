"""Power spectrum of one centred window by an integer real FFT, block-floating, in 32 bits.

It must not know what a feature, a channel or a model is: `features.py` asks, this answers. Formats:

    N      transform length: next power of two >= window length, 8..256; the rest is zeros.  M = N / 2
    bin k  k * rate_hz / N, k = 1..M (M is Nyquist). Bin 0 is 0: the mean was removed before
    P[k]   |X[k]|^2 = p[k] * 2**exponent counts^2, one shared exponent, sum of all p < 2**30
    X[k]   = sum over i of (x[i] - mean) * exp(-2 pi j i k / N), not divided by anything

Even and odd samples are one complex series of M points (radix 2, decimation in time), untangled at the end
(Press et al., Numerical Recipes, 12.3). All components stay below 2**14.5: a stage whose input has reached
2**13 halves its output (a butterfly at most doubles a modulus), so every sum fits signed 32 bits.
"""

# mypy: disable-error-code="valid-type"
# (ptr16 and ptr32 are types of viper only)
from array import array

try:
    import micropython
    from micropython import const
except ImportError:  # CPython: the same source, word by word
    from sensewell._port import micropython, ptr32

    const = micropython.const

# parameter block: array('i')
_M = const(0)  # in: half the transform length
_WIDE = const(1)  # in: 32 where ptr32 loads are zero-extended (x64 viper), else 0: (v << WIDE) >> WIDE is signed
_EXPONENT = const(2)  # out: P[k] = p[k] * 2**exponent
_TOTAL = const(3)  # out: sum of p[1..M], < 2**30
_DOMINANT = const(4)  # out: bin of the greatest p, the lowest of equals; 0 where all are 0
_SIZE = const(5)

# round(32768 * sin(pi i / 128)), i = 0..64, little-endian uint16
_QUARTER = (
    b"\x00\x00\x24\x03\x48\x06\x6b\x09\x8c\x0c\xab\x0f\xc8\x12\xe2\x15\xf9\x18\x0c\x1c\x1a\x1f\x24\x22\x28\x25"
    b"\x27\x28\x1f\x2b\x11\x2e\xfc\x30\xdf\x33\xba\x36\x8d\x39\x57\x3c\x17\x3f\xce\x41\x7b\x44\x1d\x47\xb4\x49"
    b"\x40\x4c\xc0\x4e\x34\x51\x9b\x53\xf6\x55\x43\x58\x82\x5a\xb4\x5c\xd7\x5e\xec\x60\xf2\x62\xe9\x64\xd0\x66"
    b"\xa7\x68\x6e\x6a\x24\x6c\xca\x6d\x5f\x6f\xe3\x70\x55\x72\xb6\x73\x05\x75\x42\x76\x6c\x77\x85\x78\x8a\x79"
    b"\x7d\x7a\x5d\x7b\x2a\x7c\xe4\x7c\x8a\x7d\x1e\x7e\x9d\x7e\x0a\x7f\x62\x7f\xa7\x7f\xd9\x7f\xf6\x7f\x00\x80"
)


@micropython.viper
def power(v: int, acc: int, re: ptr32, im: ptr32, z: ptr32, sin: ptr32, t: ptr32):
    """z: int32[2M] samples (zeros after the last); re: int32[M + 1], im: int32[M] work; p is left in `re`.

    v: greatest |z| < 2**13, 0 where all are 0. acc: exponent of the samples: counts = z * 2**acc.
    sin: int32[3M / 2], 2**15 * sin(2 pi i / N). t: the parameter block.
    viper keeps the first two names in registers: afterwards they are whatever is hottest.
    """
    m = t[_M]
    wide = t[_WIDE]
    quarter = m >> 1
    e = acc
    up = 0
    if v:
        while v < 4096:  # use the whole range: input below 2**13
            v <<= 1
            up += 1
    e -= up
    i = 0
    j = 0
    while i < m:  # pairs in bit-reversed order, and the first stage, whose factors are all 1
        v = z[i] << up
        acc = z[i + m] << up
        re[j] = v + acc
        re[j + 1] = v - acc
        v = z[i + 1] << up
        acc = z[i + m + 1] << up
        im[j] = v + acc
        im[j + 1] = v - acc
        v = quarter
        while j & v:
            j ^= v
            v >>= 1
        j |= v
        i += 2
    acc = 0x4000
    half = 2
    step = quarter
    while half < m:
        up = 15
        if acc >> 14:  # some component is outside -2**13 .. 2**13 - 1
            up = 16
            e += 1
        rnd = 1 << (up - 1)
        up += wide
        acc = 0
        b = 0
        while b < half:
            v = b * step
            wi = sin[v]
            wr = sin[v + quarter]
            i = b
            while i < m:
                j = i + half
                v = re[j]
                bi = im[j]
                br = v * wr + bi * wi
                bi = bi * wr - v * wi
                a = rnd + (re[i] << 15)
                v = ((br + a) << wide) >> up
                re[i] = v
                acc |= v + 8192
                v = ((a - br) << wide) >> up
                re[j] = v
                acc |= v + 8192
                a = rnd + (im[i] << 15)
                v = ((bi + a) << wide) >> up
                im[i] = v
                acc |= v + 8192
                v = ((a - bi) << wide) >> up
                im[j] = v
                acc |= v + 8192
                i = j + half
            b += 1
        half += half
        step >>= 1
    up = 1
    if acc >> 14:
        up = 2
        e += 1
    rnd = up
    up += wide
    v = ((re[0] - im[0] + rnd - 1) << wide) >> (up - 1)
    re[m] = v * v
    re[0] = 0
    half = wide + 15
    i = 1
    j = m - 1
    while i <= j:  # 2 X[i] = E + T, 2 X[M - i] = conj(E - T)
        wi = sin[i]
        wr = sin[i + quarter]
        br = re[j]
        bi = im[j]
        a = re[i] - br
        b = im[i] + bi
        br = re[i] + br + rnd
        bi = im[i] - bi + rnd
        acc = ((wr * b - wi * a + 16384) << wide) >> half
        b = ((16384 - wi * b - wr * a) << wide) >> half
        a = ((br + acc) << wide) >> up
        v = ((bi + b) << wide) >> up
        re[i] = a * a + v * v
        a = ((br - acc) << wide) >> up
        v = ((bi - b) << wide) >> up
        re[j] = a * a + v * v
        i += 1
        j -= 1
    a = 0  # sum / 64
    b = 0  # and its rest
    acc = 0
    j = 0
    i = 1
    while i <= m:
        v = re[i]
        b += v & 63
        a += v >> 6
        if v > acc:
            acc = v
            j = i
        i += 1
    t[_DOMINANT] = j
    a += b >> 6
    up = 0
    while a >= 0x800000:
        a >>= 1
        up += 1
    acc = 0
    while m:
        v = re[m] >> up
        re[m] = v
        acc += v
        m -= 1
    t[_TOTAL] = acc
    t[_EXPONENT] = e + e + up


@micropython.viper
def band(p: ptr32, lo: int, hi: int) -> int:
    """Sum of p[lo..hi-1], < 2**30."""
    total = 0
    while lo < hi:
        total += p[lo]
        lo += 1
    return total


@micropython.viper
def centroid(p: ptr32, t: ptr32) -> int:
    """Sum k p[k] / sum p[k] in bins, Q7 (rounded down); 0 where there is no power."""
    up = 0
    v = t[_TOTAL]
    while v >= 0x400000:
        v >>= 1
        up += 1
    total = 0
    moment = 0
    i = t[_M]
    while i:
        v = p[i] >> up
        total += v
        moment += v * i
        i -= 1
    if total == 0:
        return 0
    v = moment // total
    return (v << 7) + ((moment - v * total) << 7) // total


@micropython.viper
def entropy(p: ptr32, t: ptr32, lg) -> int:
    """- sum q log2 q with q = p[k] / sum p, in bits, Q8: 0 for one line, 256 * log2(M) for flat power.

    `lg(m, e, n)` is 256 * log2(1 + m * 2**e / n). Lines below 2**-16 of the total count as 0.
    """
    up = 0
    v = t[_TOTAL]
    while v >= 0x20000:
        v >>= 1
        up += 1
    total = 0
    logs = 0
    i = t[_M]
    while i:
        v = p[i] >> up
        if v:
            total += v
            logs += v * int(lg(v - 1, 0, 1))
        i -= 1
    if total == 0:
        return 0
    v = int(lg(total - 1, 0, 1)) - logs // total
    if v < 0:
        v = 0
    return v


class Spectrum:
    """Work space for windows of `length` samples; `wide`: 32 where ptr32 loads are zero-extended, else 0."""

    def __init__(self, length, wide):
        m = 4
        while m + m < length:
            m += m
        self.m = m
        self._t = t = array("i", [0] * _SIZE)
        t[_M] = m
        t[_WIDE] = wide
        self.p = array("i", [0] * (m + 1))
        self._work = array("i", [0] * m)
        quarter = m >> 1
        self._sin = sin = array("i", [0] * (m + quarter))
        for i in range(quarter + 1):
            at = i * (128 // m) * 2
            v = _QUARTER[at] | _QUARTER[at + 1] << 8
            sin[i] = v
            sin[m - i] = v
            if i < quarter:
                sin[m + i] = -v

    def compute(self, z, exponent, peak):
        """z: int32[2M], counts = z * 2**exponent, |z| <= peak < 2**13. Fills p and all that follows."""
        power(peak, exponent, self.p, self._work, z, self._sin, self._t)

    def exponent(self):
        """P[k] = p[k] * 2**exponent counts^2."""
        return self._t[_EXPONENT]

    def total(self):
        """Sum of p[1..M]."""
        return self._t[_TOTAL]

    def dominant(self):
        """The bin of the greatest p, the lowest of equals; 0 where there is no power."""
        return self._t[_DOMINANT]

    def band(self, lo, hi):
        """Sum of p[lo..hi-1]."""
        return band(self.p, lo, hi)

    def centroid(self):
        """See `centroid` above: bins, Q7."""
        return centroid(self.p, self._t)

    def entropy(self, lg):
        """See `entropy` above: bits, Q8."""
        return entropy(self.p, self._t, lg)
