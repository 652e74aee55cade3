/* Reading a .tflite file: its graph, its operators, when each tensor lives. Refuses what is out of order. */
typedef struct {
    sw_record head;
    uint16_t tensor;
    int16_t value; /* the zero point of int8; else 0 */
    int32_t bytes;
} sw_state;

typedef struct {
    uint32_t codes, n_codes, graph, ops, n_ops, inputs, n_inputs, outputs, n_outputs, metadata, n_metadata;
} sw_parts_of_file;

static int open_file(sw_builder *b, sw_parts_of_file *m) {
    sw_flat *f = &b->file;
    uint32_t count;
    if (!need(b, f->size >= 8, SW_NEURAL_TRUNCATED) || !need(b, !((uintptr_t)f->p & 3), SW_NEURAL_ALIGNMENT)
        || !need(b, flat_u32(f, 4) == 0x334C4654, SW_NEURAL_MAGIC)) { /* "TFL3" */
        return 0;
    }
    uint32_t root = flat_follow(f, 0);
    if (!need(b, flat_int(f, root, 0, 0) == 3, SW_NEURAL_VERSION)) {
        return 0;
    }
    m->codes = flat_vector(f, root, 1, 4, &m->n_codes);
    uint32_t graphs = flat_vector(f, root, 2, 4, &count);
    b->buffers = flat_vector(f, root, 4, 4, &b->n_buffers);
    m->metadata = flat_vector(f, root, 6, 4, &m->n_metadata);
    m->graph = count == 1 ? flat_follow(f, graphs) : 0;
    b->tensors = flat_vector(f, m->graph, 0, 4, &b->n_tensors);
    m->inputs = flat_vector(f, m->graph, 1, 4, &m->n_inputs);
    m->outputs = flat_vector(f, m->graph, 2, 4, &m->n_outputs);
    m->ops = flat_vector(f, m->graph, 3, 4, &m->n_ops);
    need(b, count == 1 && m->n_inputs && m->n_outputs && m->n_ops, SW_NEURAL_GRAPH);
    return need(b, b->n_tensors <= MOST_TENSORS && m->n_ops <= MOST_OPS && m->n_inputs + m->n_outputs <= 255,
                SW_NEURAL_LIMIT);
}

/* Makes operator k the one at hand. */
static int open_op(sw_builder *b, const sw_parts_of_file *m, uint32_t k) {
    sw_flat *f = &b->file;
    b->op = k;
    b->code = -1;
    uint32_t table = flat_follow(f, m->ops + 4 * k);
    uint32_t number_of_code = (uint32_t)flat_int(f, table, 0, 0);
    if (!need(b, number_of_code < m->n_codes, SW_NEURAL_OPERANDS)) {
        return 0;
    }
    uint32_t code = flat_follow(f, m->codes + 4 * number_of_code);
    int32_t old = flat_byte(f, code, 0); /* all that older files have */
    b->code = flat_int(f, code, 3, 0);
    b->code = b->code > old ? b->code : old;
    b->inputs = flat_vector(f, table, 1, 4, &b->n_inputs);
    b->outputs = flat_vector(f, table, 2, 4, &b->n_outputs);
    b->options = flat_table(f, table, 4);
    return need(b, b->n_inputs <= 256 && b->n_outputs <= 256, SW_NEURAL_OPERANDS);
}

static void wipe(void *memory, size_t bytes) {
    for (uint8_t *p = memory; bytes; bytes--) {
        *p++ = 0;
    }
}

static void start(sw_builder *b, sw_parts_of_file *m, const void *model, size_t bytes, uint8_t *net, uint32_t room) {
    wipe(b, sizeof *b);
    wipe(m, sizeof *m);
    b->file.p = model;
    b->file.size = bytes < 1u << 30 ? (uint32_t)bytes : 0;
    b->net = net;
    b->room = room;
    b->op = NO_OP;
    b->code = -1;
}

static int32_t report(const sw_builder *b, sw_neural_facts *facts) {
    facts->macs = (int32_t)b->work;
    facts->op = b->op == NO_OP || !b->error ? -1 : (int32_t)b->op;
    facts->code = b->code;
    return b->error;
}

/* ---- lives of tensors ---- */

/* A tensor that lives in the arena from operator `from` on. */
static void live(sw_life *life, uint32_t from, uint32_t to, int32_t bytes) {
    life->first = (uint16_t)from;
    life->last = (uint16_t)to;
    life->size = ((uint32_t)bytes + 3) & ~(uint32_t)3;
}

/* The operator at hand reads tensor `number`. */
static void reads(sw_builder *b, sw_life *lives, uint32_t *places, int32_t number_of_tensor) {
    sw_tensor t;
    if (number_of_tensor == -1 || !load(b, number_of_tensor, &t)) {
        return;
    }
    sw_life *life = &lives[t.index];
    if (t.data && !t.is_variable) {
        if (need(b, places[t.index] == NOWHERE || places[t.index] == PLACE(IN_MODEL, t.data), SW_NEURAL_ORDER)) {
            places[t.index] = PLACE(IN_MODEL, t.data);
        }
        return;
    }
    if (t.is_variable && life->first == NO_OP && places[t.index] == NOWHERE) {
        live(life, 0, FOREVER, t.bytes);
        if (need(b, t.type == SW_FLOAT32 || is_quantised(b, &t), SW_NEURAL_QUANTISATION)) {
            sw_state *state = record(b, KIND_STATE, sizeof *state);
            state->tensor = (uint16_t)t.index;
            state->value = t.type == SW_INT8 ? (int16_t)t.zero : 0;
            state->bytes = t.bytes;
            b->record->bytes = sizeof *state;
        }
    }
    need(b, life->first != NO_OP, SW_NEURAL_ORDER);
    life = &lives[life->root];
    if (life->last < b->op) {
        life->last = (uint16_t)b->op;
    }
}

/* The operator at hand writes tensor `number`. */
static void writes(sw_builder *b, sw_life *lives, const uint32_t *places, int32_t number_of_tensor) {
    sw_tensor t;
    if (!load(b, number_of_tensor, &t)) {
        return;
    }
    sw_life *life = &lives[t.index];
    if (need(b, !t.data && !t.is_variable && life->first == NO_OP, SW_NEURAL_ORDER)) {
        live(life, b->op, b->op, places[t.index] == NOWHERE ? t.bytes : 0);
    }
}

/* RESHAPE and its kin: the output is the input, unless it has to go to a place of its own. */
static void shares(sw_builder *b, sw_life *lives, uint32_t *places) {
    int32_t x = input_number(b, 0);
    int32_t y = (int32_t)flat_u32(&b->file, b->outputs);
    if (b->error || places[y] != NOWHERE) {
        return;
    }
    lives[y].root = lives[x].root;
    lives[y].size = 0;
}

/* Inputs and outputs of the net lie where the caller says. */
static void ports(sw_builder *b, const sw_parts_of_file *m, sw_life *lives, uint32_t *places, uint32_t *length) {
    for (uint32_t i = 0; i < m->n_inputs + m->n_outputs; i++) {
        int is_input = i < m->n_inputs;
        sw_tensor t;
        uint32_t at = is_input ? m->inputs + 4 * i : m->outputs + 4 * (i - m->n_inputs);
        if (!load(b, (int32_t)flat_u32(&b->file, at), &t)
            || !need(b, places[t.index] == NOWHERE && !t.data && !t.is_variable, SW_NEURAL_GRAPH)) {
            return;
        }
        places[t.index] = PLACE(IN_PORT, i);
        length[i] = (uint32_t)t.type << 28 | (uint32_t)t.bytes;
        if (is_input) {
            live(&lives[t.index], 0, FOREVER, 0);
        }
    }
}

/* The offsets of the file's own plan, if it has one: metadata "OfflineMemoryAllocation", int32s: version 1, subgraph 0,
 * how many tensors, then an offset for each, -1 for none.
 */
static void read_plan(sw_builder *b, const sw_parts_of_file *m, sw_life *lives) {
    sw_flat *f = &b->file;
    for (uint32_t i = 0; i < m->n_metadata; i++) {
        uint32_t length, bytes;
        uint32_t table = flat_follow(f, m->metadata + 4 * i);
        uint32_t name = flat_vector(f, table, 0, 1, &length);
        uint32_t buffer = (uint32_t)flat_int(f, table, 1, 0);
        /* 23 letters, of which these suffice */
        if (length != 23 || flat_u32(f, name) != 0x6C66664F || flat_u32(f, name + 19) != 0x6E6F6974) {
            continue;
        }
        if (!need(b, buffer < b->n_buffers, SW_NEURAL_PLAN)) {
            return;
        }
        uint32_t at = flat_vector(f, flat_follow(f, b->buffers + 4 * buffer), 0, 1, &bytes);
        int ok = bytes == 12 + 4 * b->n_tensors && flat_u32(f, at) == 1 && flat_u32(f, at + 4) == 0
            && flat_u32(f, at + 8) == b->n_tensors;
        if (!need(b, ok, SW_NEURAL_PLAN)) {
            return;
        }
        for (uint32_t k = 0; k < b->n_tensors; k++) {
            uint32_t offset = flat_u32(f, at + 12 + 4 * k);
            int is_given = lives[k].size && offset != UNPLACED;
            if (is_given && need(b, offset <= ARENA_LIMIT && !(offset & 3), SW_NEURAL_PLAN)) {
                lives[k].offset = offset;
            }
        }
    }
}
