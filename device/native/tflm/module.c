/* `import sensewell_tflm`: sw_tflm.h as a user module of MicroPython. Converts and checks arguments, no more.
 *
 *   prove(model, facts) -> 0: sound, else the number of the refusal as in sw_neural.h; facts: array('i', 9), as there
 *   net = Net(model, arena_bytes=0)   0: as much as the host reckoned; RuntimeError with TFLM's message
 *   net.describe(number, port) -> 0, or -1: there is no such input or output; port: array('i', 12)
 *   net.op(k) -> which operator is number k, -1: there is none
 *   net.memory() -> (bytes of RAM held, bytes of the arena, bytes of it that TFLM uses)
 *   net.predict(inputs, outputs) -> 0; -1, -2: wrong number of inputs, outputs; -3: outputs share memory;
 *       8 * port + 2: its kind of numbers, + 3: its length; RuntimeError with TFLM's message; allocates nothing else
 *   net.reset() -> None; RuntimeError with TFLM's message
 * The model must stay as it is: ValueError where its buffer has moved or changed its length.
 */
#include "py/binary.h"
#include "py/nlr.h"
#include "py/obj.h"
#include "py/runtime.h"

#include "sw_tflm.h"

#include <string.h>

typedef struct {
    mp_obj_base_t base;
    mp_obj_t model; /* keeps the file's memory */
    const void *data;
    size_t bytes;
    void *memory; /* of the arena, as allocated */
    void *net;
    size_t arena_bytes, net_bytes;
    int32_t n_inputs, n_ports;
} net_obj;

static void of_least(mp_obj_t object, mp_buffer_info_t *buffer, size_t least, int flags) {
    mp_get_buffer_raise(object, buffer, flags);
    if (buffer->len < least) {
        mp_raise_ValueError(MP_ERROR_TEXT("too short"));
    }
}

static NORETURN void raise_message(void) {
    mp_raise_msg_varg(&mp_type_RuntimeError, MP_ERROR_TEXT("%s"), sw_tflm_message());
}

/* The net, whose model is where it was. */
static net_obj *self_of(mp_obj_t object) {
    net_obj *self = MP_OBJ_TO_PTR(object);
    mp_buffer_info_t model;
    mp_get_buffer_raise(self->model, &model, MP_BUFFER_READ);
    if (model.buf != self->data || model.len != self->bytes) {
        mp_raise_ValueError(MP_ERROR_TEXT("the model has moved"));
    }
    return self;
}

static mp_obj_t prove(mp_obj_t model_object, mp_obj_t facts_object) {
    mp_buffer_info_t model, facts;
    of_least(model_object, &model, 0, MP_BUFFER_READ);
    of_least(facts_object, &facts, sizeof(sw_neural_facts), MP_BUFFER_WRITE);
    return MP_OBJ_NEW_SMALL_INT(sw_tflm_prove(model.buf, model.len, facts.buf));
}
static MP_DEFINE_CONST_FUN_OBJ_2(prove_obj, prove);

static mp_obj_t make_new(const mp_obj_type_t *type, size_t n_args, size_t n_kw, const mp_obj_t *args) {
    mp_arg_check_num(n_args, n_kw, 1, 2, false);
    mp_buffer_info_t model;
    of_least(args[0], &model, 0, MP_BUFFER_READ);
    sw_neural_facts facts;
    if (sw_tflm_prove(model.buf, model.len, &facts)) {
        mp_raise_ValueError(MP_ERROR_TEXT("not a sound .tflite file"));
    }
    mp_int_t wanted = n_args > 1 ? mp_obj_get_int(args[1]) : 0;
    if (wanted <= 0) {
        wanted = sw_tflm_reckoned(model.buf, model.len);
    }
    net_obj *self = mp_obj_malloc(net_obj, type);
    self->model = args[0];
    self->data = model.buf;
    self->bytes = model.len;
    self->n_inputs = facts.n_inputs;
    self->n_ports = facts.n_inputs + facts.n_outputs;
    self->arena_bytes = ((size_t)wanted + 15) & ~(size_t)15;
    self->net_bytes = sw_tflm_net_bytes();
    self->net = NULL;
    self->memory = m_malloc(self->arena_bytes + self->net_bytes + 31);
    uintptr_t arena = ((uintptr_t)self->memory + 15) & ~(uintptr_t)15;
    memset((void *)arena, 0, self->arena_bytes + self->net_bytes);
    self->net = (void *)(arena + self->arena_bytes);
    nlr_buf_t nlr;
    if (nlr_push(&nlr)) {
        sw_tflm_abandon();
        nlr_jump(nlr.ret_val);
    }
    int32_t failed = sw_tflm_open(self->net, self->data, self->bytes, (void *)arena, self->arena_bytes);
    nlr_pop();
    if (failed) {
        raise_message();
    }
    return MP_OBJ_FROM_PTR(self);
}

static mp_obj_t net_describe(mp_obj_t self_object, mp_obj_t number, mp_obj_t port_object) {
    net_obj *self = self_of(self_object);
    mp_buffer_info_t port;
    of_least(port_object, &port, sizeof(sw_neural_port), MP_BUFFER_WRITE);
    return MP_OBJ_NEW_SMALL_INT(sw_tflm_describe(self->data, self->bytes, mp_obj_get_int(number), port.buf));
}
static MP_DEFINE_CONST_FUN_OBJ_3(net_describe_obj, net_describe);

static mp_obj_t net_op(mp_obj_t self_object, mp_obj_t k) {
    net_obj *self = self_of(self_object);
    return MP_OBJ_NEW_SMALL_INT(sw_tflm_op(self->data, self->bytes, mp_obj_get_int(k)));
}
static MP_DEFINE_CONST_FUN_OBJ_2(net_op_obj, net_op);

static mp_obj_t net_memory(mp_obj_t self_object) {
    net_obj *self = self_of(self_object);
    mp_obj_t sizes[] = {
        mp_obj_new_int_from_uint(sizeof(*self) + self->net_bytes + self->arena_bytes + 31),
        mp_obj_new_int_from_uint(self->arena_bytes),
        mp_obj_new_int_from_uint(sw_tflm_arena_used(self->net)),
    };
    return mp_obj_new_tuple(3, sizes);
}
static MP_DEFINE_CONST_FUN_OBJ_1(net_memory_obj, net_memory);

/* One buffer, or a tuple or list of them. */
static size_t buffers_of(mp_obj_t *given, mp_obj_t **buffers) {
    if (mp_obj_is_type(*given, &mp_type_tuple) || mp_obj_is_type(*given, &mp_type_list)) {
        size_t n;
        mp_obj_get_array(*given, &n, buffers);
        return n;
    }
    *buffers = given;
    return 1;
}

/* May numbers of a `type` lie in a buffer of this struct format? Plain bytes hold 8-bit numbers of either kind. */
static bool is_form_of(int32_t type, int form) {
    switch (type) {
        case SW_INT8: return form == 'b' || form == 'B' || form == BYTEARRAY_TYPECODE;
        case SW_UINT8: return form == 'B' || form == BYTEARRAY_TYPECODE;
        case SW_INT16: return form == 'h';
        case SW_FLOAT32: return form == 'f';
        default: return form == 'i' || form == 'l';
    }
}

/* The buffer of port k; returns 0, 2: wrong kind, 3: wrong length. */
static int buffer_of(const net_obj *self, mp_obj_t object, int32_t k, mp_buffer_info_t *buffer) {
    sw_neural_port port;
    mp_get_buffer_raise(object, buffer, k < self->n_inputs ? MP_BUFFER_READ : MP_BUFFER_WRITE);
    if (sw_tflm_describe(self->data, self->bytes, k, &port) || !is_form_of(port.type, buffer->typecode)) {
        return 2;
    }
    return buffer->len == (size_t)port.bytes ? 0 : 3;
}

static mp_obj_t net_predict(mp_obj_t self_object, mp_obj_t inputs, mp_obj_t outputs) {
    net_obj *self = self_of(self_object);
    mp_obj_t *from, *to;
    int32_t n_inputs = self->n_inputs, n_ports = self->n_ports;
    if (buffers_of(&inputs, &from) != (size_t)n_inputs) {
        return MP_OBJ_NEW_SMALL_INT(-1);
    }
    if (buffers_of(&outputs, &to) != (size_t)(n_ports - n_inputs)) {
        return MP_OBJ_NEW_SMALL_INT(-2);
    }
    mp_buffer_info_t one, other;
    for (int32_t k = 0; k < n_ports; k++) {
        int wrong = buffer_of(self, k < n_inputs ? from[k] : to[k - n_inputs], k, &one);
        if (wrong) {
            return MP_OBJ_NEW_SMALL_INT(8 * k + wrong);
        }
        for (int32_t i = 0; i < k && k >= n_inputs; i++) {
            buffer_of(self, i < n_inputs ? from[i] : to[i - n_inputs], i, &other);
            if ((uint8_t *)one.buf < (uint8_t *)other.buf + other.len &&
                (uint8_t *)other.buf < (uint8_t *)one.buf + one.len) {
                return MP_OBJ_NEW_SMALL_INT(-3);
            }
        }
    }
    for (int32_t k = 0; k < n_inputs; k++) {
        buffer_of(self, from[k], k, &one);
        void *port = sw_tflm_port(self->net, k);
        if (port) {
            memcpy(port, one.buf, one.len);
        }
    }
    nlr_buf_t nlr;
    if (nlr_push(&nlr)) {
        sw_tflm_abandon();
        nlr_jump(nlr.ret_val);
    }
    int32_t failed = sw_tflm_invoke(self->net);
    nlr_pop();
    if (failed) {
        raise_message();
    }
    for (int32_t k = n_inputs; k < n_ports; k++) {
        buffer_of(self, to[k - n_inputs], k, &one);
        memcpy(one.buf, sw_tflm_port(self->net, k), one.len);
    }
    return MP_OBJ_NEW_SMALL_INT(0);
}
static MP_DEFINE_CONST_FUN_OBJ_3(net_predict_obj, net_predict);

static mp_obj_t net_reset(mp_obj_t self_object) {
    if (sw_tflm_reset(self_of(self_object)->net)) {
        raise_message();
    }
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_1(net_reset_obj, net_reset);

static const mp_rom_map_elem_t net_table[] = {
    {MP_ROM_QSTR(MP_QSTR_describe), MP_ROM_PTR(&net_describe_obj)},
    {MP_ROM_QSTR(MP_QSTR_op), MP_ROM_PTR(&net_op_obj)},
    {MP_ROM_QSTR(MP_QSTR_memory), MP_ROM_PTR(&net_memory_obj)},
    {MP_ROM_QSTR(MP_QSTR_predict), MP_ROM_PTR(&net_predict_obj)},
    {MP_ROM_QSTR(MP_QSTR_reset), MP_ROM_PTR(&net_reset_obj)},
};
static MP_DEFINE_CONST_DICT(net_dict, net_table);

static MP_DEFINE_CONST_OBJ_TYPE(
    net_type, MP_QSTR_Net, MP_TYPE_FLAG_NONE, make_new, make_new, locals_dict, &net_dict);

static const mp_rom_map_elem_t module_table[] = {
    {MP_ROM_QSTR(MP_QSTR___name__), MP_ROM_QSTR(MP_QSTR_sensewell_tflm)},
    {MP_ROM_QSTR(MP_QSTR_prove), MP_ROM_PTR(&prove_obj)},
    {MP_ROM_QSTR(MP_QSTR_Net), MP_ROM_PTR(&net_type)},
};
static MP_DEFINE_CONST_DICT(module_dict, module_table);

const mp_obj_module_t sensewell_tflm_module = {
    .base = {&mp_type_module},
    .globals = (mp_obj_dict_t *)&module_dict,
};

MP_REGISTER_MODULE(MP_QSTR_sensewell_tflm, sensewell_tflm_module);
