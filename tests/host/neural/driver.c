/* Mutates networks and runs what is accepted, for tests/host/test_neural.py: requests on stdin, answers on stdout.
 *
 * Every buffer is malloc'ed with exactly its size, so that AddressSanitizer sees any step beyond. Integers are int32.
 *   bytes, mutations, seed, then the file   -> refused, run, too large to run here
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sw_neural.c"

enum { MOST_BYTES = 1 << 22, MOST_STEPS = 1 << 22 };

static uint32_t seed;

static uint32_t dice(uint32_t n) {
    seed = seed * 1664525 + 1013904223;
    return (uint32_t)(((uint64_t)seed * n) >> 32);
}

static void *fresh(size_t bytes) {
    void *block = malloc(bytes ? bytes : 1);
    memset(block, 0xA5, bytes);
    return block;
}

/* One to four places changed: bits, bytes, or whole words to what tends to hurt; now and then cut short. */
static size_t mutate(uint8_t *p, size_t bytes) {
    for (uint32_t k = 1 + dice(4); k; k--) {
        uint32_t at = dice((uint32_t)bytes);
        uint32_t way = dice(4);
        if (way == 0) {
            p[at] ^= (uint8_t)(1 << dice(8));
        } else if (way == 1) {
            p[at] = (uint8_t)dice(256);
        } else if ((at &= ~3u) + 4 <= bytes) {
            uint32_t words[8] = {0, 1, 0xFFFFFFFF, 0x7FFFFFFF, 0x80000000, dice(32), (uint32_t)bytes - at, 0};
            memcpy(words + 7, p + at, 4);
            words[7] += dice(9) - 4;
            memcpy(p + at, words + dice(8), 4);
        }
    }
    return dice(32) ? bytes : dice((uint32_t)bytes + 1);
}

/* 0 refused, 1 run, 2 too large */
static int attempt(const uint8_t *model, size_t bytes) {
    sw_neural_facts facts;
    if (sw_neural_measure(model, bytes, &facts)) {
        return 0;
    }
    if (facts.net_bytes > MOST_BYTES || facts.work_bytes > MOST_BYTES) {
        return 2;
    }
    void *net = fresh((size_t)facts.net_bytes);
    void *work = fresh((size_t)facts.work_bytes);
    int32_t verdict = sw_neural_prepare(model, bytes, net, work, &facts);
    free(work);
    int outcome = verdict ? 0 : facts.arena_bytes > MOST_BYTES || facts.macs > MOST_STEPS ? 2 : 1;
    if (outcome == 1) {
        void *arena = fresh((size_t)facts.arena_bytes);
        int32_t n = facts.n_inputs + facts.n_outputs;
        void **ports = calloc((size_t)n, sizeof *ports);
        sw_neural_reset(net, arena);
        for (int32_t i = 0; i < n && outcome == 1; i++) {
            sw_neural_port port;
            if (sw_neural_describe(model, bytes, net, i, &port)) {
                exit(5);
            }
            if (port.bytes > MOST_BYTES) {
                outcome = 2;
                break;
            }
            ports[i] = fresh((size_t)port.bytes);
            int32_t form = port.type == SW_FLOAT32 ? 'f' : port.type == SW_INT32 ? 'i' : port.type == SW_INT16 ? 'h' : 1;
            if (sw_neural_bind(net, i, ports[i], (size_t)port.bytes, form)) {
                exit(6);
            }
        }
        for (int32_t k = 0; k < 2 && outcome == 1; k++) {
            int32_t said = sw_neural_predict(model, net, arena);
            if (said != (k ? -1 : 0)) { /* unbound after the first */
                exit(7);
            }
        }
        for (int32_t i = 0; sw_neural_op(net, i) >= 0; i++) {
        }
        for (int32_t i = 0; i < n; i++) {
            free(ports[i]);
        }
        free(ports);
        free(arena);
    }
    free(net);
    return outcome;
}

int main(void) {
    int32_t head[3];
    while (fread(head, sizeof head, 1, stdin) == 1) {
        size_t bytes = (size_t)head[0];
        int32_t outcomes[3] = {0, 0, 0};
        uint8_t *file = malloc(bytes);
        if (fread(file, 1, bytes, stdin) != bytes) {
            return 3;
        }
        seed = (uint32_t)head[2];
        for (int32_t i = 0; i < head[1]; i++) {
            uint8_t *copied = malloc(bytes);
            memcpy(copied, file, bytes);
            size_t left = mutate(copied, bytes);
            uint8_t *exact = malloc(left ? left : 1);
            memcpy(exact, copied, left);
            outcomes[attempt(exact, left)]++;
            free(exact);
            free(copied);
        }
        free(file);
        if (fwrite(outcomes, sizeof outcomes, 1, stdout) != 1) {
            return 4;
        }
    }
    return 0;
}
