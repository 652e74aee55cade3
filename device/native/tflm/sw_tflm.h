/* int8 networks on upstream TensorFlow Lite Micro (TFLM): what the firmware's module calls, in C. Knows no MicroPython.
 *
 * Numbers of refusals and the description of a port are those of our own engine: ../neural/sw_neural.h.
 * TFLM trusts its file: sw_tflm_prove() looks at it first. What TFLM says of an error is kept: sw_tflm_message().
 */
#ifndef SENSEWELL_TFLM_H
#define SENSEWELL_TFLM_H

#include <stddef.h>
#include <stdint.h>

#include "sw_neural.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Does everything in the file point inside of it, to tensors that exist and are written before they are read?
 * facts: n_inputs, n_outputs, n_ops; op and code of what is refused. Whether options and shapes of an operator fit each
 * other is left to TFLM's kernels, which do not look at all of it: only models from a known hand belong here.
 */
int32_t sw_tflm_prove(const void *model, size_t bytes, sw_neural_facts *facts);

/* For a model that is proven. Describes input `number`, or output `number - n_inputs`; 0, or -1: there is none. */
int32_t sw_tflm_describe(const void *model, size_t bytes, int32_t number, sw_neural_port *port);

/* For a model that is proven: which operator is number `k`, as the schema counts them? -1: there is none. */
int32_t sw_tflm_op(const void *model, size_t bytes, int32_t k);

/* For a model that is proven: bytes of arena below which TFLM may not even fail properly, but write to nowhere. */
int32_t sw_tflm_least(const void *model, size_t bytes);

/* Bytes of arena that the host reckoned for this model; for one that it did not know, the most of all or the least. */
int32_t sw_tflm_reckoned(const void *model, size_t bytes);

/* Memory for an interpreter, 16-byte aligned; the same holds for the arena. */
size_t sw_tflm_net_bytes(void);

/* Makes an interpreter of a proven model. 0: ready; else it must not be used, and sw_tflm_message() says why.
 * model, net and arena must stay where they are. There is nothing to close: all its memory is net and arena.
 */
int32_t sw_tflm_open(void *net, const void *model, size_t bytes, void *arena, size_t arena_bytes);

/* All these return 0, or -1 with a message; never does an interpreter run whose memory could not be allocated. */
int32_t sw_tflm_invoke(void *net);
int32_t sw_tflm_reset(void *net);

/* Where port `number` lies in the arena. */
void *sw_tflm_port(void *net, int32_t number);

size_t sw_tflm_arena_used(void *net);

/* What TFLM printed since the last call began. */
const char *sw_tflm_message(void);

/* A call into TFLM was left by a jump (a key on the console): nothing is under way any more. */
void sw_tflm_abandon(void);

#ifdef __cplusplus
}
#endif

#endif
