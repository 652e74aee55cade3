/* `import sensewell_p256`: sw_p256.c as a native MicroPython module. Converts and checks arguments, no more.
 *
 * The functions of sensewell/kernel/p256_plain.py, with the same verdicts; they allocate nothing:
 *   parse(der, rs)   rs: bytearray(64)
 *   point(key)   verify(key, digest, rs)
 */
#include "py/dynruntime.h"

#include "sw_p256.c"

static mp_obj_t parse(mp_obj_t der_in, mp_obj_t rs_in) {
    mp_buffer_info_t der;
    mp_buffer_info_t rs;
    mp_get_buffer_raise(der_in, &der, MP_BUFFER_READ);
    mp_get_buffer_raise(rs_in, &rs, MP_BUFFER_WRITE);
    return MP_OBJ_NEW_SMALL_INT(rs.len != 64 ? SW_P256_LENGTH : sw_p256_parse(der.buf, der.len, rs.buf));
}
static MP_DEFINE_CONST_FUN_OBJ_2(parse_obj, parse);

static mp_obj_t point(mp_obj_t key_in) {
    mp_buffer_info_t key;
    mp_get_buffer_raise(key_in, &key, MP_BUFFER_READ);
    return MP_OBJ_NEW_SMALL_INT(key.len != 64 ? SW_P256_LENGTH : sw_p256_point(key.buf));
}
static MP_DEFINE_CONST_FUN_OBJ_1(point_obj, point);

static mp_obj_t verify(mp_obj_t key_in, mp_obj_t digest_in, mp_obj_t rs_in) {
    mp_buffer_info_t key;
    mp_buffer_info_t digest;
    mp_buffer_info_t rs;
    mp_get_buffer_raise(key_in, &key, MP_BUFFER_READ);
    mp_get_buffer_raise(digest_in, &digest, MP_BUFFER_READ);
    mp_get_buffer_raise(rs_in, &rs, MP_BUFFER_READ);
    if (key.len != 64 || digest.len != 32 || rs.len != 64) {
        return MP_OBJ_NEW_SMALL_INT(SW_P256_LENGTH);
    }
    return MP_OBJ_NEW_SMALL_INT(sw_p256_verify(key.buf, digest.buf, rs.buf));
}
static MP_DEFINE_CONST_FUN_OBJ_3(verify_obj, verify);

mp_obj_t mpy_init(mp_obj_fun_bc_t *self, size_t n_args, size_t n_kw, mp_obj_t *args) {
    (void)n_args;
    (void)n_kw;
    (void)args;
    MP_DYNRUNTIME_INIT_ENTRY
    mp_store_global(MP_QSTR_parse, MP_OBJ_FROM_PTR(&parse_obj));
    mp_store_global(MP_QSTR_point, MP_OBJ_FROM_PTR(&point_obj));
    mp_store_global(MP_QSTR_verify, MP_OBJ_FROM_PTR(&verify_obj));
    MP_DYNRUNTIME_INIT_EXIT
}
