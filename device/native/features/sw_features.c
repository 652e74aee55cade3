/* One window of int16 samples -> one int16 vector. See sw_features.h; must not know of MicroPython.
 *
 * Work space: [transform, int32[2M + 1] = rows b and c][means, int32[channels]][x, int16[n]][z, int16[2M or n]]
 * Rows b and c (sources of derived channels, the sorted window, corr's other channel) are needed only before or after
 * the transform: they share its memory.
 */
#include "sw_features.h"

/* clang-format off */
enum { /* opcodes: the place in FEATURES; the first ones are slots of the block `t` */
    MEAN, AMEAN, MIN, MAX, RANGE, HALF, MAV, JERK, JMAX, MAD, STD, RMS, ENERGY, P5, P10, P25, P50, P75, P90, P95, IQR,
    SKEW, DOM, CENTROID, ENTROPY, MCROSS, ZCROSS, ACORR, ACPEAK, ACLAG, BAND, SHARE, CORR, ANGLE, TILT
};
enum { CENTRED = 1, ORDERED = 2, SPECTRUM = 4, STEPPED = 8, PAIRED = 16, SPREAD = 32 }; /* stages of a channel */
/* clang-format on */

/* What the kernels of one channel tell each other. */
typedef struct {
    int32_t mean4;   /* mean + 32768 counts, Q4 */
    int32_t peak4;   /* greatest |x - mean|, Q4 */
    int32_t shift;   /* z = (x - mean) * 2**(4 - shift) */
    int32_t peak;    /* greatest |z|, <= 2047 */
    int32_t squares; /* sum of z^2, < 2**30 */
} state;

/* The spectrum: P[k] = p[2 k] * 2**exponent */
typedef struct {
    int32_t m; /* half the transform length */
    int32_t exponent;
    int32_t total;
    int32_t dominant;
} spectrum;

/* round(32768 * sin(pi i / 128)) */
static const uint16_t quarter[65] = {
    0,     804,   1608,  2411,  3212,  4011,  4808,  5602,  6393,  7180,  7962,  8740,  9512,
    10279, 11039, 11793, 12540, 13279, 14010, 14733, 15447, 16151, 16846, 17531, 18205, 18868,
    19520, 20160, 20788, 21403, 22006, 22595, 23170, 23732, 24279, 24812, 25330, 25833, 26320,
    26791, 27246, 27684, 28106, 28511, 28899, 29269, 29622, 29957, 30274, 30572, 30853, 31114,
    31357, 31581, 31786, 31972, 32138, 32286, 32413, 32522, 32610, 32679, 32729, 32758, 32768,
};
/* round(2**17 / pi * atan(2**-i)): 2**17 is 180 degrees */
static const uint16_t arcs[14] = {32768, 19344, 10221, 5188, 2604, 1303, 652, 326, 163, 81, 41, 20, 10, 5};
static const uint8_t quantiles[7] = {5, 10, 25, 50, 75, 90, 95};

/* The stages that each feature takes */
static const uint8_t stages[ANGLE] = {
    [MAV] = STEPPED,
    [JERK] = STEPPED,
    [JMAX] = STEPPED,
    [MAD] = CENTRED,
    [STD] = CENTRED | SPREAD,
    [RMS] = CENTRED | SPREAD,
    [ENERGY] = CENTRED | SPREAD,
    [P5] = ORDERED,
    [P10] = ORDERED,
    [P25] = ORDERED,
    [P50] = ORDERED,
    [P75] = ORDERED,
    [P90] = ORDERED,
    [P95] = ORDERED,
    [IQR] = ORDERED,
    [SKEW] = ORDERED,
    [DOM] = CENTRED | SPECTRUM,
    [CENTROID] = CENTRED | SPECTRUM,
    [ENTROPY] = CENTRED | SPECTRUM,
    [ACORR] = CENTRED,
    [ACPEAK] = CENTRED,
    [ACLAG] = CENTRED,
    [BAND] = CENTRED | SPECTRUM,
    [SHARE] = CENTRED | SPECTRUM,
    [CORR] = CENTRED | PAIRED,
};

static int32_t magnitude(int32_t v) {
    return v < 0 ? -v : v;
}

/* floor(sqrt(v)), 0 <= v < 2**30 */
static int32_t root(int32_t v) {
    int32_t r = 0;
    for (int32_t b = 1 << 28; b; b >>= 2) {
        if (v >= r + b) {
            v -= r + b;
            r = (r >> 1) + b;
        } else {
            r >>= 1;
        }
    }
    return r;
}

/* How far to shift v, 1 <= v < 2**30, to have its highest bit at 29 */
static int32_t headroom(int32_t v) {
    int32_t n = 0;
    for (int32_t step = 16, top = 14; step; step >>= 1, top = 30 - step) {
        if (v < (int32_t)1 << top) {
            v <<= step;
            n += step;
        }
    }
    return n;
}

/* 256 * log2(1 + m * 2**e / n), 0 <= m < 2**30, 1 <= n <= 256 */
static int32_t lg(int32_t m, int32_t e, int32_t n) {
    if (m == 0) {
        return 0;
    }
    int32_t up = headroom(m);
    m <<= up;
    e -= up;
    if (n != 1) {
        m /= n;
        up = headroom(m);
        m <<= up;
        e -= up;
    }
    if (e < -29) { /* less than one: the value, not the one, is shifted */
        if (e < -59) {
            return 0;
        }
        m >>= -29 - e;
        e = -29;
    }
    if (e <= 0) {
        m += (int32_t)1 << -e;
    }
    e += 15 + 14;
    uint32_t u = (uint32_t)m >> 15;
    uint32_t bit = u >> 15;
    u >>= bit;
    e += (int32_t)bit;
    for (n = 9; n; n--) { /* one bit of the logarithm for each squaring */
        u = (u * u) >> 14;
        bit = u >> 15;
        u >>= bit;
        e += e + (int32_t)bit;
    }
    return (e + 1) >> 1;
}

/* a / b in Q14 for |a| <= b < 2**30 (clamped to +-1); 0 for b = 0 */
static int32_t ratio(int32_t a, int32_t b) {
    int32_t v = magnitude(a);
    while (b >= 0x10000) {
        b >>= 1;
        v >>= 1;
    }
    if (b == 0) {
        return 0;
    }
    if (v > b) {
        v = b;
    }
    v = ((v << 14) + (b >> 1)) / b;
    return a < 0 ? -v : v;
}

/* atan2(y, x) in 1/100 degree, *size = 1.64676 * hypot(x, y); |x|, |y| < 2**20. CORDIC, 14 steps. */
static int32_t arc(int32_t x, int32_t y, int32_t *size) {
    int32_t turn = 0;
    int32_t up = 0;
    if (x < 0) { /* half a turn first */
        turn = y < 0 ? -0x20000 : 0x20000;
        x = -x;
        y = -y;
    }
    if (x || y) {
        while (x < 0x1000000 && -0x1000000 < y && y < 0x1000000) {
            x += x;
            y += y;
            up++;
        }
        for (int32_t i = 0; i < 14; i++) {
            int32_t d = x >> i;
            if (y < 0) {
                x -= y >> i;
                y += d;
                turn -= arcs[i];
            } else {
                x += y >> i;
                y -= d;
                turn += arcs[i];
            }
        }
    }
    *size = x >> up;
    return (turn * 1125 + 4096) >> 13;
}

/* mean amean min max range half */
static void scan(const int16_t *x, int32_t n, state *s, int32_t *t) {
    int32_t half = n >> 1;
    int32_t lo = 0x7FFF;
    int32_t hi = -0x8000;
    int32_t total = 0;
    int32_t first = 0;
    const int16_t *end = x + half;
    for (;;) {
        do {
            int32_t v = *x++;
            total += v;
            if (v > hi) {
                hi = v;
            }
            if (v < lo) {
                lo = v;
            }
        } while (x != end);
        if (half == 0) {
            break;
        }
        first = total + (half << 15); /* sums of counts + 32768 */
        end += n - half;
        half = 0;
    }
    half = n >> 1;
    total += n << 15;
    lo += 0x8000;
    hi += 0x8000;
    int32_t v = (total + total + n) / (n + n) - 0x8000;
    t[MEAN] = v;
    t[AMEAN] = magnitude(v);
    t[MIN] = lo - 0x8000;
    t[MAX] = hi - 0x8000;
    t[RANGE] = hi - lo;
    t[HALF] = (((total - first) << 4) / (n - half) - (first << 4) / half + 8) >> 4;
    v = ((total << 5) + n) / (n + n);
    s->mean4 = v;
    lo = v - (lo << 4);
    hi = (hi << 4) - v;
    s->peak4 = lo > hi ? lo : hi;
}

/* mav jerk jmax */
static void steps(const int16_t *x, int32_t n, int32_t *t) {
    const int16_t *end = x + n;
    int32_t last = x[0];
    int32_t mav = 0;
    int32_t jerk = 0;
    int32_t jmax = 0;
    do {
        int32_t v = *x++;
        int32_t u = magnitude(v - last);
        last = v;
        jerk += u;
        if (u > jmax) {
            jmax = u;
        }
        mav += magnitude(v);
    } while (x != end);
    t[JMAX] = jmax;
    t[MAV] = (mav + mav + n) / (n + n);
    n--;
    t[JERK] = (jerk + jerk + n) / (n + n);
}

/* After `scan`: z, |z| <= 2047, and mad. z may be x. */
static void centre(const int16_t *x, int16_t *z, int32_t n, state *s, int32_t *t) {
    int32_t shift = 0;
    int32_t round = 0;
    while ((s->peak4 + round) >> shift > 2047) {
        shift++;
        round = (int32_t)1 << (shift - 1);
    }
    s->shift = shift;
    s->peak = (s->peak4 + round) >> shift;
    int32_t mean = s->mean4 - (0x8000 << 4);
    int32_t mad = 0;
    int32_t squares = 0;
    const int16_t *end = x + n;
    do {
        int32_t u = *x++ * 16 - mean;
        int32_t v = (u + round) >> shift;
        *z++ = (int16_t)v;
        squares += v * v;
        mad += magnitude(u);
    } while (x != end);
    s->squares = squares;
    t[MAD] = (mad / n + 8) >> 4;
}

/* After `centre`: std rms energy */
static void spread(int32_t n, const state *s, int32_t *t) {
    int32_t u = s->squares / n;
    int32_t v = (u << 8) + ((s->squares - u * n) << 8) / n; /* mean square, Q8 of z */
    t[ENERGY] = lg(v, 2 * s->shift - 16, 1);
    v = root(v); /* deviation, Q4 of z */
    v = ((v << s->shift >> 7) + 1) >> 1;
    if (v > 0x7FFF) {
        v = 0x7FFF;
    }
    t[STD] = v;
    u = t[AMEAN];
    if (u > 0x7FFF) {
        u = 0x7FFF;
    }
    if (u + v < 0x7FFF) {
        t[RMS] = root(u * u + v * v);
    } else { /* the sum of squares must stay below 2**30 */
        t[RMS] = root((u * u >> 2) + (v * v >> 2)) << 1;
    }
}

/* x sorted into s (Shell's sort); p5 ... p95, iqr, skew */
static void order(const int16_t *x, int16_t *s, int32_t n, int32_t *t) {
    for (int32_t i = 0; i < n; i++) {
        s[i] = x[i];
    }
    for (int32_t gap = n; gap > 1;) {
        gap = gap * 5 / 11;
        if (gap < 1) {
            gap = 1;
        }
        for (int32_t i = gap; i < n; i++) {
            int16_t v = s[i];
            int32_t j = i;
            for (; j >= gap && s[j - gap] > v; j -= gap) {
                s[j] = s[j - gap];
            }
            s[j] = v;
        }
    }
    for (int32_t i = 0; i < 7; i++) {
        t[P5 + i] = s[(quantiles[i] * (n - 1) + 50) / 100];
    }
    t[IQR] = t[P75] - t[P25];
    t[SKEW] = t[P90] + t[P10] - 2 * t[P50];
}

/* Times that x goes above level + h or to level - h and below, by turns; level, h: Q4 */
static int32_t crossings(const int16_t *x, int32_t n, int32_t level, int32_t h) {
    const int16_t *end = x + n;
    int32_t count = 0;
    /* 16 x > level is x > floor(level / 16); 16 x <= level is the same, not met */
    int32_t above = (level + h) >> 4;
    int32_t below = (level - h) >> 4;
    if (*x > level >> 4) {
        goto high;
    }
low:
    for (; x != end; x++) {
        if (*x > above) {
            count++;
            goto high;
        }
    }
    return count;
high:
    for (; x != end; x++) {
        if (*x <= below) {
            count++;
            goto low;
        }
    }
    return count;
}

/* Sum of a[i] b[i], i < n; a and b as `centre` made them: below 2**30 in size */
static int32_t dot(const int16_t *a, const int16_t *b, int32_t n) {
    int32_t total = 0;
    const int16_t *end = a + n;
    do {
        total += *a++ * *b++;
    } while (a != end);
    return total;
}

/* a becomes sqrt(a^2 + b^2 + c^2) (shift 0, saturated) or half of it (1); Newton from the last root. c: or NULL */
static void norm(int16_t *a, const int16_t *b, const int16_t *c, int32_t n, int32_t shift) {
    int32_t r = 1;
    int32_t w = 0;
    const int16_t *end = a + n;
    do {
        int32_t u = *a * *a;
        int32_t v = *b * *b;
        b++;
        if (c) {
            w = *c * *c;
            c++;
        }
        int32_t s = (u >> 2) + (v >> 2) + (w >> 2);
        if (shift == 0) {
            if (s < 0x10000000) {
                s = u + v + w;
            } else {
                s = 0x3FFFFFFF;
            }
            if (s > 0x3FFFFFFF) {
                s = 0x3FFFFFFF;
            }
        }
        u = 0;
        if (s) {
            v = s / r;
            do {
                u = (r + v) >> 1;
                r = u;
                v = s / u;
            } while (v < u);
        }
        *a++ = (int16_t)u;
    } while (a != end);
}

/* ---- spectrum ---- */

/* z: int16[2M] as `centre` made it, zeros after the last; peak: greatest |z| <= 2047; counts = z * 2**exponent.
 * c: int32[2M + 1], complex numbers side by side, then p in every second word.
 */
static void power(const int16_t *z, int32_t *c, int32_t peak, int32_t exponent, spectrum *f) {
    int32_t m = f->m;
    int32_t up = 0;
    if (peak) {
        while (peak < 4096) { /* use the whole range: input below 2**13 */
            peak <<= 1;
            up++;
        }
    }
    exponent += 1 - up; /* the second stage halves */
    if (up) {
        up--;
    }
    /* Two stages at once, whose factors are +-1 and +-j, from bit-reversed places. Exact: up was at least 2. */
    int32_t scale = (int32_t)1 << up;
    int32_t acc = 0;
    int32_t *end = c + 2 * m;
    int32_t j = 0;
    for (int32_t *p = c; p != end; p += 8) {
        const int16_t *s = z + j;
        int32_t ar = s[0] + s[m];
        int32_t br = s[0] - s[m];
        int32_t ai = s[1] + s[m + 1];
        int32_t bi = s[1] - s[m + 1];
        s += m >> 1;
        int32_t cr = s[0] + s[m];
        int32_t dr = s[0] - s[m];
        int32_t ci = s[1] + s[m + 1];
        int32_t di = s[1] - s[m + 1];
        acc |= (p[0] = (ar + cr) * scale) + 8192;
        acc |= (p[1] = (ai + ci) * scale) + 8192;
        acc |= (p[4] = (ar - cr) * scale) + 8192;
        acc |= (p[5] = (ai - ci) * scale) + 8192;
        acc |= (p[2] = (br + di) * scale) + 8192;
        acc |= (p[3] = (bi - dr) * scale) + 8192;
        acc |= (p[6] = (br - di) * scale) + 8192;
        acc |= (p[7] = (bi + dr) * scale) + 8192;
        int32_t bit = m >> 2; /* the next even place below M / 2, bits reversed */
        while (j & bit) {
            j ^= bit;
            bit >>= 1;
        }
        j |= bit;
    }
    for (int32_t half = 4; half < m; half += half) {
        up = 15;
        if (acc >> 14) { /* some component is outside -2**13 .. 2**13 - 1 */
            up = 16;
            exponent++;
        }
        int32_t round = (int32_t)1 << (up - 1);
        acc = 0;
        const uint16_t *sin = quarter;
        const uint16_t *cos = quarter + 64;
        int32_t step = 128 / half;
        for (int32_t *start = c; start != c + half; start += 2) {
            int32_t wr = *cos;
            int32_t wi = *sin;
            cos -= step;
            sin += step;
            int32_t *p = start;
            do {
                int32_t *q = p + 2 * half;
                int32_t v = q[0];
                int32_t w = q[1];
                int32_t br = v * wr + w * wi;
                int32_t bi = w * wr - v * wi;
                int32_t a = p[0] * 32768 + round;
                acc |= (p[0] = (a + br) >> up) + 8192;
                acc |= (q[0] = (a - br) >> up) + 8192;
                a = p[1] * 32768 + round;
                acc |= (p[1] = (a + bi) >> up) + 8192;
                acc |= (q[1] = (a - bi) >> up) + 8192;
                /* the same a quarter of a turn on: factors (-wi, wr) */
                p += half;
                q += half;
                v = q[0];
                w = q[1];
                br = w * wr - v * wi;
                bi = v * wr + w * wi;
                a = p[0] * 32768 + round;
                acc |= (p[0] = (a + br) >> up) + 8192;
                acc |= (q[0] = (a - br) >> up) + 8192;
                a = p[1] * 32768 + round;
                acc |= (p[1] = (a - bi) >> up) + 8192;
                acc |= (q[1] = (a + bi) >> up) + 8192;
                p += 3 * half;
            } while (p < end);
        }
    }
    up = 1;
    if (acc >> 14) {
        up = 2;
        exponent++;
    }
    int32_t v = (c[0] - c[1] + up - 1) >> (up - 1);
    int32_t last = v * v;
    c[0] = 0;
    c[2 * m] = last;
    uint64_t sum = (uint32_t)last;
    int32_t low = 0;
    int32_t high = 0;
    int32_t at_low = 0;
    int32_t at_high = 0;
    const uint16_t *sin = quarter;
    const uint16_t *cos = quarter + 64;
    int32_t step = 128 / m;
    int32_t *p = c + 2;
    int32_t *q = end - 2;
    for (int32_t i = 1;; i++) { /* 2 X[i] = E + T, 2 X[M - i] = conj(E - T) */
        sin += step;
        cos -= step;
        int32_t wi = *sin;
        int32_t wr = *cos;
        int32_t a = p[0] - q[0];
        int32_t b = p[1] + q[1];
        int32_t er = p[0] + q[0] + up;
        int32_t ei = p[1] - q[1] + up;
        int32_t tr = (wr * b - wi * a + 16384) >> 15;
        int32_t ti = (16384 - wi * b - wr * a) >> 15;
        a = (er - tr) >> up;
        b = (ei - ti) >> up;
        v = a * a + b * b;
        q[0] = v;
        sum += (uint32_t)v;
        if (p == q) {
            if (v > low) {
                low = v;
                at_low = i;
            }
            break;
        }
        if (v >= high) {
            high = v;
            at_high = m - i;
        }
        a = (er + tr) >> up;
        b = (ei + ti) >> up;
        v = a * a + b * b;
        p[0] = v;
        sum += (uint32_t)v;
        if (v > low) {
            low = v;
            at_low = i;
        }
        p += 2;
        q -= 2;
    }
    if (high > low) {
        low = high;
        at_low = at_high;
    }
    f->dominant = last > low ? m : at_low;
    up = 0;
    for (v = (int32_t)(sum >> 6); v >= 0x800000; v >>= 1) {
        up++;
    }
    f->exponent = 2 * exponent + up;
    f->total = (int32_t)sum;
    if (up) {
        v = 0;
        for (p = c + 2; p <= end; p += 2) {
            *p >>= up;
            v += *p;
        }
        f->total = v;
    }
}

/* Sum of p[lo..hi-1], < 2**30 */
static int32_t band(const int32_t *p, int32_t lo, int32_t hi) {
    int32_t total = 0;
    const int32_t *end = p + 2 * hi;
    p += 2 * lo;
    do {
        total += *p;
        p += 2;
    } while (p != end);
    return total;
}

/* Sum k p[k] / sum p[k] in bins, Q7 */
static int32_t centroid(const int32_t *p, const spectrum *f) {
    int32_t up = 0;
    for (int32_t v = f->total; v >= 0x400000; v >>= 1) {
        up++;
    }
    int32_t total = 0;
    int32_t moment = 0;
    for (int32_t i = f->m; i; i--) {
        int32_t v = p[2 * i] >> up;
        total += v;
        moment += v * i;
    }
    if (total == 0) {
        return 0;
    }
    int32_t v = moment / total;
    return (v << 7) + ((moment - v * total) << 7) / total;
}

/* - sum q log2 q with q = p[k] / sum p, in bits, Q8 */
static int32_t entropy(const int32_t *p, const spectrum *f) {
    int32_t up = 0;
    for (int32_t v = f->total; v >= 0x20000; v >>= 1) {
        up++;
    }
    int32_t total = 0;
    int32_t logs = 0;
    for (int32_t i = f->m; i; i--) {
        int32_t v = p[2 * i] >> up;
        if (v) {
            total += v;
            logs += v * lg(v - 1, 0, 1);
        }
    }
    if (total == 0) {
        return 0;
    }
    int32_t v = lg(total - 1, 0, 1) - logs / total;
    return v < 0 ? 0 : v;
}

/* ---- a window ---- */

static int32_t transform_half(int32_t length) {
    int32_t m = 4;
    while (m + m < length) {
        m += m;
    }
    return m;
}

/* The stages that a channel takes: run at its start */
static int32_t all_stages(const int16_t *run) {
    int32_t all = 0;
    int32_t plain = run[2];
    int32_t asked = run[3];
    for (run += 5; plain; plain--, run += 2) {
        all |= stages[*run];
    }
    for (; asked; asked--, run += 4) {
        all |= stages[*run];
    }
    return all;
}

/* Sum of z^2 plus 64 counts^2, in the scale of z */
static int32_t damped(const state *s) {
    return s->squares + (16384 >> 2 * s->shift);
}

static void read_channel(const sw_program *program, const sw_window *window, int32_t channel, int16_t *x) {
    int32_t n = program->length;
    if (window->rows == NULL) {
        window->read(window->context, channel, x, n);
        return;
    }
    int32_t stride = program->n_channels;
    const int16_t *from = window->rows + channel;
    const int16_t *at = from + window->oldest * stride;
    int16_t *turn = x + (n - window->oldest);
    int16_t *end = x + n;
    for (;;) {
        do {
            *x++ = *at;
            at += stride;
        } while (x != turn);
        if (x == end) {
            return;
        }
        at = from;
        turn = end;
    }
}

/* A channel, real or derived, into x; b and c: work space of the derived ones */
static void load(
    const sw_program *program, const sw_window *window, int32_t channel, int16_t *x, int16_t *b, int16_t *c) {
    if (channel < program->n_channels) {
        read_channel(program, window, channel, x);
        return;
    }
    const int8_t *d = program->derived + 4 * (channel - program->n_channels);
    read_channel(program, window, d[0], x);
    read_channel(program, window, d[1], b);
    if (d[2] < 0) {
        c = NULL;
    } else {
        read_channel(program, window, d[2], c);
    }
    norm(x, b, c, program->length, d[3]);
}

void sw_features_compute(const sw_program *program, const sw_window *window, void *work, int16_t *vector) {
    const int16_t *run = program->run;
    int32_t n = program->length;
    int32_t *p = work;
    int32_t *means = p + program->transform_words;
    int16_t *x = (int16_t *)(means + program->mean_words);
    int16_t *z = x + n;
    int16_t *row_b = (int16_t *)p;
    int16_t *row_c = row_b + n;
    state s;
    state other;
    spectrum f;
    int32_t t[CENTROID];
    for (int32_t i = 0; i < program->mean_words; i++) {
        means[i] = 0;
    }
    f.m = transform_half(n);
    f.exponent = f.total = f.dominant = 0;
    while (run[0] >= 0) {
        load(program, window, run[0], x, row_b, row_c);
        scan(x, n, &s, t);
        if (program->mean_words) {
            means[run[0]] = s.mean4 - 0x80000;
        }
        int32_t need = all_stages(run);
        if (need & STEPPED) {
            steps(x, n, t);
        }
        if (need & CENTRED) {
            centre(x, z, n, &s, t);
        }
        if (need & SPREAD) {
            spread(n, &s, t);
        }
        if (need & ORDERED) {
            order(x, row_b, n, t);
        }
        if (need & SPECTRUM) {
            for (int32_t i = n; i < 2 * f.m; i++) {
                z[i] = 0;
            }
            power(z, p, s.peak, s.shift - 4, &f);
            t[DOM] = f.dominant;
        }
        int32_t plain = run[2];
        int32_t asked = run[3];
        run += 4;
        for (; plain; plain--, run += 2) {
            int32_t v = t[run[1]];
            vector[run[0]] = (int16_t)(v > 0x7FFF ? 0x7FFF : v < -0x8000 ? -0x8000 : v);
        }
        int32_t paired = -1;
        for (; asked; asked--, run += 4) {
            int32_t a = run[2];
            int32_t b = run[3];
            int32_t v;
            switch (run[1]) {
                case CENTROID:
                    v = centroid(p, &f);
                    break;
                case ENTROPY:
                    v = entropy(p, &f);
                    break;
                case MCROSS:
                    v = crossings(x, n, s.mean4 - 0x80000, a << 4);
                    break;
                case ZCROSS:
                    v = crossings(x, n, 0, a << 4);
                    break;
                case ACORR:
                    v = ratio(dot(z + a, z, n - a), damped(&s));
                    break;
                case BAND:
                    v = lg(band(p, a, b), f.exponent, n);
                    break;
                case SHARE:
                    v = ratio(band(p, a, b), f.total);
                    break;
                case CORR:
                    if (a != paired) {
                        paired = a;
                        load(program, window, a, row_c, row_b, x);
                        scan(row_c, n, &other, t);
                        centre(row_c, row_c, n, &other, t);
                    }
                    v = ratio(dot(z, row_c, n), root(damped(&s)) * root(damped(&other)));
                    break;
                default: { /* ACPEAK, ACLAG */
                    int32_t best = -0x3FFFFFFF;
                    int32_t at = a;
                    for (; a < b; a++) {
                        v = dot(z + a, z, n - a);
                        if (v > best) {
                            best = v;
                            at = a;
                        }
                    }
                    v = run[1] == ACLAG ? at : ratio(best, damped(&s));
                }
            }
            vector[run[0]] = (int16_t)v;
        }
    }
    int32_t late = run[1];
    for (run += 2; late; late--, run += 5) {
        int32_t x0 = means[run[2]];
        int32_t y = means[run[3]];
        if (run[1] == TILT) {
            arc(y, means[run[4]], &y);
            x0 += x0 * 1325 >> 11; /* as the first arc was lengthened, by 1.64676 */
        }
        int32_t size;
        vector[run[0]] = (int16_t)arc(x0, y, &size);
    }
}

/* Is v not one of 0..n-1? */
static int outside(int32_t v, int32_t n) {
    return (uint32_t)v >= (uint32_t)n;
}

/* Are the parameters of the feature `op` safe on a window of n samples? */
static int fits(int32_t op, int32_t a, int32_t b, int32_t n, int32_t channels) {
    switch (op) {
        case CENTROID:
        case ENTROPY:
            return 1;
        case MCROSS:
        case ZCROSS:
            return a >= 0;
        case ACORR:
            return !outside(a, n);
        case ACPEAK:
        case ACLAG:
            break;
        case BAND:
        case SHARE:
            n = transform_half(n) + 1;
            break;
        case CORR:
            return !outside(a, channels);
        default:
            return 0;
    }
    return a > 0 && a < b && b <= n;
}

int32_t sw_features_plan(sw_program *program, int32_t run_items, int32_t n_derived, int32_t n_vector) {
    const int16_t *run = program->run;
    const int16_t *end = run + run_items;
    int32_t n = program->length;
    int32_t real = program->n_channels;
    int32_t channels = real + n_derived;
    if (outside(n - 2, 255) || outside(real - 1, 64) || outside(n_derived, 17)) {
        return 0;
    }
    for (const int8_t *d = program->derived, *last = d + 4 * n_derived; d != last; d += 4) {
        if (outside(d[0], real) || outside(d[1], real) || outside(d[2] + 1, real + 1) || outside(d[3], 2)) {
            return 0;
        }
    }
    int32_t groups = 0;
    for (;;) {
        if (end - run < 2) {
            return 0;
        }
        if (run[0] < 0) {
            break;
        }
        if (end - run < 4 || run[0] >= channels) {
            return 0;
        }
        int32_t plain = run[2];
        int32_t asked = run[3];
        if (plain < 0 || asked < 0 || end - run < 4 + 2 * plain + 4 * asked) {
            return 0;
        }
        const int16_t *block = run;
        run += 4;
        for (; plain; plain--, run += 2) {
            if (outside(run[0], n_vector) || outside(run[1], CENTROID)) {
                return 0;
            }
        }
        int32_t before = 0; /* in ascending order: corr uses what the others need */
        for (; asked; asked--, run += 4) {
            if (outside(run[0], n_vector) || run[1] < before || !fits(run[1], run[2], run[3], n, channels)) {
                return 0;
            }
            before = run[1];
        }
        groups |= all_stages(block);
    }
    int32_t late = run[1];
    run += 2;
    if (late < 0 || end - run != 5 * late) {
        return 0;
    }
    program->mean_words = late ? channels : 0;
    for (; late; late--, run += 5) {
        if (outside(run[0], n_vector) || outside(run[1] - ANGLE, 2)) {
            return 0;
        }
        for (int32_t i = 2; i < run[1] - ANGLE + 4; i++) {
            if (outside(run[i], channels)) {
                return 0;
            }
        }
    }
    int32_t rows = n; /* x and z */
    program->transform_words = 0;
    if (n_derived || (groups & (ORDERED | PAIRED))) {
        program->transform_words = n;
    }
    if (groups & SPECTRUM) {
        int32_t m = transform_half(n);
        program->transform_words = 2 * m + 1;
        rows += 2 * m;
    } else if (groups & CENTRED) {
        rows += n;
    }
    return 4 * (program->transform_words + program->mean_words) + 2 * rows;
}
