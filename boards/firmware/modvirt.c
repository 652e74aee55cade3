// The module virt: what a virtual board can do and a real one cannot. Today that is counting instructions exactly.
// Counts mean instructions only where virt.counting() is true, that is on a board started with an instruction clock.

#include "py/runtime.h"
#include "py/smallint.h"
#include "chip.h"
#include "disk.h"

static uint64_t mark;

// virt.counting(): does the emulator count instructions, so that figures repeat from run to run?
static mp_obj_t virt_counting(void) {
    return mp_obj_new_bool(chip_keep.ns_per_instruction != 0);
}
static MP_DEFINE_CONST_FUN_OBJ_0(virt_counting_obj, virt_counting);

// virt.instructions(): executed since power-on. Allocates an integer once the count is large.
static mp_obj_t virt_instructions(void) {
    return mp_obj_new_int_from_ull(chip_instructions());
}
static MP_DEFINE_CONST_FUN_OBJ_0(virt_instructions_obj, virt_instructions);

// virt.mark() and virt.since(): instructions between the two calls, at most 2^30 - 1, without touching the heap.
static mp_obj_t virt_mark(void) {
    mark = chip_instructions();
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_0(virt_mark_obj, virt_mark);

static mp_obj_t virt_since(void) {
    uint64_t count = chip_instructions() - mark;
    return MP_OBJ_NEW_SMALL_INT(count < MP_SMALL_INT_MAX ? (mp_int_t)count : MP_SMALL_INT_MAX);
}
static MP_DEFINE_CONST_FUN_OBJ_0(virt_since_obj, virt_since);

static const mp_rom_map_elem_t virt_globals_table[] = {
    { MP_ROM_QSTR(MP_QSTR___name__), MP_ROM_QSTR(MP_QSTR_virt) },
    { MP_ROM_QSTR(MP_QSTR_flash), MP_ROM_PTR(&disk_flash_obj) },
    { MP_ROM_QSTR(MP_QSTR_counting), MP_ROM_PTR(&virt_counting_obj) },
    { MP_ROM_QSTR(MP_QSTR_instructions), MP_ROM_PTR(&virt_instructions_obj) },
    { MP_ROM_QSTR(MP_QSTR_mark), MP_ROM_PTR(&virt_mark_obj) },
    { MP_ROM_QSTR(MP_QSTR_since), MP_ROM_PTR(&virt_since_obj) },
};
static MP_DEFINE_CONST_DICT(virt_globals, virt_globals_table);

const mp_obj_module_t virt_module = {
    .base = { &mp_type_module },
    .globals = (mp_obj_dict_t *)&virt_globals,
};
MP_REGISTER_MODULE(MP_QSTR_virt, virt_module);
