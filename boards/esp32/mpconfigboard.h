/* A custom firmware for the ESP32: as stock, with the stack that TensorFlow Lite Micro's kernels may need. */
#define MICROPY_HW_BOARD_NAME "Sensewell"
#define MICROPY_HW_MCU_NAME "ESP32"

#define MICROPY_TASK_STACK_SIZE (24 * 1024)
