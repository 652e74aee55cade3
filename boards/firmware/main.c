// The life of a virtual board: start, _boot.py, boot.py, main.py, REPL, soft reset, again. The order of the esp32 port.
// Knows nothing of the chip beyond chip.h.

#include <string.h>

#include "py/builtin.h"
#include "py/compile.h"
#include "py/cstack.h"
#include "py/gc.h"
#include "py/mphal.h"
#include "py/runtime.h"
#include "shared/readline/readline.h"
#include "shared/runtime/gchelper.h"
#include "shared/runtime/pyexec.h"

static char gc_heap[CHIP_GC_HEAP_BYTES] __attribute__((aligned(16)));
extern uint8_t _stack_top[];

// Runs boot.py and main.py as a stock board does. False: a script asked for a soft reset.
static bool run_boot_scripts(void) {
    pyexec_frozen_module("_boot.py", false);
    ++chip_keep.starts;
    int result = pyexec_file_if_exists("boot.py");
    if (result & PYEXEC_FORCED_EXIT) {
        return false;
    }
    // In raw mode a host is at work on the board: main.py must not start under its hands.
    if (pyexec_mode_kind == PYEXEC_MODE_FRIENDLY_REPL && result != 0) {
        result = pyexec_file_if_exists("main.py");
    }
    return !(result & PYEXEC_FORCED_EXIT);
}

static void run_repl_until_reset(void) {
    int result;
    do {
        result = pyexec_mode_kind == PYEXEC_MODE_RAW_REPL ? pyexec_raw_repl() : pyexec_friendly_repl();
    } while (result == 0);
}

int main(void) {
    chip_init();
    for (;;) {
        mp_cstack_init_with_top(_stack_top, CHIP_STACK_BYTES);
        gc_init(gc_heap, gc_heap + sizeof(gc_heap));
        mp_init();
        mp_obj_list_append(mp_sys_path, MP_OBJ_NEW_QSTR(MP_QSTR__slash_lib));
        readline_init0();

        if (run_boot_scripts()) {
            run_repl_until_reset();
        }

        mp_hal_stdout_tx_str("MPY: soft reboot\r\n");
        gc_sweep_all();
        mp_deinit();
    }
}

void gc_collect(void) {
    gc_collect_start();
    gc_helper_collect_regs_and_stack();
    gc_collect_end();
}

void nlr_jump_fail(void *val) {
    chip_panic("exception without a handler", 0, (uint32_t)(uintptr_t)val);
}

// Chip time starts again at zero; the wall clock and the cause live on in the page no reset clears.
void board_reset(enum chip_reset_cause cause) {
    chip_keep.reset_cause = cause;
    chip_keep.wall_clock_us += (int64_t)chip_time_us();
    chip_reset();
}

// The host sees a panic on the console, as it does on a real board.
void chip_panic(const char *what, uint32_t cause, uint32_t address) {
    mp_printf(&mp_plat_print, "\r\nPANIC: %s, cause 0x%x at 0x%08x. Rebooting...\r\n", what, (int)cause, (int)address);
    board_reset(CHIP_WATCHDOG);
}
