// The chip of virt_m4: a Cortex-M4F on Arm's MPS2 board (image AN386), with its UART, timers, watchdog and reset.
// Implements chip.h. The processor has no instruction counter in QEMU; a 25 MHz timer on the instruction clock stands in.

#include "chip.h"

#define REG32(address) (*(volatile uint32_t *)(address))

// UART 0 (CMSDK)
#define UART_DATA           REG32(0x40004000)
#define UART_STATE          REG32(0x40004004)
#define UART_STATE_TX_FULL  (1 << 0)
#define UART_STATE_RX_FULL  (1 << 1)
#define UART_CTRL           REG32(0x40004008)
#define UART_CTRL_TX        (1 << 0)
#define UART_CTRL_RX        (1 << 1)
#define UART_CTRL_RX_IRQ    (1 << 3)
#define UART_INTSTATUS      REG32(0x4000400c)
#define UART_INTSTATUS_RX   (1 << 1)
#define UART_BAUDDIV        REG32(0x40004010)
#define UART_IRQ            (0)
#define READER_PATIENCE_US  (1000000)

// Timers (CMSDK): they count down at 25 MHz. TIMER0 runs for ever and is the clock, TIMER1 ends a sleep.
#define NS_PER_TICK         (40)
#define TICKS_PER_US        (25)
#define TIMER0              (0x40000000)
#define TIMER0_IRQ          (8)
#define TIMER1              (0x40001000)
#define TIMER1_IRQ          (9)
#define TIMER_CTRL(timer)   REG32((timer) + 0x0)
#define TIMER_CTRL_ON       (1 << 0)
#define TIMER_CTRL_IRQ      (1 << 3)
#define TIMER_VALUE(timer)  REG32((timer) + 0x4)
#define TIMER_RELOAD(timer) REG32((timer) + 0x8)
#define TIMER_INT(timer)    REG32((timer) + 0xc)

// Watchdog (CMSDK): raises the non-maskable interrupt
#define WATCHDOG_LOAD       REG32(0x40008000)
#define WATCHDOG_CTRL       REG32(0x40008008)
#define WATCHDOG_CTRL_IRQ   (1 << 0)
#define WATCHDOG_LOCK       REG32(0x40008c00)
#define WATCHDOG_UNLOCK     (0x1acce551)

// The processor itself
#define NVIC_ENABLE         REG32(0xe000e100)
#define NVIC_SET_PENDING    REG32(0xe000e200)
#define NVIC_CLEAR_PENDING  REG32(0xe000e280)
#define SCB_AIRCR           REG32(0xe000ed0c)
#define SCB_AIRCR_RESET     (0x05fa0004)
#define SCB_CFSR            REG32(0xe000ed28)
#define SCB_CPACR           REG32(0xe000ed88)
#define SCB_CPACR_FPU       (0xf << 20)

#define LONGEST_SLEEP_US    (60 * 1000000)

typedef void (*function_t)(void);
extern function_t _init_array_start[], _init_array_end[];
extern uint32_t _bss_start[], _bss_end[];
extern uint8_t _stack_top[];

static volatile uint32_t clock_wraps;

// ---- start ----

__attribute__((noreturn)) void start(void) {
    // Before the first floating point instruction, which the compiler may place anywhere.
    SCB_CPACR |= SCB_CPACR_FPU;
    __asm volatile ("dsb\n isb" : : : "memory");
    for (uint32_t *word = _bss_start; word < _bss_end; ++word) {
        *word = 0;
    }
    main();
    for (;;) {
    }
}

// ---- time ----

static void timer0_interrupt(void) {
    TIMER_INT(TIMER0) = 1;
    ++clock_wraps;
}

static uint64_t clock_ticks(void) {
    uint32_t state = chip_irq_disable();
    uint32_t wraps = clock_wraps;
    uint32_t elapsed = UINT32_MAX - TIMER_VALUE(TIMER0);
    // The timer wrapped while interrupts were off: with elapsed small again, the wrap came before the reading.
    if ((TIMER_INT(TIMER0) & 1) && elapsed < UINT32_MAX / 2) {
        ++wraps;
    }
    chip_irq_restore(state);
    return (uint64_t)wraps << 32 | elapsed;
}

uint64_t chip_time_us(void) {
    return clock_ticks() / TICKS_PER_US;
}

uint32_t chip_cycles(void) {
    return UINT32_MAX - TIMER_VALUE(TIMER0);
}

// Exact to the instructions that fit into one tick: with a clock of 16 ns an instruction, to three.
uint64_t chip_instructions(void) {
    uint32_t ns_per_instruction = chip_keep.ns_per_instruction;
    return clock_ticks() * NS_PER_TICK / (ns_per_instruction ? ns_per_instruction : 1);
}

void chip_sleep_until(uint64_t time_us) {
    uint64_t now_us = chip_time_us();
    if (time_us <= now_us) {
        return;
    }
    // The timer has 32 bits; every caller looks at the clock again.
    uint64_t nap_us = time_us - now_us < LONGEST_SLEEP_US ? time_us - now_us : LONGEST_SLEEP_US;
    TIMER_RELOAD(TIMER1) = 0; // once
    TIMER_VALUE(TIMER1) = (uint32_t)(nap_us * TICKS_PER_US);
    TIMER_CTRL(TIMER1) = TIMER_CTRL_ON | TIMER_CTRL_IRQ;
    __asm volatile ("wfi" : : : "memory");
    TIMER_CTRL(TIMER1) = 0;
    TIMER_INT(TIMER1) = 1;
    NVIC_CLEAR_PENDING = 1 << TIMER1_IRQ;
}

static void timer1_interrupt(void) {
    TIMER_INT(TIMER1) = 1;
}

void chip_watchdog(uint32_t timeout_ms) {
    WATCHDOG_LOCK = WATCHDOG_UNLOCK;
    WATCHDOG_LOAD = timeout_ms * (1000 * TICKS_PER_US);
    WATCHDOG_CTRL = WATCHDOG_CTRL_IRQ;
}

static void watchdog_interrupt(void) {
    board_reset(CHIP_WATCHDOG);
}

// ---- console ----

// A slow reader is waited for. But when the reader goes away in the middle of a byte, QEMU keeps this UART full until
// the next one comes: then output is dropped, as a board on USB does, and the program runs on.
void chip_uart_write(uint8_t byte) {
    static bool nobody_reads;
    if (UART_STATE & UART_STATE_TX_FULL) {
        uint64_t end_us = chip_time_us() + (nobody_reads ? 0 : READER_PATIENCE_US);
        while (UART_STATE & UART_STATE_TX_FULL) {
            if (chip_time_us() >= end_us) {
                nobody_reads = true;
                return;
            }
        }
    }
    nobody_reads = false;
    UART_DATA = byte;
}

void chip_uart_listen(bool on) {
    // Switching the receiver off as well would lose a byte; without its interrupt the UART holds one and the host the rest.
    UART_CTRL = UART_CTRL_TX | UART_CTRL_RX | (on ? UART_CTRL_RX_IRQ : 0);
    if (on && (UART_STATE & UART_STATE_RX_FULL)) {
        NVIC_SET_PENDING = 1 << UART_IRQ; // what came meanwhile raised no interrupt
    }
}

static void uart_interrupt(void) {
    UART_INTSTATUS = UART_INTSTATUS_RX;
    while ((UART_CTRL & UART_CTRL_RX_IRQ) && (UART_STATE & UART_STATE_RX_FULL)) {
        console_receive((uint8_t)UART_DATA);
    }
}

// ---- interrupts ----

static void fault(void) {
    const uint32_t *frame; // r0-r3, r12, lr, pc, xpsr
    __asm volatile ("mrs %0, msp" : "=r" (frame));
    chip_panic("processor exception", SCB_CFSR, (uint32_t)(uintptr_t)frame);
}

__attribute__((section(".start"), used)) static const function_t vectors[16 + 16] = {
    [0] = (function_t)_stack_top,
    [1] = start,
    [2] = watchdog_interrupt,
    [3] = fault, [4] = fault, [5] = fault, [6] = fault,
    [16 + UART_IRQ] = uart_interrupt,
    [16 + TIMER0_IRQ] = timer0_interrupt,
    [16 + TIMER1_IRQ] = timer1_interrupt,
};

uint32_t chip_irq_disable(void) {
    uint32_t masked;
    __asm volatile ("mrs %0, primask\n cpsid i" : "=r" (masked) : : "memory");
    return !masked;
}

void chip_irq_restore(uint32_t state) {
    if (state) {
        __asm volatile ("cpsie i" : : : "memory");
    }
}

void chip_init(void) {
    TIMER_RELOAD(TIMER0) = UINT32_MAX;
    TIMER_VALUE(TIMER0) = UINT32_MAX;
    TIMER_CTRL(TIMER0) = TIMER_CTRL_ON | TIMER_CTRL_IRQ;

    UART_BAUDDIV = 16;
    chip_uart_listen(true);
    NVIC_ENABLE = 1 << UART_IRQ | 1 << TIMER0_IRQ | 1 << TIMER1_IRQ;

    for (function_t *function = _init_array_start; function < _init_array_end; ++function) {
        (*function)();
    }
}

void chip_reset(void) {
    __asm volatile ("dsb" : : : "memory");
    SCB_AIRCR = SCB_AIRCR_RESET;
    for (;;) {
    }
}
