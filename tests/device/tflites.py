"""Writes .tflite files: a small flatbuffer writer and the parts of the schema that tests need. Runs on boards too."""

import struct

FLOAT32, INT32, UINT8, INT16, INT8 = 0, 2, 3, 7, 9
# operators and the kinds of their options, as the schema counts them
OPS = {
    "ADD": (0, 11),
    "AVERAGE_POOL_2D": (1, 5),
    "CONCATENATION": (2, 10),
    "CONV_2D": (3, 1),
    "DEPTHWISE_CONV_2D": (4, 2),
    "DEQUANTIZE": (6, 0),
    "FULLY_CONNECTED": (9, 8),
    "LOGISTIC": (14, 0),
    "MAX_POOL_2D": (17, 5),
    "MUL": (18, 21),
    "RELU": (19, 0),
    "RELU6": (21, 0),
    "RESHAPE": (22, 0),
    "SOFTMAX": (25, 9),
    "SVDF": (27, 6),
    "TANH": (28, 0),
    "PAD": (34, 0),
    "TRANSPOSE": (39, 0),
    "MEAN": (40, 27),
    "SUB": (41, 28),
    "SQUEEZE": (43, 0),
    "UNIDIRECTIONAL_SEQUENCE_LSTM": (44, 71),
    "STRIDED_SLICE": (45, 32),
    "SPLIT": (49, 35),
    "ABS": (101, 78),
    "PADV2": (60, 0),
    "EXPAND_DIMS": (70, 0),
    "PACK": (83, 59),
    "UNPACK": (88, 64),
    "LEAKY_RELU": (98, 75),
    "SPLIT_V": (102, 79),
    "QUANTIZE": (114, 0),
}
PACKING = {FLOAT32: "f", INT32: "i", UINT8: "B", INT16: "h", INT8: "b"}


class Vector:
    """A vector in a flatbuffer: items of a struct format, or "o": tables, strings, vectors."""

    def __init__(self, form, items, align=4):
        self.form = form
        self.items = items
        self.align = align


def pad(out, align, after=0):
    while (len(out) + after) % align:
        out.append(0)


def emit_table(out, fields, later):
    """A table of {field: (form, value)} with forms b, i, I, f or o; returns where it begins."""
    size = 4 + sum(1 if form == "b" else 4 for form, value in fields.values())
    entries = [0] * (max(fields) + 1 if fields else 0)
    body = []
    at = 4
    for wide in (True, False):
        for field, (form, value) in fields.items():
            if (form != "b") == wide:
                entries[field] = at
                body.append((at, form, value))
                at += 4 if wide else 1
    vtable = 4 + 2 * len(entries)
    pad(out, 4, vtable)
    out += struct.pack("<HH", vtable, size)
    for entry in entries:
        out += struct.pack("<H", entry)
    start = len(out)
    out += struct.pack("<i", vtable)
    for at, form, value in body:
        if form == "o":
            later.append((len(out), value))
            out += bytes(4)
        else:
            out += struct.pack("<" + form, value)
    return start


def emit(out, thing, later):
    if isinstance(thing, dict):
        return emit_table(out, thing, later)
    if isinstance(thing, str):
        pad(out, 4)
        start = len(out)
        data = thing.encode()
        out += struct.pack("<I", len(data)) + data + b"\0"
        return start
    pad(out, thing.align, 4)
    start = len(out)
    out += struct.pack("<I", len(thing.items))
    if thing.form == "o":
        for item in thing.items:
            later.append((len(out), item))
            out += bytes(4)
    elif thing.form == "B":
        out += bytes(thing.items)
    else:
        for item in thing.items:
            out += struct.pack("<" + thing.form, item)
    return start


def flatbuffer(root):
    """Bytes of a .tflite file with this root table; what is pointed to always lies behind."""
    out = bytearray(b"\0\0\0\0TFL3")
    later = [(0, root)]
    while later:
        at, thing = later.pop(0)
        start = emit(out, thing, later)
        out[at : at + 4] = struct.pack("<I", start - at)
    pad(out, 16)
    return bytes(out)


def options(**fields):
    """A table of options: options(f0=("b", 1)) sets field 0 to the byte 1."""
    return {int(name[1:]): value for name, value in fields.items()}


class Model:
    """A network: add tensors, then operators; bytes() writes it."""

    def __init__(self):
        self.tensors = []
        self.buffers = [{}]
        self.codes = []
        self.ops = []
        self.metadata = []

    def buffer(self, data):
        self.buffers.append({0: ("o", Vector("B", data, 16))})
        return len(self.buffers) - 1

    def tensor(self, shape, kind=INT8, scale=0.0, zero=0, data=None, variable=False, name="t", axis=0):
        """Adds a tensor, returns its number. scale: one or a list; data: its numbers, if it is a constant."""
        fields = {0: ("o", Vector("i", shape)), 1: ("b", kind), 3: ("o", name)}
        if data is not None:
            packed = data
            if not isinstance(data, bytes):
                packed = struct.pack("<%d%s" % (len(data), PACKING[kind]), *data)
            fields[2] = ("I", self.buffer(packed))
        if scale:
            scales = scale if isinstance(scale, (list, tuple)) else [scale]
            quantisation = {2: ("o", Vector("f", scales)), 3: ("o", Vector("q", [zero] * len(scales), 8))}
            if axis:
                quantisation[6] = ("i", axis)
            fields[4] = ("o", quantisation)
        if variable:
            fields[5] = ("b", 1)
        self.tensors.append(fields)
        return len(self.tensors) - 1

    def scale_of(self, number):
        """The first scale of a tensor."""
        return self.tensors[number][4][1][2][1].items[0]

    def op(self, name, inputs, outputs, **fields):
        code, kind = OPS[name]
        if code not in self.codes:
            self.codes.append(code)
        made = {0: ("I", self.codes.index(code)), 1: ("o", Vector("i", inputs)), 2: ("o", Vector("i", outputs))}
        if kind:
            made[3] = ("b", kind)
            made[4] = ("o", options(**fields))
        self.ops.append(made)

    def bytes(self, inputs, outputs):
        codes = [{0: ("b", code), 2: ("i", 9), 3: ("i", code)} for code in self.codes]
        graph = {
            0: ("o", Vector("o", self.tensors)),
            1: ("o", Vector("i", inputs)),
            2: ("o", Vector("i", outputs)),
            3: ("o", Vector("o", self.ops)),
        }
        root = {
            0: ("I", 3),
            1: ("o", Vector("o", codes)),
            2: ("o", Vector("o", [graph])),
            4: ("o", Vector("o", self.buffers)),
        }
        if self.metadata:
            root[6] = ("o", Vector("o", self.metadata))
        return flatbuffer(root)
