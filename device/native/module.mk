# What all native modules share. Needs MPY_DIR (MicroPython's source tree) and ARCH; `make native` at the top gives them.

# Small before fast: measured on virt_c3, -O2 makes `features` 16 % larger and 3 % faster. Also the RAM pays for size.
# A loop must not become a call of memset or memcpy: there is no C library to link with.
CFLAGS_EXTRA += -Os -fno-tree-loop-distribute-patterns

# MicroPython's rules compile for a core with atomics, which the ESP32-C3 is not.
ifeq ($(ARCH),rv32imc)
CFLAGS_EXTRA += -march=rv32imc
endif

include $(MPY_DIR)/py/dynruntime.mk
