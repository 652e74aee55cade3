"""int8 networks: a .tflite file, used in place and proven first; computes what TensorFlow Lite Micro does, bit for bit.

net = neural.open(buffer); net.predict(inputs, outputs). Knows the native module sensewell_neural (C99, device/native/
neural) and nothing of bundles, labels or where the inputs come from.
"""

try:
    import sensewell_neural as native
except ImportError:
    native = None


class Net:
    """A network in `buffer` (bytes-like, 4-byte aligned, not copied: it must stay as it is).

    Refused("neural....") if it is not entirely sound, or has an operator that is not built in.
    .inputs, .outputs tuples of Port; .ops names of its operators; .macs their work, multiply-accumulates and moves;
    .arena_bytes RAM that it holds; .engine "native".
    """

    engine = "native"

    def __init__(self, buffer):
        from sensewell.build.neural import make

        self._model = buffer
        self._net, self._arena, self.inputs, self.outputs, self.macs = make(native, buffer)
        self.arena_bytes = len(self._net) + len(self._arena)
        self.reset()

    def predict(self, inputs, outputs):
        """One prediction; allocates nothing. inputs, outputs: a buffer, or a tuple or list of as many as there are.

        A buffer is an array, ulab array or memoryview of its port's dtype (int8 also as plain bytes), exactly as long.
        It is read or written where it lies. ValueError where kind or length is wrong, or an output lies over another
        buffer; then outputs are as they were.
        """
        self._bind(self.inputs, inputs, 0)
        self._bind(self.outputs, outputs, len(self.inputs))
        if native.predict(self._model, self._net, self._arena):
            raise ValueError("outputs must not share memory")

    def reset(self):
        """Forget all: the states of recurrent layers become their zero points, as after open()."""
        native.reset(self._model, self._net, self._arena)

    @property
    def ops(self):
        from sensewell.build.neural import op_name

        names = []
        code = native.op(self._net, 0)
        while code >= 0:
            names.append(op_name(code))
            code = native.op(self._net, len(names))
        return tuple(names)

    def _bind(self, ports, given, first):
        if type(given) is not tuple and type(given) is not list:
            if len(ports) != 1:
                raise ValueError("%d buffers are needed" % len(ports))
            wrong = native.bind(self._net, first, given)
            if wrong:
                ports[0].blame(wrong)
            return
        if len(given) != len(ports):
            raise ValueError("%d buffers are needed, not %d" % (len(ports), len(given)))
        number = first
        for buffer in given:
            wrong = native.bind(self._net, number, buffer)
            if wrong:
                ports[number - first].blame(wrong)
            number += 1


class Port:
    """An input or output: .name, .shape, .dtype ("b" int8, "B" uint8, "h" int16, "i" int32, "f" float32), .n numbers.

    A number q means (q - .zero_point) * .scale; scale 0.0: it means itself.
    """

    def __init__(self, name, shape, dtype, scale, zero_point):
        self.name = name
        self.shape = shape
        self.dtype = dtype
        self.scale = scale
        self.zero_point = zero_point
        self.n = 1
        for size in shape:
            self.n *= size

    def quantise(self, values, out):
        """Numbers of `values` as this port has them, into `out`: rounded to nearest, halves away from zero; clamped."""
        low, high = {"b": (-128, 127), "B": (0, 255), "h": (-32768, 32767)}[self.dtype]
        for i, value in enumerate(values):
            value /= self.scale
            value = int(value + 0.5 if value >= 0 else value - 0.5) + self.zero_point
            out[i] = low if value < low else high if value > high else value

    def dequantise(self, numbers, out):
        """What `numbers` of this port mean, into `out`, an array of floats."""
        for i, number in enumerate(numbers):
            out[i] = (number - self.zero_point) * self.scale

    def blame(self, wrong):
        """ValueError for what the native module says of a buffer: -2 its kind, -3 its length, else its place."""
        if wrong == -4:
            raise ValueError("%s: misaligned" % self.name)
        what = "kind" if wrong == -2 else "length"
        raise ValueError("%s: wrong %s, needs %d numbers of kind '%s'" % (self.name, what, self.n, self.dtype))


def open(buffer):
    """The network in `buffer`, see Net."""
    return Net(buffer)
