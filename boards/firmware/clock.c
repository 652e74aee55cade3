// Time as MicroPython knows it: ticks, delays that sleep, and a wall clock that starts at 2000-01-01 like an ESP32's.
// Also the board's randomness, which is stretched from what the host put into the keep page.

#include <string.h>

#include "lib/crypto-algorithms/sha256.h"
#include "py/mphal.h"
#include "py/runtime.h"
#include "chip.h"
#include "console.h"


mp_uint_t mp_hal_ticks_ms(void) {
    return chip_time_us() / 1000;
}

mp_uint_t mp_hal_ticks_us(void) {
    return chip_time_us();
}

mp_uint_t mp_hal_ticks_cpu(void) {
    return chip_cycles();
}

uint64_t mp_hal_time_ns(void) {
    return (uint64_t)(chip_keep.wall_clock_us + (int64_t)chip_time_us()) * 1000;
}

// Python must act on a Ctrl-C or a scheduled call: then it must not sleep.
static bool call_pending(void) {
    return MP_STATE_VM(sched_state) == MP_SCHED_PENDING || MP_STATE_THREAD(mp_pending_exception) != MP_OBJ_NULL;
}

static void sleep_until(uint64_t end_us, bool wake_for_input) {
    uint32_t irq = chip_irq_disable();
    if (!call_pending() && !(wake_for_input && console_take_news())) {
        chip_sleep_until(end_us);
    }
    chip_irq_restore(irq);
}

void clock_wait_event_ms(mp_int_t timeout_ms) {
    sleep_until(timeout_ms < 0 ? UINT64_MAX : chip_time_us() + (uint64_t)timeout_ms * 1000, true);
}

void mp_hal_delay_us(mp_uint_t us) {
    uint64_t end_us = chip_time_us() + us;
    while (chip_time_us() < end_us) {
    }
}

void mp_hal_delay_ms(mp_uint_t ms) {
    uint64_t end_us = chip_time_us() + (uint64_t)ms * 1000;
    do {
        mp_handle_pending(true);
        sleep_until(end_us, false);
    } while (chip_time_us() < end_us);
    mp_handle_pending(true);
}

// Hash chain over the host's entropy. Without any (all zero) it is deterministic, which is what a counted run wants.
uint32_t clock_random(void) {
    uint8_t digest[32];
    CRYAL_SHA256_CTX context;
    sha256_init(&context);
    sha256_update(&context, (const uint8_t *)chip_keep.entropy, sizeof(chip_keep.entropy));
    sha256_final(&context, digest);
    uint32_t result;
    memcpy(chip_keep.entropy, digest, sizeof(chip_keep.entropy));
    memcpy(&result, digest + sizeof(chip_keep.entropy), sizeof(result));
    return result;
}
