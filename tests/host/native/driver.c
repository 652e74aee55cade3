/* Runs the C kernels on a PC for tests/host/test_native.py: binary requests on stdin, answers on stdout.
 *
 * Every buffer is malloc'ed with exactly its size, so that AddressSanitizer sees any step beyond. Integers are int32.
 *   'F' run items, derived, vector items, channels, length, windows, oldest (-1: through the read function)
 *       then run, derived, and per window int16[length][channels]   -> plan, then int16 vectors if that is not 0
 *   'V' bytes, features, classes, rows, then forest, rows           -> code, then per row best and scores if that is 0
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sw_features.c"

#include "sw_trees.c"

static void *take(size_t bytes) {
    void *block = malloc(bytes ? bytes : 1);
    if (bytes && fread(block, 1, bytes, stdin) != bytes) {
        exit(3);
    }
    return block;
}

static void *fresh(size_t bytes) {
    void *block = malloc(bytes ? bytes : 1);
    memset(block, 0xA5, bytes);
    return block;
}

static void say(const void *data, size_t bytes) {
    if (fwrite(data, 1, bytes, stdout) != bytes) {
        exit(4);
    }
}

typedef struct {
    const int16_t *rows;
    int32_t stride;
} plain_rows;

static void read_plain(void *context, int32_t channel, int16_t *x, int32_t length) {
    const plain_rows *from = context;
    for (int32_t i = 0; i < length; i++) {
        x[i] = from->rows[i * from->stride + channel];
    }
}

static void features(void) {
    int32_t *n = take(7 * 4);
    int16_t *run = take(2 * n[0]);
    int8_t *derived = take(4 * n[1]);
    sw_program program = {run, derived, n[3], n[4], 0, 0};
    int32_t bytes = sw_features_plan(&program, n[0], n[1], n[2]);
    say(&bytes, 4);
    for (int32_t i = 0; i < n[5]; i++) {
        int16_t *rows = take(2 * n[3] * n[4]);
        if (bytes) {
            plain_rows plain = {rows, n[3]};
            sw_window window = {n[6] < 0 ? NULL : rows, n[6], read_plain, &plain};
            void *work = fresh(bytes);
            int16_t *vector = fresh(2 * n[2]);
            sw_features_compute(&program, &window, work, vector);
            say(vector, 2 * n[2]);
            free(work);
            free(vector);
        }
        free(rows);
    }
    free(run);
    free(derived);
    free(n);
}

static void verify(void) {
    int32_t *n = take(4 * 4);
    void *forest = take(n[0]);
    int32_t code = sw_trees_verify(forest, n[0], n[1], n[2]);
    say(&code, 4);
    for (int32_t i = 0; i < n[3]; i++) {
        int16_t *row = take(2 * n[1]);
        if (code == 0) {
            int32_t *scores = fresh(4 * n[2]);
            int32_t best = sw_trees_predict(forest, row, scores);
            say(&best, 4);
            say(scores, 4 * n[2]);
            free(scores);
        }
        free(row);
    }
    free(forest);
    free(n);
}

int main(void) {
    for (int command; (command = getchar()) != EOF;) {
        if (command == 'F') {
            features();
        } else if (command == 'V') {
            verify();
        } else {
            return 2;
        }
    }
    return 0;
}
