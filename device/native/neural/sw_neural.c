/* Networks, proven, planned and run in place. See sw_neural.h; must not know of MicroPython. One translation unit. */
#include "sw_neural.h"

#include "sw_neural_flat.c"
#include "sw_neural_scale.c"
#include "sw_neural_curve.c"
#include "sw_neural_plan.c"
#include "sw_neural_graph.c"
#include "sw_neural_dense.c"
#include "sw_neural_pool.c"
#include "sw_neural_move.c"
#include "sw_neural_point.c"
#include "sw_neural_state.c"
#include "sw_neural_file.c"

typedef char every_record_fits_the_spare_one[sizeof(sw_lstm) <= RECORD && sizeof(sw_conv) <= RECORD ? 1 : -1];

/* ---- operators ---- */

/* QUANTIZE from int8 to int8? */
static int is_requantising(sw_builder *b) {
    sw_tensor x, y;
    return input(b, 0, &x) && output(b, 0, &y) && x.type == SW_INT8 && y.type == SW_INT8;
}

static void make(sw_builder *b, int32_t code) {
    if (code == FULLY_CONNECTED || code == CONV_2D || code == DEPTHWISE_CONV_2D) {
        make_dense(b, code);
    } else if (code == MAX_POOL_2D || code == AVERAGE_POOL_2D) {
        make_pool(b, code == AVERAGE_POOL_2D);
    } else if (code == MEAN) {
        make_mean(b);
    } else if (code == RESHAPE || code == SQUEEZE || code == EXPAND_DIMS) {
        make_copy(b);
    } else if (code == PAD || code == PADV2) {
        make_pad(b);
    } else if (code == STRIDED_SLICE) {
        make_slice(b);
    } else if (code == TRANSPOSE) {
        make_transpose(b);
    } else if (code == CONCATENATION || code == PACK || code == UNPACK) {
        make_joined(b, code);
    } else if (code == SPLIT || code == SPLIT_V) {
        make_split(b, code == SPLIT ? 0 : 2, code == SPLIT ? 1 : 0);
    } else if (code == RELU || code == RELU6 || code == LEAKY_RELU || code == LOGISTIC || code == TANH) {
        make_curve(b, code == RELU6 ? CURVE_RELU6 : code == LEAKY_RELU ? CURVE_LEAKY : code == LOGISTIC ? CURVE_LOGISTIC
                      : code == TANH ? CURVE_TANH : CURVE_RESCALE, code == RELU);
    } else if (code == ADD || code == SUB || code == MUL) {
        make_pair(b, code);
    } else if (code == SOFTMAX) {
        make_softmax(b);
    } else if (code == QUANTIZE || code == DEQUANTIZE) {
        if (code == QUANTIZE && is_requantising(b)) {
            make_curve(b, CURVE_RESCALE, 0);
        } else {
            make_cast(b, code == DEQUANTIZE);
        }
    } else if (code == SVDF) {
        make_svdf(b);
    } else if (code == UNIDIRECTIONAL_SEQUENCE_LSTM) {
        make_lstm(b);
    } else {
        need(b, 0, SW_NEURAL_OP);
    }
}

static void run_record(sw_run *run, const sw_record *r) {
    int32_t kind = r->kind;
    if (kind == KIND_STATE) {
        return;
    }
    if (kind == KIND_PARTS) {
        run_parts(run, (const sw_parts *)r);
        return;
    }
    const void *x = data(run, r->x);
    void *y = data(run, r->y);
    if (kind == KIND_CONV) {
        run_conv(run, (const sw_conv *)r, x, y);
    } else if (kind == KIND_DEPTHWISE) {
        run_depthwise(run, (const sw_conv *)r, x, y);
    } else if (kind == KIND_POOL) {
        run_pool((const sw_pool *)r, x, y);
    } else if (kind == KIND_MEAN) {
        run_mean((const sw_mean *)r, x, y);
    } else if (kind == KIND_STEPS) {
        run_steps(run, (const sw_steps *)r, x, y);
    } else if (kind == KIND_CURVE) {
        run_curve(run, (const sw_curve *)r, x, y);
    } else if (kind == KIND_PAIR) {
        run_pair(run, (const sw_pair *)r, x, y);
    } else if (kind == KIND_SOFTMAX) {
        run_softmax((const sw_softmax *)r, x, y);
    } else if (kind == KIND_CAST) {
        run_cast((const sw_cast *)r, x, y);
    } else if (kind == KIND_SVDF) {
        run_svdf(run, (const sw_svdf *)r, x, y);
    } else if (kind == KIND_LSTM) {
        run_lstm(run, (const sw_lstm *)r, x, y);
    }
}

/* ---- making a net ---- */

/* Behind the places: of each port where it is bound, then how long it is, with its type in the top 4 bits. */
static uint8_t **bound(const sw_head *head) {
    return (uint8_t **)((uint8_t *)head + (sizeof *head + 4 * (uint32_t)head->n_tensors + 7) / 8 * 8);
}

static uint32_t *lengths(const sw_head *head) {
    return (uint32_t *)(bound(head) + head->n_ports);
}

static uint32_t head_bytes(const sw_builder *b, const sw_parts_of_file *m) {
    return ((uint32_t)sizeof(sw_head) + 4 * b->n_tensors + 7) / 8 * 8 + 12 * (m->n_inputs + m->n_outputs);
}

int32_t sw_neural_measure(const void *model, size_t bytes, sw_neural_facts *facts) {
    sw_builder b;
    sw_parts_of_file m;
    start(&b, &m, model, bytes, 0, UINT32_MAX);
    if (open_file(&b, &m)) {
        b.used = head_bytes(&b, &m);
        uint32_t states = 0;
        for (uint32_t i = 0; i < b.n_tensors && !b.error; i++) {
            states += (uint32_t)flat_byte(&b.file, flat_follow(&b.file, b.tensors + 4 * i), 5) != 0;
        }
        b.used += states * (uint32_t)sizeof(sw_state);
        for (uint32_t k = 0; k < m.n_ops && !b.error && open_op(&b, &m, k); k++) {
            make(&b, b.code);
        }
        need(&b, b.used < 1u << 30, SW_NEURAL_LIMIT);
    }
    facts->net_bytes = (int32_t)b.used;
    facts->work_bytes = (int32_t)((b.n_tensors + m.n_ops) * sizeof(sw_life));
    facts->arena_bytes = 0;
    facts->n_inputs = (int32_t)m.n_inputs;
    facts->n_outputs = (int32_t)m.n_outputs;
    facts->n_ops = (int32_t)m.n_ops;
    return report(&b, facts);
}

int32_t sw_neural_prepare(const void *model, size_t bytes, void *net, void *memory, sw_neural_facts *facts) {
    sw_builder b;
    sw_parts_of_file m;
    sw_head *head = net;
    sw_life *lives = memory;
    start(&b, &m, model, bytes, net, (uint32_t)facts->net_bytes);
    if (!open_file(&b, &m)) {
        return report(&b, facts);
    }
    uint32_t *places = (uint32_t *)(head + 1);
    take(&b, head_bytes(&b, &m));
    for (uint32_t i = 0; i < b.n_tensors + m.n_ops; i++) {
        if (i < b.n_tensors) {
            places[i] = NOWHERE;
        }
        lives[i].size = 0;
        lives[i].offset = UNPLACED;
        lives[i].first = NO_OP;
        lives[i].last = 0;
        lives[i].next = FOREVER;
        lives[i].root = (uint16_t)i;
    }
    head->made = 0;
    head->bytes = 0;
    head->model_bytes = (uint32_t)bytes;
    head->arena_bytes = 0;
    head->places = sizeof *head;
    head->records = b.used;
    head->n_tensors = (uint16_t)b.n_tensors;
    head->n_ops = (uint16_t)m.n_ops;
    head->n_inputs = (uint16_t)m.n_inputs;
    head->n_ports = (uint16_t)(m.n_inputs + m.n_outputs);
    ports(&b, &m, lives, places, lengths(head));
    for (uint32_t k = 0; k < m.n_ops && !b.error && open_op(&b, &m, k); k++) {
        for (uint32_t i = 0; i < b.n_inputs; i++) {
            reads(&b, lives, places, input_number(&b, i));
        }
        for (uint32_t i = 0; i < b.n_outputs; i++) {
            writes(&b, lives, places, (int32_t)flat_u32(&b.file, b.outputs + 4 * i));
        }
        uint32_t at = b.used;
        if (!b.error) {
            make(&b, b.code);
        }
        if (!b.error) {
            b.record->bytes = b.used - at;
            if (b.record->kind == KIND_PARTS && b.record->detail == SHARES) {
                shares(&b, lives, places);
            }
            if (b.record->scratch) {
                live(&lives[b.n_tensors + k], k, k, (int32_t)b.record->scratch);
            }
        }
    }
    if (!b.error) {
        b.op = NO_OP;
        for (uint32_t i = 0; i < m.n_outputs; i++) {
            need(&b, lives[flat_u32(&b.file, m.outputs + 4 * i)].first != NO_OP, SW_NEURAL_ORDER);
        }
        read_plan(&b, &m, lives);
    }
    if (!b.error) {
        b.error = plan(lives, (int32_t)(b.n_tensors + m.n_ops), &head->arena_bytes);
    }
    if (!b.error) {
        for (uint32_t i = 0; i < b.n_tensors; i++) {
            uint32_t root = lives[i].root;
            if (places[root] == NOWHERE && lives[root].size) {
                places[root] = PLACE(IN_ARENA, lives[root].offset);
            }
            places[i] = places[root];
        }
        uint32_t k = b.n_tensors;
        for (uint32_t at = head->records; at < b.used; at += ((sw_record *)(b.net + at))->bytes) {
            sw_record *r = (sw_record *)(b.net + at);
            if (r->kind != KIND_STATE) {
                r->scratch = lives[k++].offset;
            }
        }
        head->bytes = b.used;
        for (uint32_t i = 0; i < head->n_ports; i++) {
            bound(head)[i] = 0;
        }
        head->made = MADE;
        facts->arena_bytes = (int32_t)head->arena_bytes;
    }
    return report(&b, facts);
}

/* ---- using it ---- */

int32_t sw_neural_describe(const void *model, size_t bytes, const void *net, int32_t number, sw_neural_port *port) {
    const sw_head *head = net;
    sw_builder b;
    sw_parts_of_file m;
    sw_tensor t;
    uint32_t length;
    start(&b, &m, model, bytes, 0, UINT32_MAX);
    if (number < 0 || number >= head->n_ports || !open_file(&b, &m)) {
        return -1;
    }
    uint32_t i = (uint32_t)number;
    uint32_t at = i < m.n_inputs ? m.inputs + 4 * i : m.outputs + 4 * (i - m.n_inputs);
    if (!load(&b, (int32_t)flat_u32(&b.file, at), &t)) {
        return -1;
    }
    port->name = (int32_t)flat_vector(&b.file, flat_follow(&b.file, b.tensors + 4 * (uint32_t)t.index), 3, 1, &length);
    port->name_bytes = (int32_t)length;
    port->type = t.type;
    port->n_dims = t.n_dims;
    for (int32_t k = 0; k < DIMS; k++) {
        port->dims[k] = t.dims[k];
    }
    port->bytes = t.bytes;
    port->scale_bits = (int32_t)t.scale;
    port->zero_point = t.zero;
    return 0;
}

int32_t sw_neural_fits(size_t model_bytes, const void *net, size_t net_bytes, size_t arena_bytes) {
    const sw_head *head = net;
    return net_bytes >= sizeof *head && head->made == MADE && net_bytes >= head->bytes
        && model_bytes == head->model_bytes && arena_bytes >= head->arena_bytes;
}

int32_t sw_neural_op(const void *net, int32_t k) {
    const sw_head *head = net;
    for (uint32_t at = head->records; at < head->bytes;) {
        const sw_record *r = (const sw_record *)((const uint8_t *)net + at);
        if (r->kind != KIND_STATE && k-- == 0) {
            return r->code;
        }
        at += r->bytes;
    }
    return -1;
}

void sw_neural_reset(const void *net, void *arena) {
    const sw_head *head = net;
    sw_run run = {net, {0, arena}, 0};
    for (uint32_t at = head->records; at < head->bytes;) {
        const sw_state *r = (const sw_state *)((const uint8_t *)net + at);
        if (r->head.kind == KIND_STATE) {
            int8_t *state = data(&run, r->tensor);
            for (int32_t i = 0; i < r->bytes; i++) {
                state[i] = (int8_t)r->value;
            }
        }
        at += r->head.bytes;
    }
}

/* May numbers of a `type` lie in a buffer of this struct format? Plain bytes hold 8-bit numbers of either kind. */
static int is_form_of(int32_t type, int32_t form) {
    return type == SW_INT8      ? form == 'b' || form == 'B' || form == 1
           : type == SW_UINT8   ? form == 'B' || form == 1
           : type == SW_INT16   ? form == 'h'
           : type == SW_FLOAT32 ? form == 'f'
                                : form == 'i' || form == 'l';
}

int32_t sw_neural_bind(void *net, int32_t number, const void *data, size_t bytes, int32_t form) {
    const sw_head *head = net;
    if (number < 0 || number >= head->n_ports) {
        return -1;
    }
    uint32_t length = lengths(head)[number];
    int32_t type = (int32_t)(length >> 28);
    if (!is_form_of(type, form)) {
        return -2;
    }
    if (bytes != (length & 0x0FFFFFFF)) {
        return -3;
    }
    if ((uintptr_t)data & (uint32_t)(item_bytes(type) - 1)) {
        return -4;
    }
    bound(head)[number] = (uint8_t *)data;
    return 0;
}

/* 0: every port is bound, and no output lies where another port does; else what predict() then says. */
static int32_t are_bound(const sw_head *head) {
    uint8_t **at = bound(head);
    const uint32_t *length = lengths(head);
    for (int32_t i = 0; i < head->n_ports; i++) {
        if (!at[i]) {
            return -1;
        }
    }
    for (int32_t i = head->n_inputs; i < head->n_ports; i++) {
        for (int32_t k = 0; k < i; k++) {
            if (at[i] < at[k] + (length[k] & 0x0FFFFFFF) && at[k] < at[i] + (length[i] & 0x0FFFFFFF)) {
                return -2;
            }
        }
    }
    return 0;
}

int32_t sw_neural_predict(const void *model, void *net, void *arena) {
    const sw_head *head = net;
    sw_run run = {net, {(uint8_t *)model, arena}, bound(head)};
    int32_t verdict = are_bound(head);
    if (!verdict) {
        for (uint32_t at = head->records; at < head->bytes;) {
            const sw_record *r = (const sw_record *)((const uint8_t *)net + at);
            run_record(&run, r);
            at += r->bytes;
        }
    }
    for (int32_t i = 0; i < head->n_ports; i++) {
        bound(head)[i] = 0;
    }
    return verdict;
}
