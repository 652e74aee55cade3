// The chip of virt_c3: a RISC-V hart in machine mode on QEMU's "virt" machine, with its UART, timer and reset.
// Implements chip.h. Interrupts: UART (through the PLIC) and the machine timer (sleep and watchdog).

#include "chip.h"

#define REG8(address)  (*(volatile uint8_t *)(address))
#define REG32(address) (*(volatile uint32_t *)(address))

// 16550 UART
#define UART_DATA           REG8(0x10000000)
#define UART_IER            REG8(0x10000001)
#define UART_IER_RECEIVED   (1 << 0)
#define UART_FCR            REG8(0x10000002)
#define UART_FCR_FIFO_14    (1 << 0 | 3 << 6) // interrupt at 14 bytes, or when the sender pauses
#define UART_LCR            REG8(0x10000003)
#define UART_LCR_8N1        (0x03)
#define UART_LCR_DIVISOR    (0x80)
#define UART_LSR            REG8(0x10000005)
#define UART_LSR_RECEIVED   (1 << 0)
#define UART_LSR_CAN_SEND   (1 << 5)

// Platform interrupt controller, context 0 (machine mode of hart 0)
#define UART_IRQ            (10)
#define PLIC_PRIORITY(irq)  REG32(0x0c000000 + 4 * (irq))
#define PLIC_ENABLE         REG32(0x0c002000)
#define PLIC_CLAIM          REG32(0x0c200004)

// Core-local timer: 10 MHz
#define TICKS_PER_US        (10)
#define MTIMECMP_LOW        REG32(0x02004000)
#define MTIMECMP_HIGH       REG32(0x02004004)
#define MTIME_LOW           REG32(0x0200bff8)
#define MTIME_HIGH          REG32(0x0200bffc)

// The "test finisher": the machine's reset button
#define FINISHER            REG32(0x00100000)
#define FINISHER_RESET      (0x7777)

#define MSTATUS_MIE         (1 << 3)
#define MIE_TIMER           (1 << 7)
#define MIE_EXTERNAL        (1 << 11)
#define MCAUSE_TIMER        (0x80000007)
#define MCAUSE_EXTERNAL     (0x8000000b)

#define CSR_READ(name)         ({ uint32_t value_; __asm volatile ("csrr %0, " #name : "=r" (value_)); value_; })
#define CSR_WRITE(name, value) __asm volatile ("csrw " #name ", %0" : : "r" (value) : "memory")
#define CSR_SET(name, bits)    __asm volatile ("csrs " #name ", %0" : : "r" (bits) : "memory")

#define NEVER            (UINT64_MAX)
#define LONGEST_SLEEP_US (60 * 1000000)

typedef void (*init_function_t)(void);
extern init_function_t _init_array_start[], _init_array_end[];

static uint64_t watchdog_us;
static uint32_t count_shift; // minstret counts 2^count_shift per instruction

// ---- start ----

__attribute__((naked, section(".start"), used)) void _start(void) {
    __asm volatile (
        ".option push\n"
        ".option norelax\n"
        "la gp, __global_pointer$\n"
        ".option pop\n"
        "la sp, _stack_top\n"
        "la t0, _bss_start\n"
        "la t1, _bss_end\n"
        "1: sw zero, 0(t0)\n"
        "addi t0, t0, 4\n"
        "bltu t0, t1, 1b\n"
        "tail main\n");
}

// ---- time ----

static uint64_t mtime(void) {
    uint32_t high, low;
    do {
        high = MTIME_HIGH;
        low = MTIME_LOW;
    } while (high != MTIME_HIGH);
    return (uint64_t)high << 32 | low;
}

uint64_t chip_time_us(void) {
    return mtime() / TICKS_PER_US;
}

static void set_alarm(uint64_t time_us) {
    uint64_t ticks = time_us > NEVER / TICKS_PER_US ? NEVER : time_us * TICKS_PER_US;
    MTIMECMP_HIGH = UINT32_MAX; // no alarm between the two halves
    MTIMECMP_LOW = (uint32_t)ticks;
    MTIMECMP_HIGH = (uint32_t)(ticks >> 32);
}

void chip_sleep_until(uint64_t time_us) {
    // Never sleep without an end: QEMU's instruction clock overflows on an alarm that is too far, and spins. Every
    // caller looks at the clock again.
    uint64_t end_us = chip_time_us() + LONGEST_SLEEP_US;
    end_us = time_us < end_us ? time_us : end_us;
    set_alarm(end_us < watchdog_us ? end_us : watchdog_us);
    __asm volatile ("wfi" : : : "memory");
    set_alarm(watchdog_us);
}

void chip_watchdog(uint32_t timeout_ms) {
    uint32_t state = chip_irq_disable();
    watchdog_us = chip_time_us() + (uint64_t)timeout_ms * 1000;
    set_alarm(watchdog_us);
    chip_irq_restore(state);
}

// ---- instruction counter ----

static uint64_t minstret(void) {
    uint32_t high, low;
    do {
        high = CSR_READ(minstreth);
        low = CSR_READ(minstret);
    } while (high != CSR_READ(minstreth));
    return (uint64_t)high << 32 | low;
}

// Before version 8 QEMU puts nanoseconds of the instruction clock into minstret, later the instructions themselves.
// Instead of asking which QEMU this is, count a loop of known length.
static void calibrate_counter(void) {
    uint32_t turns = 1000;
    uint64_t before = minstret();
    __asm volatile ("1: addi %0, %0, -1\n bnez %0, 1b" : "+r" (turns));
    uint64_t per_2000_instructions = minstret() - before;
    while (count_shift < 10 && (3000u << count_shift) < per_2000_instructions) {
        ++count_shift;
    }
}

uint64_t chip_instructions(void) {
    return minstret() >> count_shift;
}

uint32_t chip_cycles(void) {
    return CSR_READ(minstret);
}

// ---- console ----

void chip_uart_write(uint8_t byte) {
    while (!(UART_LSR & UART_LSR_CAN_SEND)) {
    }
    UART_DATA = byte;
}

void chip_uart_listen(bool on) {
    UART_IER = on ? UART_IER_RECEIVED : 0;
}

static void uart_interrupt(void) {
    while ((UART_IER & UART_IER_RECEIVED) && (UART_LSR & UART_LSR_RECEIVED)) {
        console_receive(UART_DATA);
    }
}

// ---- interrupts ----

__attribute__((interrupt("machine"), aligned(4))) static void trap(void) {
    uint32_t cause = CSR_READ(mcause);
    if (cause == MCAUSE_EXTERNAL) {
        uint32_t source = PLIC_CLAIM;
        uart_interrupt();
        PLIC_CLAIM = source;
    } else if (cause == MCAUSE_TIMER) {
        board_reset(CHIP_WATCHDOG); // only the watchdog's alarm is on while interrupts are
    } else {
        chip_panic("processor exception", cause, CSR_READ(mepc));
    }
}

uint32_t chip_irq_disable(void) {
    uint32_t state;
    __asm volatile ("csrrci %0, mstatus, %1" : "=r" (state) : "i" (MSTATUS_MIE) : "memory");
    return state & MSTATUS_MIE;
}

void chip_irq_restore(uint32_t state) {
    CSR_SET(mstatus, state & MSTATUS_MIE);
}

void chip_init(void) {
    CSR_WRITE(mcountinhibit, 0);
    if (chip_keep.ns_per_instruction) {
        calibrate_counter();
    }
    watchdog_us = NEVER;
    set_alarm(NEVER);
    CSR_WRITE(mtvec, trap);

    // The FIFO's size is also how much QEMU takes from the wire at a time; the fastest divisor makes its pauses short.
    UART_LCR = UART_LCR_8N1 | UART_LCR_DIVISOR;
    UART_DATA = 1;
    UART_IER = 0;
    UART_LCR = UART_LCR_8N1;
    UART_FCR = UART_FCR_FIFO_14;
    chip_uart_listen(true);
    PLIC_PRIORITY(UART_IRQ) = 1;
    PLIC_ENABLE = 1 << UART_IRQ;
    CSR_WRITE(mie, MIE_EXTERNAL | MIE_TIMER);
    CSR_SET(mstatus, MSTATUS_MIE);

    for (init_function_t *function = _init_array_start; function < _init_array_end; ++function) {
        (*function)();
    }
}

void chip_reset(void) {
    FINISHER = FINISHER_RESET;
    for (;;) {
    }
}
