/* Runs the P-256 kernel on a PC for tests/host/test_wycheproof.py: requests on stdin, a byte for each on stdout.
 *
 * Each request: key, 64 bytes; digest, 32 bytes; bytes of the DER, int32; DER. The answer is the verdict. Every buffer is
 * malloc'ed with exactly its size, so that AddressSanitizer sees any step beyond.
 */
#include <stdio.h>
#include <stdlib.h>

#include "sw_p256.c"

static void *take(size_t bytes) {
    void *block = malloc(bytes ? bytes : 1);
    if (bytes && fread(block, 1, bytes, stdin) != bytes) {
        exit(3);
    }
    return block;
}

int main(void) {
    for (int c; (c = getchar()) != EOF;) {
        ungetc(c, stdin);
        uint8_t *key = take(64);
        uint8_t *digest = take(32);
        int32_t *bytes = take(4);
        uint8_t *der = take((size_t)*bytes);
        uint8_t *rs = malloc(64);
        int32_t verdict = sw_p256_parse(der, (size_t)*bytes, rs);
        if (verdict == SW_P256_VALID) {
            verdict = sw_p256_verify(key, digest, rs);
        } else if (sw_p256_point(key) != SW_P256_VALID) {
            return 4;
        }
        putchar(verdict);
        free(key);
        free(digest);
        free(bytes);
        free(der);
        free(rs);
    }
    return 0;
}
