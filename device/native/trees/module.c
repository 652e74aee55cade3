/* `import sensewell_trees`: sw_trees.c as a native MicroPython module. Converts and checks arguments, no more.
 *
 *   verify(forest, n_features, n_outputs) -> 0: sound, else the number of the refusal as in sw_trees.h
 *   predict(forest, features, scores) -> best class, -1 where a length is wrong; allocates nothing
 *       forest: sound, and not changed since; features: array('h', n_features); scores: array('i', n_outputs)
 */
#include "py/dynruntime.h"

#include "sw_trees.c"

static mp_obj_t verify(mp_obj_fun_bc_t *self, size_t n_args, size_t n_kw, mp_obj_t *args) {
    (void)self;
    mp_arg_check_num(n_args, n_kw, 3, 3, false);
    mp_buffer_info_t forest;
    mp_get_buffer_raise(args[0], &forest, MP_BUFFER_READ);
    return MP_OBJ_NEW_SMALL_INT(
        sw_trees_verify(forest.buf, forest.len, mp_obj_get_int(args[1]), mp_obj_get_int(args[2])));
}

static mp_obj_t predict(mp_obj_fun_bc_t *self, size_t n_args, size_t n_kw, mp_obj_t *args) {
    (void)self;
    mp_arg_check_num(n_args, n_kw, 3, 3, false);
    mp_buffer_info_t forest;
    mp_buffer_info_t features;
    mp_buffer_info_t scores;
    mp_get_buffer_raise(args[0], &forest, MP_BUFFER_READ);
    mp_get_buffer_raise(args[1], &features, MP_BUFFER_READ);
    mp_get_buffer_raise(args[2], &scores, MP_BUFFER_WRITE);
    const uint8_t *b = forest.buf;
    if (forest.len < HEADER || features.len != 2 * (size_t)b[6] || scores.len != 4 * (size_t)b[7]) {
        return MP_OBJ_NEW_SMALL_INT(-1);
    }
    return MP_OBJ_NEW_SMALL_INT(sw_trees_predict(b, features.buf, scores.buf));
}

mp_obj_t mpy_init(mp_obj_fun_bc_t *self, size_t n_args, size_t n_kw, mp_obj_t *args) {
    (void)n_args;
    (void)n_kw;
    (void)args;
    MP_DYNRUNTIME_INIT_ENTRY
    mp_store_global(MP_QSTR_verify, MP_DYNRUNTIME_MAKE_FUNCTION(verify));
    mp_store_global(MP_QSTR_predict, MP_DYNRUNTIME_MAKE_FUNCTION(predict));
    MP_DYNRUNTIME_INIT_EXIT
}
