// What console.c tells the rest of the port.
// Reading and writing themselves go through MicroPython's mp_hal functions.

#ifndef SENSEWELL_CONSOLE_H
#define SENSEWELL_CONSOLE_H

#include <stdbool.h>

// Did input arrive since the last call? Call with interrupts disabled, right before a sleep: input that came after
// the caller looked then keeps it awake.
bool console_take_news(void);

#endif
