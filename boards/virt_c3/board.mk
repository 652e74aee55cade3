# How the compiler sees virt_c3: the instruction set of an ESP32-C3 (rv32imc, no atomics, no floating point).
# Sizes and clock come from board.toml; build.py hands them over.

CROSS_COMPILE ?= riscv64-unknown-elf-
MCU_NAME = RV32IMC
# ISA spec 2.2 counts the csr instructions among the base ones, so that plain rv32imc may use them.
CPU_FLAGS = -march=rv32imc -mabi=ilp32 -misa-spec=2.2 -msmall-data-limit=0
AFLAGS = -march=rv32imc -mabi=ilp32 -misa-spec=2.2
# Debian's toolchain has no rv32imc libgcc; rv32im is a subset of it.
LIBGCC_FLAGS = -march=rv32im -mabi=ilp32 -misa-spec=2.2
GC_ASM = shared/runtime/gchelper_rv32i.s
