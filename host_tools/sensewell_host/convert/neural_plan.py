"""Plans the memory of an int8 network on the host: when each tensor lives, where it lies, which operator needs most.

Reads a .tflite with a small flatbuffer reader; runs nothing. embed() writes the plan into the file, as the metadata
"OfflineMemoryAllocation" that TensorFlow Lite Micro reads too; the board proves it before it is used.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass

from sensewell_host.errors import SensewellError

ITEM_BYTES = {0: 4, 2: 4, 3: 1, 7: 2, 9: 1}
SHARES = (22, 43, 70)  # RESHAPE, SQUEEZE, EXPAND_DIMS: their output is their input
ALIGNMENT = 16
NAME = b"OfflineMemoryAllocation"


@dataclass(frozen=True)
class Plan:
    """offsets: of each tensor in the arena, -1 where it has no memory there of its own; peak: bytes that live at once
    at the operator `peak_op`, less than which no plan can do.

    Inputs and outputs lie with the caller. Scratch of operators and states of recurrent ones are not in it: the board
    places them.
    """

    offsets: tuple[int, ...]
    bytes: int
    peak: int
    peak_op: int


class Reader:
    """Fields of flatbuffer tables by number; SensewellError where something points outside."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    def number(self, form: str, at: int) -> int:
        try:
            return int(struct.unpack_from("<" + form, self.data, at)[0])
        except struct.error as error:
            raise SensewellError("not a sound .tflite file: it points outside of itself; convert it again") from error

    def follow(self, at: int) -> int:
        return at + self.number("I", at)

    def field(self, table: int, field: int) -> int:
        vtable = table - self.number("i", table)
        if 4 + 2 * field + 2 > self.number("H", vtable):
            return 0
        offset = self.number("H", vtable + 4 + 2 * field)
        return table + offset if offset else 0

    def value(self, table: int, field: int, form: str, otherwise: int = 0) -> int:
        at = self.field(table, field)
        return self.number(form, at) if at else otherwise

    def vector(self, table: int, field: int) -> tuple[int, int]:
        """Where the first item lies, and how many there are."""
        at = self.field(table, field)
        if not at:
            return 0, 0
        start = self.follow(at)
        return start + 4, self.number("I", start)

    def numbers(self, table: int, field: int) -> list[int]:
        start, count = self.vector(table, field)
        return [self.number("i", start + 4 * i) for i in range(count)]

    def tables(self, table: int, field: int) -> list[int]:
        start, count = self.vector(table, field)
        return [self.follow(start + 4 * i) for i in range(count)]


@dataclass
class Life:
    """A tensor in the arena, from operator `first` to operator `last`."""

    number: int
    size: int
    first: int
    last: int
    offset: int = -1

    def meets(self, other: Life) -> bool:
        return self.first <= other.last and other.first <= self.last


def lives(data: bytes) -> tuple[list[Life], int, int]:
    """Tensors that need memory of their own in the arena, how many tensors and how many operators there are."""
    r = Reader(data)
    if data[4:8] != b"TFL3":
        raise SensewellError("expected a .tflite file (TFL3 at byte 4); convert the model to int8 .tflite first")
    root = r.follow(0)
    graphs = r.tables(root, 2)
    if len(graphs) != 1:
        raise SensewellError(f"expected one subgraph, found {len(graphs)}; control flow is not supported")
    codes = [max(r.value(code, 0, "b"), r.value(code, 3, "i")) for code in r.tables(root, 1)]
    buffers = r.tables(root, 4)
    tensors = r.tables(graphs[0], 0)
    ends = set(r.numbers(graphs[0], 1)) | set(r.numbers(graphs[0], 2))
    owner = list(range(len(tensors)))
    found: dict[int, Life] = {}
    ops = r.tables(graphs[0], 3)
    for k, op in enumerate(ops):
        inputs = [number for number in r.numbers(op, 1) if number >= 0]
        outputs = r.numbers(op, 2)
        for number in inputs:
            table = tensors[number]
            if not r.value(table, 5, "b") and (life := found.get(owner[number])):
                life.last = max(life.last, k)
        for number in outputs:
            if number in ends:
                continue
            if codes[r.value(op, 0, "I")] in SHARES and inputs:
                owner[number] = owner[inputs[0]]
            elif not r.vector(buffers[r.value(tensors[number], 2, "I")], 0)[1]:
                found[number] = Life(number, size_of(r, tensors[number]), k, k)
    return list(found.values()), len(tensors), len(ops)


def size_of(r: Reader, tensor: int) -> int:
    kind = r.value(tensor, 1, "b")
    if kind not in ITEM_BYTES:
        raise SensewellError(f"tensor type {kind} is not supported; quantise the model fully to int8")
    return math.prod(r.numbers(tensor, 0)) * ITEM_BYTES[kind]


def place(order: list[Life]) -> int:
    """Each into the lowest gap among those before it in `order`; returns the bytes of the arena."""
    placed: list[Life] = []
    for one in order:
        at = 0
        for other in sorted(placed, key=lambda life: life.offset):
            if other.meets(one) and other.offset + other.size > at:
                if other.offset >= at + one.size:
                    break
                at = -(-(other.offset + other.size) // ALIGNMENT) * ALIGNMENT
        one.offset = at
        placed.append(one)
    return max((life.offset + life.size for life in placed), default=0)


def plan(data: bytes) -> Plan:
    """The best of several orders: by size, by length of life, by when they begin."""
    found, n_tensors, n_ops = lives(data)
    at_once = [sum(life.size for life in found if life.first <= k <= life.last) for k in range(n_ops)]
    orders = (
        lambda life: (-life.size, life.first),
        lambda life: (life.first - life.last, -life.size),
        lambda life: (life.first, -life.size),
        lambda life: (-(life.last - life.first + 1) * life.size, life.first),
    )
    best: tuple[int, dict[int, int]] | None = None
    for order in orders:
        total = place(sorted(found, key=order))
        if best is None or total < best[0]:
            best = total, {life.number: life.offset for life in found}
    assert best is not None
    peak = max(at_once)
    offsets = tuple(best[1].get(number, -1) for number in range(n_tensors))
    return Plan(offsets, best[0], peak, at_once.index(peak))


def embed(data: bytes, offsets: tuple[int, ...]) -> bytes:
    """The file with a plan in it. What was there stays as it is, moved on behind a new root that also has the plan."""
    r = Reader(data)
    old = r.follow(0)
    buffers = r.tables(old, 4)
    metadata = [table for table in r.tables(old, 6) if name_of(r, table) != NAME]
    words = struct.pack(f"<{3 + len(offsets)}i", 1, 0, len(offsets), *offsets)
    # front: root, its vtable, the vectors of buffers and metadata, the new metadata, its name, the new buffer
    kept = {field: r.field(old, field) for field in (1, 2, 3, 5, 7) if r.field(old, field)}
    out = bytearray(b"\0\0\0\0TFL3")
    slots = sorted([0, 4, 6, *kept])
    places = {field: 4 + 4 * i for i, field in enumerate(slots)}
    vtable = [places.get(field, 0) for field in range(slots[-1] + 1)]
    out += struct.pack(f"<{2 + len(vtable)}H", 4 + 2 * len(vtable), 4 + 4 * len(slots), *vtable)
    out += b"\0" * (-len(out) % 4)
    root = len(out)
    out += bytes(4 + 4 * len(slots))
    struct.pack_into("<i", out, root, root - 8)
    struct.pack_into("<I", out, 0, root)

    def vector(count: int) -> int:
        start = len(out)
        out.extend(struct.pack("<I", count) + bytes(4 * count))
        return start

    new_buffers, new_metadata = vector(len(buffers) + 1), vector(len(metadata) + 1)
    entry = len(out) + 8  # a table behind its vtable of two fields
    out += struct.pack("<4H", 8, 12, 4, 8) + struct.pack("<iII", 8, 0, len(buffers))
    name = len(out)
    out += struct.pack("<I", len(NAME)) + NAME + b"\0" * (4 - len(NAME) % 4)
    out += b"\0" * (-(len(out) + 6) % 4)
    buffer = len(out) + 6
    out += struct.pack("<3H", 6, 8, 4) + struct.pack("<iI", 6, 0)
    out += b"\0" * (-(len(out) + 4) % 16)
    content = len(out)
    out += struct.pack("<I", len(words)) + words
    out += b"\0" * (-len(out) % 16)
    moved = len(out)

    def point(at: int, target: int) -> None:
        struct.pack_into("<I", out, at, target - at)

    point(entry + 4, name)
    point(buffer + 4, content)
    for start, tables, added in ((new_buffers, buffers, buffer), (new_metadata, metadata, entry)):
        for i, table in enumerate([moved + table for table in tables] + [added]):
            point(start + 4 + 4 * i, table)
    struct.pack_into("<I", out, root + places[0], r.value(old, 0, "I"))
    point(root + places[4], new_buffers)
    point(root + places[6], new_metadata)
    for field, at in kept.items():
        point(root + places[field], moved + r.follow(at))
    return bytes(out) + data


def name_of(r: Reader, metadata: int) -> bytes:
    start, count = r.vector(metadata, 0)
    return r.data[start : start + count]
