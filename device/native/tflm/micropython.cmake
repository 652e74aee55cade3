# The module sensewell_tflm for ESP-IDF: USER_C_MODULES=.../tflm/micropython.cmake, as `make firmware` does.
# What is C++ is the ESP-IDF component beside this file, which brings esp-tflite-micro along.

add_library(usermod_sensewell_tflm INTERFACE)

target_sources(usermod_sensewell_tflm INTERFACE ${CMAKE_CURRENT_LIST_DIR}/module.c)
target_include_directories(usermod_sensewell_tflm INTERFACE
    ${CMAKE_CURRENT_LIST_DIR}
    ${CMAKE_CURRENT_LIST_DIR}/../neural
)

target_link_libraries(usermod INTERFACE usermod_sensewell_tflm)

# The component's target may not exist yet where this is read: it is looked up when the build is written.
target_link_libraries(usermod_sensewell_tflm INTERFACE __idf_sensewell_tflm_core)
