# A custom firmware for the ESP32-C3: the stock settings of MicroPython's ESP32_GENERIC_C3, and Sensewell. Not built in CI.

set(IDF_TARGET esp32c3)

set(SDKCONFIG_DEFAULTS
    boards/sdkconfig.base
    boards/sdkconfig.ble
    boards/ESP32_GENERIC_C3/sdkconfig.c3usb
)

include(${CMAKE_CURRENT_LIST_DIR}/../esp32/sensewell.cmake)
