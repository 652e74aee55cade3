"""Power spectrum of one centred window by an integer real FFT, block-floating, in 32 bits.

It must not know what a channel or a model is: `features.py` asks, this answers. Formats:

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
try:
    import micropython
    from micropython import const
except ImportError:  # CPython: the same source, word by word
    from sensewell._port import micropython, ptr32

    const = micropython.const


from sensewell.kernel.features_viper import lg, ratio

_BAND = const(30)  # opcode
_DOMINANT = const(22)  # block `t`; out: bin of the greatest p, the lowest of equals; 0 where all are 0
_N = const(23)
_WIDE = const(24)
_SHIFT = const(27)
_PEAK = const(28)
_M = const(30)  # in: half the transform length
_EXPONENT = const(31)  # out: P[k] = p[k] * 2**exponent
_TOTAL = const(32)  # out: sum of p[1..M], < 2**30


def prepare(features):
    """The spectrum of the channel at hand, and dom."""
    t = features.t
    power(t[_PEAK], t[_SHIFT] - 4, features.p, features.work, features.z, features.sin, t)


def ask(features, op, a, b):
    """band, share: of the bins a..b-1."""
    t = features.t
    a = band(features.p, a, b)
    if op == _BAND:
        return lg(a, t[_EXPONENT], t[_N])
    return ratio(a, t[_TOTAL])


@micropython.viper
def power(v: int, acc: int, re: ptr32, im: ptr32, z: ptr32, sin: ptr32, t: ptr32):
    """z: int32[2M] samples (zeros after the last); re: int32[M + 1], im: int32[M] work; p is left in `re`.

    v: greatest |z| < 2**13, 0 where all are 0. acc: exponent of the samples: counts = z * 2**acc.
    sin: int32[3M / 2], 2**15 * sin(2 pi i / N). t: the block of features.py.
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
