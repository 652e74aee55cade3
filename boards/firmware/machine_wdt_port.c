// machine.WDT: a watchdog that cannot be stopped, as on an ESP32. Included by extmod/machine_wdt.c.
// The chip resets when feed() stays away for longer than the timeout.

typedef struct _machine_wdt_obj_t {
    mp_obj_base_t base;
    uint32_t timeout_ms;
} machine_wdt_obj_t;

static machine_wdt_obj_t wdt = { { &machine_wdt_type }, 0 };

static machine_wdt_obj_t *mp_machine_wdt_make_new_instance(mp_int_t id, mp_int_t timeout_ms) {
    if (id != 0) {
        mp_raise_ValueError(NULL);
    }
    // The slowest counter behind this is 32 bits at 25 MHz: 171 s.
    if (timeout_ms < 1 || timeout_ms > 170000) {
        mp_raise_ValueError(MP_ERROR_TEXT("WDT timeout must be 1 to 170000 ms"));
    }
    wdt.timeout_ms = timeout_ms;
    chip_watchdog(wdt.timeout_ms);
    return &wdt;
}

static void mp_machine_wdt_feed(machine_wdt_obj_t *self) {
    chip_watchdog(self->timeout_ms);
}
