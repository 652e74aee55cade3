# A custom firmware for the ESP32: the stock settings of MicroPython's ESP32_GENERIC, and Sensewell. Not built in CI.

set(SDKCONFIG_DEFAULTS
    boards/sdkconfig.base
    boards/sdkconfig.ble
)

include(${CMAKE_CURRENT_LIST_DIR}/sensewell.cmake)
