/* Where each tensor lies in the arena: tensors that live at the same time never overlap. Must not know the file.
 *
 * Offsets that the file's own plan gives are proven. The others: the largest first, each into the lowest gap among
 * those that live when it does. Takes time in n * n.
 */
enum { NO_OP = 0xFFFF, FOREVER = 0xFFFE, ARENA_LIMIT = 1 << 24 };

#define UNPLACED 0xFFFFFFFFu

/* One tensor, or the scratch of one operator, while a net is made. */
typedef struct {
    uint32_t size;        /* bytes in the arena; 0: none of its own */
    uint32_t offset;      /* in the arena; UNPLACED: the plan is free to choose */
    uint16_t first, last; /* operators that it lives from and to; first NO_OP: not written */
    uint16_t next;        /* in the order of offsets; FOREVER: not in the list yet */
    uint16_t root;        /* the tensor whose memory it is, mostly itself */
} sw_life;

/* The offset for `one` among those in the list; UNPLACED where it has one that does not fit. */
static uint32_t gap(const sw_life *all, uint16_t head, const sw_life *one) {
    int32_t is_free = one->offset == UNPLACED;
    uint32_t at = is_free ? 0 : one->offset;
    for (uint16_t k = head; k != NO_OP && all[k].offset < at + one->size; k = all[k].next) {
        const sw_life *other = &all[k];
        if (other->first <= one->last && one->first <= other->last && other->offset + other->size > at) {
            if (!is_free) {
                return UNPLACED;
            }
            at = (other->offset + other->size + 15) & ~(uint32_t)15;
        }
    }
    return at;
}

/* The next one to be placed: those with an offset before the free ones, the largest first; -1: all are. */
static int32_t largest(const sw_life *all, int32_t n) {
    int32_t best = -1;
    uint32_t most = 0;
    for (int32_t i = 0; i < n; i++) {
        uint32_t weight = all[i].offset == UNPLACED ? all[i].size : all[i].size + ARENA_LIMIT;
        if (all[i].size && all[i].next == FOREVER && weight > most) {
            best = i;
            most = weight;
        }
    }
    return best;
}

/* Gives all n their offsets; *bytes: what the arena takes. Sizes, and offsets that are given, are within the limit. */
static int32_t plan(sw_life *all, int32_t n, uint32_t *bytes) {
    uint16_t head = NO_OP;
    *bytes = 0;
    for (int32_t i; (i = largest(all, n)) >= 0;) {
        uint32_t at = gap(all, head, &all[i]);
        if (at == UNPLACED) {
            return SW_NEURAL_PLAN;
        }
        uint32_t end = at + all[i].size;
        if (end > ARENA_LIMIT) {
            return SW_NEURAL_ARENA;
        }
        uint16_t *link = &head;
        while (*link != NO_OP && all[*link].offset < at) {
            link = &all[*link].next;
        }
        all[i].offset = at;
        all[i].next = *link;
        *link = (uint16_t)i;
        *bytes = end > *bytes ? end : *bytes;
    }
    return SW_NEURAL_SOUND;
}
