/* See sw_p256.h. Numbers are eight 32-bit words, lowest first; modulo a prime they are kept as a * 2^256
 * (Montgomery's form), always below the prime.
 */
#include "sw_p256.h"

enum { WORDS = 8 };

/* A prime m, then 2^512 modulo m, then -1 / m modulo 2^32 */
enum { SQUARE = WORDS, MINUS_INVERSE = 2 * WORDS };

static const uint32_t field[] = {
    0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0x00000000, 0x00000000, 0x00000000, 0x00000001, 0xFFFFFFFF,
    0x00000003, 0x00000000, 0xFFFFFFFF, 0xFFFFFFFB, 0xFFFFFFFE, 0xFFFFFFFF, 0xFFFFFFFD, 0x00000004,
    0x00000001,
};

static const uint32_t order[] = {
    0xFC632551, 0xF3B9CAC2, 0xA7179E84, 0xBCE6FAAD, 0xFFFFFFFF, 0xFFFFFFFF, 0x00000000, 0xFFFFFFFF,
    0xBE79EEA2, 0x83244C95, 0x49BD6FA6, 0x4699799C, 0x2B6BEC59, 0x2845B239, 0xF3D95620, 0x66E12D94,
    0xEE00BC4F,
};

/* FIPS 186-4, D.1.2.3: the generator, x and y; the curve's b */
static const uint32_t generator[] = {
    0xD898C296, 0xF4A13945, 0x2DEB33A0, 0x77037D81, 0x63A440F2, 0xF8BCE6E5, 0xE12C4247, 0x6B17D1F2,
    0x37BF51F5, 0xCBB64068, 0x6B315ECE, 0x2BCE3357, 0x7C0F9E16, 0x8EE7EB4A, 0xFE1A7F9B, 0x4FE342E2,
};

static const uint32_t coefficient_b[] = {
    0x27D2604B, 0x3BCE3C3E, 0xCC53B0F6, 0x651D06B0, 0x769886BC, 0xB3EBBD55, 0xAA3A93E7, 0x5AC635D8,
};

/* ---- DER ---- */

int32_t sw_p256_parse(const uint8_t *der, size_t bytes, uint8_t *rs) {
    /* lengths of more than one byte: no sound number needs them */
    if (bytes < 8 || bytes > 129 || der[0] != 0x30 || der[1] != bytes - 2) {
        return SW_P256_DER;
    }
    int32_t verdict = SW_P256_VALID;
    size_t at = 2;
    for (int32_t number = SW_P256_R; number <= SW_P256_S; number++) {
        if (bytes - at < 3 || der[at] != 2) {
            return SW_P256_DER;
        }
        size_t size = der[at + 1];
        at += 2;
        if (size == 0 || size > bytes - at) {
            return SW_P256_DER;
        }
        uint8_t first = der[at];
        if (size > 1 && (first == 0 || first == 255) && first >> 7 == der[at + 1] >> 7) {
            return SW_P256_DER;
        }
        size_t end = at + size;
        size -= first == 0;
        if (first > 127 || size > 32) {
            verdict = verdict ? verdict : number;
        } else {
            for (size_t i = 1; i <= 32; i++) {
                rs[32 - i] = i <= size ? der[end - i] : 0;
            }
        }
        rs += 32;
        at = end;
    }
    return at == bytes ? verdict : SW_P256_DER;
}

/* ---- numbers ---- */

static void copy(uint32_t *to, const uint32_t *from, int32_t words) {
    for (int32_t i = 0; i < words; i++) {
        to[i] = from[i];
    }
}

static void load(uint32_t *to, const uint8_t *bytes) {
    for (int32_t i = 0; i < WORDS; i++) {
        const uint8_t *b = bytes + 4 * (WORDS - 1 - i);
        to[i] = (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
    }
}

static int is_zero(const uint32_t *a) {
    uint32_t any = 0;
    for (int32_t i = 0; i < WORDS; i++) {
        any |= a[i];
    }
    return any == 0;
}

/* r = a + b, returns the carry */
static uint32_t plus(uint32_t *r, const uint32_t *a, const uint32_t *b) {
    uint64_t sum = 0;
    for (int32_t i = 0; i < WORDS; i++) {
        sum += (uint64_t)a[i] + b[i];
        r[i] = (uint32_t)sum;
        sum >>= 32;
    }
    return (uint32_t)sum;
}

/* r = a - b, returns the borrow, 0 or 1 */
static uint32_t minus(uint32_t *r, const uint32_t *a, const uint32_t *b) {
    uint32_t borrow = 0;
    for (int32_t i = 0; i < WORDS; i++) {
        uint64_t difference = (uint64_t)a[i] - b[i] - borrow;
        r[i] = (uint32_t)difference;
        borrow = (uint32_t)(difference >> 32) & 1;
    }
    return borrow;
}

static int is_below(const uint32_t *a, const uint32_t *b) {
    uint32_t scratch[WORDS];
    return (int)minus(scratch, a, b);
}

/* r = a + b modulo m */
static void add(uint32_t *r, const uint32_t *a, const uint32_t *b, const uint32_t *m) {
    uint32_t t[WORDS];
    uint32_t carry = plus(t, a, b);
    if (minus(r, t, m) > carry) {
        copy(r, t, WORDS);
    }
}

/* r = a - b modulo m */
static void subtract(uint32_t *r, const uint32_t *a, const uint32_t *b, const uint32_t *m) {
    if (minus(r, a, b)) {
        plus(r, r, m);
    }
}

/* r = a * b / 2^256 modulo m, for a, b < 2^256 of which one is below m. Montgomery's product, word by word. */
static void multiply(uint32_t *r, const uint32_t *a, const uint32_t *b, const uint32_t *m) {
    uint32_t t[WORDS + 1];
    for (int32_t i = 0; i <= WORDS; i++) {
        t[i] = 0;
    }
    for (int32_t i = 0; i < WORDS; i++) {
        uint64_t product = (uint64_t)a[0] * b[i] + t[0];
        uint32_t factor = (uint32_t)product * m[MINUS_INVERSE];
        uint64_t reduced = (uint64_t)factor * m[0] + (uint32_t)product;
        for (int32_t j = 1; j < WORDS; j++) {
            product = (uint64_t)a[j] * b[i] + t[j] + (product >> 32);
            reduced = (uint64_t)factor * m[j] + (uint32_t)product + (reduced >> 32);
            t[j - 1] = (uint32_t)reduced;
        }
        product = (product >> 32) + (reduced >> 32) + t[WORDS];
        t[WORDS - 1] = (uint32_t)product;
        t[WORDS] = (uint32_t)(product >> 32);
    }
    if (minus(r, t, m) > t[WORDS]) {
        copy(r, t, WORDS);
    }
}

/* a * 2^256 modulo m */
static void enter(uint32_t *a, const uint32_t *m) {
    multiply(a, a, m + SQUARE, m);
}

/* r = 1 / a = a^(m - 2) modulo m, both in Montgomery's form, r not a */
static void invert(uint32_t *r, const uint32_t *a, const uint32_t *m) {
    copy(r, a, WORDS);
    for (int32_t bit = 32 * WORDS - 2; bit >= 0; bit--) {
        multiply(r, r, r, m);
        /* m - 2: of both primes the lowest word alone tells */
        uint32_t word = m[bit >> 5] - (bit < 32 ? 2 : 0);
        if (word >> (bit & 31) & 1) {
            multiply(r, r, a, m);
        }
    }
}

/* ---- points: x, y, or with a third number Z and x = X / Z^2, y = Y / Z^3, all modulo the field's prime ---- */

enum { X = 0, Y = WORDS, Z = 2 * WORDS, POINT = 2 * WORDS, PROJECTIVE = 3 * WORDS };

static void fmul(uint32_t *r, const uint32_t *a, const uint32_t *b) {
    multiply(r, a, b, field);
}

static void fadd(uint32_t *r, const uint32_t *a, const uint32_t *b) {
    add(r, a, b, field);
}

static void fsub(uint32_t *r, const uint32_t *a, const uint32_t *b) {
    subtract(r, a, b, field);
}

/* p = 2 * p; Explicit-Formulas Database, dbl-2001-b. No point of this curve has y = 0; infinity, Z = 0, stays. */
static void twice(uint32_t *p) {
    uint32_t yy[WORDS], beta[WORDS], alpha[WORDS], t[WORDS];
    fmul(t, p + Z, p + Z);
    fsub(alpha, p + X, t);
    fadd(t, p + X, t);
    fmul(t, alpha, t);
    fadd(alpha, t, t);
    fadd(alpha, alpha, t);
    fmul(p + Z, p + Y, p + Z);
    fadd(p + Z, p + Z, p + Z);
    fmul(yy, p + Y, p + Y);
    fmul(beta, p + X, yy);
    fadd(beta, beta, beta);
    fadd(beta, beta, beta);
    fmul(p + X, alpha, alpha);
    fsub(p + X, p + X, beta);
    fsub(p + X, p + X, beta);
    fsub(beta, beta, p + X);
    fmul(p + Y, alpha, beta);
    fmul(yy, yy, yy);
    for (int32_t i = 0; i < 3; i++) {
        fadd(yy, yy, yy);
    }
    fsub(p + Y, p + Y, yy);
}

static void infinity(uint32_t *p) {
    for (int32_t i = 0; i < PROJECTIVE; i++) {
        p[i] = 0;
    }
}

/* p = p + a, a with Z = 1; madd, the cases p = a and p = -a besides */
static void plus_point(uint32_t *p, const uint32_t *a) {
    uint32_t h[WORDS], r[WORDS], t[WORDS], v[WORDS];
    if (is_zero(p + Z)) {
        copy(p, a, POINT);
        p[Z] = 1; /* the other words are 0 */
        enter(p + Z, field);
        return;
    }
    fmul(t, p + Z, p + Z);
    fmul(h, a + X, t);
    fsub(h, h, p + X);
    fmul(t, t, p + Z);
    fmul(r, a + Y, t);
    fsub(r, r, p + Y);
    if (is_zero(h) && is_zero(r)) {
        twice(p);
        return;
    }
    fmul(p + Z, p + Z, h); /* h = 0: p = -a, infinity */
    fmul(t, h, h);
    fmul(v, p + X, t);
    fmul(t, t, h);
    fmul(p + X, r, r);
    fsub(p + X, p + X, t);
    fsub(p + X, p + X, v);
    fsub(p + X, p + X, v);
    fmul(t, t, p + Y);
    fsub(v, v, p + X);
    fmul(p + Y, r, v);
    fsub(p + Y, p + Y, t);
}

/* Into Montgomery's form; is it a point of the curve? */
static int load_point(uint32_t *a, const uint8_t *key) {
    uint32_t t[WORDS], u[WORDS];
    load(a + X, key);
    load(a + Y, key + 32);
    if (!is_below(a + X, field) || !is_below(a + Y, field)) {
        return 0;
    }
    enter(a + X, field);
    enter(a + Y, field);
    /* x^3 - 3 x + b - y^2 */
    fmul(t, a + X, a + X);
    fmul(t, t, a + X);
    for (int32_t i = 0; i < 3; i++) {
        fsub(t, t, a + X);
    }
    fmul(u, a + Y, a + Y);
    fsub(t, t, u);
    copy(u, coefficient_b, WORDS);
    enter(u, field);
    fadd(t, t, u);
    return is_zero(t);
}

int32_t sw_p256_point(const uint8_t *key) {
    uint32_t a[POINT];
    return load_point(a, key) ? SW_P256_VALID : SW_P256_POINT;
}

/* ---- the signature ---- */

/* p = g * points[0] + q * points[1], by points[2], their sum: one doubling a bit for both (Shamir) */
static void multiplied(uint32_t *p, const uint32_t *g, const uint32_t *q, const uint32_t *points, int has_sum) {
    infinity(p);
    for (int32_t bit = 32 * WORDS - 1; bit >= 0; bit--) {
        twice(p);
        uint32_t which = (g[bit >> 5] >> (bit & 31) & 1) + 2 * (q[bit >> 5] >> (bit & 31) & 1);
        if (which && (which < 3 || has_sum)) {
            plus_point(p, points + POINT * (which - 1));
        }
    }
}

/* x / z^2 is r modulo the field's prime? r: a plain number, zz = z^2 */
static int is_x(const uint32_t *x, const uint32_t *zz, const uint32_t *r) {
    uint32_t t[WORDS];
    copy(t, r, WORDS);
    enter(t, field);
    fmul(t, t, zz);
    fsub(t, t, x);
    return is_zero(t);
}

int32_t sw_p256_verify(const uint8_t *key, const uint8_t *digest, const uint8_t *rs) {
    uint32_t r[WORDS], s[WORDS], g[WORDS], points[3 * POINT], p[PROJECTIVE];
    load(r, rs);
    load(s, rs + 32);
    if (is_zero(r) || !is_below(r, order)) {
        return SW_P256_R;
    }
    if (is_zero(s) || !is_below(s, order)) {
        return SW_P256_S;
    }
    if (!load_point(points + POINT, key)) {
        return SW_P256_POINT;
    }
    copy(points, generator, POINT);
    enter(points + X, field);
    enter(points + Y, field);

    /* g = digest / s, s = r / s: one factor of each product is in Montgomery's form, so the result is not */
    enter(s, order);
    invert(g, s, order);
    copy(s, g, WORDS);
    load(p, digest);
    multiply(g, p, g, order);
    multiply(s, r, s, order);

    /* the sum of both points, with Z = 1 */
    uint32_t *sum = points + 2 * POINT;
    infinity(p);
    plus_point(p, points);
    plus_point(p, points + POINT);
    int has_sum = !is_zero(p + Z);
    invert(sum, p + Z, field); /* 1 / Z, 0 for 0 */
    fmul(sum + Y, sum, sum);
    fmul(p + Y, p + Y, sum);
    fmul(p + Y, p + Y, sum + Y);
    fmul(sum + X, p + X, sum + Y);
    copy(sum + Y, p + Y, WORDS);

    multiplied(p, g, s, points, has_sum);
    if (is_zero(p + Z)) {
        return SW_P256_WRONG;
    }
    fmul(p + Z, p + Z, p + Z);
    if (is_x(p + X, p + Z, r)) {
        return SW_P256_VALID;
    }
    /* x is below the prime, so it may also be r + order */
    return !plus(r, r, order) && is_below(r, field) && is_x(p + X, p + Z, r) ? SW_P256_VALID : SW_P256_WRONG;
}
