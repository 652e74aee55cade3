/* ECDSA on the curve P-256: verification. sensewell/kernel/p256_plain.py in C99.
 *
 * Knows nothing of MicroPython: the same file serves boards and PCs. No static data but constants, no allocation, no
 * floats; about 1 KiB of stack. Only public numbers come here, so nothing takes care to need the same time always.
 */
#ifndef SENSEWELL_P256_H
#define SENSEWELL_P256_H

#include <stddef.h>
#include <stdint.h>

/* The verdicts; Refused("signature....") has their names */
enum {
    SW_P256_VALID,
    SW_P256_LENGTH,
    SW_P256_DER,
    SW_P256_R,
    SW_P256_S,
    SW_P256_POINT,
    SW_P256_WRONG
};

/* Strict DER of a signature -> r and s, 32 bytes each, big-endian. Each INTEGER in its shortest form, nothing else
 * around. SW_P256_R or _S: not in 0..2^256-1. `rs` holds nothing of use unless the verdict is SW_P256_VALID.
 */
int32_t sw_p256_parse(const uint8_t *der, size_t bytes, uint8_t *rs);

/* Is `key`, x and y of 32 bytes each, big-endian, a point of the curve? SW_P256_VALID or _POINT. */
int32_t sw_p256_point(const uint8_t *key);

/* Did the owner of `key` (64 bytes) sign `digest` (32 bytes) with `rs` (64 bytes)? */
int32_t sw_p256_verify(const uint8_t *key, const uint8_t *digest, const uint8_t *rs);

#endif
