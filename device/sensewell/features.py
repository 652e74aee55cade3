"""The feature vocabulary: one window of int16 samples -> one int16 vector, in 32-bit integers, without allocating.

It must not know where samples come from, what they mean or what a model does with the vector. Below, x[0..n-1] is the
window of channel c in counts, m its mean, z = x - m, L = log2 in Q8 (256 is a factor of two). Every value is rounded
to nearest unless said otherwise and saturates at -32768 / 32767. None grows with elapsed time.
P[k] and bins as in `spectrum.py`: N = next power of two >= n, bin k is at k * rate_hz / N, k = 1..N/2.

    name      parameters  formula                                                 unit, Q format
    mean                  m                                                       counts
    amean                 |mean|                                                  counts
    min max               least and greatest x                                    counts
    range                 max - min                                               counts
    half                  mean of x[n//2..] - mean of x[..n//2-1]                 counts
    mav                   sum |x| / n                                             counts
    jerk                  sum |x[i+1] - x[i]| / (n-1)                             counts per sample
    jmax                  greatest |x[i+1] - x[i]|                                counts per sample
    mad                   sum |z| / n                                             counts
    std                   sqrt(sum z^2 / n)                                       counts
    rms                   sqrt(std^2 + mean^2), down to the next (even) integer   counts
    energy                L(1 + sum z^2 / n)                                      Q8 of counts^2
    p5 p10 p25 p50        sorted x[(q * (n-1) + 50) // 100]: nearest rank         counts
    p75 p90 p95
    iqr                   p75 - p25                                               counts
    skew                  p90 + p10 - 2 * p50                                     counts
    dom                   the k of the greatest P[k], the lowest of equals        bin (0: constant window)
    centroid              sum k P[k] / sum P[k], rounded down                     bin, Q7
    entropy               -sum q[k] log2 q[k], q[k] = P[k] / sum P                bits, Q8
    mcross    [h]         how often z changes sign: up at z > h, down at z <= -h  crossings
    zcross    [h]         the same of x                                           crossings
    acorr     lag         sum z[i] z[i+lag] / (sum z^2 + 64), 1 <= lag < n        Q14 (16384 is 1)
    acpeak    lo hi       greatest acorr of the lags lo..hi-1 (dear: one pass     Q14
                          over the window for each lag)
    aclag     lo hi       its lag, the least of equals                            samples
    band      lo hi       L(1 + sum of P[lo..hi-1] / n), 1 <= lo < hi <= N/2 + 1  Q8 of counts^2
    share     lo hi       sum of P[lo..hi-1] / sum of all P                       Q14
    corr      d           correlation with channel d: sum z z' /                  Q14
                          sqrt((sum z^2 + 64) (sum z'^2 + 64))
    angle     d           atan2(mean of d, mean of c), 0 where both are 0         1/100 degree, -18000..18000
    tilt      d e         angle of the vector of means (c, d, e) to axis c        1/100 degree, 0..18000

    derived channel       formula, sample by sample (2 or 3 source channels)
    norm [a,b(,c)]        floor(sqrt(a^2 + b^2 + c^2)), in counts of the sources, saturates at 32767; with "shift": 1
                          half of that, which cannot saturate: floor(sqrt of the sum of squares >> 2 each)

How the sums fit 32 bits: the mean is kept in Q4, z is kept as int32 scaled by a power of two such that |z| <= 2047
(small signals keep the four bits below the count, n * 2047^2 < 2**30), so ratios of sums of products need no more.
"""

# mypy: disable-error-code="valid-type"
# (ptr16 and ptr32 are types of viper only)
from array import array

try:
    import micropython
    from micropython import const

    def _unsigned(a):
        return a
except ImportError:  # CPython: the same source, word by word; buffers go to the kernels as they are
    from sensewell._port import micropython, ptr8, ptr16, ptr32

    const = micropython.const

    def _unsigned(a):
        return memoryview(a).cast("B").cast("H")  # as viper's ptr16 sees int16


from sensewell.refusal import Refused

# A feature's place here is its opcode; the plain ones are also slots of the block `t` that all kernels share.
_PLAIN = "mean amean min max range half mav jerk jmax mad std rms energy p5 p10 p25 p50 p75 p90 p95 iqr skew dom"
_ASKED = "centroid entropy mcross zcross acorr acpeak aclag band share corr angle tilt"
_KEYS = ("", "", "h", "h", "lag", "lo hi", "lo hi", "lo hi", "lo hi", "d", "d", "d e")  # parameters of _ASKED
FEATURES = tuple((_PLAIN + " " + _ASKED).split())

_MEAN = const(0)
_AMEAN = const(1)
_MIN = const(2)
_MAX = const(3)
_RANGE = const(4)
_HALF = const(5)
_MAV = const(6)  # mav jerk jmax: from `steps`
_JERK = const(7)
_JMAX = const(8)
_MAD = const(9)  # from `centre`
_STD = const(10)  # std rms energy: from `spread`
_RMS = const(11)
_ENERGY = const(12)
_P5 = const(13)  # p5 ... skew: from `order`
_IQR = const(20)
_SKEW = const(21)
_DOM = const(22)  # dom and what follows: from the spectrum
_CENTROID = const(23)
_ENTROPY = const(24)
_MCROSS = const(25)
_ZCROSS = const(26)
_ACORR = const(27)
_ACPEAK = const(28)
_ACLAG = const(29)
_BAND = const(30)
_SHARE = const(31)
_CORR = const(32)
_ANGLE = const(33)
_TILT = const(34)

_N = const(23)  # block `t` beyond the slots: window length
_WIDE = const(24)  # 32 where ptr32 loads are zero-extended (x64 viper), else 0: (v << WIDE) >> WIDE is signed
_MEAN4 = const(25)  # mean + 32768 counts, Q4 (20 bits, never negative)
_PEAK4 = const(26)  # greatest |x - mean|, Q4
_SHIFT = const(27)  # z in the buffer = (x - mean) * 2**(4 - SHIFT)
_PEAK = const(28)  # greatest |z| in the buffer, <= 2047
_SQUARES = const(29)  # sum of z^2 in the buffer, < 2**30
_SIZE = const(30)

_CENTRED = const(1)  # what a channel must be prepared for
_ORDERED = const(2)
_SPECTRUM = const(4)
_STEPPED = const(8)
_PAIRED = const(16)
_SPREAD = const(32)

_Q30 = const(0x3FFFFFFF)
_QUANTILES = b"\x05\x0a\x19\x32\x4b\x5a\x5f"
# round(2**17 / pi * atan(2**-i)), i = 0..13: 2**17 is 180 degrees; little-endian uint16
_ARCS = (
    b"\x00\x80\x90\x4b\xed\x27\x44\x14\x2c\x0a\x17\x05\x8c\x02\x46\x01\xa3\x00\x51\x00\x29\x00\x14\x00\x0a\x00\x05\x00"
)


@micropython.viper
def isqrt(v: int) -> int:
    """floor(sqrt(v)), 0 <= v < 2**30."""
    r = 0
    b = 1 << 28
    while b:
        if v >= r + b:
            v -= r + b
            r = (r >> 1) + b
        else:
            r >>= 1
        b >>= 2
    return r


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


def arc(x, y, out):
    """out[0] = atan2(y, x) in 1/100 degree, out[1] = 1.64676 * hypot(x, y); |x|, |y| < 2**20. CORDIC, 14 steps."""
    turn = up = 0
    if x < 0:  # half a turn first
        turn = -0x20000 if y < 0 else 0x20000
        x = -x
        y = -y
    if x or y:
        while x < 0x1000000 and -0x1000000 < y < 0x1000000:
            x <<= 1
            y <<= 1
            up += 1
        for i in range(14):
            d = x >> i
            step = _ARCS[i + i] | _ARCS[i + i + 1] << 8
            if y < 0:
                x -= y >> i
                y += d
                turn -= step
            else:
                x += y >> i
                y -= d
                turn += step
    out[1] = x >> up
    out[0] = (turn * 1125 + 4096) >> 13


def spread(t):
    """After `centre`: std rms energy in t."""
    n = t[_N]
    shift = t[_SHIFT]
    v = t[_SQUARES]
    u = v // n
    v = (u << 8) + ((v - u * n) << 8) // n  # mean square, Q8 of z
    t[_ENERGY] = lg(v, shift + shift - 16, 1)
    v = isqrt(v)  # deviation, Q4 of z
    v = (v << shift >> 7) + 1 >> 1
    if v > 0x7FFF:
        v = 0x7FFF
    t[_STD] = v
    u = t[_AMEAN]
    if u > 0x7FFF:
        u = 0x7FFF
    if u + v < 0x7FFF:
        u = isqrt(u * u + v * v)
    else:  # the sum of squares must stay below 2**30
        u = isqrt((u * u >> 2) + (v * v >> 2)) << 1
    t[_RMS] = u


# The kernels. viper keeps the first two names of a function in registers: the hottest come first, set to 0 by the
# caller where they are no arguments in earnest (u, v). int16 arrives as uint16: x ^ 0x8000 is counts + 32768.


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
def steps(u: int, v: int, x: ptr16, t: ptr32):
    """x: int16[n] -> mav jerk jmax in t."""
    n = t[_N]
    last = x[0] ^ 0x8000
    mav = 0
    jerk = 0
    jmax = 0
    i = 0
    while i < n:
        v = x[i] ^ 0x8000
        u = v - last
        last = v
        if u < 0:
            u = -u
        jerk += u
        if u > jmax:
            jmax = u
        v -= 0x8000
        if v < 0:
            v = -v
        mav += v
        i += 1
    t[_JMAX] = jmax
    t[_MAV] = (mav + mav + n) // (n + n)
    n -= 1
    t[_JERK] = (jerk + jerk + n) // (n + n)


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
def order(gap: int, j: int, s: ptr16, x: ptr16, t: ptr32):
    """gap: n, j: 0. x: int16[n] sorted into s: int16[n] (Shell's sort, counts + 32768); p5 ... p95, iqr, skew in t."""
    n = gap
    while j < n:
        s[j] = x[j] ^ 0x8000
        j += 1
    while gap > 1:
        gap = (gap * 5) // 11
        if gap < 1:
            gap = 1
        i = gap
        while i < n:
            v = s[i]
            j = i
            while j >= gap:
                u = s[j - gap]
                if u <= v:
                    break
                s[j] = u
                j -= gap
            s[j] = v
            i += 1
    q = ptr8(_QUANTILES)
    i = 0
    while i < 7:
        t[_P5 + i] = s[(q[i] * (n - 1) + 50) // 100] - 0x8000
        i += 1
    t[_IQR] = t[_P5 + 4] - t[_P5 + 2]
    t[_SKEW] = t[_P5 + 5] + t[_P5 + 1] - t[_P5 + 3] - t[_P5 + 3]


@micropython.viper
def crossings(level: int, h: int, x: ptr16, t: ptr32) -> int:
    """Times that x (counts + 32768, Q4) goes above level + h or to level - h and below, by turns."""
    n = t[_N]
    i = 0
    count = 0
    high = 0
    if ((x[0] ^ 0x8000) << 4) > level:
        high = 1
    while i < n:
        u = ((x[i] ^ 0x8000) << 4) - level
        if high:
            if u + h <= 0:
                high = 0
                count += 1
        elif u > h:
            high = 1
            count += 1
        i += 1
    return count


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


@micropython.viper
def norm(r: int, u: int, shift: int, a: ptr16, b: ptr16, c: ptr16, t: ptr32):
    """a: int16[n] becomes sqrt(a^2 + b^2 + c^2) (shift 0, saturated) or half of it (1).

    Newton from the last root; r: the first guess, > 0.
    """
    n = t[_N]
    i = 0
    while i < n:
        u = (a[i] ^ 0x8000) - 0x8000
        v = (b[i] ^ 0x8000) - 0x8000
        w = (c[i] ^ 0x8000) - 0x8000
        u = u * u
        v = v * v
        w = w * w
        s = (u >> 2) + (v >> 2) + (w >> 2)
        if shift == 0:
            if s < 0x10000000:
                s = u + v + w
            else:
                s = _Q30
            if s > _Q30:
                s = _Q30
        a[i] = 0
        if s:
            r = (r + s // r) >> 1
            while 1:
                u = s // r
                if u >= r:
                    break
                r = (r + u) >> 1
            a[i] = r
        i += 1


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


class Features:
    """specs: list of {"f": name, "c": channel, parameters...}; channels from n_channels on are the derived ones.

    derived: list of {"norm": [2 or 3 channels below n_channels], "shift": 0 or 1}; length: 8..256 samples.
    Raises Refused("features.length" | ".channels" | ".derived" | ".count" | ".unknown" | ".channel" | ".parameter").
    """

    def __init__(self, specs, n_channels, length, derived=()):
        _within("length", length, 8, 256)
        _within("channels", n_channels, 1, 64)
        _within("count", len(specs), 1, 256)
        _within("derived", len(derived), 0, 16)
        self._n_channels = n_channels
        self._derived = array("b", [0] * (4 * len(derived)))  # a, b, c or -1, shift
        for i, one in enumerate(derived):
            self._derive(4 * i, one)
        m = 4
        while m + m < length:
            m += m
        channels = n_channels + len(derived)
        blocks = {}  # channel -> [groups, plain..., asked...]
        late = []
        for i, spec in enumerate(specs):
            _read(i, spec, channels, length, m, blocks, late)
        run = []
        groups = 0
        for c in sorted(blocks):
            block = blocks[c]
            asked = sorted(e[1:] + e[:1] for e in block if e[1] >= _CENTROID)  # op, a, b, place: corr comes last
            plain = [e for e in block if e[1] < _CENTROID]
            need = 0
            for e in block:
                need |= _need(e[1])
            groups |= need
            run += [c, need, len(plain), len(asked)]
            for e in plain:
                run += e[:2]
            for e in asked:
                run += [e[3], e[0], e[1], e[2]]
                if e[0] == _CORR:
                    groups |= _PAIRED
        run += [-1, len(late)]
        for e in late:
            run += e
        self._run = array("h", run)
        self.vector = array("h", [0] * len(specs))
        self._means = array("i", [0] * channels) if late else None
        one = array("i", [1])
        wide = 32 if dot(0, 0, one, array("i", [-1]), _block(1, 0)) > 0 else 0
        self._t = _block(length, wide)
        self._rows = x, s, w, zero = (  # samples; sorted or second source; corr's channel or third source; zeros
            _zeros("h", length),
            _zeros("h", length),
            _zeros("h", length if groups & _PAIRED or derived else 0),
            _zeros("h", length if -1 in list(self._derived) else 0),
        )
        self._words = _unsigned(x), _unsigned(s), _unsigned(w), _unsigned(zero)
        self._z = self._spectrum = None
        if groups & _SPECTRUM:
            from sensewell.spectrum import Spectrum

            self._spectrum = Spectrum(length, wide)
            self._z = _zeros("i", 2 * m)
        elif groups & _CENTRED:
            self._z = _zeros("i", length)
        if groups & _PAIRED:
            self._z2 = _zeros("i", length)
            self._t2 = _block(length, wide)

    def compute(self, window):
        """Fill `.vector` from `window.read(channel, int16[length])`. Allocates nothing."""
        run = self._run
        t = self._t
        x = self._words[0]
        z = self._z
        vector = self.vector
        spectrum = self._spectrum
        i = 0
        while run[i] >= 0:
            self._load(window, run[i], 0)
            scan(0, 0, x, t)
            if self._means:
                self._means[run[i]] = t[_MEAN4] - 0x80000
            n = run[i + 1]
            if n & _STEPPED:
                steps(0, 0, x, t)
            if n & _CENTRED:
                centre(0, 0, x, z, t)
            if n & _SPREAD:
                spread(t)
            if n & _ORDERED:
                order(t[_N], 0, self._words[1], x, t)
            if n & _SPECTRUM:
                spectrum.compute(z, t[_SHIFT] - 4, t[_PEAK])
                t[_DOM] = spectrum.dominant()
            n = run[i + 2]
            asked = run[i + 3]
            i += 4
            gather(i, n, run, t, vector)
            i += n + n
            other = -1
            while asked:
                op = run[i + 1]
                n = run[i + 2]
                if op == _MCROSS:
                    n = crossings(t[_MEAN4], n << 4, x, t)
                elif op == _ACORR:
                    n = ratio(dot(n, 0, z, z, t), _damped(t))
                elif op == _BAND:
                    n = lg(spectrum.band(n, run[i + 3]), spectrum.exponent(), t[_N])
                elif op == _CORR:
                    if n != other:
                        other = n
                        self._load(window, n, 2)
                        scan(0, 0, self._words[2], self._t2)
                        centre(0, 0, self._words[2], self._z2, self._t2)
                    n = ratio(dot(0, 0, z, self._z2, t), isqrt(_damped(t)) * isqrt(_damped(self._t2)))
                elif op == _SHARE:
                    n = ratio(spectrum.band(n, run[i + 3]), spectrum.total())
                elif op == _ZCROSS:
                    n = crossings(0x80000, n << 4, x, t)
                elif op == _CENTROID:
                    n = spectrum.centroid()
                elif op == _ENTROPY:
                    n = spectrum.entropy(lg)
                else:
                    n = self._peak(n, run[i + 3], op == _ACLAG)
                vector[run[i]] = n
                i += 4
                asked -= 1
        asked = run[i + 1]
        i += 2
        while asked:
            vector[run[i]] = self._angle(run[i + 1], run[i + 2], run[i + 3], run[i + 4])
            i += 5
            asked -= 1

    def _load(self, window, c, k):
        """Channel c, real or derived, into row k = 0 or 2; the rows 1 and 2 - k are work space of the derived ones."""
        rows = self._rows
        c -= self._n_channels
        if c < 0:
            window.read(c + self._n_channels, rows[k])
            return
        d = self._derived
        c *= 4
        window.read(d[c], rows[k])
        window.read(d[c + 1], rows[1])
        third = 3
        if d[c + 2] >= 0:
            third = 2 - k
            window.read(d[c + 2], rows[third])
        rows = self._words
        norm(1, 0, d[c + 3], rows[k], rows[1], rows[third], self._t)

    def _peak(self, lag, end, where):
        """Greatest autocorrelation of the lags lag..end-1, or its lag."""
        best = -_Q30
        at = lag
        while lag < end:
            v = dot(lag, 0, self._z, self._z, self._t)
            if v > best:
                best = v
                at = lag
            lag += 1
        return at if where else ratio(best, _damped(self._t))

    def _angle(self, op, c, d, e):
        out = self._t
        m = self._means
        if op == _ANGLE:
            arc(m[c], m[d], out)
        else:
            arc(m[d], m[e], out)
            arc(m[c] + (m[c] * 1325 >> 11), out[1], out)  # the first arc lengthened by 1.64676
        return out[0]

    @property
    def names(self):
        """The features in the order of the vector: "std.c0", "band3-6.c7", "corr.c0.c1"."""
        run = self._run
        names = [""] * len(self.vector)
        i = 0
        while run[i] >= 0:
            c = run[i]
            plain = run[i + 2]
            asked = run[i + 3]
            i += 4
            while plain:
                names[run[i]] = "%s.c%d" % (FEATURES[run[i + 1]], c)
                i += 2
                plain -= 1
            while asked:
                names[run[i]] = _name(run[i + 1], c, run[i + 2], run[i + 3])
                i += 4
                asked -= 1
        i += 2
        while i < len(run):
            names[run[i]] = _name(run[i + 1], run[i + 2], run[i + 3], run[i + 4])
            i += 5
        return names

    def _derive(self, at, one):
        try:
            sources = one["norm"]
            shift = one.get("shift", 0)
            if len(one) != 1 + ("shift" in one):
                raise KeyError
            if len(sources) != 2 and len(sources) != 3:
                raise KeyError
        except (KeyError, TypeError, AttributeError, IndexError):
            raise Refused("features.derived", str(at // 4))
        for i, c in enumerate(sources):
            self._derived[at + i] = _within("derived", c, 0, self._n_channels - 1)
        if len(sources) == 2:
            self._derived[at + 2] = -1
        self._derived[at + 3] = _within("derived", shift, 0, 1)


def _within(what, value, least, greatest):
    if type(value) is not int or not least <= value <= greatest:
        raise Refused("features." + what, "%s: %d..%d" % (value, least, greatest))
    return value


def _zeros(code, n):
    return array(code, [0] * n)


def _block(length, wide):
    t = _zeros("i", _SIZE)
    t[_N] = length
    t[_WIDE] = wide
    return t


def _damped(t):
    """Sum of z^2 plus 64 counts^2, in the scale of the buffer z."""
    return t[_SQUARES] + (16384 >> 2 * t[_SHIFT])


def _need(op):
    if op in (_MCROSS, _ZCROSS) or op < _MAV:
        return 0
    if op < _MAD:
        return _STEPPED
    if _STD <= op < _P5:
        return _CENTRED | _SPREAD
    if op == _MAD or op in (_ACORR, _ACPEAK, _ACLAG, _CORR):
        return _CENTRED
    if op < _DOM:
        return _ORDERED
    return _CENTRED | _SPECTRUM


def _name(op, c, a, b):
    name = FEATURES[op]
    keys = _KEYS[op - _CENTROID]
    if "d" in keys:
        name += ".c%d.c%d" % (c, a)
        return name + ".c%d" % b if op == _TILT else name
    if keys and (a or keys != "h"):
        name += str(a)
    if "lo" in keys:
        name += "-%d" % b
    return "%s.c%d" % (name, c)


def _read(i, spec, channels, length, m, blocks, late):
    """Check one spec and enter it: into the block of its channel, or among those that need several means."""
    name = spec.get("f") if isinstance(spec, dict) else None
    if name not in FEATURES:
        raise Refused("features.unknown", str(name))
    op = FEATURES.index(name)
    c = _within("channel", spec.get("c"), 0, channels - 1)
    keys = _KEYS[op - _CENTROID].split() if op >= _CENTROID else ()
    for key in spec:
        if key not in keys and key != "f" and key != "c":
            raise Refused("features.parameter", "%s.%s" % (name, key))
    a = b = 0
    if "d" in keys:
        a = _within("channel", spec.get("d"), 0, channels - 1)
        b = _within("channel", spec.get("e"), 0, channels - 1) if op == _TILT else -1
        if a == c or b == c or a == b:
            raise Refused("features.channel", name)
    elif op == _ACORR:
        a = _within("parameter", spec.get("lag"), 1, length - 1)
    elif "lo" in keys:
        b = m + 1 if op == _BAND or op == _SHARE else length
        b = _within("parameter", spec.get("hi"), 2, b)
        a = _within("parameter", spec.get("lo"), 1, b - 1)
    elif keys:
        a = _within("parameter", spec.get("h", 0), 0, 32767)
    for j in (c, a, b) if op >= _ANGLE else (c,):
        if j >= 0 and j not in blocks:
            blocks[j] = []
    if op >= _ANGLE:
        late.append([i, op, c, a, b])
    else:
        blocks[c].append([i, op, a, b])
