/* FULLY_CONNECTED, CONV_2D and DEPTHWISE_CONV_2D: sums of products, rescaled for each output channel.
 *
 * A row of inputs is first widened to int16 with the zero point taken off (0 where padding is); then each output
 * channel is one sum over contiguous numbers. FULLY_CONNECTED is a convolution with one tap over an image of one line.
 */
enum { LONGEST_SUM = 65536 }; /* 65536 * 128 * 255 < 2**31 */

/* Which part of the input each output looks at. */
typedef struct {
    int32_t batches, in_h, in_w, in_c, out_h, out_w, out_c;
    int32_t height, width, step_h, step_w, spread_h, spread_w, pad_h, pad_w;
} sw_window;

typedef struct {
    sw_record head;
    uint16_t w, bias;        /* bias NO_OP: none */
    uint16_t scales_n, each; /* each: 1 where every output channel has a scale of its own */
    uint32_t scales;         /* in the net: int32 multipliers, then int8 shifts; scales_n of each */
    int16_t x_zero, y_zero, low, high;
    int32_t groups, k; /* k: numbers in a sum */
    sw_window window;
} sw_conv;

/* ---- making ---- */

/* One direction of a window: returns the padding before the first input. */
static int32_t pad(sw_builder *b, int32_t is_valid, int32_t in, int32_t out, int32_t taps, int32_t step,
                   int32_t spread) {
    int ok = step > 0 && spread > 0 && step <= MOST_ITEMS && spread <= MOST_ITEMS && taps > 0 && taps <= MOST_ITEMS;
    if (!need(b, ok, SW_NEURAL_OPTIONS)) {
        return 0;
    }
    int64_t reach = (int64_t)(taps - 1) * spread + 1;
    if (!need(b, reach <= (is_valid ? in : 2 * MOST_ITEMS), SW_NEURAL_SHAPE)) {
        return 0;
    }
    int32_t size = is_valid ? (in - (int32_t)reach) / step + 1 : (in + step - 1) / step;
    need(b, size == out, SW_NEURAL_SHAPE);
    int32_t more = (size - 1) * step + (int32_t)reach - in;
    return more > 0 ? more / 2 : 0;
}

/* The window of a convolution or pooling, of which the taps are known; spreads: where the options have them, 0: not. */
static int window(sw_builder *b, sw_window *v, const sw_tensor *x, const sw_tensor *y, uint32_t spreads) {
    sw_flat *f = &b->file;
    int32_t is_valid = option_byte(b, 0);
    v->step_w = option(b, 1);
    v->step_h = option(b, 2);
    v->spread_w = spreads ? flat_int(f, b->options, spreads, 1) : 1;
    v->spread_h = spreads ? flat_int(f, b->options, spreads + 1, 1) : 1;
    if (!need(b, !(is_valid & ~1), SW_NEURAL_OPTIONS)
        || !need(b, x->n_dims == 4 && y->n_dims == 4 && y->dims[0] == x->dims[0], SW_NEURAL_SHAPE)) {
        return 0;
    }
    v->batches = x->dims[0];
    v->in_h = x->dims[1];
    v->in_w = x->dims[2];
    v->in_c = x->dims[3];
    v->out_h = y->dims[1];
    v->out_w = y->dims[2];
    v->out_c = y->dims[3];
    v->pad_h = pad(b, is_valid, v->in_h, v->out_h, v->height, v->step_h, v->spread_h);
    v->pad_w = pad(b, is_valid, v->in_w, v->out_w, v->width, v->step_w, v->spread_w);
    return !b->error;
}

/* Multipliers for the n output channels. */
static void channel_scales(sw_builder *b, sw_conv *r, const sw_tensor *x, const sw_tensor *w, const sw_tensor *y,
                           int32_t n) {
    uint32_t count = w->n_scales;
    if (!need(b, n <= 0xFFFF, SW_NEURAL_SHAPE)
        || !need(b, count == 1 || count == (uint32_t)n, SW_NEURAL_QUANTISATION)) {
        return;
    }
    for (uint32_t i = 0; i < w->n_zeros; i++) {
        need(b, !flat_u32(&b->file, w->zeros + 8 * i), SW_NEURAL_QUANTISATION);
    }
    r->scales_n = (uint16_t)count;
    r->each = count > 1;
    r->scales = take(b, 5 * count);
    for (uint32_t i = 0; i < count && !b->error; i++) {
        uint32_t scale = flat_u32(&b->file, w->scales + 4 * i);
        need(b, !scale || scale_is_usable(scale), SW_NEURAL_QUANTISATION);
        sw_multiplier by = fold(x->scale, scale, y->scale, 0);
        fits(b, by, 30);
        if (b->net && !b->error) {
            ((int32_t *)(b->net + r->scales))[i] = by.m;
            ((int8_t *)(b->net + r->scales + 4 * count))[i] = (int8_t)by.shift;
        }
    }
}

/* The taps of FULLY_CONNECTED: one over a line of rows. */
static int fully(sw_builder *b, sw_window *v, const sw_tensor *x, const sw_tensor *w, const sw_tensor *y) {
    if (!need(b, option_byte(b, 1) == 0, SW_NEURAL_OPTIONS)
        || !need(b, w->n_dims == 2 && x->count % w->dims[1] == 0, SW_NEURAL_SHAPE)) {
        return 0;
    }
    v->batches = v->in_h = v->out_h = v->height = v->width = v->step_h = v->step_w = v->spread_h = v->spread_w = 1;
    v->pad_h = v->pad_w = 0;
    v->in_c = w->dims[1];
    v->out_c = w->dims[0];
    v->in_w = v->out_w = x->count / v->in_c;
    int ok = y->n_dims && y->dims[y->n_dims - 1] == v->out_c && y->count == (int64_t)v->in_w * v->out_c;
    return need(b, ok, SW_NEURAL_SHAPE)
        && need(b, w->n_scales < 2 || !w->axis, SW_NEURAL_QUANTISATION);
}

static void make_dense(sw_builder *b, int32_t code) {
    sw_tensor x, w, y, add;
    int32_t is_deep = code == DEPTHWISE_CONV_2D;
    sw_conv *r = record(b, is_deep ? KIND_DEPTHWISE : KIND_CONV, sizeof *r);
    if (!operands8(b, 2, 3, &x, &y) || !input(b, 1, &w) || !need(b, w.type == SW_INT8, SW_NEURAL_TYPE)
        || !need(b, b->options != 0, SW_NEURAL_OPTIONS)) {
        return;
    }
    sw_window *v = &r->window;
    if (code == FULLY_CONNECTED) {
        if (!fully(b, v, &x, &w, &y)) {
            return;
        }
        r->groups = 1;
        r->k = v->in_c;
    } else {
        int32_t n = is_deep ? w.dims[3] : w.dims[0];
        v->height = w.dims[1];
        v->width = w.dims[2];
        if (!need(b, w.n_dims == 4, SW_NEURAL_SHAPE) || !window(b, v, &x, &y, is_deep ? 5 : 4)) {
            return;
        }
        r->k = w.count / n;
        /* depthwise: outputs for each input channel */
        r->groups = is_deep ? option(b, 3) : v->in_c / w.dims[3];
        int ok = r->groups > 0 && n == v->out_c;
        if (is_deep) {
            ok = ok && (int64_t)r->groups * v->in_c == n && w.dims[0] == 1;
        } else {
            ok = ok && r->groups * w.dims[3] == v->in_c && n % r->groups == 0;
        }
        if (!need(b, ok, SW_NEURAL_SHAPE)) {
            return;
        }
    }
    r->w = (uint16_t)w.index;
    r->bias = NO_OP;
    if (input_number(b, 2) != -1 && input(b, 2, &add) && need(b, add.type == SW_INT32, SW_NEURAL_TYPE)) {
        need(b, add.count == v->out_c, SW_NEURAL_SHAPE);
        r->bias = (uint16_t)add.index;
    }
    need(b, r->k <= LONGEST_SUM, SW_NEURAL_SHAPE);
    r->x_zero = (int16_t)x.zero;
    r->y_zero = (int16_t)y.zero;
    activation(b, code == FULLY_CONNECTED ? 0 : is_deep ? 4 : 3, &y, &r->low, &r->high);
    channel_scales(b, r, &x, &w, &y, v->out_c);
    r->head.scratch = is_deep ? 0 : 2 * (uint32_t)r->k;
    work(b, (uint32_t)y.count, (uint32_t)r->k);
}

/* ---- running ---- */

static void widen(int16_t *to, const int8_t *x, int32_t zero, int32_t n) {
    for (; n; n--) {
        *to++ = (int16_t)(*x++ - zero);
    }
}

/* Two sums over k numbers of x at once: with w and with the k numbers after it. */
static void two_sums(const int16_t *x, const int8_t *w, int32_t k, int32_t *sums) {
    const int8_t *v = w + k;
    int32_t a = 0;
    int32_t c = 0;
    for (const int16_t *end = x + (k & ~3); x != end; x += 4, w += 4, v += 4) {
        a += x[0] * w[0] + x[1] * w[1] + x[2] * w[2] + x[3] * w[3];
        c += x[0] * v[0] + x[1] * v[1] + x[2] * v[2] + x[3] * v[3];
    }
    for (k &= 3; k; k--) {
        a += *x * *w++;
        c += *x++ * *v++;
    }
    sums[0] = a;
    sums[1] = c;
}

static int32_t one_sum(const int16_t *x, const int8_t *w, int32_t k) {
    int32_t a = 0;
    for (; k; k--) {
        a += *x++ * *w++;
    }
    return a;
}

static inline int32_t plus(int32_t a, int32_t b) {
    return (int32_t)((uint32_t)a + (uint32_t)b); /* wraps, as it does there */
}

static int8_t finished(const sw_conv *r, const uint8_t *net, const int32_t *add, int32_t channel, int32_t sum) {
    const int32_t *m = (const int32_t *)(net + r->scales);
    const int8_t *shift = (const int8_t *)(m + r->scales_n);
    sum = add ? plus(sum, add[channel]) : sum;
    channel = r->each ? channel : 0;
    return (int8_t)clamped(scaled(sum, m[channel], shift[channel]) + r->y_zero, r->low, r->high);
}

/* Output channels from..from+n-1 of one row of k widened inputs; w: the weights of the first. */
static void channels(const sw_conv *r, const uint8_t *net, const int16_t *x, const int8_t *w, const int32_t *add,
                     int32_t from, int32_t n, int8_t *y) {
    int32_t k = r->k;
    for (int32_t end = from + n; from < end; from++, w += k) {
        int32_t sums[2];
        if (from + 1 < end) {
            two_sums(x, w, k, sums);
            *y++ = finished(r, net, add, from++, sums[0]);
            w += k;
        } else {
            sums[1] = one_sum(x, w, k);
        }
        *y++ = finished(r, net, add, from, sums[1]);
    }
}

/* The numbers that one output looks at, `depth` channels from `x` on, into a row. */
static void patch(const sw_window *v, int16_t *to, const int8_t *x, int32_t zero, int32_t depth, int32_t top,
                  int32_t left) {
    for (int32_t i = 0; i < v->height; i++, top += v->spread_h) {
        int32_t column = left;
        for (int32_t j = 0; j < v->width; j++, column += v->spread_w, to += depth) {
            if ((uint32_t)top < (uint32_t)v->in_h && (uint32_t)column < (uint32_t)v->in_w) {
                widen(to, x + (top * v->in_w + column) * v->in_c, zero, depth);
            } else {
                for (int32_t c = 0; c < depth; c++) {
                    to[c] = 0;
                }
            }
        }
    }
}

static void run_conv(sw_run *run, const sw_conv *r, const void *from, void *to) {
    const sw_window *v = &r->window;
    const int8_t *x = from;
    const int8_t *w = data(run, r->w);
    const int32_t *add = r->bias == NO_OP ? 0 : data(run, r->bias);
    int8_t *y = to;
    int16_t *row = scratch(run, &r->head);
    int32_t depth = v->in_c / r->groups;
    int32_t n = v->out_c / r->groups;
    for (int32_t image = v->batches; image; image--, x += v->in_h * v->in_w * v->in_c) {
        for (int32_t i = 0; i < v->out_h; i++) {
            for (int32_t j = 0; j < v->out_w; j++) {
                for (int32_t g = 0; g < r->groups; g++, y += n) {
                    patch(v, row, x + g * depth, r->x_zero, depth, i * v->step_h - v->pad_h,
                          j * v->step_w - v->pad_w);
                    channels(r, run->net, row, w + g * n * r->k, add, g * n, n, y);
                }
            }
        }
    }
}

/* The part of `n` taps, `spread` apart from `start` on, that lies in 0..size-1: *first and how many. */
static int32_t taps(int32_t start, int32_t n, int32_t spread, int32_t size, int32_t *first) {
    int32_t end = start < size ? (size - 1 - start) / spread + 1 : 0;
    *first = start < 0 ? (spread - 1 - start) / spread : 0;
    end = end < n ? end : n;
    return end > *first ? end - *first : 0;
}

static void run_depthwise(sw_run *run, const sw_conv *r, const void *from, void *to) {
    const sw_window *v = &r->window;
    const int8_t *x = from;
    const int8_t *weights = data(run, r->w);
    const int32_t *add = r->bias == NO_OP ? 0 : data(run, r->bias);
    int8_t *y = to;
    /* taps further apart than the input is long never come in pairs */
    int32_t x_row = v->spread_h < v->in_h ? v->spread_h * v->in_w * v->in_c : 0;
    int32_t x_step = v->spread_w < v->in_w ? v->spread_w * v->in_c : 0;
    int32_t w_row = v->width * v->out_c;
    int32_t zero = r->x_zero;
    for (int32_t image = v->batches; image; image--, x += v->in_h * v->in_w * v->in_c) {
        for (int32_t i = 0; i < v->out_h; i++) {
            int32_t top, left;
            int32_t rows = taps(i * v->step_h - v->pad_h, v->height, v->spread_h, v->in_h, &top);
            for (int32_t j = 0; j < v->out_w; j++) {
                int32_t columns = taps(j * v->step_w - v->pad_w, v->width, v->spread_w, v->in_w, &left);
                const int8_t *w = weights;
                const int8_t *corner = x;
                if (rows && columns) {
                    int32_t line = i * v->step_h - v->pad_h + top * v->spread_h;
                    int32_t column = j * v->step_w - v->pad_w + left * v->spread_w;
                    w += (top * v->width + left) * v->out_c;
                    corner += (line * v->in_w + column) * v->in_c;
                }
                int32_t same = r->groups; /* outputs that this input channel still has */
                for (int32_t c = 0; c < v->out_c; c++, w++) {
                    int32_t sum = 0;
                    const int8_t *x_line = corner;
                    const int8_t *w_line = w;
                    for (int32_t p = rows; p; p--, x_line += x_row, w_line += w_row) {
                        const int8_t *a = x_line;
                        const int8_t *u = w_line;
                        for (int32_t q = columns; q; q--, a += x_step, u += v->out_c) {
                            sum += (*a - zero) * *u;
                        }
                    }
                    *y++ = finished(r, run->net, add, c, sum);
                    if (--same == 0) {
                        same = r->groups;
                        corner++;
                    }
                }
            }
        }
    }
}
