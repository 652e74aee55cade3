/* MAX_POOL_2D, AVERAGE_POOL_2D and MEAN: many numbers of a channel become one. */
typedef struct {
    sw_record head; /* detail: 1 the average, 0 the maximum */
    sw_window window;
    int16_t low, high;
} sw_pool;

typedef struct {
    sw_record head;
    int32_t kept[DIMS], summed[DIMS]; /* the input's dimensions: those that remain, those that go; else 1 */
    int32_t step[DIMS];
    int32_t offset; /* taken off the sum: count * zero point */
    int32_t y_zero;
    sw_multiplier by;
} sw_mean;

static void make_pool(sw_builder *b, int32_t average) {
    sw_tensor x, y;
    sw_pool *r = record(b, KIND_POOL, sizeof *r);
    if (!operands8(b, 1, 1, &x, &y) || !same_quantisation(b, &x, &y) || !need(b, b->options != 0, SW_NEURAL_OPTIONS)) {
        return;
    }
    r->window.width = option(b, 3);
    r->window.height = option(b, 4);
    if (!window(b, &r->window, &x, &y, 0) || !need(b, y.dims[3] == x.dims[3], SW_NEURAL_SHAPE)) {
        return;
    }
    r->head.detail = (uint8_t)average;
    activation(b, 5, &y, &r->low, &r->high);
    int32_t height = r->window.height < x.dims[1] ? r->window.height : x.dims[1];
    int32_t width = r->window.width < x.dims[2] ? r->window.width : x.dims[2];
    work(b, (uint32_t)y.count, (uint32_t)(height * width));
}

static void run_pool(const sw_pool *r, const void *from, void *to) {
    const sw_window *v = &r->window;
    const int8_t *x = from;
    int8_t *y = to;
    for (int32_t image = v->batches; image; image--, x += v->in_h * v->in_w * v->in_c) {
        for (int32_t i = 0; i < v->out_h; i++) {
            int32_t top, left;
            int32_t rows = taps(i * v->step_h - v->pad_h, v->height, 1, v->in_h, &top);
            for (int32_t j = 0; j < v->out_w; j++) {
                int32_t columns = taps(j * v->step_w - v->pad_w, v->width, 1, v->in_w, &left);
                const int8_t *corner =
                    x + ((i * v->step_h - v->pad_h + top) * v->in_w + j * v->step_w - v->pad_w + left) * v->in_c;
                for (int32_t c = 0; c < v->in_c; c++) {
                    int32_t most = -128;
                    int32_t sum = 0;
                    for (int32_t p = 0; p < rows; p++) {
                        const int8_t *a = corner + p * v->in_w * v->in_c + c;
                        for (int32_t q = columns; q; q--, a += v->in_c) {
                            sum += *a;
                            most = *a > most ? *a : most;
                        }
                    }
                    if (r->head.detail) {
                        int32_t n = rows * columns;
                        most = (sum > 0 ? sum + n / 2 : sum - n / 2) / n;
                    }
                    *y++ = (int8_t)clamped(most, r->low, r->high);
                }
            }
        }
    }
}

static void make_mean(sw_builder *b) {
    sw_tensor x, axes, y;
    sw_mean *r = record(b, KIND_MEAN, sizeof *r);
    if (!operands8(b, 2, 2, &x, &y) || !constants(b, 1, &axes)) {
        return;
    }
    uint32_t summed = 0;
    for (int32_t i = 0; i < axes.count; i++) {
        int32_t axis = constant(b, &axes, i);
        axis = axis < 0 ? axis + x.n_dims : axis;
        if (!need(b, axis >= 0 && axis < x.n_dims, SW_NEURAL_SHAPE)) {
            return;
        }
        summed |= 1u << (axis + DIMS - x.n_dims);
    }
    int32_t step = 1;
    int32_t count = 1;
    for (int32_t i = DIMS - 1; i >= 0; i--) {
        int32_t size = dim(&x, i);
        int32_t is_summed = summed >> i & 1;
        r->kept[i] = is_summed ? 1 : size;
        r->summed[i] = is_summed ? size : 1;
        r->step[i] = step;
        step *= size;
        count *= is_summed ? size : 1;
    }
    if (!need(b, y.count == x.count / count && count <= 1 << 23, SW_NEURAL_SHAPE)) { /* sums and offsets fit int32 */
        return;
    }
    r->offset = x.zero * count;
    r->y_zero = y.zero;
    /* one over the count goes into the multiplier, with as many bits as it has room for */
    sw_multiplier by = fold(x.scale, ONE, y.scale, 0);
    int32_t bits = 0;
    while (count >> bits > 1) {
        bits++;
    }
    bits = bits < 31 + by.shift ? bits : 31 + by.shift;
    uint64_t m = (uint32_t)by.m;
    for (int32_t i = 0; i < bits; i++) {
        m <<= 1;
    }
    r->by.m = (int32_t)quotient64(m, (uint32_t)count);
    r->by.shift = by.shift - bits;
    fits(b, by, 30);
    work(b, (uint32_t)x.count, 1);
}

static void run_mean(const sw_mean *r, const void *from, void *to) {
    const int8_t *x = from;
    int8_t *y = to;
    int32_t outer[DIMS];
    clear(outer);
    int32_t inner[DIMS]; /* all 0 again after every round */
    clear(inner);
    int32_t start = 0;
    int32_t unused = 0;
    do {
        int32_t sum = 0;
        int32_t at = start;
        do {
            sum += x[at];
        } while (advance(inner, r->summed, r->step, &at, r->step, &unused));
        *y++ = (int8_t)clamped(scaled(sum - r->offset, r->by.m, r->by.shift) + r->y_zero, -128, 127);
    } while (advance(outer, r->kept, r->step, &start, r->step, &unused));
}
