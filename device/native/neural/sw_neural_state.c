/* Operators that remember: SVDF and UNIDIRECTIONAL_SEQUENCE_LSTM. Their states are tensors that live for ever. */
typedef struct {
    sw_record head;
    uint16_t features, times, bias, state;
    int32_t batches, n_inputs, n_filters, n_units, rank, memory;
    int32_t x_zero, state_zero, y_zero;
    int32_t is_wide; /* the state and the weights of time are int16 */
    sw_multiplier by_feature, by_time;
} sw_svdf;

enum { FORGET, INPUT, CELL, OUTPUT, GATES };

typedef struct {
    uint16_t w, u, bias; /* weights for inputs and for the hidden state */
    sw_multiplier by_w, by_u;
} sw_gate;

typedef struct {
    sw_record head;
    uint16_t hidden, cell;
    int32_t batches, times, n_inputs, n, is_time_major;
    int32_t x_zero, hidden_zero, clip;
    int32_t tanh_shift; /* the cell's scale is 2**(tanh_shift - 12) */
    uint32_t table;     /* of the logistic, in the net */
    sw_gate gates[GATES];
    sw_multiplier by_forget, by_input, by_output;
} sw_lstm;

/* ---- SVDF ---- */

static void make_svdf(sw_builder *b) {
    sw_tensor x, features, times, state, y, add;
    sw_svdf *r = record(b, KIND_SVDF, sizeof *r);
    if (!operands8(b, 5, 5, &x, &y) || !input(b, 1, &features) || !input(b, 2, &times) || !input(b, 4, &state)
        || !is_int8(b, &features)
        || !need(b, (times.type == SW_INT8 || times.type == SW_INT16) && state.type == times.type, SW_NEURAL_TYPE)
        || !is_quantised(b, &times) || !is_quantised(b, &state)
        || !need(b, !features.zero && !times.zero, SW_NEURAL_QUANTISATION)) {
        return;
    }
    r->rank = option(b, 0);
    r->batches = x.dims[0];
    r->n_inputs = x.dims[1];
    r->n_filters = features.dims[0];
    r->memory = times.dims[1];
    int ok = x.n_dims == 2 && features.n_dims == 2 && times.n_dims == 2 && state.n_dims == 2 && y.n_dims == 2
        && features.dims[1] == r->n_inputs && times.dims[0] == r->n_filters && state.dims[0] == r->batches
        && state.dims[1] == times.count && r->n_inputs <= LONGEST_SUM && y.dims[0] == r->batches;
    if (!need(b, b->options && r->rank > 0, SW_NEURAL_OPTIONS) || !need(b, ok, SW_NEURAL_SHAPE)) {
        return;
    }
    r->n_units = r->n_filters / r->rank;
    need(b, r->n_units * r->rank == r->n_filters && y.dims[1] == r->n_units, SW_NEURAL_SHAPE);
    need(b, state.is_variable, SW_NEURAL_ORDER);
    r->bias = NO_OP;
    if (input_number(b, 3) != -1 && input(b, 3, &add) && need(b, add.type == SW_INT32, SW_NEURAL_TYPE)
        && need(b, add.count == r->n_units, SW_NEURAL_SHAPE)) {
        r->bias = (uint16_t)add.index;
    }
    r->features = (uint16_t)features.index;
    r->times = (uint16_t)times.index;
    r->state = (uint16_t)state.index;
    r->is_wide = times.type == SW_INT16;
    r->x_zero = x.zero;
    r->state_zero = state.zero;
    r->y_zero = y.zero;
    r->by_feature = fold(x.scale, features.scale, state.scale, 0);
    r->by_time = fold(state.scale, times.scale, y.scale, 0);
    fits(b, r->by_feature, 30);
    fits(b, r->by_time, 30);
    work(b, (uint32_t)features.count, (uint32_t)r->batches);
    work(b, (uint32_t)times.count, (uint32_t)r->batches);
}

static void run_svdf(sw_run *run, const sw_svdf *r, const void *from, void *to) {
    const int8_t *x = from;
    const int8_t *w = data(run, r->features);
    const int32_t *add = r->bias == NO_OP ? 0 : data(run, r->bias);
    void *state = data(run, r->state);
    const void *times = data(run, r->times);
    int8_t *y = to;
    int32_t type = r->is_wide ? SW_INT16 : SW_INT8;
    for (int32_t image = 0; image < r->batches; image++, x += r->n_inputs) {
        int32_t at = image * r->n_filters * r->memory;
        int32_t filter = 0;
        for (int32_t unit = 0; unit < r->n_units; unit++) {
            int32_t sum = add ? add[unit] : 0;
            for (int32_t k = r->rank; k; k--, filter++) {
                int32_t feature = 0;
                for (int32_t i = 0; i < r->n_inputs; i++) {
                    feature += w[filter * r->n_inputs + i] * (x[i] - r->x_zero);
                }
                feature = scaled(feature, r->by_feature.m, r->by_feature.shift);
                feature = r->is_wide ? clamped(feature, -32768, 32767) : clamped(feature, -128, 127);
                /* the state moves on by one, the feature comes last */
                for (int32_t i = 0; i < r->memory; i++, at++) {
                    int32_t value = i < r->memory - 1 ? get(state, type, at + 1) : feature + r->state_zero;
                    /* where it does not fit, its low bits stay */
                    value = r->is_wide ? (int16_t)value : (int8_t)value;
                    put(state, type, at, value);
                    uint32_t weight = (uint32_t)get(times, type, filter * r->memory + i);
                    sum = plus(sum, (int32_t)(weight * (uint32_t)(value - r->state_zero)));
                }
            }
            *y++ = (int8_t)clamped(scaled(sum, r->by_time.m, r->by_time.shift) + r->y_zero, -128, 127);
        }
    }
}

/* ---- LSTM ---- */

/* Input k: a variable of `count` numbers of a type. */
static int lstm_state(sw_builder *b, uint32_t k, sw_tensor *t, int32_t type, int32_t count) {
    return input(b, k, t) && need(b, t->type == type, SW_NEURAL_TYPE) && is_quantised(b, t)
        && need(b, t->count == count, SW_NEURAL_SHAPE) && need(b, t->is_variable, SW_NEURAL_ORDER);
}

/* Input k: int8 weights for n outputs from `depth` inputs; *by: from their products to steps of 2**-12. */
static uint16_t lstm_weights(sw_builder *b, uint32_t k, int32_t n, int32_t depth, const sw_tensor *x,
                             sw_multiplier *by) {
    sw_tensor w;
    if (!input(b, k, &w) || !is_int8(b, &w) || !need(b, !w.zero, SW_NEURAL_QUANTISATION)
        || !need(b, w.n_dims == 2 && w.dims[0] == n && w.dims[1] == depth && depth <= LONGEST_SUM, SW_NEURAL_SHAPE)) {
        return 0;
    }
    *by = fold(x->scale, w.scale, ONE, 12);
    fits(b, *by, 30);
    return (uint16_t)w.index;
}

static void make_lstm(sw_builder *b) {
    sw_tensor x, hidden, cell, y, add;
    sw_lstm *r = record(b, KIND_LSTM, sizeof *r);
    if (!operands8(b, 24, 24, &x, &y)
        || !need(b, b->options && option_byte(b, 0) == 4 && !option_byte(b, 5), SW_NEURAL_OPTIONS)) {
        return;
    }
    for (uint32_t k = 9; k < 24; k++) { /* no peepholes, projection or normalisation */
        int is_used = (k >= 12 && k < 16) || k == 18 || k == 19;
        need(b, is_used || input_number(b, k) == -1, SW_NEURAL_OPTIONS);
    }
    r->is_time_major = option_byte(b, 3);
    r->batches = x.dims[r->is_time_major ? 1 : 0];
    r->times = x.dims[r->is_time_major ? 0 : 1];
    r->n_inputs = x.dims[2];
    r->n = y.dims[2];
    int ok = x.n_dims == 3 && y.n_dims == 3 && y.dims[0] == x.dims[0] && y.dims[1] == x.dims[1]
        && (int64_t)r->n * r->batches <= MOST_ITEMS;
    if (!need(b, ok, SW_NEURAL_SHAPE) || !lstm_state(b, 18, &hidden, SW_INT8, r->n * r->batches)
        || !lstm_state(b, 19, &cell, SW_INT16, r->n * r->batches)) {
        return;
    }
    /* the cell's scale is a power of two: its float has no fraction bits */
    int32_t power = (int32_t)(cell.scale >> 23) - 127;
    r->tanh_shift = power + 12;
    ok = !(cell.scale & 0x7FFFFF) && power >= -20 && power < 0 && !cell.zero;
    if (!need(b, ok, SW_NEURAL_QUANTISATION)) {
        return;
    }
    r->hidden = (uint16_t)hidden.index;
    r->cell = (uint16_t)cell.index;
    r->x_zero = x.zero;
    r->hidden_zero = hidden.zero;
    for (uint32_t i = 0; i < GATES; i++) {
        /* the file's order: input, forget, cell, output */
        uint32_t k = i == FORGET ? 1 : i == INPUT ? 0 : i;
        sw_gate *gate = &r->gates[i];
        gate->w = lstm_weights(b, 1 + k, r->n, r->n_inputs, &x, &gate->by_w);
        gate->u = lstm_weights(b, 5 + k, r->n, r->n, &hidden, &gate->by_u);
        if (!input(b, 12 + k, &add) || !need(b, add.type == SW_INT32, SW_NEURAL_TYPE)
            || !need(b, add.count == r->n, SW_NEURAL_SHAPE)) {
            return;
        }
        gate->bias = (uint16_t)add.index;
    }
    uint32_t clip = (uint32_t)option(b, 1);
    r->clip = 0;
    if (clip) {
        if (!need(b, scale_is_usable(clip), SW_NEURAL_OPTIONS)) {
            return;
        }
        /* exact: only the exponent changes. Cut to an integer, at most 32767 */
        uint32_t steps = fraction(clip);
        int32_t e = exponent(clip) - power;
        r->clip = e > -9 ? 32767 : e < -24 ? 0 : (int32_t)(steps >> -e);
    }
    r->by_forget = fold(ONE, ONE, ONE, -15);
    r->by_input = fold(ONE, ONE, cell.scale, -30);
    r->by_output = fold(ONE, ONE, hidden.scale, -30);
    fits(b, r->by_output, 0);
    r->table = take(b, 512);
    if (b->net && !b->error) {
        logistic_table((uint16_t *)(b->net + r->table));
    }
    r->head.scratch = 2 * (uint32_t)(r->n_inputs + 4 * r->n);
    work(b, (uint32_t)(r->times * r->batches), 4 * (uint32_t)r->n);
    work(b, (uint32_t)(r->times * r->batches * 4), (uint32_t)r->n * (uint32_t)(r->n_inputs + r->n));
}

/* Item i of a gate before its activation: what the inputs and the hidden state say, each rounded on its own. */
static int32_t gate_sum(sw_run *run, const sw_lstm *r, const sw_gate *gate, int32_t i, const int16_t *x,
                        const int16_t *h) {
    const int8_t *w = data(run, gate->w);
    const int8_t *u = data(run, gate->u);
    const int32_t *add = data(run, gate->bias);
    int32_t a = plus(one_sum(x, w + i * r->n_inputs, r->n_inputs), add[i]);
    int32_t c = one_sum(h, u + i * r->n, r->n);
    a = clamped(scaled(a, gate->by_w.m, gate->by_w.shift), -32768, 32767);
    c = clamped(scaled(c, gate->by_u.m, gate->by_u.shift), -32768, 32767);
    return clamped(a + c, -32768, 32767);
}

static int32_t times16(int32_t a, int32_t c, sw_multiplier by) {
    return clamped(scaled(a * c, by.m, by.shift), -32768, 32767);
}

/* One step of time of one image: x inputs, h and cell the state, y the output. */
static void lstm_step(sw_run *run, const sw_lstm *r, const int8_t *x, int8_t *hidden, int16_t *cell, int8_t *y) {
    int16_t *wide_x = scratch(run, &r->head);
    int16_t *wide_h = wide_x + r->n_inputs;
    const uint16_t *table = (const uint16_t *)(run->net + r->table);
    widen(wide_x, x, r->x_zero, r->n_inputs);
    widen(wide_h, hidden, r->hidden_zero, r->n);
    for (int32_t i = 0; i < r->n; i++) {
        int32_t forget = logistic16(table, gate_sum(run, r, &r->gates[FORGET], i, wide_x, wide_h));
        int32_t in = logistic16(table, gate_sum(run, r, &r->gates[INPUT], i, wide_x, wide_h));
        int32_t candidate = hyperbolic16(table, 3 * gate_sum(run, r, &r->gates[CELL], i, wide_x, wide_h));
        int32_t out = logistic16(table, gate_sum(run, r, &r->gates[OUTPUT], i, wide_x, wide_h));
        int32_t c = times16(forget, cell[i], r->by_forget) + times16(in, candidate, r->by_input);
        c = clamped(c, -32768, 32767);
        c = r->clip ? clamped(c, -r->clip, r->clip) : c;
        cell[i] = (int16_t)c;
        c = r->tanh_shift < 0 ? (3 * c + (1 << (-r->tanh_shift - 1))) >> -r->tanh_shift : c * (3 << r->tanh_shift);
        int32_t h = scaled(hyperbolic16(table, c) * out, r->by_output.m, r->by_output.shift) + r->hidden_zero;
        hidden[i] = y[i] = (int8_t)clamped(h, -128, 127);
    }
}

static void run_lstm(sw_run *run, const sw_lstm *r, const void *from, void *to) {
    const int8_t *x = from;
    int8_t *hidden = data(run, r->hidden);
    int16_t *cell = data(run, r->cell);
    int8_t *y = to;
    for (int32_t image = 0; image < r->batches; image++) {
        for (int32_t t = 0; t < r->times; t++) {
            int32_t row = r->is_time_major ? t * r->batches + image : image * r->times + t;
            lstm_step(run, r, x + row * r->n_inputs, hidden + image * r->n, cell + image * r->n, y + row * r->n);
        }
    }
}
