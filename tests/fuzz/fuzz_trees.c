/* Mutated forests against sw_trees.c: each is refused with a reason, or walked by the table beside it, step by step.
 *
 *   fuzz_trees SEED FIRST RUNS EVERY [FILE]      forests on stdin, each after its length (int32)
 * Mutants FIRST .. FIRST + RUNS - 1 of SEED: each is the same whatever was before it. Every EVERY-th goes to FILE:
 * length, verdict, features, outputs (int32s), bytes. Prints how many got each verdict, one a line, as sw_trees.h numbers
 * them. Exits with 1 at the first mutant that does harm, and prints it.
 * Each buffer is malloc'ed with exactly its size, so that AddressSanitizer sees a single byte beyond.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sw_trees.c"

enum { MAX_SEEDS = 256, ROOM = 1 << 17, VERDICTS = SW_TREES_OVERFLOW + 1 };

static struct {
    uint8_t *bytes;
    uint32_t size;
} seeds[MAX_SEEDS];
static uint32_t n_seeds;
static unsigned long long seed, number;
static uint64_t state;
static uint8_t mutant[ROOM];
static uint32_t size;

static uint32_t dice(uint32_t n) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return n ? (uint32_t)((state * 0x2545F4914F6CDD1DU) >> 32) % n : 0;
}

static void whereabouts(void) {
    fprintf(stderr, "mutant %llu of seed %llu, %u bytes: ", number, seed, size);
    for (uint32_t i = 0; i < size; i++) {
        fprintf(stderr, "%02x", mutant[i]);
    }
    fprintf(stderr, "\n");
}

#ifdef __SANITIZE_ADDRESS__
void __sanitizer_set_death_callback(void (*callback)(void));
#endif

static void need(int32_t good, const char *what) {
    if (!good) {
        fprintf(stderr, "harmful: %s\n", what);
        whereabouts();
        exit(1);
    }
}

/* ---- mutations ---- */

static uint32_t get(uint32_t at) {
    return at + 2 <= size ? mutant[at] | (uint32_t)mutant[at + 1] << 8 : 0;
}

static void put(uint32_t at, uint32_t value) {
    if (at + 2 <= size) {
        mutant[at] = (uint8_t)value;
        mutant[at + 1] = (uint8_t)(value >> 8);
    }
}

/* A number that may be near a border: of `value` itself, of zero, of 16 bits */
static uint32_t odd(uint32_t value) {
    static const uint32_t borders[] = {0, 1, 2, 254, 255, 256, 0x7FFF, 0x8000, 0x8001, 0xFFFF};
    switch (dice(5)) {
    case 0:
        return value + 1;
    case 1:
        return value - 1;
    case 2:
        return value ^ 1U << dice(16);
    case 3:
        return borders[dice(10)];
    default:
        return dice(65536);
    }
}

/* Where section 0 nodes, 1 records, 2 slots, 3 words starts, 4 the end, by the header; and what an item has of bytes */
static uint32_t section(uint32_t which) {
    uint32_t at = HEADER;
    for (uint32_t i = 0; i < which; i++) {
        static const uint32_t order[] = {10, 8, 12, 14};
        at += get(order[i]) * (i < 2 ? 4 : 2);
    }
    return at;
}

static uint32_t item(uint32_t which) {
    uint32_t bytes = which < 2 ? 4 : 2;
    uint32_t n = (section(which + 1) - section(which)) / bytes;
    return section(which) + bytes * dice(n);
}

/* `bytes` bytes less or more at `at`, and the count of the section put right */
static void resize(uint32_t which, int32_t more) {
    static const uint32_t counts[] = {10, 8, 12, 14};
    uint32_t bytes = which < 2 ? 4 : 2;
    uint32_t at = item(which);
    if (at + bytes > size || size + bytes > ROOM) {
        return;
    }
    memmove(mutant + at + (more ? bytes : 0), mutant + at + (more ? 0 : bytes), size - at - (more ? 0 : bytes));
    size = more ? size + bytes : size - bytes;
    put(counts[which], get(counts[which]) + (more ? 1 : 65535));
}

static void splice(void) {
    uint32_t other = dice(n_seeds);
    if (dice(2) && size >= HEADER) { /* the first sections of one, the others of another, and a header that fits */
        static const uint32_t counts[] = {10, 8, 12, 14};
        uint8_t *head = seeds[other].bytes;
        uint32_t which = 1 + dice(3);
        uint32_t at = section(which);
        uint32_t from = HEADER;
        for (uint32_t i = 0; i < which; i++) {
            from += (head[counts[i]] | (uint32_t)head[counts[i] + 1] << 8) * (i < 2 ? 4 : 2);
        }
        if (at <= size && from <= seeds[other].size && at + seeds[other].size - from <= ROOM) {
            memcpy(mutant + at, head + from, seeds[other].size - from);
            size = at + seeds[other].size - from;
            for (uint32_t i = which; i < 4; i++) {
                memcpy(mutant + counts[i], head + counts[i], 2);
            }
            if (dice(2)) {
                memcpy(mutant + 5, head + 5, 3);
                memcpy(mutant + 16, head + 16, 4);
            }
        }
    } else { /* the end of another from where it stands there */
        uint32_t at = dice(size + 1);
        if (at < seeds[other].size) {
            memcpy(mutant + at, seeds[other].bytes + at, seeds[other].size - at);
            size = seeds[other].size;
        }
    }
}

static void mutate(void) {
    static const uint32_t greatest[] = {0, 1, 0x1FFFFFFF, 0x20000000, 0x7FFFFFFF, 0x80000000, 0xE0000001, 0xE0000000};
    uint32_t at;
    switch (dice(18)) {
    case 0: /* any bit */
        if (size) {
            mutant[dice(size)] ^= (uint8_t)(1U << dice(8));
        }
        break;
    case 1: /* any byte */
        if (size) {
            mutant[dice(size)] = (uint8_t)odd(0);
        }
        break;
    case 2:
        if (dice(3) == 0) {
            size = dice(4) ? size - (size ? 1 + dice(size < 8 ? size : 8) : 0) : dice(size + 1);
        }
        break;
    case 3:
        if (dice(3) == 0) {
            for (uint32_t n = 1 + dice(8); n && size < ROOM; n--) {
                mutant[size++] = (uint8_t)dice(256);
            }
        }
        break;
    case 4: /* a count or what follows the counts */
        at = 8 + 2 * dice(6);
        put(at, odd(get(at)));
        break;
    case 5: /* magic, version, kind, features, outputs */
        at = dice(4) ? 5 + dice(3) : dice(5);
        if (at < size) {
            mutant[at] = (uint8_t)(dice(2) ? dice(6) : odd(mutant[at]));
        }
        break;
    case 6: /* link and q, kind */
        put(16, dice(6));
        put(18, dice(33));
        if (dice(2) && size > 5) {
            mutant[5] = (uint8_t)dice(6);
        }
        break;
    case 7: /* a node's argument: a jump or a leaf id */
        at = item(0) + 1;
        if (at < size) {
            mutant[at] = (uint8_t)odd(mutant[at]);
        }
        break;
    case 8: /* its feature and what its children are */
        at = item(0);
        if (at < size) {
            mutant[at] ^= (uint8_t)(1U << dice(8));
        }
        break;
    case 9:
        at = item(0) + 2;
        put(at, odd(get(at)));
        break;
    case 10: /* a tree's nodes, its leaf_base; what one loses another may win */
        at = item(1) + 2 * dice(2);
        put(at, odd(get(at)));
        if (dice(2)) {
            at = item(1);
            put(at, get(at) + 1);
            at = item(1);
            put(at, get(at) - 1);
        }
        break;
    case 11:
        at = item(2);
        put(at, dice(2) ? dice(get(14) + 2) : odd(get(at)));
        break;
    case 12:
        at = item(3);
        put(at, odd(get(at)));
        break;
    case 13: { /* an int32 of the words */
        uint32_t value = greatest[dice(8)] + dice(3) - 1;
        at = section(3) + (item(3) - section(3)) / 4 * 4;
        put(at, value);
        put(at + 2, value >> 16);
        break;
    }
    case 14:
        splice();
        break;
    case 15:
    case 16: {
        uint32_t which = dice(4);
        int32_t more = (int32_t)dice(2);
        resize(which, more);
        if (which == 3 && dice(2)) {
            resize(which, more);
        }
        if (which == 0 && dice(2)) { /* and a tree that has the node */
            at = item(1);
            put(at, get(at) + (more ? 1 : 65535));
        }
        break;
    }
    default: { /* one node, slot or word where another was */
        uint32_t which = dice(4);
        uint32_t from = item(which);
        at = item(which);
        if (from + 4 <= size && at + 4 <= size) {
            memmove(mutant + at, mutant + from, which < 2 ? 4 : 2);
        }
    }
    }
}

/* ---- the table, taken literally ---- */

typedef struct {
    const uint8_t *b;
    uint32_t bytes, kind, features, outputs, trees, nodes, slots, words, total, bits;
    uint32_t at[4]; /* where nodes, records, slots, words start */
} image;

static uint32_t u16(const image *f, uint32_t section_of, uint32_t index, uint32_t limit) {
    need(index < limit, "read out of its section");
    uint32_t at = f->at[section_of] + 2 * index;
    need(at + 2 <= f->bytes, "read out of the forest");
    return f->b[at] | (uint32_t)f->b[at + 1] << 8;
}

static int64_t i32(const image *f, uint32_t index) {
    uint32_t low = u16(f, 3, 2 * index, f->words);
    return (int32_t)(low | u16(f, 3, 2 * index + 1, f->words) << 16);
}

static image open_image(const uint8_t *b, uint32_t bytes) {
    uint32_t n[6];
    for (int i = 0; i < 6; i++) {
        n[i] = b[8 + 2 * i] | (uint32_t)b[9 + 2 * i] << 8;
    }
    image f = {b, bytes, b[5], b[6], b[7], n[0], n[1], n[2], n[3], n[4], n[5], {HEADER, 0, 0, 0}};
    f.at[1] = f.at[0] + 4 * f.nodes;
    f.at[2] = f.at[1] + 4 * f.trees;
    f.at[3] = f.at[2] + 2 * f.slots;
    need(f.at[3] + 2 * f.words == bytes, "a length that the counts do not say");
    need(f.features >= 1 && f.features <= 64 && f.outputs >= 1 && f.trees >= 1, "numbers of nothing");
    return f;
}

/* The slot that tree number `tree` with its first node at `root` leads to */
static uint32_t leaf_of(const image *f, uint32_t tree, uint32_t root, const int16_t *x) {
    uint32_t nodes = u16(f, 1, 2 * tree, 2 * f->trees);
    uint32_t base = u16(f, 1, 2 * tree + 1, 2 * f->trees);
    uint32_t i = 0;
    uint32_t leaf = 0;
    for (uint32_t steps = 0; nodes; steps++) {
        need(steps < nodes, "more steps than nodes");
        need(i < nodes, "a walk out of its tree");
        uint32_t w = u16(f, 0, 2 * (root + i), 2 * f->nodes);
        int32_t threshold = (int32_t)u16(f, 0, 2 * (root + i) + 1, 2 * f->nodes) - 32768;
        need((w & 63) < f->features, "a feature that is none");
        int left = x[w & 63] <= threshold;
        int left_leaf = w >> 6 & 1, right_leaf = w >> 7 & 1;
        uint32_t argument = w >> 8;
        if (left ? left_leaf : right_leaf) {
            leaf = left || !left_leaf ? argument : argument + 1;
            break;
        }
        i += !left && !left_leaf ? argument : 1;
    }
    return u16(f, 2, base + leaf, f->slots);
}

static int64_t power(int64_t d, uint32_t q) {
    if (d <= 0) {
        return 16384;
    }
    int64_t octave = d >> q;
    int64_t f = ((d - (octave << q)) << 14) >> q;
    int64_t slope = 45326 - (((15148 - ((2590 * f) >> 14)) * f) >> 14);
    return octave > 14 ? 0 : (16384 - ((slope * f + 32768) >> 16)) >> octave;
}

/* Fills scores; returns the class */
static uint32_t literal(const image *f, const int16_t *x, int64_t *scores) {
    uint32_t sums = f->kind > 2;
    uint32_t margins = sums && f->total != 1 ? 1 : f->outputs;
    int64_t raw[256] = {0};
    for (uint32_t m = 0; sums && m < margins; m++) {
        raw[m] = i32(f, m);
    }
    uint32_t root = 0;
    for (uint32_t t = 0; t < f->trees; t++) {
        uint32_t slot = leaf_of(f, t, root, x);
        root += u16(f, 1, 2 * t, 2 * f->trees);
        if (f->kind == 3) {
            raw[t % margins] += (int16_t)slot;
        } else if (f->kind == 4) {
            need(slot >= margins + (f->total == 4), "a leaf that is no leaf's value");
            raw[t % margins] += i32(f, slot);
        } else {
            uint32_t entry = slot * f->kind;
            uint32_t w;
            do {
                w = u16(f, 3, entry, f->words);
                uint32_t share = f->kind == 2 ? u16(f, 3, entry + 1, f->words) : w & ((1U << f->bits) - 1);
                need((w & 0x7FFF) >> f->bits < f->outputs, "a class that is none");
                raw[(w & 0x7FFF) >> f->bits] += share;
                entry += f->kind;
            } while (w < 0x8000);
        }
    }
    for (uint32_t m = 0; m < margins; m++) {
        need(sums ? raw[m] > -(1 << 29) && raw[m] < 1 << 29 : raw[m] >= 0 && raw[m] <= f->trees * f->total, "a sum");
    }
    if (sums && f->total == 3) {
        scores[0] = raw[0];
        return 0;
    }
    if (sums && f->total == 4) {
        scores[1] = power(raw[0], f->bits);
        scores[0] = 16384 - scores[1];
        return raw[0] < i32(f, 1);
    }
    if (sums && f->total == 2) {
        raw[1] = raw[0];
        raw[0] = 0;
    }
    uint32_t best = 0;
    int64_t total = 0;
    for (uint32_t k = 1; k < f->outputs; k++) {
        best = raw[k] > raw[best] ? k : best;
    }
    for (uint32_t k = 0; k < f->outputs; k++) {
        scores[k] = sums ? power(raw[best] - raw[k], f->bits) : raw[k];
        total += scores[k];
    }
    for (uint32_t k = 0; sums && k < f->outputs; k++) {
        scores[k] = (scores[k] << 14) / total;
    }
    return best;
}

/* ---- judgement ---- */

static void walk(const uint8_t *forest) {
    image f = open_image(forest, size);
    int16_t *row = malloc(2 * f.features);
    int32_t *scores = malloc(4 * f.outputs);
    int64_t wanted[256];
    int64_t score_total = f.kind < 3 ? (int64_t)f.trees * f.total : 16384;
    for (uint32_t turn = 0; turn < 4; turn++) {
        for (uint32_t k = 0; k < f.features; k++) {
            row[k] = (int16_t)((int32_t)dice(65536) - 32768);
            row[k] = (int16_t)(row[k] / (1 << dice(16)));
        }
        uint32_t best = literal(&f, row, wanted);
        memset(scores, 0xA5, 4 * f.outputs);
        need(sw_trees_predict(forest, row, scores) == (int32_t)best && best < f.outputs, "another class");
        int64_t sum = 0;
        for (uint32_t k = 0; k < f.outputs; k++) {
            need(scores[k] == wanted[k], "another score");
            need((f.kind > 2 && f.total == 3) || (scores[k] >= 0 && scores[k] <= score_total), "a score out of range");
            sum += scores[k];
        }
        need((f.kind > 2 && f.total == 3) || sum <= score_total, "scores of more than the total");
    }
    free(row);
    free(scores);
}

static void take(void *into, size_t bytes) {
    if (fread(into, 1, bytes, stdin) != bytes) {
        exit(2);
    }
}

int main(int argc, char **argv) {
    if (argc < 5) {
        return 2;
    }
    seed = strtoull(argv[1], NULL, 10);
    unsigned long long first = strtoull(argv[2], NULL, 10);
    unsigned long long runs = strtoull(argv[3], NULL, 10);
    unsigned long long every = strtoull(argv[4], NULL, 10);
    FILE *sample = argc > 5 ? fopen(argv[5], "wb") : NULL;
    unsigned long long verdicts[VERDICTS] = {0};
#ifdef __SANITIZE_ADDRESS__
    __sanitizer_set_death_callback(whereabouts);
#endif
    for (int32_t bytes; n_seeds < MAX_SEEDS && fread(&bytes, 4, 1, stdin) == 1; n_seeds++) {
        seeds[n_seeds].size = (uint32_t)bytes;
        seeds[n_seeds].bytes = malloc(bytes);
        take(seeds[n_seeds].bytes, bytes);
    }
    if (!n_seeds) {
        return 2;
    }
    for (number = first; number < first + runs; number++) {
        state = (seed + 1) * 0x9E3779B97F4A7C15U ^ (number + 1) * 0xD1B54A32D192ED03U;
        dice(1);
        dice(1);
        uint32_t from = dice(n_seeds);
        size = seeds[from].size;
        memcpy(mutant, seeds[from].bytes, size);
        for (uint32_t n = 1 + dice(dice(4) ? 2 : 6); n; n--) {
            mutate();
        }
        /* mostly for the numbers that it says itself: other flaws must be seen too */
        int32_t own = size >= HEADER && dice(32);
        int32_t features = own ? mutant[6] : seeds[from].bytes[6];
        int32_t outputs = own ? mutant[7] : seeds[from].bytes[7];
        uint32_t shift = dice(64) ? 0 : 1 + dice(3);
        uint8_t *block = malloc(shift + size ? shift + size : 1);
        memcpy(block + shift, mutant, size);
        int32_t verdict = sw_trees_verify(block + shift, size, features, outputs);
        need(verdict >= 0 && verdict < VERDICTS, "a verdict without a name");
        need(verdict || !shift, "accepted where it must not lie");
        verdicts[verdict]++;
        if (verdict == SW_TREES_SOUND) {
            walk(block);
        }
        if (sample && !shift && number % every == 0) {
            int32_t record[4] = {(int32_t)size, verdict, features, outputs};
            if (fwrite(record, 16, 1, sample) != 1 || fwrite(mutant, 1, size, sample) != size) {
                return 2;
            }
        }
        free(block);
    }
    for (int32_t i = 0; i < VERDICTS; i++) {
        printf("%llu\n", verdicts[i]);
    }
    for (uint32_t i = 0; i < n_seeds; i++) {
        free(seeds[i].bytes);
    }
    return sample ? fclose(sample) != 0 : 0;
}
