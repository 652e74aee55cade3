// The chip's part of the machine module: resets, sleeping, identity and the real-time clock.
// Included by extmod/modmachine.c, never compiled by itself.

#include "py/mphal.h"
#include "shared/timeutils/timeutils.h"
#include "chip.h"

static void mp_machine_idle(void) {
    // An event wakes it; a millisecond at most, because stock boards have a system tick.
    clock_wait_event_ms(1);
}

NORETURN static void mp_machine_reset(void) {
    board_reset(CHIP_HARD_RESET);
}

static mp_int_t mp_machine_reset_cause(void) {
    return chip_keep.reset_cause ? chip_keep.reset_cause : CHIP_POWER_ON;
}

static mp_obj_t mp_machine_unique_id(void) {
    return mp_obj_new_bytes(chip_keep.unique_id, sizeof(chip_keep.unique_id));
}

static mp_obj_t mp_machine_get_freq(void) {
    return MP_OBJ_NEW_SMALL_INT(CHIP_CLOCK_HZ);
}

static void mp_machine_set_freq(size_t n_args, const mp_obj_t *args) {
    if (mp_obj_get_int(args[0]) != CHIP_CLOCK_HZ) {
        mp_raise_ValueError(MP_ERROR_TEXT("the clock of a virtual board is fixed"));
    }
}

static mp_int_t sleep_time_ms(size_t n_args, const mp_obj_t *args) {
    return n_args == 0 || args[0] == mp_const_none ? -1 : MAX(0, mp_obj_get_int(args[0]));
}

static void mp_machine_lightsleep(size_t n_args, const mp_obj_t *args) {
    mp_int_t ms = sleep_time_ms(n_args, args);
    if (ms < 0) {
        mp_event_wait_indefinite();
    } else {
        mp_hal_delay_ms(ms);
    }
}

NORETURN static void mp_machine_deepsleep(size_t n_args, const mp_obj_t *args) {
    mp_int_t ms = sleep_time_ms(n_args, args);
    // Nothing but the timer wakes a board from deep sleep, not even the console.
    uint64_t end_us = ms < 0 ? UINT64_MAX : chip_time_us() + (uint64_t)ms * 1000;
    chip_irq_disable();
    chip_uart_listen(false);
    while (chip_time_us() < end_us) {
        chip_sleep_until(end_us);
    }
    board_reset(CHIP_DEEP_SLEEP);
}

// ---- machine.RTC: datetime([(year, month, day, weekday, hours, minutes, seconds, subseconds_us)]) ----

static const mp_obj_base_t machine_rtc_obj = { &machine_rtc_type };

static mp_obj_t machine_rtc_make_new(const mp_obj_type_t *type, size_t n_args, size_t n_kw, const mp_obj_t *args) {
    mp_arg_check_num(n_args, n_kw, 0, 0, false);
    return MP_OBJ_FROM_PTR(&machine_rtc_obj);
}

static mp_obj_t machine_rtc_datetime(size_t n_args, const mp_obj_t *args) {
    if (n_args == 1) {
        uint64_t now_us = mp_hal_time_ns() / 1000;
        timeutils_struct_time_t now;
        timeutils_seconds_since_epoch_to_struct_time(now_us / 1000000, &now);
        mp_obj_t fields[8] = {
            mp_obj_new_int(now.tm_year), mp_obj_new_int(now.tm_mon), mp_obj_new_int(now.tm_mday),
            mp_obj_new_int(now.tm_wday), mp_obj_new_int(now.tm_hour), mp_obj_new_int(now.tm_min),
            mp_obj_new_int(now.tm_sec), mp_obj_new_int(now_us % 1000000),
        };
        return mp_obj_new_tuple(8, fields);
    }
    mp_obj_t *fields;
    mp_obj_get_array_fixed_n(args[1], 8, &fields);
    uint64_t seconds = timeutils_seconds_since_epoch(
        mp_obj_get_int(fields[0]), mp_obj_get_int(fields[1]), mp_obj_get_int(fields[2]),
        mp_obj_get_int(fields[4]), mp_obj_get_int(fields[5]), mp_obj_get_int(fields[6]));
    chip_keep.wall_clock_us = (int64_t)(seconds * 1000000 + mp_obj_get_int(fields[7])) - (int64_t)chip_time_us();
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_VAR_BETWEEN(machine_rtc_datetime_obj, 1, 2, machine_rtc_datetime);

static const mp_rom_map_elem_t machine_rtc_locals_table[] = {
    { MP_ROM_QSTR(MP_QSTR_datetime), MP_ROM_PTR(&machine_rtc_datetime_obj) },
};
static MP_DEFINE_CONST_DICT(machine_rtc_locals, machine_rtc_locals_table);

MP_DEFINE_CONST_OBJ_TYPE(
    machine_rtc_type, MP_QSTR_RTC, MP_TYPE_FLAG_NONE,
    make_new, machine_rtc_make_new,
    locals_dict, &machine_rtc_locals
    );

#define MACHINE_PORT_GLOBALS \
    { MP_ROM_QSTR(MP_QSTR_RTC), MP_ROM_PTR(&machine_rtc_type) }, \
    { MP_ROM_QSTR(MP_QSTR_PWRON_RESET), MP_ROM_INT(CHIP_POWER_ON) }, \
    { MP_ROM_QSTR(MP_QSTR_HARD_RESET), MP_ROM_INT(CHIP_HARD_RESET) }, \
    { MP_ROM_QSTR(MP_QSTR_WDT_RESET), MP_ROM_INT(CHIP_WATCHDOG) }, \
    { MP_ROM_QSTR(MP_QSTR_DEEPSLEEP_RESET), MP_ROM_INT(CHIP_DEEP_SLEEP) },
