/* Reads flatbuffers in place; every look is checked against the end of the file. Must not know what a network is.
 *
 * A table begins with the distance back to its vtable, a list of u16: bytes, table bytes, then where each field lies
 * in the table (0: absent). Strings and vectors lie at a distance forward, and begin with their length.
 */
typedef struct {
    const uint8_t *p;
    uint32_t size;
    uint32_t outside; /* 1: something pointed outside; whatever was read then was 0 */
} sw_flat;

static int flat_holds(sw_flat *f, uint32_t at, uint32_t bytes) {
    if (at > f->size || bytes > f->size - at) {
        f->outside = 1;
        return 0;
    }
    return 1;
}

static uint32_t flat_u8(sw_flat *f, uint32_t at) {
    return flat_holds(f, at, 1) ? f->p[at] : 0;
}

static uint32_t flat_u16(sw_flat *f, uint32_t at) {
    return flat_holds(f, at, 2) ? f->p[at] | (uint32_t)f->p[at + 1] << 8 : 0;
}

static uint32_t flat_u32(sw_flat *f, uint32_t at) {
    return flat_holds(f, at, 4) ? flat_u16(f, at) | flat_u16(f, at + 2) << 16 : 0;
}

/* What the distance at `at` leads to; 0 where that is outside. */
static uint32_t flat_follow(sw_flat *f, uint32_t at) {
    uint32_t distance = flat_u32(f, at);
    return distance && flat_holds(f, at, distance) ? at + distance : 0;
}

/* Where a field of a table lies; 0: it is absent. */
static uint32_t flat_field(sw_flat *f, uint32_t table, uint32_t field) {
    uint32_t vtable = table - flat_u32(f, table);
    uint32_t entry = 4 + 2 * field;
    if (!table || entry + 2 > flat_u16(f, vtable)) {
        return 0;
    }
    uint32_t offset = flat_u16(f, vtable + entry);
    return offset ? table + offset : 0;
}

static int32_t flat_int(sw_flat *f, uint32_t table, uint32_t field, int32_t otherwise) {
    uint32_t at = flat_field(f, table, field);
    return at ? (int32_t)flat_u32(f, at) : otherwise;
}

static int32_t flat_byte(sw_flat *f, uint32_t table, uint32_t field) {
    uint32_t at = flat_field(f, table, field);
    return at ? (int8_t)flat_u8(f, at) : 0;
}

/* A table inside of a table; 0: absent. */
static uint32_t flat_table(sw_flat *f, uint32_t table, uint32_t field) {
    uint32_t at = flat_field(f, table, field);
    return at ? flat_follow(f, at) : 0;
}

/* The first item of a vector (or character of a string) and how many there are; 0 and none where it is absent. */
static uint32_t flat_vector(sw_flat *f, uint32_t table, uint32_t field, uint32_t item, uint32_t *count) {
    uint32_t at = flat_table(f, table, field);
    *count = at ? flat_u32(f, at) : 0;
    if (!*count) {
        return 0;
    }
    if (at > f->size - 4 || *count > (f->size - at - 4) / item) {
        f->outside = 1;
        *count = 0;
        return 0;
    }
    return at + 4;
}
