"""Reads a .tflite file's flatbuffers in place; every look is checked against its end. Must not know what a network is.

A table begins with the distance back to its vtable, a list of u16: bytes, table bytes, then where each field lies in
the table (0: absent). Strings and vectors lie at a distance forward, and begin with their length.
"""


class Flat:
    """Numbers of `buffer`; .outside: something pointed out of it, and whatever was read there was 0."""

    def __init__(self, buffer):
        self.p = memoryview(buffer)
        self.size = len(self.p)
        self.outside = False

    def holds(self, at, n_bytes):
        if at + n_bytes > self.size:
            self.outside = True
            return False
        return True

    def u16(self, at):
        return self.p[at] | self.p[at + 1] << 8 if self.holds(at, 2) else 0

    def u32(self, at):
        p = self.p
        return p[at] | p[at + 1] << 8 | p[at + 2] << 16 | p[at + 3] << 24 if self.holds(at, 4) else 0

    def i32(self, at):
        value = self.u32(at)
        return value - (1 << 32) if value >> 31 else value

    def follow(self, at):
        """What the distance at `at` leads to; 0 where that is outside."""
        distance = self.u32(at)
        return at + distance if distance and self.holds(at, distance) else 0

    def field(self, table, field):
        """Where a field of a table lies; 0: it is absent."""
        vtable = (table - self.u32(table)) & 0xFFFFFFFF
        entry = 4 + 2 * field
        if not table or entry + 2 > self.u16(vtable):
            return 0
        offset = self.u16(vtable + entry)
        return table + offset if offset else 0

    def number(self, table, field, otherwise=0):
        """An int32 field."""
        at = self.field(table, field)
        return self.i32(at) if at else otherwise

    def byte(self, table, field):
        """An int8 field; 0 where it is absent."""
        at = self.field(table, field)
        value = self.p[at] if at and self.holds(at, 1) else 0
        return value - 256 if value > 127 else value

    def table(self, table, field):
        """A table inside of a table; 0: absent."""
        at = self.field(table, field)
        return self.follow(at) if at else 0

    def vector(self, table, field, item):
        """(first item of a vector or character of a string, how many); (0, 0) where it is absent."""
        at = self.table(table, field)
        count = self.u32(at) if at else 0
        if not count:
            return 0, 0
        if at > self.size - 4 or count > (self.size - at - 4) // item:
            self.outside = True
            return 0, 0
        return at + 4, count
