/* Operators that only move numbers: RESHAPE and its kin, PAD, STRIDED_SLICE, TRANSPOSE, CONCATENATION, PACK, SPLIT,
 * SPLIT_V, UNPACK. They take every kind of number.
 */

/* Items of the input, counted through DIMS dimensions, to the output; steps in bytes. */
typedef struct {
    sw_record head; /* detail: bytes of an item */
    uint16_t fill;  /* the tensor with the number to fill y with first; NO_OP: .zero; FOREVER: no filling */
    int16_t zero;
    int32_t count[DIMS], x_step[DIMS], y_step[DIMS];
    int32_t x_from, y_from, y_bytes;
} sw_steps;

enum { DIVIDES, JOINS, SHARES };

/* One tensor beside many that lie behind each other along an axis. */
typedef struct {
    sw_record head; /* detail: as below */
    uint16_t one, n;
    int32_t rounds;
    /* then for each of the many, int32: tensor, bytes a round */
} sw_parts;

/* ---- making ---- */

/* The record of an operator that moves x to y by steps, which are those of dense tensors at first. */
static sw_steps *steps(sw_builder *b, uint32_t least, uint32_t most, sw_tensor *x, sw_tensor *y) {
    sw_steps *r = record(b, KIND_STEPS, sizeof *r);
    if (!operands(b, least, most, x, y) || !need(b, x->type == y->type, SW_NEURAL_TYPE)
        || !same_quantisation(b, x, y)) {
        return 0;
    }
    r->head.detail = (uint8_t)x->item;
    r->fill = FOREVER;
    r->zero = 0;
    r->x_from = r->y_from = 0;
    r->y_bytes = y->bytes;
    int32_t x_step = x->item;
    int32_t y_step = y->item;
    for (int32_t i = DIMS - 1; i >= 0; i--) {
        r->count[i] = dim(y, i);
        r->x_step[i] = x_step;
        r->y_step[i] = y_step;
        x_step *= dim(x, i);
        y_step *= dim(y, i);
    }
    work(b, (uint32_t)y->count, 1);
    return r;
}

static void make_pad(sw_builder *b) {
    sw_tensor x, amounts, y, fill;
    sw_steps *r = steps(b, 2, 3, &x, &y);
    if (!r || !constants(b, 1, &amounts)
        || !need(b, amounts.count == 2 * x.n_dims && x.n_dims == y.n_dims, SW_NEURAL_SHAPE)) {
        return;
    }
    for (int32_t i = 0; i < x.n_dims; i++) {
        int32_t before = constant(b, &amounts, 2 * i);
        int32_t after = constant(b, &amounts, 2 * i + 1);
        int ok = before >= 0 && after >= 0 && (int64_t)x.dims[i] + before + after == y.dims[i];
        if (!need(b, ok, SW_NEURAL_SHAPE)) {
            return;
        }
        r->count[i + DIMS - x.n_dims] = x.dims[i];
        r->y_from += before * r->y_step[i + DIMS - x.n_dims];
    }
    r->fill = NO_OP;
    if (x.type == SW_INT8 && is_quantised(b, &y)) {
        r->zero = (int16_t)y.zero;
    }
    if (input_number(b, 2) != -1 && input(b, 2, &fill) && need(b, fill.type == x.type, SW_NEURAL_TYPE)
        && need(b, fill.count == 1, SW_NEURAL_SHAPE)) {
        r->fill = (uint16_t)fill.index;
        if (x.type == SW_INT8) {
            same_quantisation(b, &fill, &y);
        }
    }
}

static void make_slice(sw_builder *b) {
    sw_tensor x, begin, end, stride, y;
    sw_steps *r = steps(b, 4, 4, &x, &y);
    if (!r || !constants(b, 1, &begin) || !constants(b, 2, &end) || !constants(b, 3, &stride)
        || !need(b, begin.count == x.n_dims && end.count == x.n_dims && stride.count == x.n_dims, SW_NEURAL_SHAPE)) {
        return;
    }
    int32_t begin_mask = option(b, 0);
    int32_t end_mask = option(b, 1);
    int32_t shrink = option(b, 4);
    int ok = b->options && !option(b, 2) && !option(b, 3) && !option_byte(b, 5);
    if (!need(b, ok, SW_NEURAL_OPTIONS)) {
        return;
    }
    int32_t left = 0; /* dimensions of y seen */
    for (int32_t i = 0; i < x.n_dims; i++) {
        int32_t size = x.dims[i];
        int32_t by = constant(b, &stride, i);
        int32_t from = constant(b, &begin, i);
        int32_t to = constant(b, &end, i);
        if (!need(b, by && by > -MOST_ITEMS && by < MOST_ITEMS, SW_NEURAL_OPTIONS)) {
            return;
        }
        int32_t low = by > 0 ? 0 : -1;
        int32_t high = by > 0 ? size : size - 1;
        from = begin_mask >> i & 1 ? (by > 0 ? low : high) : clamped(from < 0 ? from + size : from, low, high);
        to = end_mask >> i & 1 ? (by > 0 ? high : low) : clamped(to < 0 ? to + size : to, low, high);
        int32_t count = by > 0 ? (to - from + by - 1) / by : (from - to - by - 1) / -by;
        if (shrink >> i & 1) {
            count = from >= 0 && from < size;
        } else {
            need(b, left < y.n_dims && y.dims[left] == count, SW_NEURAL_SHAPE);
            left++;
        }
        if (!need(b, count > 0, SW_NEURAL_SHAPE)) {
            return;
        }
        int32_t place = i + DIMS - x.n_dims;
        r->x_from += from * r->x_step[place];
        r->x_step[place] = count > 1 ? r->x_step[place] * by : 0;
        r->count[place] = count;
    }
    need(b, left == y.n_dims, SW_NEURAL_SHAPE);
    /* y is dense in the same order, with or without the dimensions that shrank */
    int32_t step = y.item;
    for (int32_t i = DIMS - 1; i >= 0; i--) {
        r->count[i] = i < DIMS - x.n_dims ? 1 : r->count[i];
        r->y_step[i] = step;
        step *= r->count[i];
    }
}

static void make_transpose(sw_builder *b) {
    sw_tensor x, order, y;
    sw_steps *r = steps(b, 2, 2, &x, &y);
    if (!r || !constants(b, 1, &order) || !need(b, order.count == x.n_dims && y.n_dims == x.n_dims, SW_NEURAL_SHAPE)) {
        return;
    }
    int32_t from[DIMS];
    uint32_t seen = 0;
    for (int32_t i = 0; i < DIMS; i++) {
        from[i] = r->x_step[i];
    }
    for (int32_t i = 0; i < x.n_dims; i++) {
        int32_t axis = constant(b, &order, i);
        if (!need(b, axis >= 0 && axis < x.n_dims && y.dims[i] == x.dims[axis], SW_NEURAL_SHAPE)) {
            return;
        }
        seen |= 1u << axis;
        r->x_step[i + DIMS - x.n_dims] = from[axis + DIMS - x.n_dims];
    }
    need(b, seen == (1u << x.n_dims) - 1, SW_NEURAL_SHAPE);
}

/* Part `t` of the whole along dimension `axis`: the other dimensions agree? `adds`: the part lacks that dimension. */
static int is_part(sw_builder *b, const sw_tensor *whole, const sw_tensor *t, int32_t axis, int32_t adds) {
    int ok = t->n_dims + adds == whole->n_dims;
    for (int32_t i = 0; ok && i < whole->n_dims; i++) {
        ok = i == axis || t->dims[i - (adds && i > axis)] == whole->dims[i];
    }
    return need(b, ok, SW_NEURAL_SHAPE) && need(b, t->type == whole->type, SW_NEURAL_TYPE)
        && same_quantisation(b, whole, t);
}

/* join: the inputs from `first` on become the output; else input `first` becomes the outputs. */
static void make_parts(sw_builder *b, int32_t join, uint32_t first, int32_t axis, int32_t adds) {
    sw_tensor whole, part;
    uint32_t n = join ? b->n_inputs - first : b->n_outputs;
    int ok = n >= 1 && n < 4096 && (join ? b->n_outputs == 1 : b->n_inputs > first);
    if (!need(b, ok, SW_NEURAL_OPERANDS)) {
        return;
    }
    sw_parts *r = record(b, KIND_PARTS, sizeof *r);
    uint32_t list = take(b, 8 * n);
    if (!(join ? output(b, 0, &whole) : input(b, first, &whole))) {
        return;
    }
    axis = axis < 0 ? axis + whole.n_dims : axis;
    if (!need(b, axis >= 0 && axis < whole.n_dims, SW_NEURAL_SHAPE)) {
        return;
    }
    r->head.detail = (uint8_t)join;
    r->one = (uint16_t)whole.index;
    r->n = (uint16_t)n;
    r->rounds = 1;
    for (int32_t i = 0; i < axis; i++) {
        r->rounds *= whole.dims[i];
    }
    int32_t total = 0;
    for (uint32_t i = 0; i < n; i++) {
        if (!(join ? input(b, first + i, &part) : output(b, i, &part)) || !is_part(b, &whole, &part, axis, adds)) {
            return;
        }
        total += part.bytes / r->rounds;
        if (!need(b, total <= whole.bytes / r->rounds, SW_NEURAL_SHAPE)) {
            return;
        }
        if (b->net) {
            int32_t *entry = (int32_t *)(b->net + list) + 2 * i;
            entry[0] = part.index;
            entry[1] = part.bytes / r->rounds;
        }
    }
    need(b, total == whole.bytes / r->rounds, SW_NEURAL_SHAPE);
    work(b, (uint32_t)whole.count, 1);
}

/* RESHAPE, EXPAND_DIMS, SQUEEZE: one part. Mostly the output shares the memory of the input, then nothing moves. */
static void make_copy(sw_builder *b) {
    sw_tensor x, y;
    sw_parts *r = record(b, KIND_PARTS, sizeof *r);
    uint32_t list = take(b, 8);
    if (operands(b, 1, 2, &x, &y) && need(b, x.type == y.type, SW_NEURAL_TYPE) && same_quantisation(b, &x, &y)
        && need(b, x.count == y.count, SW_NEURAL_SHAPE)) {
        r->head.detail = SHARES;
        r->one = (uint16_t)y.index;
        r->n = 1;
        r->rounds = 1;
        if (b->net) {
            ((int32_t *)(b->net + list))[0] = x.index;
            ((int32_t *)(b->net + list))[1] = x.bytes;
        }
        work(b, (uint32_t)x.count, 1);
    }
}

/* SPLIT has its axis in input 0, SPLIT_V in input 2. */
static void make_split(sw_builder *b, uint32_t axis_input, uint32_t first) {
    sw_tensor axis;
    if (constants(b, axis_input, &axis) && need(b, axis.count == 1, SW_NEURAL_SHAPE)) {
        make_parts(b, 0, first, constant(b, &axis, 0), 0);
    }
}

static void make_joined(sw_builder *b, int32_t code) {
    if (!need(b, b->options != 0, SW_NEURAL_OPTIONS)) {
        return;
    }
    if (code == CONCATENATION) {
        need(b, option_byte(b, 1) == 0, SW_NEURAL_OPTIONS);
        make_parts(b, 1, 0, option(b, 0), 0);
    } else {
        make_parts(b, code == PACK, 0, option(b, 1), 1);
    }
}

/* ---- running ---- */

static void copy(uint8_t *to, const uint8_t *from, int32_t bytes) {
    for (; bytes && to != from; bytes--) {
        *to++ = *from++;
    }
}

static void run_steps(sw_run *run, const sw_steps *r, const void *from, void *to) {
    const uint8_t *x = (const uint8_t *)from + r->x_from;
    uint8_t *y = to;
    int32_t item = r->head.detail;
    if (r->fill != FOREVER) {
        const uint8_t *number = r->fill == NO_OP ? 0 : data(run, r->fill);
        for (int32_t at = 0; at < r->y_bytes; at += item) {
            for (int32_t k = 0; k < item; k++) {
                y[at + k] = number ? number[k] : (uint8_t)r->zero;
            }
        }
    }
    /* the last dimension at once where its items lie side by side */
    int32_t count[DIMS];
    int32_t index[DIMS];
    clear(index);
    for (int32_t i = 0; i < DIMS; i++) {
        count[i] = r->count[i];
    }
    int32_t bytes = item;
    if (r->x_step[DIMS - 1] == item) {
        bytes *= count[DIMS - 1];
        count[DIMS - 1] = 1;
    }
    int32_t x_at = 0;
    int32_t y_at = r->y_from;
    do {
        copy(y + y_at, x + x_at, bytes);
    } while (advance(index, count, r->x_step, &x_at, r->y_step, &y_at));
}

static void run_parts(sw_run *run, const sw_parts *r) {
    uint8_t *one = data(run, r->one);
    for (int32_t round = 0; round < r->rounds; round++) {
        const int32_t *entry = (const int32_t *)(r + 1);
        for (int32_t i = r->n; i; i--, entry += 2) {
            uint8_t *part = (uint8_t *)data(run, (uint32_t)entry[0]) + round * entry[1];
            if (r->head.detail) {
                copy(one, part, entry[1]);
            } else {
                copy(part, one, entry[1]);
            }
            one += entry[1];
        }
    }
}
