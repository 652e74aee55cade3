"""int8 networks: a .tflite file, used in place and proven first; computes what TensorFlow Lite Micro does, bit for bit.

net = neural.open(buffer); net.predict(inputs, outputs). Who computes it, the same numbers each: the native module, else
TensorFlow Lite Micro where the firmware has it, else viper code. Knows nothing of bundles, labels or where inputs come
from.

    Net(buffer)       a network in `buffer` (bytes-like, 4-byte aligned, not copied: it must stay as it is).
                      Refused("neural....") if it is not entirely sound, or has an operator that is not built in
    .inputs .outputs  tuples of Port
    .ops              names of its operators
    .macs             their work, multiply-accumulates and moves (not with TensorFlow Lite Micro)
    .arena_bytes      RAM that it holds
    .engine           "native", "tflm" or "viper"
    .predict(inputs, outputs)
                      one prediction; allocates nothing. Each a buffer, or a tuple or list of as many as there are. A
                      buffer is an array, flat ulab array or memoryview of its port's dtype (int8 also as plain bytes),
                      just as long. It is read or written where it lies. ValueError where kind or length is wrong, or
                      an output lies over another buffer, TypeError where it is no buffer or an output may only be read;
                      then outputs are as they were
    .reset()          forget all: the states of recurrent layers become their zero points, as after open()
"""

try:
    import sensewell_neural as native  # device/native/neural
except ImportError:
    native = None
try:
    import sensewell_tflm as tflm  # device/native/tflm
except ImportError:
    tflm = None

Net = None
if native:
    from sensewell.kernel.neural_native import Net
elif tflm:
    try:
        from sensewell.model.neural_tflm import Net  # where the firmware brought it along
    except ImportError:
        pass
if Net is None:
    from sensewell.kernel.neural_viper import Net


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
        high = {"b": 127, "B": 255, "h": 32767}.get(self.dtype, 0x7FFFFFFF)
        low = 0 if self.dtype == "B" else -1 - high
        for i, value in enumerate(values):
            if self.scale:
                value /= self.scale
                value = int(value + 0.5 if value >= 0 else value - 0.5) + self.zero_point
                value = low if value < low else high if value > high else value
            out[i] = value

    def dequantise(self, numbers, out):
        """What `numbers` of this port mean, into `out`, an array of floats."""
        for i, number in enumerate(numbers):
            out[i] = (number - self.zero_point) * self.scale if self.scale else number

    def blame(self, wrong):
        """ValueError for what the native module says of a buffer: -2 its kind, -3 its length, else its place."""
        if wrong == -4:
            raise ValueError("%s: misaligned" % self.name)
        what = "kind" if wrong == -2 else "length"
        raise ValueError("%s: wrong %s, needs %d numbers of kind '%s'" % (self.name, what, self.n, self.dtype))


def open(buffer):
    """The network in `buffer`, see Net."""
    return Net(buffer)
