# The module sensewell_tflm for ports built by make (unix, qemu): USER_C_MODULES=.../device/native. `make firmware` sets
# the rest: TFLM_INCLUDE (folders of headers), TFLM_LIB (the library), TFLM_OPS (folder of sensewell_tflm_ops.h).
# TFLM_CXXFLAGS must be what changes TFLM's structures, as the library was compiled with.

ifeq ($(and $(TFLM_INCLUDE),$(TFLM_LIB),$(TFLM_OPS)),)
$(error sensewell_tflm needs TFLM_INCLUDE, TFLM_LIB and TFLM_OPS: use `make firmware`, or leave out this module)
endif

SENSEWELL_TFLM := $(USERMOD_DIR)
TFLM_CXXFLAGS ?= -DTF_LITE_STATIC_MEMORY

SRC_USERMOD_C += $(SENSEWELL_TFLM)/module.c
SRC_USERMOD_LIB_C += $(SENSEWELL_TFLM)/sw_tflm_file.c
SRC_USERMOD_LIB_CXX += $(SENSEWELL_TFLM)/sw_tflm.cpp
CFLAGS_USERMOD += -I$(SENSEWELL_TFLM) -I$(SENSEWELL_TFLM)/../neural
CXXFLAGS_USERMOD += -std=c++17 -fno-exceptions -fno-rtti -fno-threadsafe-statics $(TFLM_CXXFLAGS)
CXXFLAGS_USERMOD += -I$(TFLM_OPS) $(foreach folder,$(TFLM_INCLUDE),-isystem $(folder))
LDFLAGS_USERMOD += -Wl,--wrap=DebugLog -Wl,--wrap=abort

# Behind all objects: a library gives only what was asked for before it
LIB += $(TFLM_LIB) -lstdc++
