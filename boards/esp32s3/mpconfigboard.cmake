# A custom firmware for the ESP32-S3 with 8 MiB: the stock settings of MicroPython's ESP32_GENERIC_S3, and Sensewell.
# Not built in CI.

set(IDF_TARGET esp32s3)

set(SDKCONFIG_DEFAULTS
    boards/sdkconfig.base
    boards/sdkconfig.usb
    boards/sdkconfig.ble
    boards/sdkconfig.spiram_sx
    boards/ESP32_GENERIC_S3/sdkconfig.board
)

include(${CMAKE_CURRENT_LIST_DIR}/../esp32/sensewell.cmake)
