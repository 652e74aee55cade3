"""What a .tflite file says of its tensors and operators, proven. Must not know how an operator is computed.

The same checks in the same order as device/native/neural/sw_neural_graph.c and sw_neural_file.c, by the same names.
"""

from sensewell.build.neural_flat import Flat
from sensewell.build.neural_scale import ONE, SIX, clamped, is_usable, nearest

FLOAT32 = 0
INT32 = 2
UINT8 = 3
INT16 = 7
INT8 = 9
DIMS = 5
MOST_ITEMS = 1 << 24
_MOST = 4096  # tensors, operators
_MOST_WORK = 0x7FFFFFFF
_ITEMS = {FLOAT32: 4, INT32: 4, UINT8: 1, INT16: 2, INT8: 1}


class Flaw(Exception):
    """A reason, without the "neural." in front."""


class Tensor:
    """What the file says of a tensor. data: of a constant, where in the file; else 0. scale: the first, as bits."""

    def __init__(self, index):
        self.index = index
        self.type = self.item = self.bytes = self.data = self.axis = self.scale = self.zero = 0
        self.is_variable = False
        self.count = 1
        self.dims = []
        self.scales = self.zeros = (0, 0)

    def same_shape(self, other):
        return self.dims == other.dims

    def dim(self, i):
        """Dimension i of DIMS of them, with ones in front."""
        i -= DIMS - len(self.dims)
        return 1 if i < 0 else self.dims[i]


class Graph:
    """The graph of the file in `buffer`, and the operator at hand (.op, .code, .inputs, .outputs, .options)."""

    def __init__(self, buffer):
        self.op = self.code = -1
        self.work = 0
        self.file = Flat(buffer)

    def open(self, address):
        """Reads what stands at the start. address: where the file lies in memory."""
        f = self.file
        self.need(f.size >= 8, "truncated")
        self.need(not address & 3, "alignment")
        self.need(f.u32(4) == 0x334C4654, "magic")  # TFL3
        root = f.follow(0)
        self.need(f.number(root, 0) == 3, "version")
        self.codes = f.vector(root, 1, 4)
        graphs, count = f.vector(root, 2, 4)
        self.buffers, self.n_buffers = f.vector(root, 4, 4)
        self.metadata = f.vector(root, 6, 4)
        graph = f.follow(graphs) if count == 1 else 0
        self.tensors, self.n_tensors = f.vector(graph, 0, 4)
        inputs = f.vector(graph, 1, 4)
        outputs = f.vector(graph, 2, 4)
        self.ops, self.n_ops = f.vector(graph, 3, 4)
        self.need(count == 1 and inputs[1] and outputs[1] and self.n_ops, "graph")
        small = self.n_tensors <= _MOST and self.n_ops <= _MOST and inputs[1] + outputs[1] <= 255
        self.need(small, "limit")
        self.net_inputs = self.numbers(inputs)
        self.net_outputs = self.numbers(outputs)

    def need(self, ok, reason):
        """Flaw unless `ok`, or where the file was left before."""
        if self.file.outside:
            raise Flaw("truncated")
        if not ok:
            raise Flaw(reason)

    def numbers(self, vector):
        """The int32s of a vector."""
        return [self.file.i32(vector[0] + 4 * i) for i in range(vector[1])]

    def look(self):
        """Looks at every tensor once, as the counting of states does."""
        for i in range(self.n_tensors):
            self.file.byte(self.file.follow(self.tensors + 4 * i), 5)

    def at(self, k):
        """Makes operator k the one at hand."""
        f = self.file
        self.op = k
        self.code = -1
        table = f.follow(self.ops + 4 * k)
        number = f.number(table, 0)
        self.need(0 <= number < self.codes[1], "operands")
        code = f.follow(self.codes[0] + 4 * number)
        old = f.byte(code, 0)  # all that older files have
        self.code = max(f.number(code, 3), old)
        inputs = f.vector(table, 1, 4)
        outputs = f.vector(table, 2, 4)
        self.options = f.table(table, 4)
        self.need(inputs[1] <= 256 and outputs[1] <= 256, "operands")
        self.inputs = self.numbers(inputs)
        self.outputs = self.numbers(outputs)

    def did(self, factor, count):
        self.work += factor * count
        self.need(self.work <= _MOST_WORK, "limit")

    def tensor(self, index):
        """Tensor `index`; its data are proven to be as long as its shape says."""
        f = self.file
        t = Tensor(index)
        self.need(0 <= index < self.n_tensors, "operands")
        table = f.follow(self.tensors + 4 * index)
        t.type = f.byte(table, 1)
        t.item = _ITEMS.get(t.type, 0)
        t.is_variable = f.byte(table, 5) != 0
        shape, count = f.vector(table, 0, 4)
        self.need(t.item != 0, "type")
        self.need(count <= DIMS, "shape")
        for i in range(count):
            size = f.u32(shape + 4 * i)
            self.need(1 <= size <= MOST_ITEMS and t.count * size <= MOST_ITEMS, "shape")
            t.count *= size
            t.dims.append(size)
        t.bytes = t.count * t.item
        buffer = f.number(table, 2)
        self.need(0 <= buffer < self.n_buffers, "operands")
        if buffer:
            t.data, count = f.vector(f.follow(self.buffers + 4 * buffer), 0, 1)
            self.need(not t.data or count == t.bytes, "constant")
            self.need(not t.data & (t.item - 1), "alignment")
        quantisation = f.table(table, 4)
        if quantisation:
            t.scales = f.vector(quantisation, 2, 4)
            t.zeros = f.vector(quantisation, 3, 8)
            t.axis = f.number(quantisation, 6)
        t.scale = f.u32(t.scales[0]) if t.scales[1] else 0
        t.zero = f.i32(t.zeros[0]) if t.zeros[1] else 0
        self.need(True, "")
        return t

    # quantisation

    def is_quantised(self, t):
        """One scale for the whole tensor, and a zero point that its type can hold."""
        half = 32768 if t.type == INT16 else 1 if t.type == INT32 else 128
        zero = t.zero - 128 if t.type == UINT8 else t.zero
        sign = self.file.i32(t.zeros[0] + 4) if t.zeros[1] else 0
        ok = t.scales[1] == 1 and t.zeros[1] <= 1 and is_usable(t.scale) and -half <= zero < half
        self.need(ok and sign == (-1 if t.zero < 0 else 0), "quantisation")

    def is_int8(self, t):
        self.need(t.type == INT8, "type")
        self.is_quantised(t)

    def same_quantisation(self, a, c):
        self.need(a.scale == c.scale and a.zero == c.zero, "quantisation")

    def fits(self, by, most):
        """May a multiplier be applied to numbers that have up to 30 - most bits?"""
        self.need(by[1] <= most, "quantisation")

    # operands

    def option(self, field):
        return self.file.number(self.options, field)

    def option_byte(self, field):
        return self.file.byte(self.options, field)

    def input_number(self, k):
        """The number of the operator's input k; -1: it is left out."""
        return self.inputs[k] if k < len(self.inputs) else -1

    def input(self, k):
        return self.tensor(self.input_number(k))

    def output(self, k):
        return self.tensor(self.outputs[k] if k < len(self.outputs) else -1)

    def operands(self, least, most):
        """The first input and the output of an operator with least..most inputs."""
        self.need(least <= len(self.inputs) <= most and len(self.outputs) == 1, "operands")
        return self.input(0), self.output(0)

    def operands8(self, least, most):
        """The same of an operator from int8 to int8."""
        x, y = self.operands(least, most)
        self.is_int8(x)
        self.is_int8(y)
        return x, y

    def constants(self, k):
        """Input k, a constant of int32: its numbers."""
        t = self.input(k)
        self.need(t.type == INT32, "type")
        self.need(t.data != 0, "constant")
        return self.numbers((t.data, t.count))

    def bias(self, k, count):
        """Input k: `count` int32, or None where it is left out."""
        if self.input_number(k) == -1:
            return None
        t = self.input(k)
        self.need(t.type == INT32, "type")
        self.need(t.count == count, "shape")
        return t.index

    def activation(self, field, y):
        """The fused activation in field `field` of the options, as limits of the output."""
        kind = self.option_byte(field)  # 1 relu, 2 relu -1..1, 3 relu6
        self.need(0 <= kind <= 3, "options")
        one = 0 if kind < 2 else nearest(ONE if kind == 2 else SIX, y.scale)
        low = -128 if kind == 0 else y.zero - one if kind == 2 else y.zero
        return clamped(low, -128, 127), clamped(127 if kind < 2 else y.zero + one, -128, 127)
