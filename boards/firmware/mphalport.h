// What MicroPython asks of the machine, in terms of this port's console and clock.
// Waiting means sleeping: an idle virtual board costs its host no processor time.

#ifndef SENSEWELL_MPHALPORT_H
#define SENSEWELL_MPHALPORT_H

#include "shared/runtime/interrupt_char.h"
#include "chip.h"

#define MICROPY_BEGIN_ATOMIC_SECTION()     chip_irq_disable()
#define MICROPY_END_ATOMIC_SECTION(state)  chip_irq_restore(state)
#define MICROPY_INTERNAL_WFE(TIMEOUT_MS)   clock_wait_event_ms(TIMEOUT_MS)

// Sleep until input arrives, an interrupt happens or the time is over; -1 waits without limit.
void clock_wait_event_ms(mp_int_t timeout_ms);

#endif
