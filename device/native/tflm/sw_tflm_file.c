/* Looks at a .tflite file before TFLM gets it: every vector and number that TFLM follows without asking. See sw_tflm.h.
 *
 * Reads nothing outside of the file, allocates nothing, ends in bounded time. Little-endian machines only.
 */
#include "sw_tflm.h"

#include <string.h>

enum { MOST_OPS = 4096, MOST_OPERANDS = 64, MOST_STEPS = 1 << 22 };
enum { OP_CUSTOM = 32, OP_CALL_ONCE = 129, OP_VAR_HANDLE = 142, OP_ASSIGN_VARIABLE = 144 };

typedef struct {
    const uint8_t *data;
    size_t bytes;
    int32_t bad; /* something pointed outside */
    int32_t steps;
} file;

typedef struct {
    size_t at; /* of the first item */
    uint32_t count;
} vector;

static uint32_t number(file *f, size_t at, size_t size) {
    uint32_t value = 0;
    if (at > f->bytes || f->bytes - at < size) {
        f->bad = 1;
        return 0;
    }
    memcpy(&value, f->data + at, size);
    return value;
}

static size_t follow(file *f, size_t at) {
    size_t to = at + number(f, at, 4);
    if (to + 4 > f->bytes || to % 4) {
        f->bad = 1;
        return 0;
    }
    return to;
}

/* Where field `k` of a table lies; 0: it is not there. */
static size_t field(file *f, size_t table, uint32_t k) {
    int64_t vtable = (int64_t)table - (int32_t)number(f, table, 4);
    if (vtable < 0 || (uint64_t)vtable >= f->bytes) {
        f->bad = 1;
        return 0;
    }
    if (6 + 2 * k > number(f, (size_t)vtable, 2)) {
        return 0;
    }
    uint32_t offset = number(f, (size_t)vtable + 4 + 2 * k, 2);
    return offset ? table + offset : 0;
}

static uint32_t value(file *f, size_t table, uint32_t k, size_t size) {
    size_t at = field(f, table, k);
    return at ? number(f, at, size) : 0;
}

static vector items(file *f, size_t table, uint32_t k, size_t size) {
    vector v = {0, 0};
    size_t at = field(f, table, k);
    if (at) {
        size_t start = follow(f, at);
        v.count = number(f, start, 4);
        v.at = start + 4;
        if (f->bad || v.count > (f->bytes - v.at) / size) {
            f->bad = 1;
            v.count = 0;
        }
    }
    return v;
}

static size_t table_of(file *f, vector v, uint32_t k) {
    return follow(f, v.at + 4 * (size_t)k);
}

static int32_t item(file *f, vector v, uint32_t k) {
    return (int32_t)number(f, v.at + 4 * (size_t)k, 4);
}

typedef struct {
    vector codes, buffers, tensors, inputs, outputs, ops;
} graph;

static void open_graph(file *f, graph *g) {
    size_t root = follow(f, 0);
    g->codes = items(f, root, 1, 4);
    g->buffers = items(f, root, 4, 4);
    size_t table = table_of(f, items(f, root, 2, 4), 0);
    g->tensors = items(f, table, 0, 4);
    g->inputs = items(f, table, 1, 4);
    g->outputs = items(f, table, 2, 4);
    g->ops = items(f, table, 3, 4);
}

static int32_t code_of(file *f, const graph *g, size_t op) {
    uint32_t index = value(f, op, 0, 4);
    if (index >= g->codes.count) {
        return -1;
    }
    size_t code = table_of(f, g->codes, index);
    int32_t old = (int8_t)value(f, code, 0, 1);
    int32_t now = (int32_t)value(f, code, 3, 4);
    return old > now ? old : now;
}

/* Bytes of one number; 0: a kind whose lengths are not looked at. */
static uint32_t item_bytes(uint32_t type) {
    switch (type) {
        case 3: case 6: case 9: return 1;
        case 1: case 7: case 16: case 18: return 2;
        case 0: case 2: case 15: return 4;
        case 4: case 10: case 12: return 8;
        default: return 0;
    }
}

static int32_t has(file *f, vector v, int32_t what) {
    f->steps += (int32_t)v.count + 1;
    for (uint32_t i = 0; i < v.count; i++) {
        if (item(f, v, i) == what) {
            return 1;
        }
    }
    return 0;
}

/* Are there numbers in tensor `t` when operator `before` begins? */
static int32_t is_written(file *f, const graph *g, int32_t t, uint32_t before) {
    size_t tensor = table_of(f, g->tensors, (uint32_t)t);
    size_t buffer = table_of(f, g->buffers, value(f, tensor, 2, 4));
    if (value(f, tensor, 5, 1) || items(f, buffer, 0, 1).count || has(f, g->inputs, t)) {
        return 1;
    }
    for (uint32_t k = 0; k < before && f->steps < MOST_STEPS; k++) {
        if (has(f, items(f, table_of(f, g->ops, k), 2, 4), t)) {
            return 1;
        }
    }
    return 0;
}

static int32_t is_tensor(const graph *g, int32_t t) {
    return t >= 0 && (uint32_t)t < g->tensors.count;
}

static int32_t prove_tensor(file *f, const graph *g, size_t tensor) {
    vector shape = items(f, tensor, 0, 4);
    uint32_t size = item_bytes(value(f, tensor, 1, 1));
    uint32_t buffer = value(f, tensor, 2, 4);
    if (buffer >= g->buffers.count) {
        return SW_NEURAL_CONSTANT;
    }
    if (shape.count > 8) {
        return SW_NEURAL_SHAPE;
    }
    uint64_t bytes = size;
    for (uint32_t i = 0; i < shape.count; i++) {
        int32_t n = item(f, shape, i);
        bytes = n < 0 || n > 1 << 28 ? 1 << 29 : bytes * (uint32_t)n;
        if (bytes > 1 << 28) {
            return SW_NEURAL_SHAPE;
        }
    }
    vector data = items(f, table_of(f, g->buffers, buffer), 0, 1);
    if (data.count && size) {
        if (data.count != bytes) {
            return SW_NEURAL_CONSTANT;
        }
        if (((uintptr_t)f->data + data.at) % (size > 4 ? 4 : size)) {
            return SW_NEURAL_ALIGNMENT;
        }
    }
    return SW_NEURAL_SOUND;
}

static int32_t prove_op(file *f, const graph *g, uint32_t k, sw_neural_facts *facts) {
    size_t op = table_of(f, g->ops, k);
    facts->op = (int32_t)k;
    facts->code = code_of(f, g, op);
    if (facts->code < 0 || facts->code == OP_CUSTOM || facts->code == OP_CALL_ONCE ||
        (facts->code >= OP_VAR_HANDLE && facts->code <= OP_ASSIGN_VARIABLE)) {
        return SW_NEURAL_OP; /* the last ones need memory that this firmware does not set up */
    }
    vector takes = items(f, op, 1, 4), gives = items(f, op, 2, 4), between = items(f, op, 8, 4);
    if (takes.count > MOST_OPERANDS || gives.count > MOST_OPERANDS || between.count > MOST_OPERANDS) {
        return SW_NEURAL_LIMIT;
    }
    if (!takes.count || !gives.count) {
        return SW_NEURAL_OPERANDS;
    }
    for (uint32_t i = 0; i < takes.count; i++) {
        int32_t t = item(f, takes, i);
        if (t != -1 && !is_tensor(g, t)) {
            return SW_NEURAL_OPERANDS;
        }
        if (t != -1 && !is_written(f, g, t, k)) {
            return f->steps < MOST_STEPS ? SW_NEURAL_ORDER : SW_NEURAL_LIMIT;
        }
    }
    for (uint32_t i = 0; i < gives.count; i++) {
        if (!is_tensor(g, item(f, gives, i))) {
            return SW_NEURAL_OPERANDS;
        }
    }
    for (uint32_t i = 0; i < between.count; i++) {
        if (item(f, between, i) != -1 && !is_tensor(g, item(f, between, i))) {
            return SW_NEURAL_OPERANDS;
        }
    }
    return SW_NEURAL_SOUND;
}

static int32_t prove_ends(file *f, const graph *g) {
    for (uint32_t i = 0; i < g->inputs.count; i++) {
        if (!is_tensor(g, item(f, g->inputs, i))) {
            return SW_NEURAL_GRAPH;
        }
    }
    for (uint32_t i = 0; i < g->outputs.count; i++) {
        int32_t t = item(f, g->outputs, i);
        if (!is_tensor(g, t)) {
            return SW_NEURAL_GRAPH;
        }
        if (!is_written(f, g, t, g->ops.count)) {
            return f->steps < MOST_STEPS ? SW_NEURAL_ORDER : SW_NEURAL_LIMIT;
        }
    }
    return SW_NEURAL_SOUND;
}

static int32_t prove_graph(file *f, const graph *g, sw_neural_facts *facts) {
    if (g->tensors.count > 2 * MOST_OPS || g->ops.count > MOST_OPS || g->inputs.count > MOST_OPERANDS ||
        g->outputs.count > MOST_OPERANDS) {
        return SW_NEURAL_LIMIT;
    }
    if (!g->ops.count || !g->inputs.count || !g->outputs.count) {
        return SW_NEURAL_GRAPH;
    }
    for (uint32_t i = 0; i < g->tensors.count; i++) {
        int32_t verdict = prove_tensor(f, g, table_of(f, g->tensors, i));
        if (verdict || f->bad) {
            return verdict;
        }
    }
    for (uint32_t k = 0; k < g->ops.count; k++) {
        int32_t verdict = prove_op(f, g, k, facts);
        if (verdict || f->bad) {
            return verdict;
        }
    }
    facts->op = facts->code = -1;
    return prove_ends(f, g);
}

/* A port of a proven file, as far as it can be one: -1 where it cannot. */
static int32_t describe(file *f, const graph *g, int32_t k, sw_neural_port *port) {
    int32_t n_inputs = (int32_t)g->inputs.count;
    if (k < 0 || k >= n_inputs + (int32_t)g->outputs.count) {
        return -1;
    }
    int32_t t = k < n_inputs ? item(f, g->inputs, (uint32_t)k) : item(f, g->outputs, (uint32_t)(k - n_inputs));
    size_t tensor = table_of(f, g->tensors, (uint32_t)t);
    vector shape = items(f, tensor, 0, 4), name = items(f, tensor, 3, 1);
    memset(port, 0, sizeof(*port));
    port->name = (int32_t)name.at;
    port->name_bytes = (int32_t)name.count;
    port->type = (int32_t)value(f, tensor, 1, 1);
    if (shape.count > 5) {
        return -1;
    }
    port->n_dims = (int32_t)shape.count;
    port->bytes = (int32_t)item_bytes((uint32_t)port->type);
    for (uint32_t i = 0; i < shape.count; i++) {
        port->dims[i] = item(f, shape, i);
        port->bytes *= port->dims[i];
    }
    size_t quantisation = field(f, tensor, 4);
    if (quantisation) {
        quantisation = follow(f, quantisation);
        vector scales = items(f, quantisation, 2, 4), zeros = items(f, quantisation, 3, 8);
        if (scales.count && zeros.count) {
            port->scale_bits = item(f, scales, 0);
            port->zero_point = (int32_t)number(f, zeros.at, 4);
        }
    }
    return 0;
}

static int32_t prove(file *f, sw_neural_facts *facts) {
    if (f->bytes < 16 || f->bytes > 1 << 28) {
        return SW_NEURAL_TRUNCATED;
    }
    if ((uintptr_t)f->data % 4) {
        return SW_NEURAL_ALIGNMENT;
    }
    if (memcmp(f->data + 4, "TFL3", 4)) {
        return SW_NEURAL_MAGIC;
    }
    size_t root = follow(f, 0);
    if (f->bad) {
        return SW_NEURAL_TRUNCATED;
    }
    if (value(f, root, 0, 4) != 3) {
        return SW_NEURAL_VERSION;
    }
    vector graphs = items(f, root, 2, 4);
    if (graphs.count != 1) {
        return SW_NEURAL_GRAPH;
    }
    graph g;
    open_graph(f, &g);
    int32_t verdict = f->bad ? 0 : prove_graph(f, &g, facts);
    if (verdict || f->bad) {
        return verdict;
    }
    facts->n_inputs = (int32_t)g.inputs.count;
    facts->n_outputs = (int32_t)g.outputs.count;
    facts->n_ops = (int32_t)g.ops.count;
    sw_neural_port port;
    for (int32_t k = 0; k < facts->n_inputs + facts->n_outputs; k++) {
        if (describe(f, &g, k, &port)) {
            return SW_NEURAL_SHAPE;
        }
        if (!(port.type == SW_FLOAT32 || port.type == SW_INT32 || port.type == SW_UINT8 || port.type == SW_INT16 ||
                port.type == SW_INT8)) {
            return SW_NEURAL_TYPE;
        }
        if (port.bytes <= 0) {
            return SW_NEURAL_SHAPE;
        }
    }
    return SW_NEURAL_SOUND;
}

int32_t sw_tflm_prove(const void *model, size_t bytes, sw_neural_facts *facts) {
    file f = {model, bytes, 0, 0};
    memset(facts, 0, sizeof(*facts));
    facts->op = facts->code = -1;
    int32_t verdict = prove(&f, facts);
    if (f.bad) {
        facts->op = facts->code = -1;
        return SW_NEURAL_TRUNCATED;
    }
    return verdict;
}

int32_t sw_tflm_describe(const void *model, size_t bytes, int32_t k, sw_neural_port *port) {
    file f = {model, bytes, 0, 0};
    graph g;
    open_graph(&f, &g);
    return f.bad || describe(&f, &g, k, port) || f.bad ? -1 : 0;
}

int32_t sw_tflm_op(const void *model, size_t bytes, int32_t k) {
    file f = {model, bytes, 0, 0};
    graph g;
    open_graph(&f, &g);
    if (f.bad || k < 0 || (uint32_t)k >= g.ops.count) {
        return -1;
    }
    return code_of(&f, &g, table_of(&f, g.ops, (uint32_t)k));
}

/* Bytes of TFLM's own records on a 64-bit machine, as in host_tools/sensewell_host/convert/tflm_ops.py. */
enum { BASE = 1024, A_TENSOR = 24, AN_OPERATOR = 192, A_PORT = 128, A_CHANNEL = 8, A_RECURRENT = 1024, PLANNED = 96 };
enum { OP_CONV_2D = 3, OP_DEPTHWISE_CONV_2D = 4, OP_FULLY_CONNECTED = 9, OP_TRANSPOSE_CONV = 67 };
enum { OP_SVDF = 27, OP_LSTM = 44 };

static uint64_t bytes_of(file *f, size_t tensor) {
    vector shape = items(f, tensor, 0, 4);
    uint64_t bytes = item_bytes(value(f, tensor, 1, 1));
    for (uint32_t i = 0; i < shape.count; i++) {
        bytes *= (uint32_t)item(f, shape, i);
    }
    return bytes;
}

int32_t sw_tflm_least(const void *model, size_t bytes) {
    file f = {model, bytes, 0, 0};
    graph g;
    open_graph(&f, &g);
    uint64_t least = BASE + (A_TENSOR + PLANNED) * (uint64_t)g.tensors.count +
                     (AN_OPERATOR + PLANNED) * (uint64_t)g.ops.count +
                     A_PORT * (uint64_t)(g.inputs.count + g.outputs.count);
    for (uint32_t k = 0; k < g.ops.count; k++) {
        size_t op = table_of(&f, g.ops, k);
        int32_t code = code_of(&f, &g, op);
        vector takes = items(&f, op, 1, 4);
        int32_t is_dense = code == OP_CONV_2D || code == OP_DEPTHWISE_CONV_2D || code == OP_FULLY_CONNECTED ||
                           code == OP_TRANSPOSE_CONV;
        least += code == OP_SVDF || code == OP_LSTM ? A_RECURRENT : 0;
        for (uint32_t i = 0; i < takes.count; i++) {
            int32_t t = item(&f, takes, i);
            if (t < 0) {
                continue;
            }
            size_t tensor = table_of(&f, g.tensors, (uint32_t)t);
            size_t quantisation = field(&f, tensor, 4);
            if (i == 1 && is_dense && quantisation) {
                least += A_CHANNEL * (uint64_t)items(&f, follow(&f, quantisation), 2, 4).count;
            }
            if (value(&f, tensor, 5, 1)) {
                least += 2 * bytes_of(&f, tensor);
            }
        }
    }
    return f.bad || least > 1 << 30 ? 1 << 30 : (int32_t)least;
}
