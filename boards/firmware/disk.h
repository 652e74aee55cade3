// The one object disk.c gives to Python: the block device over the simulated flash.
// modvirt.c publishes it as virt.flash.

#ifndef SENSEWELL_DISK_H
#define SENSEWELL_DISK_H

#include "py/obj.h"

extern const mp_obj_base_t disk_flash_obj;

#endif
