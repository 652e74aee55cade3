/* Forests, verified and walked in place. See sw_trees.h; must not know of MicroPython. */
#include "sw_trees.h"

enum { HEADER = 20, MAX_SCORE = 10737418, MAX_RAW = (1 << 29) - 1 };

/* The int32 in two words, the low one first; at any even address */
static int32_t value_at(const uint16_t *word) {
    return (int32_t)(word[0] | (uint32_t)word[1] << 16);
}

static uint32_t amount(int32_t value) {
    return value < 0 ? 0 - (uint32_t)value : (uint32_t)value;
}

/* Every slot is the number of an entry, and every row ends and sums to the total */
static int32_t verify_votes(const uint8_t *b, const uint16_t *at, uint32_t slots, uint32_t words) {
    const uint16_t *counts = (const uint16_t *)(b + 8);
    uint32_t kind = b[5];
    uint32_t total = counts[4];
    uint32_t bits = counts[5];
    uint32_t entries = kind == 2 ? words >> 1 : words;
    for (const uint16_t *last = at + slots; at != last; at++) {
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
        if ((w & 0x7FFF) >> bits >= b[7] || share > left) {
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

/* Every slot is a value or the number of one, and no sum of values can leave its range.
 * Of `pairs` int32s the first `margins` are bases, then, before number `first`, there may be the limit.
 */
static int32_t verify_sums(const uint8_t *b, const uint16_t *at, uint32_t slots, uint32_t pairs, uint32_t margins,
    uint32_t first) {
    uint32_t greatest[3] = {0, 0, 0}; /* base, limit, value */
    for (; slots; slots--) {
        uint32_t w = *at++;
        if (b[5] == 3) {
            w = amount((int16_t)w);
            if (greatest[2] < w) {
                greatest[2] = w;
            }
        } else if (w < first || w >= pairs) {
            return SW_TREES_LEAF;
        }
    }
    for (uint32_t i = 0; i < pairs; i++) {
        uint32_t w = amount(value_at(at));
        uint32_t *of = greatest + (i >= margins) + (i >= first);
        at += 2;
        if (*of < w) {
            *of = w;
        }
    }
    uint32_t rounds = (b[8] | (uint32_t)b[9] << 8) / margins;
    if (greatest[0] > MAX_RAW || greatest[1] > MAX_RAW || greatest[2] > (MAX_RAW - greatest[0]) / rounds) {
        return SW_TREES_OVERFLOW;
    }
    return SW_TREES_SOUND;
}

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
    uint32_t margins = 1;
    uint32_t first = 0; /* kinds 3, 4: the first int32 that is a leaf's value */
    int32_t fits;
    if (kind < 3) {
        if (bits > 15 || (kind != 1 && (kind != 2 || bits || (words & 1)))) {
            return SW_TREES_KIND;
        }
        fits = b[7] && total && trees && trees <= MAX_SCORE / total;
    } else { /* total is the link, bits are q */
        if (kind > 4 || bits > 30 || total < 1 || total > 4) {
            return SW_TREES_KIND;
        }
        fits = total == 1 ? b[7] > 1 : b[7] == 2 - (total == 3);
        if (total == 1 && fits) {
            margins = b[7];
        }
        first = margins + (total == 4);
        fits = fits && trees && trees % margins == 0 && !(words & 1);
        fits = fits && (kind == 3 ? words == 2 * first : words >= 2 * first);
    }
    if (!fits || b[6] < 1 || b[6] > 64) {
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
    const uint16_t *at = (const uint16_t *)tree;
    if (kind < 3) {
        return verify_votes(b, at, counts[2], words);
    }
    return verify_sums(b, at, counts[2], words >> 1, margins, first);
}

/* 2**-(d / 2**q) in Q14: octaves by shift, between them a cubic that is exact at both ends (+-2 of 16384) */
static int32_t pow2(int32_t d, int32_t q) {
    if (d <= 0) {
        return 16384;
    }
    int32_t octave = d >> q;
    if (octave > 14) {
        return 0;
    }
    d -= octave << q;
    d = q > 14 ? d >> (q - 14) : d << (14 - q);
    int32_t slope = 45326 - ((15148 - (2590 * d >> 14)) * d >> 14);
    return (16384 - ((slope * d + 32768) >> 16)) >> octave;
}

/* Raw sums -> scores and class, as the table says. words: base, then limit. */
static int32_t judge(int32_t link, int32_t q, int32_t n_outputs, const uint16_t *words, int32_t *scores) {
    int32_t raw = scores[0];
    if (link == 3) {
        return 0;
    }
    if (link == 4) {
        scores[1] = pow2(raw, q);
        scores[0] = 16384 - scores[1];
        return raw < value_at(words + 2);
    }
    if (link == 2) {
        scores[0] = 0;
        scores[1] = raw;
    }
    int32_t best = 0;
    for (int32_t i = 1; i < n_outputs; i++) {
        if (scores[i] > scores[best]) {
            best = i;
        }
    }
    int32_t total = 0;
    raw = scores[best];
    for (int32_t i = 0; i < n_outputs; i++) {
        scores[i] = pow2(raw - scores[i], q);
        total += scores[i];
    }
    for (int32_t i = 0; i < n_outputs; i++) {
        scores[i] = (scores[i] << 14) / total;
    }
    return best;
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
    int32_t margins = kind > 2 && counts[4] > 1 ? 1 : n_outputs;
    for (int32_t i = 0; i < margins; i++) {
        scores[i] = kind > 2 ? value_at(rows + 2 * i) : 0;
    }
    int32_t margin = 0;
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
        if (kind > 2) {
            scores[margin] += kind == 3 ? (int16_t)*leaf : value_at(rows + 2 * *leaf);
            if (++margin == margins) {
                margin = 0;
            }
            continue;
        }
        const uint16_t *entry = rows + *leaf * kind;
        int32_t w;
        do {
            w = *entry;
            scores[(w & 0x7FFF) >> bits] += kind == 2 ? entry[1] : w & mask;
            entry += kind;
        } while (w < 0x8000);
    }
    if (kind > 2) {
        return judge(counts[4], bits, n_outputs, rows, scores);
    }
    int32_t best = 0;
    for (int32_t i = 1; i < n_outputs; i++) {
        if (scores[i] > scores[best]) {
            best = i;
        }
    }
    return best;
}
