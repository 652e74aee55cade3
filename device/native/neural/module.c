/* `import sensewell_neural`: sw_neural.c as a native MicroPython module. Converts and checks arguments, no more.
 *
 *   measure(model, facts) -> 0: sound, else the number of the refusal as in sw_neural.h; facts: array('i', 9), as there
 *   prepare(model, net, work, facts) -> the same; net, work: bytearrays as long as measure() said
 *   describe(model, net, number, port) -> 0, or -1: there is no such input or output; port: array('i', 12)
 *   op(net, k) -> which operator is number k, -1: there is none
 *   reset(model, net, arena)
 *   bind(net, number, buffer) -> 0, or what sw_neural_bind() says
 *   predict(model, net, arena) -> 0, or what sw_neural_predict() says; allocates nothing
 * Memory that does not belong together is a ValueError.
 */
#include "py/dynruntime.h"

#include "sw_neural.c"

static void memory(mp_obj_t object, mp_buffer_info_t *buffer, size_t least, int flags) {
    mp_get_buffer_raise(object, buffer, flags);
    if (buffer->len < least) {
        mp_raise_ValueError(MP_ERROR_TEXT("too short"));
    }
}

/* The net in `object`, made of a model as long, with an arena as long. */
static void *made(mp_obj_t object, size_t model_bytes, size_t arena_bytes) {
    mp_buffer_info_t net;
    memory(object, &net, 0, MP_BUFFER_WRITE);
    if (!sw_neural_fits(model_bytes, net.buf, net.len, arena_bytes)) {
        mp_raise_ValueError(MP_ERROR_TEXT("no net of this model"));
    }
    return net.buf;
}

static mp_obj_t measure(mp_obj_t model_object, mp_obj_t facts_object) {
    mp_buffer_info_t model, facts;
    memory(model_object, &model, 0, MP_BUFFER_READ);
    memory(facts_object, &facts, sizeof(sw_neural_facts), MP_BUFFER_WRITE);
    return MP_OBJ_NEW_SMALL_INT(sw_neural_measure(model.buf, model.len, facts.buf));
}

static mp_obj_t prepare(size_t n_args, const mp_obj_t *args) {
    (void)n_args;
    mp_buffer_info_t model, net, work, facts;
    memory(args[0], &model, 0, MP_BUFFER_READ);
    memory(args[3], &facts, sizeof(sw_neural_facts), MP_BUFFER_WRITE);
    const sw_neural_facts *needs = facts.buf;
    memory(args[1], &net, needs->net_bytes, MP_BUFFER_WRITE);
    memory(args[2], &work, needs->work_bytes, MP_BUFFER_WRITE);
    return MP_OBJ_NEW_SMALL_INT(sw_neural_prepare(model.buf, model.len, net.buf, work.buf, facts.buf));
}

static mp_obj_t describe(size_t n_args, const mp_obj_t *args) {
    (void)n_args;
    mp_buffer_info_t model, port;
    memory(args[0], &model, 0, MP_BUFFER_READ);
    memory(args[3], &port, sizeof(sw_neural_port), MP_BUFFER_WRITE);
    const void *net = made(args[1], model.len, -1);
    return MP_OBJ_NEW_SMALL_INT(sw_neural_describe(model.buf, model.len, net, mp_obj_get_int(args[2]), port.buf));
}

static mp_obj_t op(mp_obj_t net_object, mp_obj_t k) {
    mp_buffer_info_t net;
    memory(net_object, &net, sizeof(sw_head), MP_BUFFER_READ);
    const void *head = made(net_object, ((const sw_head *)net.buf)->model_bytes, -1);
    return MP_OBJ_NEW_SMALL_INT(sw_neural_op(head, mp_obj_get_int(k)));
}

static mp_obj_t reset(mp_obj_t model_object, mp_obj_t net_object, mp_obj_t arena_object) {
    mp_buffer_info_t model, arena;
    memory(model_object, &model, 0, MP_BUFFER_READ);
    memory(arena_object, &arena, 0, MP_BUFFER_WRITE);
    sw_neural_reset(made(net_object, model.len, arena.len), arena.buf);
    return mp_const_none;
}

static mp_obj_t bind(mp_obj_t net_object, mp_obj_t number, mp_obj_t buffer_object) {
    mp_buffer_info_t net, buffer;
    memory(net_object, &net, sizeof(sw_head), MP_BUFFER_WRITE);
    void *head = made(net_object, ((const sw_head *)net.buf)->model_bytes, -1);
    int32_t k = mp_obj_get_int(number);
    memory(buffer_object, &buffer, 0, k < ((const sw_head *)head)->n_inputs ? MP_BUFFER_READ : MP_BUFFER_WRITE);
    return MP_OBJ_NEW_SMALL_INT(sw_neural_bind(head, k, buffer.buf, buffer.len, buffer.typecode));
}

static mp_obj_t predict(mp_obj_t model_object, mp_obj_t net_object, mp_obj_t arena_object) {
    mp_buffer_info_t model, arena;
    memory(model_object, &model, 0, MP_BUFFER_READ);
    memory(arena_object, &arena, 0, MP_BUFFER_WRITE);
    return MP_OBJ_NEW_SMALL_INT(sw_neural_predict(model.buf, made(net_object, model.len, arena.len), arena.buf));
}

static MP_DEFINE_CONST_FUN_OBJ_2(measure_obj, measure);
static MP_DEFINE_CONST_FUN_OBJ_VAR_BETWEEN(prepare_obj, 4, 4, prepare);
static MP_DEFINE_CONST_FUN_OBJ_VAR_BETWEEN(describe_obj, 4, 4, describe);
static MP_DEFINE_CONST_FUN_OBJ_2(op_obj, op);
static MP_DEFINE_CONST_FUN_OBJ_3(reset_obj, reset);
static MP_DEFINE_CONST_FUN_OBJ_3(bind_obj, bind);
static MP_DEFINE_CONST_FUN_OBJ_3(predict_obj, predict);

mp_obj_t mpy_init(mp_obj_fun_bc_t *self, size_t n_args, size_t n_kw, mp_obj_t *args) {
    (void)n_args;
    (void)n_kw;
    (void)args;
    MP_DYNRUNTIME_INIT_ENTRY
    mp_store_global(MP_QSTR_measure, MP_OBJ_FROM_PTR(&measure_obj));
    mp_store_global(MP_QSTR_prepare, MP_OBJ_FROM_PTR(&prepare_obj));
    mp_store_global(MP_QSTR_describe, MP_OBJ_FROM_PTR(&describe_obj));
    mp_store_global(MP_QSTR_op, MP_OBJ_FROM_PTR(&op_obj));
    mp_store_global(MP_QSTR_reset, MP_OBJ_FROM_PTR(&reset_obj));
    mp_store_global(MP_QSTR_bind, MP_OBJ_FROM_PTR(&bind_obj));
    mp_store_global(MP_QSTR_predict, MP_OBJ_FROM_PTR(&predict_obj));
    MP_DYNRUNTIME_INIT_EXIT
}
