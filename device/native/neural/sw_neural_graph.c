/* What making a net needs: its tensors as the file describes them, and records for what the operators will need.
 *
 * A net in memory: its head, a place for every tensor, then one record an operator. Made in two passes over the same
 * functions: the first has no memory for the net (b->net is 0) and only counts what the second one will fill.
 */
enum { DIMS = 5, MOST_TENSORS = 4096, MOST_OPS = 4096, MOST_ITEMS = 1 << 24, MOST_WORK = 0x7FFFFFFF, RECORD = 224 };

/* Operators, as the schema counts them */
enum {
    ADD = 0, AVERAGE_POOL_2D = 1, CONCATENATION = 2, CONV_2D = 3, DEPTHWISE_CONV_2D = 4, DEQUANTIZE = 6,
    FULLY_CONNECTED = 9, LOGISTIC = 14, MAX_POOL_2D = 17, MUL = 18, RELU = 19, RELU6 = 21, RESHAPE = 22, SOFTMAX = 25,
    SVDF = 27, TANH = 28, PAD = 34, TRANSPOSE = 39, MEAN = 40, SUB = 41, SQUEEZE = 43,
    UNIDIRECTIONAL_SEQUENCE_LSTM = 44, STRIDED_SLICE = 45, SPLIT = 49, PADV2 = 60, EXPAND_DIMS = 70, PACK = 83,
    UNPACK = 88, LEAKY_RELU = 98, SPLIT_V = 102, QUANTIZE = 114
};

/* What records are of; the last is no operator but a variable to be reset */
enum {
    KIND_CONV, KIND_DEPTHWISE, KIND_POOL, KIND_MEAN, KIND_STEPS, KIND_PARTS, KIND_CURVE, KIND_PAIR, KIND_SOFTMAX,
    KIND_CAST, KIND_SVDF, KIND_LSTM, KIND_STATE
};

/* A place: two bits of what it is relative to, then the offset there (input, output: its number) */
enum { IN_MODEL, IN_ARENA, IN_PORT };
#define PLACE(where, offset) ((uint32_t)(where) << 30 | (offset))
#define NOWHERE 0xFFFFFFFFu

typedef struct {
    uint32_t made; /* MADE once prepare() has finished */
    uint32_t bytes, model_bytes, arena_bytes;
    uint32_t places; /* where they begin, from the head on; then come the records */
    uint32_t records;
    uint16_t n_tensors, n_ops, n_inputs, n_ports;
} sw_head;
#define MADE 0x31544E53u

/* Every record begins with this. */
typedef struct {
    uint8_t kind;
    uint8_t detail;
    uint16_t code;    /* of the operator, as the schema counts them */
    uint32_t bytes;   /* of the record */
    uint32_t scratch; /* in the arena; while the net is made: how many bytes of it */
    uint16_t x, y;    /* the first input and the first output */
} sw_record;

typedef struct {
    sw_flat file;
    int32_t error;
    uint32_t tensors, buffers, n_tensors, n_buffers; /* vectors in the file */
    uint32_t op, inputs, n_inputs, outputs, n_outputs, options; /* of the operator at hand */
    int32_t code;
    uint8_t *net; /* 0 while counting */
    uint32_t used, room;
    sw_record *record;
    uint64_t spare[RECORD / 8]; /* stands in for a record while counting */
    uint32_t work;
} sw_builder;

/* What the file says of a tensor. */
typedef struct {
    int32_t index, type, item, is_variable;
    int32_t n_dims, dims[DIMS], count, bytes;
    uint32_t data; /* of a constant: where in the file; else 0 */
    uint32_t scales, n_scales, zeros, n_zeros, axis;
    uint32_t scale; /* the first, as bits; 0: none */
    int32_t zero;   /* the first */
} sw_tensor;

/* Refuses unless `ok`; true where all is well so far. */
static int need(sw_builder *b, int ok, int32_t reason) {
    if (!b->error && b->file.outside) {
        b->error = SW_NEURAL_TRUNCATED;
    }
    if (!b->error && !ok) {
        b->error = reason;
    }
    return !b->error;
}

static void work(sw_builder *b, uint32_t factor, uint32_t count) {
    uint64_t sum = (uint64_t)factor * count + b->work;
    if (need(b, sum <= MOST_WORK, SW_NEURAL_LIMIT)) {
        b->work = (uint32_t)sum;
    }
}

/* Memory in the net that begins 4-byte aligned, as an offset. */
static uint32_t take(sw_builder *b, uint32_t bytes) {
    uint32_t at = b->used;
    bytes = (bytes + 3) & ~(uint32_t)3;
    if (need(b, bytes <= b->room - at, SW_NEURAL_MEMORY)) {
        b->used = at + bytes;
    }
    return at;
}

/* The record of the operator at hand. */
static void *record(sw_builder *b, int32_t kind, uint32_t bytes) {
    uint32_t at = take(b, bytes);
    b->record = b->net && !b->error ? (sw_record *)(b->net + at) : (sw_record *)b->spare;
    b->record->kind = (uint8_t)kind;
    b->record->detail = 0;
    b->record->code = (uint16_t)b->code;
    b->record->scratch = 0;
    return b->record;
}

static int32_t item_bytes(int32_t type) {
    int is_wide = type == SW_INT32 || type == SW_FLOAT32;
    return type == SW_INT8 || type == SW_UINT8 ? 1 : type == SW_INT16 ? 2 : is_wide ? 4 : 0;
}

/* Reads tensor `index`; its data are proven to be as long as its shape says. */
static int load(sw_builder *b, int32_t index, sw_tensor *t) {
    sw_flat *f = &b->file;
    uint32_t count;
    t->count = t->n_dims = t->type = t->index = 0;
    t->data = t->n_scales = t->n_zeros = t->scale = 0;
    t->zero = 0;
    for (int32_t i = 0; i < DIMS; i++) {
        t->dims[i] = 1;
    }
    if (!need(b, index >= 0 && (uint32_t)index < b->n_tensors, SW_NEURAL_OPERANDS)) {
        return 0;
    }
    uint32_t table = flat_follow(f, b->tensors + 4 * (uint32_t)index);
    t->index = index;
    t->type = flat_byte(f, table, 1);
    t->item = item_bytes(t->type);
    t->is_variable = flat_byte(f, table, 5);
    uint32_t shape = flat_vector(f, table, 0, 4, &count);
    if (!need(b, t->item != 0, SW_NEURAL_TYPE) || !need(b, count <= DIMS, SW_NEURAL_SHAPE)) {
        return 0;
    }
    t->n_dims = (int32_t)count;
    uint32_t items = 1;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t dim = flat_u32(f, shape + 4 * i);
        if (!need(b, dim >= 1 && dim <= MOST_ITEMS && (uint64_t)items * dim <= MOST_ITEMS, SW_NEURAL_SHAPE)) {
            return 0;
        }
        items *= dim;
        t->dims[i] = (int32_t)dim;
    }
    t->count = (int32_t)items;
    t->bytes = t->count * t->item;
    uint32_t buffer = (uint32_t)flat_int(f, table, 2, 0);
    if (!need(b, buffer < b->n_buffers, SW_NEURAL_OPERANDS)) {
        return 0;
    }
    if (buffer) {
        t->data = flat_vector(f, flat_follow(f, b->buffers + 4 * buffer), 0, 1, &count);
        need(b, !t->data || count == (uint32_t)t->bytes, SW_NEURAL_CONSTANT);
        need(b, (t->data & (uint32_t)(t->item - 1)) == 0, SW_NEURAL_ALIGNMENT);
    }
    uint32_t quantisation = flat_table(f, table, 4);
    if (quantisation) {
        t->scales = flat_vector(f, quantisation, 2, 4, &t->n_scales);
        t->zeros = flat_vector(f, quantisation, 3, 8, &t->n_zeros);
        t->axis = (uint32_t)flat_int(f, quantisation, 6, 0);
        t->scale = t->n_scales ? flat_u32(f, t->scales) : 0;
        t->zero = t->n_zeros ? (int32_t)flat_u32(f, t->zeros) : 0;
    }
    return need(b, 1, 0);
}

/* ---- quantisation ---- */

/* One scale for the whole tensor, and a zero point that its type can hold? */
static int is_quantised(sw_builder *b, const sw_tensor *t) {
    int32_t half = t->type == SW_INT16 ? 32768 : t->type == SW_INT32 ? 1 : 128;
    int32_t zero = t->type == SW_UINT8 ? (int32_t)((uint32_t)t->zero - 128) : t->zero;
    int32_t sign = t->n_zeros ? (int32_t)flat_u32(&b->file, t->zeros + 4) : 0;
    int ok = t->n_scales == 1 && t->n_zeros <= 1 && scale_is_usable(t->scale) && zero >= -half && zero < half
        && sign == (t->zero < 0 ? -1 : 0);
    return need(b, ok, SW_NEURAL_QUANTISATION);
}

static int is_int8(sw_builder *b, const sw_tensor *t) {
    return need(b, t->type == SW_INT8, SW_NEURAL_TYPE) && is_quantised(b, t);
}

static int same_quantisation(sw_builder *b, const sw_tensor *a, const sw_tensor *c) {
    return need(b, a->scale == c->scale && a->zero == c->zero, SW_NEURAL_QUANTISATION);
}

/* ---- operands ---- */

/* A field of the options: 0 where it is absent, as the schema has it of nearly all. */
static int32_t option(sw_builder *b, uint32_t field) {
    return flat_int(&b->file, b->options, field, 0);
}

static int32_t option_byte(sw_builder *b, uint32_t field) {
    return flat_byte(&b->file, b->options, field);
}

/* The number of tensor k of the operator's inputs; -1: it is left out. */
static int32_t input_number(sw_builder *b, uint32_t k) {
    return k < b->n_inputs ? (int32_t)flat_u32(&b->file, b->inputs + 4 * k) : -1;
}

static int input(sw_builder *b, uint32_t k, sw_tensor *t) {
    return load(b, input_number(b, k), t);
}

static int output(sw_builder *b, uint32_t k, sw_tensor *t) {
    return load(b, k < b->n_outputs ? (int32_t)flat_u32(&b->file, b->outputs + 4 * k) : -1, t);
}

/* The first input and the output of an operator with least..most inputs. */
static int operands(sw_builder *b, uint32_t least, uint32_t most, sw_tensor *x, sw_tensor *y) {
    int ok = b->n_inputs >= least && b->n_inputs <= most && b->n_outputs == 1;
    if (!need(b, ok, SW_NEURAL_OPERANDS) || !input(b, 0, x) || !output(b, 0, y)) {
        return 0;
    }
    b->record->x = (uint16_t)x->index;
    b->record->y = (uint16_t)y->index;
    return 1;
}

/* The same of an operator from int8 to int8. */
static int operands8(sw_builder *b, uint32_t least, uint32_t most, sw_tensor *x, sw_tensor *y) {
    return operands(b, least, most, x, y) && is_int8(b, x) && is_int8(b, y);
}

/* Number i of the int32 constant in t. */
static int32_t constant(sw_builder *b, const sw_tensor *t, int32_t i) {
    return t->data && i < t->count ? (int32_t)flat_u32(&b->file, t->data + 4 * (uint32_t)i) : 0;
}

/* Input k is a constant of int32. */
static int constants(sw_builder *b, uint32_t k, sw_tensor *t) {
    return input(b, k, t) && need(b, t->type == SW_INT32, SW_NEURAL_TYPE) && need(b, t->data != 0, SW_NEURAL_CONSTANT);
}

static int same_shape(const sw_tensor *a, const sw_tensor *c) {
    int same = a->n_dims == c->n_dims;
    for (int32_t i = 0; same && i < a->n_dims; i++) {
        same = a->dims[i] == c->dims[i];
    }
    return same;
}

/* May a multiplier be applied to numbers that have up to 30 - most bits? */
static void fits(sw_builder *b, sw_multiplier by, int32_t most) {
    need(b, by.shift <= most, SW_NEURAL_QUANTISATION);
}

/* Dimension i of DIMS of them, with ones in front. */
static int32_t dim(const sw_tensor *t, int32_t i) {
    i -= DIMS - t->n_dims;
    return i < 0 ? 1 : t->dims[i];
}

/* The fused activation in field `field` of the options, as limits of the output. */
static void activation(sw_builder *b, uint32_t field, const sw_tensor *y, int16_t *low, int16_t *high) {
    int32_t kind = option_byte(b, field); /* 1 relu, 2 relu -1..1, 3 relu6 */
    if (!need(b, kind >= 0 && kind <= 3, SW_NEURAL_OPTIONS)) {
        return;
    }
    int32_t one = kind < 2 ? 0 : nearest(kind == 2 ? ONE : SIX, y->scale);
    *low = (int16_t)clamped(kind == 0 ? -128 : kind == 2 ? y->zero - one : y->zero, -128, 127);
    *high = (int16_t)clamped(kind < 2 ? 127 : y->zero + one, -128, 127);
}

/* ---- while it runs ---- */

typedef struct {
    const uint8_t *net;
    uint8_t *base[2]; /* the model, the arena */
    uint8_t **ports;
} sw_run;

static void *data(const sw_run *run, uint32_t tensor) {
    uint32_t place = ((const uint32_t *)(run->net + ((const sw_head *)run->net)->places))[tensor];
    uint32_t offset = place & 0x3FFFFFFF;
    return place >> 30 == IN_PORT ? run->ports[offset] : run->base[place >> 30] + offset;
}

static void *scratch(const sw_run *run, const sw_record *r) {
    return run->base[IN_ARENA] + r->scratch;
}

static void clear(int32_t *index) {
    for (int32_t i = 0; i < DIMS; i++) {
        index[i] = 0;
    }
}

/* Counts through DIMS dimensions; moves *at and *beside by their steps; 0 after the last. */
static int advance(int32_t *index, const int32_t *count, const int32_t *step, int32_t *at, const int32_t *other,
                   int32_t *beside) {
    for (int32_t i = DIMS - 1; i >= 0; i--) {
        *at += step[i];
        *beside += other[i];
        if (++index[i] < count[i]) {
            return 1;
        }
        *at -= count[i] * step[i];
        *beside -= count[i] * other[i];
        index[i] = 0;
    }
    return 0;
}
