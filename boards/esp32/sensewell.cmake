# What the custom firmwares of all ESP32 boards share: the runtime is frozen in, and, where models were named, TFLM is built
# in. Included by each board's mpconfigboard.cmake, before ESP-IDF looks for components. Not built in CI.

set(MICROPY_FROZEN_MANIFEST ${CMAKE_CURRENT_LIST_DIR}/manifest.py)

# The folder of sensewell_tflm_ops.h; `make firmware` sets it where MODELS are given
if(DEFINED ENV{SENSEWELL_TFLM_OPS})
    list(APPEND EXTRA_COMPONENT_DIRS ${CMAKE_CURRENT_LIST_DIR}/../../device/native/tflm/component/sensewell_tflm_core)
endif()
