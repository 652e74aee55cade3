/* One window of int16 samples -> one int16 vector: the kernels of sensewell/features.py and spectrum.py in C99.
 *
 * Knows the compiled program of `Features` and nothing of MicroPython: the same file serves boards and PCs.
 * Formulas, units and Q formats stand in the tables of features.py and spectrum.py; every result is the same bit for
 * bit. No static data, no allocation, no floats; stack below 300 bytes.
 */
#ifndef SENSEWELL_FEATURES_H
#define SENSEWELL_FEATURES_H

#include <stddef.h>
#include <stdint.h>

/* Where samples come from: a full ring of rows, or (rows is NULL) a function that is asked for a channel. */
typedef struct {
    const int16_t *rows; /* int16[length][n_channels], row-major */
    int32_t oldest;      /* row of the oldest sample */
    void (*read)(void *context, int32_t channel, int16_t *x, int32_t length); /* fills x: int16[length] */
    void *context;
} sw_window;

/* What is computed. As `Features` compiles it, all int16:
 *   for each channel   channel, (not looked at), number of plain, number of asked,
 *                      plain times (place, opcode), asked times (place, opcode, a, b)
 *   then               -1, number of late, late times (place, opcode, c, d, e)
 */
typedef struct {
    const int16_t *run;
    const int8_t *derived; /* int8[n_derived][4]: source a, b, c or -1, shift */
    int32_t n_channels;    /* real ones; the derived ones follow */
    int32_t length;        /* samples of a window, 2..256 */
    int32_t transform_words; /* filled in by sw_features_plan(): parts of the work space */
    int32_t mean_words;
} sw_program;

/* Bytes of work space (4-byte aligned, need not be cleared) that `program` takes, 0 if it is not sound.
 * A sound one keeps sw_features_compute() inside of its buffers, whatever the samples.
 */
int32_t sw_features_plan(sw_program *program, int32_t run_items, int32_t n_derived, int32_t n_vector);

/* vector: int16[n_vector] as given to sw_features_plan(), which must have returned the size of `work`. */
void sw_features_compute(const sw_program *program, const sw_window *window, void *work, int16_t *vector);

#endif
