/* Forests of decision trees, used in place: proven sound, then walked. sensewell/model/trees.py in C99.
 *
 * The binary form stands in the table of trees.py. Knows nothing of MicroPython: the same file serves boards and PCs.
 * No static data, no allocation, no floats. Little-endian machines only, as all boards are.
 */
#ifndef SENSEWELL_TREES_H
#define SENSEWELL_TREES_H

#include <stddef.h>
#include <stdint.h>

/* What sw_trees_verify() says; the names are those of Refused("model....") */
enum {
    SW_TREES_SOUND,
    SW_TREES_TRUNCATED,
    SW_TREES_MAGIC,
    SW_TREES_VERSION,
    SW_TREES_EXTENDED,
    SW_TREES_SCHEMA,
    SW_TREES_KIND,
    SW_TREES_HEADER,
    SW_TREES_ALIGNMENT,
    SW_TREES_TREES,
    SW_TREES_LEAF,
    SW_TREES_FEATURE_INDEX,
    SW_TREES_JUMP,
    SW_TREES_OVERFLOW
};

/* Is forest[0..bytes-1] entirely sound and made for so many features and outputs? Takes time in proportion to `bytes`
 * and reads nothing else. Of a sound one every walk ends, inside of it.
 */
int32_t sw_trees_verify(const void *forest, size_t bytes, int32_t n_features, int32_t n_outputs);

/* The class. forest: sound; features: int16[n_features]; scores: int32[n_outputs], filled as the table says. */
int32_t sw_trees_predict(const void *forest, const int16_t *features, int32_t *scores);

#endif
