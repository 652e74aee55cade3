// The simulated flash as a block device. It lies outside of the Python heap and of all that a reset clears,
// so files outlive soft and hard resets. Python reaches it as virt.flash.

#include <string.h>

#include "extmod/vfs.h"
#include "py/mperrno.h"
#include "py/runtime.h"
#include "chip.h"
#include "disk.h"

#define BLOCK_BYTES (4096) // the erase block of the flash chips on ESP32 modules

static size_t flash_bytes(void) {
    return chip_flash_end - chip_flash;
}

// Where (block, offset) of length bytes lies; an OSError where that is not inside the flash.
static uint8_t *flash_at(mp_obj_t block_in, mp_obj_t offset_in, size_t length) {
    mp_uint_t block = mp_obj_get_int(block_in);
    mp_uint_t offset = mp_obj_get_int(offset_in);
    if (block >= flash_bytes() / BLOCK_BYTES || offset > flash_bytes() || length > flash_bytes()
        || block * BLOCK_BYTES + offset + length > flash_bytes()) {
        mp_raise_OSError(MP_EINVAL);
    }
    return chip_flash + block * BLOCK_BYTES + offset;
}

// readblocks(block, buffer[, offset])
static mp_obj_t disk_readblocks(size_t n_args, const mp_obj_t *args) {
    mp_buffer_info_t buffer;
    mp_get_buffer_raise(args[2], &buffer, MP_BUFFER_WRITE);
    memcpy(buffer.buf, flash_at(args[1], n_args > 3 ? args[3] : MP_OBJ_NEW_SMALL_INT(0), buffer.len), buffer.len);
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_VAR_BETWEEN(disk_readblocks_obj, 3, 4, disk_readblocks);

// writeblocks(block, buffer[, offset])
static mp_obj_t disk_writeblocks(size_t n_args, const mp_obj_t *args) {
    mp_buffer_info_t buffer;
    mp_get_buffer_raise(args[2], &buffer, MP_BUFFER_READ);
    memcpy(flash_at(args[1], n_args > 3 ? args[3] : MP_OBJ_NEW_SMALL_INT(0), buffer.len), buffer.buf, buffer.len);
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_VAR_BETWEEN(disk_writeblocks_obj, 3, 4, disk_writeblocks);

static mp_obj_t disk_ioctl(mp_obj_t self, mp_obj_t operation, mp_obj_t argument) {
    switch (mp_obj_get_int(operation)) {
        case MP_BLOCKDEV_IOCTL_BLOCK_COUNT:
            return MP_OBJ_NEW_SMALL_INT(flash_bytes() / BLOCK_BYTES);
        case MP_BLOCKDEV_IOCTL_BLOCK_SIZE:
            return MP_OBJ_NEW_SMALL_INT(BLOCK_BYTES);
        default: // init, deinit, sync and erase need no work in RAM
            return MP_OBJ_NEW_SMALL_INT(0);
    }
}
static MP_DEFINE_CONST_FUN_OBJ_3(disk_ioctl_obj, disk_ioctl);

static const mp_rom_map_elem_t disk_locals_table[] = {
    { MP_ROM_QSTR(MP_QSTR_readblocks), MP_ROM_PTR(&disk_readblocks_obj) },
    { MP_ROM_QSTR(MP_QSTR_writeblocks), MP_ROM_PTR(&disk_writeblocks_obj) },
    { MP_ROM_QSTR(MP_QSTR_ioctl), MP_ROM_PTR(&disk_ioctl_obj) },
};
static MP_DEFINE_CONST_DICT(disk_locals, disk_locals_table);

static MP_DEFINE_CONST_OBJ_TYPE(disk_type, MP_QSTR_Flash, MP_TYPE_FLAG_NONE, locals_dict, &disk_locals);

const mp_obj_base_t disk_flash_obj = { &disk_type };
