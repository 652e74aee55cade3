/* Exponential, logistic and tanh in fixed point, as TFLite's int8 operators round them; the table of its int16 ones.
 *
 * "Qn" is an int32 with n bits before the point. Each product rounds, so the order of operations is part of the result.
 */
static int32_t left_saturated(int32_t x, int32_t bits) {
    int32_t most = (int32_t)((uint32_t)0x7FFFFFFF >> bits);
    return x > most ? INT32_MAX : x < -most ? INT32_MIN : (int32_t)((uint32_t)x << bits);
}

/* One bit of the exponent: times e**-(2**k). */
static int32_t power(int32_t result, int32_t bits, int32_t bit, int32_t factor) {
    return bits >> bit & 1 ? times31(result, factor) : result;
}

/* e**a in Q0 for a <= 0 in Qn, n 4 or 5: the part below a quarter by a polynomial around -1/8, the rest bit by bit. */
static int32_t exponential(int32_t a, int32_t n) {
    if (a == 0) {
        return INT32_MAX;
    }
    int32_t quarter = 1 << (29 - n);
    int32_t part = (a & (quarter - 1)) - quarter;
    int32_t x = (int32_t)((uint32_t)part << n) + (1 << 28);
    int32_t x2 = times31(x, x);
    int32_t x3 = times31(x2, x);
    int32_t x4 = times31(x2, x2);
    int32_t sum = times31(halved(x4, 2) + x3, 715827883) + x2; /* 1/3 */
    int32_t result = 1895147668 + times31(1895147668, x + halved(sum, 1)); /* e**-1/8 */
    int32_t bits = (part - a) >> (29 - n);
    result = power(result, bits, 0, 1672461947);
    result = power(result, bits, 1, 1302514674);
    result = power(result, bits, 2, 790015084);
    result = power(result, bits, 3, 290630308);
    result = power(result, bits, 4, 39332535);
    result = power(result, bits, 5, 720401);
    return n < 5 ? result : power(result, bits, 6, 242);
}

/* 2 / (1 + a) in Q2 for a in Q0, 0..1: three steps of Newton. */
static int32_t inverse(int32_t a) {
    int32_t half = (int32_t)(((int64_t)a + ((int64_t)1 << 31)) >> 1);
    int32_t x = 1515870810 + times31(half, -1010580540); /* 48/17 - 32/17 half */
    for (int32_t i = 0; i < 3; i++) {
        int32_t rest = (1 << 29) - times31(half, x);
        x += left_saturated(times31(x, rest), 2);
    }
    return x;
}

/* 1 / (1 + a) in Q0. */
static int32_t one_over_one_plus(int32_t a) {
    return left_saturated(inverse(a), 1);
}

/* 1 / (1 + e**-x) in Q0, x in Q4. */
static int32_t logistic(int32_t x) {
    if (x == 0) {
        return 1 << 30;
    }
    int32_t y = one_over_one_plus(exponential(x > 0 ? -x : x, 4));
    return x > 0 ? y : INT32_MAX - y;
}

/* tanh(x) in Q0, x in Q4. */
static int32_t hyperbolic(int32_t x) {
    if (x == 0) {
        return 0;
    }
    int32_t y = left_saturated(inverse(exponential(x > 0 ? -x : x, 5)) - (1 << 29), 2);
    return x > 0 ? y : -y;
}

/* The table of TFLite's int16 operators: 65536 / (1 + e**-(i / 24)), rounded, i = 0..255; 1 more where TFLite's own
 * table, which is part of its arithmetic, has 1 more.
 */
static const uint32_t nudged[8] = {0xFA7BD110, 0xC0467BAE, 0x20440005, 0x110090, 0x80, 0, 0, 0x80000000};

static void logistic_table(uint16_t *table) {
    uint32_t e = UINT32_MAX; /* e**-(i / 24) * 2**32 */
    for (int32_t i = 0; i < 256; i++) {
        uint32_t twice = quotient64((uint64_t)1 << 48, (e >> 1) + 0x80000000);
        table[i] = (uint16_t)(((twice + 1) >> 1) + (nudged[i >> 5] >> (i & 31) & 1));
        e = (uint32_t)(((uint64_t)e * 4119687349u) >> 32); /* e**-(1 / 24) */
    }
}

/* The int16 logistic: x in Q3.12, times 3 for the table's steps of 1/24; returns Q0.15. */
static int32_t logistic16(const uint16_t *table, int32_t x) {
    x *= 3;
    uint32_t a = (uint32_t)(x < 0 ? -x : x);
    uint32_t i = a >> 9;
    uint32_t y = i >= 255 ? 0x7FFF << 10 : ((uint32_t)table[i] << 9) + (a & 511) * (uint32_t)(table[i + 1] - table[i]);
    return (int32_t)((x >= 0 ? y + 512 : (1 << 25) - y + 511) >> 10);
}

/* The int16 tanh of x, which is three times a Q3.12; returns Q0.15. */
static int32_t hyperbolic16(const uint16_t *table, int32_t x) {
    uint32_t a = (uint32_t)(x < 0 ? -x : x);
    uint32_t i = a >> 8;
    uint32_t t = i >= 255 ? 0xFFFF << 8 : ((uint32_t)table[i] << 8) + (a & 255) * (uint32_t)(table[i + 1] - table[i]);
    int32_t y = (int32_t)t;
    return (x >= 0 ? y - (1 << 23) + 128 : (1 << 23) - y + 127) >> 8;
}
