/* Operators that take one number at a time: ADD, SUB, MUL, the activations, SOFTMAX, QUANTIZE, DEQUANTIZE. */
enum { CURVE_RESCALE, CURVE_RELU6, CURVE_LEAKY, CURVE_LOGISTIC, CURVE_TANH, TABLE_FROM = 256 };

typedef struct {
    sw_record head; /* detail: which curve */
    int32_t count;
    uint32_t table; /* in the net: all 256 answers; 0: too few numbers to make one for */
    int16_t x_zero, y_zero, low, high;
    int32_t radius; /* logistic, tanh: from here on it is saturated */
    sw_multiplier by, below; /* below: for negative numbers of a leaky relu */
    int32_t is_negative;     /* the sign of `below` */
} sw_curve;

typedef struct {
    sw_record head; /* detail: the operator */
    uint16_t z;
    int16_t x_zero, z_zero, y_zero, low, high;
    int32_t count[DIMS], x_step[DIMS], z_step[DIMS];
    sw_multiplier by_x, by_z, by;
} sw_pair;

typedef struct {
    sw_record head;
    int32_t rows, depth, least;
    sw_multiplier by;
} sw_softmax;

typedef struct {
    sw_record head;
    uint8_t x_type, y_type;
    int32_t count, x_zero, y_zero;
    uint32_t scale;      /* where one side is float32 */
    sw_multiplier by;    /* where none is */
} sw_cast;

/* ---- one number through a curve ---- */

static int32_t curve(const sw_curve *r, int32_t x) {
    int32_t y;
    x -= r->x_zero;
    if (r->head.detail < CURVE_LEAKY) {
        y = r->head.detail == CURVE_RELU6 ? x : scaled(x, r->by.m, r->by.shift);
    } else if (r->head.detail == CURVE_LEAKY) {
        if (x >= 0) {
            y = scaled(x, r->by.m, r->by.shift);
        } else {
            y = scaled(x, r->below.m, r->below.shift);
            y = r->is_negative ? -y : y;
        }
    } else if (x <= -r->radius) {
        return -128;
    } else if (x >= r->radius) {
        return 127;
    } else {
        y = scaled(x, r->by.m, r->by.shift);
        y = r->head.detail == CURVE_TANH ? halved(hyperbolic(y), 24) : halved(logistic(y), 23);
    }
    return clamped(y + r->y_zero, r->low, r->high);
}

static void run_curve(sw_run *run, const sw_curve *r, const void *from, void *to) {
    const int8_t *x = from;
    int8_t *y = to;
    if (r->table) {
        const int8_t *table = (const int8_t *)run->net + r->table + 128;
        for (int32_t n = r->count; n; n--) {
            *y++ = table[*x++];
        }
    } else {
        for (int32_t n = r->count; n; n--) {
            *y++ = (int8_t)curve(r, *x++);
        }
    }
}

static void make_curve(sw_builder *b, int32_t which, int32_t is_relu) {
    sw_tensor x, y;
    sw_curve *r = record(b, KIND_CURVE, sizeof *r);
    if (!operands8(b, 1, 1, &x, &y) || !need(b, x.count == y.count, SW_NEURAL_SHAPE)) {
        return;
    }
    r->head.detail = (uint8_t)which;
    r->count = x.count;
    r->x_zero = (int16_t)x.zero;
    r->y_zero = (int16_t)y.zero;
    r->low = is_relu ? r->y_zero : -128;
    r->high = 127;
    r->by = fold(x.scale, ONE, y.scale, 0);
    if (which == CURVE_RELU6) {
        /* only clamps, in the input's terms: the output has the same */
        r->y_zero = r->low = r->x_zero;
        r->high = (int16_t)clamped(nearest(SIX, x.scale) + r->x_zero, -128, 127);
    } else if (which == CURVE_LEAKY) {
        uint32_t alpha = (uint32_t)option(b, 0);
        r->is_negative = (int32_t)(alpha >> 31);
        alpha &= 0x7FFFFFFF;
        need(b, b->options && (!alpha || scale_is_usable(alpha)), SW_NEURAL_OPTIONS);
        r->below = fold(x.scale, alpha, y.scale, 0);
        fits(b, r->below, 22);
    } else if (which >= CURVE_LOGISTIC) {
        /* outputs are 1/128 or 1/256 each; inputs go to Q4 */
        int ok = which == CURVE_TANH ? y.scale == 0x3C000000 && y.zero == 0 : y.scale == 0x3B800000 && y.zero == -128;
        r->by = fold(x.scale, ONE, ONE, 27);
        if (!need(b, ok && r->by.shift >= 0, SW_NEURAL_QUANTISATION)) {
            return;
        }
        r->radius = r->by.shift > 30 ? 0 : (15 << 27) >> r->by.shift;
    }
    fits(b, r->by, which >= CURVE_LOGISTIC ? 127 : 22);
    r->table = 0;
    work(b, (uint32_t)x.count, which >= CURVE_LOGISTIC ? 16 : 1);
    if (x.count >= TABLE_FROM) {
        r->table = take(b, 256);
        for (int32_t i = 0; b->net && !b->error && i < 256; i++) {
            ((int8_t *)b->net)[r->table + (uint32_t)i] = (int8_t)curve(r, i - 128);
        }
    }
}

/* ---- two tensors, item by item ---- */

static int32_t pair(const sw_pair *r, int32_t x, int32_t z) {
    x -= r->x_zero;
    z -= r->z_zero;
    if (r->head.detail == MUL) {
        x *= z;
    } else {
        x = scaled(x * (1 << 20), r->by_x.m, r->by_x.shift);
        z = scaled(z * (1 << 20), r->by_z.m, r->by_z.shift);
        x = r->head.detail == ADD ? x + z : x - z;
    }
    return clamped(scaled(x, r->by.m, r->by.shift) + r->y_zero, r->low, r->high);
}

static void run_pair(sw_run *run, const sw_pair *r, const void *from, void *to) {
    const int8_t *x = from;
    const int8_t *z = data(run, r->z);
    int8_t *y = to;
    int32_t index[DIMS];
    clear(index);
    int32_t x_at = 0;
    int32_t z_at = 0;
    do {
        *y++ = (int8_t)pair(r, x[x_at], z[z_at]);
    } while (advance(index, r->count, r->x_step, &x_at, r->z_step, &z_at));
}

static void make_pair(sw_builder *b, int32_t code) {
    sw_tensor x, z, y;
    sw_pair *r = record(b, KIND_PAIR, sizeof *r);
    if (!operands8(b, 2, 2, &x, &y) || !input(b, 1, &z) || !is_int8(b, &z)) {
        return;
    }
    r->head.detail = (uint8_t)code;
    r->z = (uint16_t)z.index;
    r->x_zero = (int16_t)x.zero;
    r->z_zero = (int16_t)z.zero;
    r->y_zero = (int16_t)y.zero;
    int32_t x_step = 1;
    int32_t z_step = 1;
    for (int32_t i = DIMS - 1; i >= 0; i--) {
        int32_t p = dim(&x, i);
        int32_t q = dim(&z, i);
        r->count[i] = dim(&y, i);
        r->x_step[i] = p == 1 ? 0 : x_step;
        r->z_step[i] = q == 1 ? 0 : z_step;
        x_step *= p;
        z_step *= q;
        need(b, (p == q || p == 1 || q == 1) && r->count[i] == (p > q ? p : q), SW_NEURAL_SHAPE);
    }
    if (same_shape(&x, &z)) { /* one long dimension */
        for (int32_t i = 0; i < DIMS; i++) {
            r->count[i] = i < DIMS - 1 ? 1 : y.count;
            r->x_step[i] = r->z_step[i] = i == DIMS - 1;
        }
    }
    activation(b, 0, &y, &r->low, &r->high);
    if (code == MUL) {
        r->by = fold(x.scale, z.scale, y.scale, 0);
        fits(b, r->by, 14);
    } else {
        /* both to halves of the larger scale, from there to y. Bits of positive floats are in the floats' order */
        uint32_t larger = x.scale > z.scale ? x.scale : z.scale;
        r->by_x = fold(x.scale, ONE, larger, -1);
        r->by_z = fold(z.scale, ONE, larger, -1);
        r->by = fold(larger, ONE, y.scale, 1 - 20);
        fits(b, r->by, 0);
    }
    work(b, (uint32_t)y.count, 2);
}

/* ---- softmax ---- */

static void make_softmax(sw_builder *b) {
    sw_tensor x, y;
    sw_softmax *r = record(b, KIND_SOFTMAX, sizeof *r);
    if (!operands8(b, 1, 1, &x, &y) || !need(b, x.n_dims > 0 && same_shape(&x, &y), SW_NEURAL_SHAPE)
        || !need(b, y.scale == 0x3B800000 && y.zero == -128, SW_NEURAL_QUANTISATION)) { /* 1/256 */
        return;
    }
    uint32_t beta = (uint32_t)option(b, 0);
    if (!need(b, b->options && scale_is_usable(beta), SW_NEURAL_OPTIONS)) {
        return;
    }
    r->depth = x.dims[x.n_dims - 1];
    r->rows = x.count / r->depth;
    need(b, r->depth < 512, SW_NEURAL_SHAPE); /* with more, TensorFlow Lite Micro may stop in the middle */
    r->by = fold(beta, x.scale, ONE, 26); /* to Q5 */
    if (r->by.shift > 31) {
        r->by.shift = 31;
        r->by.m = 0x7FFFFFFF;
    }
    if (!need(b, r->by.shift > 1 || (r->by.shift == 1 && r->by.m > 1 << 30), SW_NEURAL_QUANTISATION)) { /* above 1 */
        return;
    }
    r->least = -((31 << 26) >> r->by.shift);
    work(b, (uint32_t)x.count, 32);
}

static int32_t exponential_of(const sw_softmax *r, int32_t below) {
    return exponential(times31((int32_t)((uint32_t)below << r->by.shift), r->by.m), 5);
}

static void run_softmax(const sw_softmax *r, const void *from, void *to) {
    const int8_t *x = from;
    int8_t *y = to;
    for (int32_t row = r->rows; row; row--, x += r->depth, y += r->depth) {
        int32_t most = -128;
        for (int32_t i = 0; i < r->depth; i++) {
            most = x[i] > most ? x[i] : most;
        }
        int32_t sum = 0; /* Q12 */
        for (int32_t i = 0; i < r->depth; i++) {
            if (x[i] - most >= r->least) {
                sum += halved(exponential_of(r, x[i] - most), 12);
            }
        }
        int32_t bits = 0; /* leading zeros */
        while (!((uint32_t)sum << bits >> 31)) {
            bits++;
        }
        int32_t share = one_over_one_plus((int32_t)(((uint32_t)sum << bits) - 0x80000000));
        for (int32_t i = 0; i < r->depth; i++) {
            int32_t below = x[i] - most;
            int32_t value = below < r->least ? 0 : halved(times31(share, exponential_of(r, below)), 12 - bits + 31 - 8);
            y[i] = (int8_t)clamped(value - 128, -128, 127);
        }
    }
}

/* ---- QUANTIZE, DEQUANTIZE ---- */

static void make_cast(sw_builder *b, int32_t to_float) {
    sw_tensor x, y;
    sw_cast *r = record(b, KIND_CAST, sizeof *r);
    if (!operands(b, 1, 1, &x, &y) || !need(b, x.count == y.count, SW_NEURAL_SHAPE)) {
        return;
    }
    const sw_tensor *exact = to_float ? &x : &y;
    int ok = exact->type != SW_FLOAT32 && exact->type != SW_INT32;
    ok = ok && (to_float ? y.type == SW_FLOAT32 : x.type != SW_INT32);
    if (!need(b, ok, SW_NEURAL_TYPE) || !is_quantised(b, exact)) {
        return;
    }
    r->x_type = (uint8_t)x.type;
    r->y_type = (uint8_t)y.type;
    r->count = x.count;
    r->x_zero = x.zero;
    r->y_zero = y.type == SW_FLOAT32 ? 0 : y.zero;
    r->scale = exact->scale;
    if (x.type != SW_FLOAT32 && !to_float && is_quantised(b, &x)) {
        r->by = fold(x.scale, ONE, y.scale, 0);
        fits(b, r->by, 14);
    }
    work(b, (uint32_t)x.count, 8);
}

static int32_t get(const void *x, int32_t type, int32_t i) {
    return type == SW_INT8    ? ((const int8_t *)x)[i]
           : type == SW_UINT8 ? ((const uint8_t *)x)[i]
                              : ((const int16_t *)x)[i];
}

static void put(void *y, int32_t type, int32_t i, int32_t value) {
    if (type == SW_INT16) {
        ((int16_t *)y)[i] = (int16_t)clamped(value, -32768, 32767);
    } else if (type == SW_INT8) {
        ((int8_t *)y)[i] = (int8_t)clamped(value, -128, 127);
    } else {
        ((uint8_t *)y)[i] = (uint8_t)clamped(value, 0, 255);
    }
}

/* The integer nearest to a float32 over the scale. Beyond 2**30 it saturates, and so does what is not a number. */
static int32_t float_quotient(uint32_t bits, uint32_t scale) {
    uint32_t size = bits & 0x7FFFFFFF;
    int32_t value = size < 0x800000 ? 0 : size < 0x7F800000 ? nearest(size, scale) : 1 << 30;
    return bits >> 31 ? -value : value;
}

static void run_cast(const sw_cast *r, const void *from, void *to) {
    const void *x = from;
    void *y = to;
    for (int32_t i = 0; i < r->count; i++) {
        if (r->y_type == SW_FLOAT32) {
            ((uint32_t *)y)[i] = product(r->scale, get(x, r->x_type, i) - r->x_zero);
        } else {
            int32_t value = r->x_type == SW_FLOAT32 ? float_quotient(((const uint32_t *)x)[i], r->scale)
                                                    : scaled(get(x, r->x_type, i) - r->x_zero, r->by.m, r->by.shift);
            put(y, r->y_type, i, value + r->y_zero);
        }
    }
}
