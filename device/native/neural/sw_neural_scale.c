/* Scales without floats: what float arithmetic would give, to the last bit, and multiplying by them.
 *
 * A net's scales are float32; TFLite folds up to three of them, in float64, into one multiplier m * 2**shift with 31
 * bits of m. Scales are handed around as the bits of their float32.
 */
enum { ONE = 0x3F800000, SIX = 0x40C00000 };

typedef struct {
    int32_t m, shift;
} sw_multiplier;

/* Is it a positive float32 that no operator here can take out of range? */
static int scale_is_usable(uint32_t bits) {
    uint32_t exponent = bits >> 23;
    return exponent >= 27 && exponent <= 227;
}

/* The 24 bits of a float32, of which 150 - exponent are behind the point; 0 for 0. */
static uint32_t fraction(uint32_t bits) {
    return bits ? (bits & 0x7FFFFF) | 0x800000 : 0;
}

static int32_t exponent(uint32_t bits) {
    return (int32_t)(bits >> 23 & 255) - 150;
}

/* a shifted left until bit 52 is set, *e less by as much; a is not 0 and below 2**53. */
static uint64_t full(uint64_t a, int32_t *e) {
    while (!(a >> 52)) {
        a <<= 1;
        --*e;
    }
    return a;
}

/* a * b / c as float arithmetic rounds it, ties to even, to 53 bits (or 24, narrow): returns those, *e: 2**e each.
 * a * b is exact in float64. c is not 0.
 */
static uint64_t quotient(uint32_t a, uint32_t b, uint32_t c, int32_t narrow, int32_t *e) {
    uint64_t rest = (uint64_t)fraction(a) * fraction(b);
    if (!rest) {
        return 0;
    }
    int32_t e_over = exponent(a) + exponent(b);
    int32_t e_under = exponent(c);
    rest = full(rest, &e_over);
    uint64_t by = full(fraction(c), &e_under);
    int32_t bits = narrow ? 24 : 53;
    *e = e_over - e_under - bits + 1;
    if (rest < by) {
        rest <<= 1;
        --*e;
    }
    uint64_t q = 0;
    for (int32_t i = 0; i <= bits; i++) {
        q <<= 1;
        if (rest >= by) {
            rest -= by;
            q |= 1;
        }
        rest <<= 1;
    }
    return (q >> 1) + (q & 1 && (rest || q & 2));
}

/* a * b / c * 2**more. m has 31 bits, or is 0 where that is 0 or below 2**-32; shift is -31 or more. */
static sw_multiplier fold(uint32_t a, uint32_t b, uint32_t c, int32_t more) {
    sw_multiplier by = {0, 0};
    int32_t e = 0;
    uint64_t q = quotient(a, b, c, 0, &e);
    if (q) {
        uint32_t m = (uint32_t)((q + (1 << 21)) >> 22);
        by.shift = e + 53 + more;
        if (m >> 31) {
            m >>= 1;
            by.shift++;
        }
        by.m = (int32_t)m;
        if (by.shift < -31) {
            by.m = by.shift = 0;
        }
    }
    return by;
}

/* The integer nearest to the float32 a / c, halves away from zero, at most 2**30. */
static int32_t nearest(uint32_t a, uint32_t c) {
    int32_t e = 0;
    uint32_t q = (uint32_t)quotient(a, ONE, c, 1, &e); /* 24 bits, or 2**24 */
    if (e > 5) {
        return 1 << 30;
    }
    if (e >= 0) {
        return (int32_t)(q << e);
    }
    return e < -25 ? 0 : (int32_t)(((q >> (-e - 1)) + 1) >> 1);
}

/* The bits of the float32 a * value; ties to even. */
static uint32_t product(uint32_t a, int32_t value) {
    uint64_t m = (uint64_t)fraction(a) * (uint32_t)(value < 0 ? -value : value);
    if (!m) {
        return 0;
    }
    int32_t e = exponent(a);
    m = full(m, &e);
    uint32_t rest = (uint32_t)m & 0x1FFFFFFF;
    uint32_t top = (uint32_t)(m >> 29);
    top += rest > 0x10000000 || (rest == 0x10000000 && top & 1);
    /* rounded up to 2**24, the bit carries into the exponent */
    return (value < 0 ? 0x80000000 : 0) + ((uint32_t)(e + 29 + 149) << 23) + top;
}

/* floor(a / b) where that has 32 bits. */
static uint32_t quotient64(uint64_t a, uint32_t b) {
    uint64_t rest = 0;
    uint32_t q = 0;
    for (int32_t i = 0; i < 64; i++) {
        rest = rest << 1 | a >> 63;
        a <<= 1;
        q <<= 1;
        if (rest >= b) {
            rest -= b;
            q |= 1;
        }
    }
    return q;
}

/* a * b / 2**31, rounded to nearest, halves up. */
static int32_t times31(int32_t a, int32_t b) {
    return (int32_t)(((int64_t)a * b + (1 << 30)) >> 31);
}

/* x / 2**bits, rounded to nearest, halves away from zero; bits 0..31. */
static int32_t halved(int32_t x, int32_t bits) {
    int32_t mask = (int32_t)(((uint32_t)1 << bits) - 1);
    return (x >> bits) + ((x & mask) > (mask >> 1) + (x < 0));
}

/* x * m * 2**shift, rounded twice, as the specification has it. */
static int32_t scaled(int32_t x, int32_t m, int32_t shift) {
    if (shift > 0) {
        return times31((int32_t)((uint32_t)x << shift), m);
    }
    return halved(times31(x, m), -shift);
}

static int32_t clamped(int32_t x, int32_t low, int32_t high) {
    return x < low ? low : x > high ? high : x;
}
