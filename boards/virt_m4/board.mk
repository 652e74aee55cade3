# How the compiler sees virt_m4: a Cortex-M4 with its single precision floating point unit in use.
# Sizes and clock come from board.toml; build.py hands them over.

CROSS_COMPILE ?= arm-none-eabi-
MCU_NAME = Cortex-M4F
CPU_FLAGS = -mthumb -mcpu=cortex-m4 -mfpu=fpv4-sp-d16 -mfloat-abi=hard
AFLAGS = -mthumb -mcpu=cortex-m4
LIBGCC_FLAGS = $(CPU_FLAGS)
GC_ASM = shared/runtime/gchelper_thumb2.s
