/* Forests, verified and walked in place. See sw_trees.h; must not know of MicroPython. */
#include "sw_trees.h"

enum { HEADER = 20, MAX_SCORE = 10737418 };

int32_t sw_trees_verify(const void *forest, size_t bytes, int32_t n_features, int32_t n_outputs) {
    const uint8_t *b = forest;
    if (bytes < HEADER) {
        return SW_TREES_TRUNCATED;
    }
    if (b[0] != 'S' || b[1] != 'W' || b[2] != 'T' || b[3] != 'F') {
        return SW_TREES_MAGIC;
    }
    if (b[4] != 1) {
        return SW_TREES_VERSION;
    }
    /* Alignment is judged later, to give the same answers as trees.py: no wide loads before */
    uint32_t counts[6];
    for (int32_t i = 0; i < 6; i++) {
        counts[i] = b[8 + 2 * i] | (uint32_t)b[9 + 2 * i] << 8;
    }
    uint32_t trees = counts[0];
    uint32_t words = counts[3];
    uint32_t total = counts[4];
    uint32_t bits = counts[5];
    size_t size = HEADER + 4 * (size_t)(counts[1] + trees) + 2 * (size_t)(counts[2] + words);
    if (bytes != size) {
        return bytes > size ? SW_TREES_EXTENDED : SW_TREES_TRUNCATED;
    }
    if (b[6] != n_features || b[7] != n_outputs) {
        return SW_TREES_SCHEMA;
    }
    uint32_t kind = b[5];
    if (bits > 15 || (kind != 1 && (kind != 2 || bits || (words & 1)))) {
        return SW_TREES_KIND;
    }
    if (b[6] < 1 || b[6] > 64 || b[7] < 1 || total < 1 || trees < 1 || trees > MAX_SCORE / total) {
        return SW_TREES_HEADER;
    }
    if ((uintptr_t)b & 3) {
        return SW_TREES_ALIGNMENT;
    }
    /* Every node leads to a later node of its tree or to one of the tree's leaves */
    const uint32_t *node = (const uint32_t *)(b + HEADER);
    const uint32_t *end = node + counts[1];
    const uint32_t *tree = end;
    for (; trees; trees--) {
        uint32_t n = *tree & 0xFFFF; /* nodes of this tree from here on */
        int32_t leaves = (int32_t)counts[2] - (int32_t)(*tree >> 16); /* leaf ids that it may use */
        tree++;
        if (n > (size_t)(end - node)) {
            return SW_TREES_TREES;
        }
        if (n == 0 && leaves <= 0) {
            return SW_TREES_LEAF;
        }
        for (; n; n--) {
            uint32_t w = *node++;
            int32_t argument = w >> 8 & 0xFF;
            if ((w & 63) >= (uint32_t)n_features) {
                return SW_TREES_FEATURE_INDEX;
            }
            if (w & 192) {
                if ((w & 192) == 192) {
                    argument++;
                } else if (n == 1) {
                    return SW_TREES_JUMP;
                }
                if (argument >= leaves) {
                    return SW_TREES_LEAF;
                }
            } else if (argument == 0 || (uint32_t)argument >= n) {
                return SW_TREES_JUMP;
            }
        }
    }
    if (node != end) {
        return SW_TREES_TREES;
    }
    /* Every slot is the number of an entry, and every row ends and sums to the total */
    const uint16_t *at = (const uint16_t *)tree;
    uint32_t entries = kind == 2 ? words >> 1 : words;
    for (const uint16_t *last = at + counts[2]; at != last; at++) {
        if (*at >= entries) {
            return SW_TREES_LEAF;
        }
    }
    uint32_t mask = ((uint32_t)1 << bits) - 1;
    uint32_t left = total;
    uint32_t w = 0;
    for (const uint16_t *last = at + words; at != last; at += kind) {
        w = at[0];
        uint32_t share = kind == 2 ? at[1] : w & mask;
        if ((w & 0x7FFF) >> bits >= (uint32_t)n_outputs || share > left) {
            return SW_TREES_LEAF;
        }
        left -= share;
        if (w > 0x7FFF) {
            if (left) {
                return SW_TREES_LEAF;
            }
            left = total;
        }
    }
    return w > 0x7FFF ? SW_TREES_SOUND : SW_TREES_LEAF;
}

int32_t sw_trees_predict(const void *forest, const int16_t *features, int32_t *scores) {
    const uint8_t *b = forest;
    const uint16_t *counts = (const uint16_t *)(b + 8);
    const uint32_t *root = (const uint32_t *)(b + HEADER);
    const uint32_t *tree = root + counts[1];
    const uint32_t *end = tree + counts[0];
    const uint16_t *slots = (const uint16_t *)end;
    const uint16_t *rows = slots + counts[2];
    int32_t bits = counts[5];
    int32_t kind = b[5];
    int32_t mask = ((int32_t)1 << bits) - 1;
    int32_t n_outputs = b[7];
    for (int32_t i = 0; i < n_outputs; i++) {
        scores[i] = 0;
    }
    for (; tree != end; tree++) {
        uint32_t record = *tree;
        const uint16_t *leaf = slots + (record >> 16);
        record &= 0xFFFF;
        if (record) {
            const uint32_t *node = root;
            uint32_t w;
            root += record;
            for (;;) {
                w = *node;
                if (features[w & 63] + 32768 <= (int32_t)(w >> 16)) {
                    if (w & 64) {
                        leaf += w >> 8 & 0xFF;
                        break;
                    }
                    node++;
                } else if (w & 128) {
                    leaf += (w >> 8 & 0xFF) + (w >> 6 & 1);
                    break;
                } else if (w & 64) {
                    node++;
                } else {
                    node += w >> 8 & 0xFF;
                }
            }
        }
        const uint16_t *entry = rows + *leaf * kind;
        int32_t w;
        do {
            w = *entry;
            scores[(w & 0x7FFF) >> bits] += kind == 2 ? entry[1] : w & mask;
            entry += kind;
        } while (w < 0x8000);
    }
    int32_t best = 0;
    for (int32_t i = 1; i < n_outputs; i++) {
        if (scores[i] > scores[best]) {
            best = i;
        }
    }
    return best;
}
