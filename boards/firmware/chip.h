// The contract between this port and a chip: everything chip-specific a board must provide, and nothing else.
// One implementation per board, in boards/NAME/chip.c. Time is in microseconds since the last reset.

#ifndef SENSEWELL_CHIP_H
#define SENSEWELL_CHIP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Why the chip started; the numbers of the esp32 port.
enum chip_reset_cause { CHIP_POWER_ON = 1, CHIP_HARD_RESET = 2, CHIP_WATCHDOG = 3, CHIP_DEEP_SLEEP = 4 };

// A page of RAM behind the flash that no reset clears. The host fills it in before power-on (see host_tools,
// board/virtual.py, which packs the very same layout); all zero is a valid page.
typedef struct {
    uint32_t reset_cause;           // 0: power-on
    uint32_t ns_per_instruction;    // 0: the emulator does not count instructions
    uint32_t starts;                // times the firmware came up since power-on; the host waits for the first
    uint32_t reserved;
    uint8_t unique_id[8];
    uint32_t entropy[4];
    int64_t wall_clock_us;          // the wall clock at the start of chip_time_us()
} chip_keep_t;
extern chip_keep_t chip_keep;

// The simulated flash: plain RAM outside of everything a reset clears or loads. Erased is zero here.
extern uint8_t chip_flash[];
extern uint8_t chip_flash_end[];

// Before anything else runs. Afterwards received bytes are given to console_receive(), from an interrupt.
void chip_init(void);

void chip_uart_write(uint8_t byte);
void chip_uart_listen(bool on);     // off: the sender is held back, nothing is lost

uint64_t chip_time_us(void);
uint64_t chip_instructions(void);   // since the last reset or longer; what it means without an instruction clock is up to the chip
uint32_t chip_cycles(void);         // the fastest free-running counter, for time.ticks_cpu()

uint32_t chip_irq_disable(void);    // the previous state, for chip_irq_restore()
void chip_irq_restore(uint32_t state);
// Sleep until an interrupt is pending or the time has come. Call with interrupts disabled: then no wake-up between
// the caller's last look and the sleep can be missed.
void chip_sleep_until(uint64_t time_us);

// Calls board_reset() unless called again within the time; cannot be stopped, as on an ESP32.
void chip_watchdog(uint32_t timeout_ms);
void chip_reset(void) __attribute__((noreturn));

// ---- what the port gives to the chip ----

int main(void);
void console_receive(uint8_t byte);
void board_reset(enum chip_reset_cause cause) __attribute__((noreturn));
// A fault no Python code can catch: say where, then reset, as a real board does.
void chip_panic(const char *what, uint32_t cause, uint32_t address) __attribute__((noreturn));

#endif
