// The console: bytes between the UART and Python's stdin and stdout. Filled from an interrupt, so that Ctrl-C works
// while Python code runs, at no cost to that code. Never loses a byte: a full ring holds the sender back.

#include "py/mphal.h"
#include "py/ringbuf.h"
#include "py/runtime.h"
#include "py/stream.h"
#include "chip.h"
#include "console.h"

// Holds a whole REPL receive window (MICROPY_REPL_STDIN_BUFFER_MAX) and the next one.
static uint8_t ring_storage[2 * MICROPY_REPL_STDIN_BUFFER_MAX + 1];
static ringbuf_t ring = { .buf = ring_storage, .size = sizeof(ring_storage) };
static bool held_back;
static volatile bool news;

void console_receive(uint8_t byte) {
    if (byte == mp_interrupt_char) {
        mp_sched_keyboard_interrupt();
        return;
    }
    ringbuf_put(&ring, byte);
    news = true;
    if (ringbuf_free(&ring) == 0) {
        held_back = true;
        chip_uart_listen(false);
    }
}

static int console_read(void) {
    uint32_t irq = chip_irq_disable();
    int byte = ringbuf_get(&ring);
    if (held_back && ringbuf_free(&ring) > sizeof(ring_storage) / 2) {
        held_back = false;
        chip_uart_listen(true);
    }
    chip_irq_restore(irq);
    return byte;
}

bool console_take_news(void) {
    bool result = news;
    news = false;
    return result;
}

int mp_hal_stdin_rx_chr(void) {
    for (;;) {
        int byte = console_read();
        if (byte >= 0) {
            return byte;
        }
        // Sleeping at once beats polling for the next byte: QEMU needs the host's processor to fetch it.
        mp_event_wait_indefinite();
    }
}

mp_uint_t mp_hal_stdout_tx_strn(const char *text, size_t length) {
    for (size_t i = 0; i < length; ++i) {
        chip_uart_write(text[i]);
    }
    return length;
}

uintptr_t mp_hal_stdio_poll(uintptr_t wanted) {
    uintptr_t ready = wanted & MP_STREAM_POLL_WR;
    if ((wanted & MP_STREAM_POLL_RD) && ringbuf_peek(&ring) >= 0) {
        ready |= MP_STREAM_POLL_RD;
    }
    return ready;
}
