"""The feature vocabulary in viper: what boards without the native module run. What each feature means: features.py.

It must not know where samples come from, what they mean or what a model does with the vector.
"""

# mypy: disable-error-code="valid-type"
# (ptr16 and ptr32 are types of viper only)
try:
    import micropython
    from micropython import const
except ImportError:  # CPython: the same source, word by word
    from sensewell._port import micropython, ptr16, ptr32

    const = micropython.const

# The block `t` that all kernels share, array('i'): first a slot for each plain feature, whose opcode is the slot
_MEAN = const(0)
_AMEAN = const(1)
_MIN = const(2)
_MAX = const(3)
_RANGE = const(4)
_HALF = const(5)
_MAD = const(9)
# 6..8 kernel/steps.py   10..12 kernel/spread.py   13..21 kernel/order.py   22 spectrum.py   23 on: opcodes only
_ASKED = const(23)
# then
_N = const(23)  # window length
_WIDE = const(24)  # 32 where ptr32 loads are zero-extended (x64 viper), else 0: (v << WIDE) >> WIDE is signed
_MEAN4 = const(25)  # mean + 32768 counts, Q4 (20 bits, never negative)
_PEAK4 = const(26)  # greatest |x - mean|, Q4
_SHIFT = const(27)  # z in the buffer = (x - mean) * 2**(4 - SHIFT)
_PEAK = const(28)  # greatest |z| in the buffer, <= 2047
_SQUARES = const(29)  # sum of z^2 in the buffer, < 2**30
# 30..32 spectrum.py


class Features:
    """As build/features.py plans it. `vector`: array('h'), an int16 for each of the specs."""

    engine = "viper"

    def __init__(self, specs, n_channels, length, derived=()):
        from sensewell.build.features import plan
        from sensewell.build.kernels import kernels, scratch

        self.n_channels = n_channels
        self.window = None  # the one that is being computed
        self.run, self.vector, self.derived = plan(specs, n_channels, length, derived)
        groups, self._stages, self._asks, self._load, self.finish = kernels(self.run, self.derived)
        # rows: samples; sorted or second source; corr's channel or third source; zeros. words: the same as uint16
        self.rows, self.words, self.t, self.z, self.t2, self.z2, self.means, self.p, self.work, self.sin = scratch(
            self, groups, n_channels, length, gather
        )
        self.x = self.words[0]

    def compute(self, window):
        """Fill `.vector` from `window.read(channel, int16[length])`. Allocates nothing."""
        run = self.run
        t = self.t
        x = self.x
        self.window = window
        i = 0
        while run[i] >= 0:
            self.load(run[i], 0)
            scan(0, 0, x, t)
            if self.means:
                self.means[run[i]] = t[_MEAN4] - 0x80000
            n = run[i + 1]
            if n & 1:
                centre(0, 0, x, self.z, t)
            k = 0
            while n > 1:
                n >>= 1
                if n & 1:
                    self._stages[k](self)
                k += 1
            n = run[i + 2]
            asked = run[i + 3]
            i += 4
            gather(i, n, run, t, self.vector)
            i += n + n
            while asked:
                n = run[i + 1]
                self.vector[run[i]] = self._asks[n - _ASKED](self, n, run[i + 2], run[i + 3])
                i += 4
                asked -= 1
        if self.finish:
            self.finish(self, i + 1)

    def load(self, c, k):
        """Channel c, real or derived, into row k = 0 or 2."""
        d = c - self.n_channels
        if d < 0:
            self.window.read(c, self.rows[k])
        else:
            self._load(self, 4 * d, k)


# The kernels that every bundle needs; others are in kernel/. viper keeps the first two names of a function in
# registers: the hottest come first, set to 0 by the caller where they are no arguments in earnest (u, v). int16 arrives
# as uint16: x ^ 0x8000 is counts + 32768.


@micropython.viper
def scan(u: int, v: int, x: ptr16, t: ptr32):
    """x: int16[n] -> mean amean min max range half, MEAN4, PEAK4 in t."""
    n = t[_N]
    half = n >> 1
    lo = 0xFFFF
    hi = 0
    first = 0
    total = 0
    while v < n:
        if v == half:
            first = total
        u = x[v] ^ 0x8000
        total += u
        if u > hi:
            hi = u
        if u < lo:
            lo = u
        v += 1
    u = (total + total + n) // (n + n) - 0x8000
    t[_MEAN] = u
    if u < 0:
        u = -u
    t[_AMEAN] = u
    t[_MIN] = lo - 0x8000
    t[_MAX] = hi - 0x8000
    t[_RANGE] = hi - lo
    u = (total - first << 4) // (n - half) - (first << 4) // half
    t[_HALF] = (u + 8) >> 4
    u = ((total << 5) + n) // (n + n)
    t[_MEAN4] = u
    lo = u - (lo << 4)
    hi = (hi << 4) - u
    if lo > hi:
        hi = lo
    t[_PEAK4] = hi


@micropython.viper
def centre(u: int, v: int, x: ptr16, z: ptr32, t: ptr32):
    """After `scan`: z: int32[n] centred, |z| <= 2047; SHIFT PEAK SQUARES and mad in t."""
    n = t[_N]
    u = t[_PEAK4]
    shift = 0
    rnd = 0
    while (u + rnd) >> shift > 2047:
        shift += 1
        rnd = 1 << (shift - 1)
    t[_SHIFT] = shift
    t[_PEAK] = (u + rnd) >> shift
    mean = t[_MEAN4]
    mad = 0
    squares = 0
    i = 0
    while i < n:
        u = ((x[i] ^ 0x8000) << 4) - mean
        v = (u + rnd) >> shift
        z[i] = v
        squares += v * v
        if u < 0:
            u = -u
        mad += u
        i += 1
    t[_SQUARES] = squares
    t[_MAD] = ((mad // n) + 8) >> 4


@micropython.viper
def gather(at: int, n: int, run: ptr16, t: ptr32, vector: ptr16):
    """vector[run[at + 2 i]] = t[run[at + 2 i + 1]], saturated: the plain features of a channel."""
    wide = t[_WIDE]
    while n:
        v = (t[run[at + 1]] << wide) >> wide
        if v > 0x7FFF:
            v = 0x7FFF
        elif v < -0x8000:
            v = -0x8000
        vector[run[at]] = v
        at += 2
        n -= 1


# What several of the others compute with
@micropython.viper
def lg(m: int, e: int, n: int) -> int:
    """256 * log2(1 + m * 2**e / n), 0 <= m < 2**30, 1 <= n <= 256."""
    if m == 0:
        return 0
    while 1:
        while m < 0x20000000:
            m <<= 1
            e -= 1
        if n == 1:
            break
        m = m // n
        n = 1
    if e < -29:  # less than one: the value, not the one, is shifted
        n = -29 - e
        if n > 30:
            return 0
        m >>= n
        e = -29
    if e <= 0:
        m += 1 << (0 - e)  # viper on x64 negates a local in place: never write -e inside an expression
    e += 15 + 14
    m >>= 15
    if m >= 0x8000:
        m >>= 1
        e += 1
    n = 9
    while n:  # one bit of the logarithm for each squaring
        m = (m * m) >> 14
        e += e
        if m >= 0x8000:
            m >>= 1
            e += 1
        n -= 1
    return (e + 1) >> 1


@micropython.viper
def ratio(a: int, b: int) -> int:
    """a / b in Q14 for |a| <= b < 2**30 (clamped to +-1); 0 for b = 0."""
    sign = 1
    if a < 0:
        a = -a
        sign = -1
    while b >= 0x10000:
        b >>= 1
        a >>= 1
    if b == 0:
        return 0
    if a > b:
        a = b
    return sign * (((a << 14) + (b >> 1)) // b)


@micropython.viper
def dot(j: int, i: int, a: ptr32, b: ptr32, t: ptr32) -> int:
    """Sum of a[j + k] * b[i + k], j >= i: int32[n] as `centre` made them: below 2**30 in size."""
    n = t[_N]
    total = 0
    while j < n:
        total += a[j] * b[i]
        j += 1
        i += 1
    n = t[_WIDE]
    return (total << n) >> n


def damped(t):
    """Sum of z^2 plus 64 counts^2, in the scale of the buffer z."""
    return t[_SQUARES] + (16384 >> 2 * t[_SHIFT])
