/* A custom firmware for the ESP32-C3: as stock, with the stack that TensorFlow Lite Micro's kernels may need. */
#define MICROPY_HW_BOARD_NAME "Sensewell"
#define MICROPY_HW_MCU_NAME "ESP32C3"

/* boards with a serial chip beside the USB port of the processor itself */
#define MICROPY_HW_ENABLE_UART_REPL (1)

#define MICROPY_TASK_STACK_SIZE (24 * 1024)
