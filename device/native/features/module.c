/* `import sensewell_features`: sw_features.c as a native MicroPython module. Converts and checks arguments, no more.
 *
 *   prepare(run, derived, vector, n_channels, length) -> bytearray: the work space, or None if `run` is not sound
 *       run: array('h'), the compiled program; derived: array('b', 4 each); vector: array('h')
 *   compute(run, derived, vector, work, window, row): fills `vector`; allocates nothing
 *       window: .read(channel, row), row: array('h', length). Of a full sensewell.window.Window the ring is used as it
 *       lies: its `rows`, array("h"), and its state `_s`, array("i") of channels, length, -, position, filled.
 */
#include "py/dynruntime.h"

#include "sw_features.c"

/* Start of the work space: what compute() must find again */
typedef struct {
    int32_t bytes; /* of the whole work space */
    int32_t run_bytes;
    int32_t derived_bytes;
    int32_t vector_bytes;
    sw_program program;
} header;

typedef struct {
    mp_obj_t window;
    mp_obj_t row;
    const int16_t *x;
} asked_window;

static void *buffer(mp_obj_t object, int32_t *bytes) {
    mp_buffer_info_t info;
    mp_get_buffer_raise(object, &info, MP_BUFFER_READ);
    *bytes = (int32_t)info.len;
    return info.buf;
}

static mp_obj_t prepare(mp_obj_fun_bc_t *self, size_t n_args, size_t n_kw, mp_obj_t *args) {
    (void)self;
    mp_arg_check_num(n_args, n_kw, 5, 5, false);
    int32_t run_bytes;
    int32_t derived_bytes;
    int32_t vector_bytes;
    sw_program program;
    program.run = buffer(args[0], &run_bytes);
    program.derived = buffer(args[1], &derived_bytes);
    buffer(args[2], &vector_bytes);
    program.n_channels = mp_obj_get_int(args[3]);
    program.length = mp_obj_get_int(args[4]);
    int32_t bytes = sw_features_plan(&program, run_bytes >> 1, derived_bytes >> 2, vector_bytes >> 1);
    if (bytes == 0) {
        return mp_const_none;
    }
    bytes += sizeof(header);
    header *work = m_malloc(bytes);
    work->bytes = bytes;
    work->run_bytes = run_bytes;
    work->derived_bytes = derived_bytes;
    work->vector_bytes = vector_bytes;
    work->program.n_channels = program.n_channels;
    work->program.length = program.length;
    work->program.transform_words = program.transform_words;
    work->program.mean_words = program.mean_words;
    return mp_obj_new_bytearray_by_ref(bytes, work);
}

static void ask(void *context, int32_t channel, int16_t *x, int32_t length) {
    asked_window *asked = context;
    mp_obj_t call[4];
    mp_load_method(asked->window, MP_QSTR_read, call);
    call[2] = MP_OBJ_NEW_SMALL_INT(channel);
    call[3] = asked->row;
    mp_fun_table.call_method_n_kw(2, 0, call);
    const int16_t *from = asked->x;
    while (length--) {
        *x++ = *from++;
    }
}

/* The attribute's buffer, NULL where there is none */
static const void *inside(mp_obj_t object, qstr name, size_t *bytes) {
    mp_obj_t found[2];
    mp_buffer_info_t info;
    mp_load_method_maybe(object, name, found);
    if (found[0] == MP_OBJ_NULL || !mp_get_buffer(found[0], &info, MP_BUFFER_READ)) {
        return NULL;
    }
    *bytes = info.len;
    return info.buf;
}

static mp_obj_t compute(mp_obj_fun_bc_t *self, size_t n_args, size_t n_kw, mp_obj_t *args) {
    (void)self;
    mp_arg_check_num(n_args, n_kw, 6, 6, false);
    int32_t run_bytes;
    int32_t derived_bytes;
    int32_t vector_bytes;
    int32_t work_bytes;
    int32_t row_bytes;
    int32_t length;
    const int16_t *run = buffer(args[0], &run_bytes);
    const int8_t *derived = buffer(args[1], &derived_bytes);
    int16_t *vector = buffer(args[2], &vector_bytes);
    header *work = buffer(args[3], &work_bytes);
    asked_window asked = {args[4], args[5], buffer(args[5], &row_bytes)};
    if (work_bytes < (int32_t)sizeof(header) || work->bytes != work_bytes || work->run_bytes != run_bytes
        || work->derived_bytes != derived_bytes || work->vector_bytes != vector_bytes || 2 * work->program.length != row_bytes) {
        mp_raise_ValueError("features");
    }
    sw_program *program = &work->program;
    program->run = run;
    program->derived = derived;
    length = program->length;
    sw_window window = {NULL, 0, ask, &asked};
    size_t block_bytes;
    size_t rows_bytes;
    const int32_t *block = inside(args[4], MP_QSTR__s, &block_bytes);
    const int16_t *rows = inside(args[4], MP_QSTR_rows, &rows_bytes);
    if (block && rows && block_bytes >= 20 && block[0] == program->n_channels && block[1] == length && block[4] == length
        && (uint32_t)block[3] < (uint32_t)length && rows_bytes == (size_t)(2 * program->n_channels * length)) {
        window.rows = rows;
        window.oldest = block[3];
    }
    sw_features_compute(program, &window, work + 1, vector);
    return mp_const_none;
}

mp_obj_t mpy_init(mp_obj_fun_bc_t *self, size_t n_args, size_t n_kw, mp_obj_t *args) {
    (void)n_args;
    (void)n_kw;
    (void)args;
    MP_DYNRUNTIME_INIT_ENTRY
    mp_store_global(MP_QSTR_prepare, MP_DYNRUNTIME_MAKE_FUNCTION(prepare));
    mp_store_global(MP_QSTR_compute, MP_DYNRUNTIME_MAKE_FUNCTION(compute));
    MP_DYNRUNTIME_INIT_EXIT
}
