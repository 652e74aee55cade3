"""int8 networks on upstream TensorFlow Lite Micro, where a custom firmware has it: the same calls as model/neural.py.

net = neural_tflm.open(buffer); net.predict(inputs, outputs). Knows the firmware's module sensewell_tflm (device/native/
tflm) and nothing of bundles, labels or where the inputs come from.
"""

try:
    import sensewell_tflm as tflm
except ImportError:
    tflm = None


class Net:
    """A network in `buffer` (bytes-like, 4-byte aligned, not copied: it must stay as it is).

    Refused("neural....") if the file is not sound, "neural.memory" if there is not that much RAM in one piece, and
    "neural.tflm" with TensorFlow Lite Micro's own words if it declines: an operator it was not built with, an arena too
    small. arena_bytes 0: what the host reckoned for this model when the firmware was made.
    .inputs, .outputs tuples of Port; .ops names of its operators; .arena_bytes RAM that it holds; .arena_used bytes of
    the arena that are in use; .engine "tflm".
    """

    engine = "tflm"

    def __init__(self, buffer, arena_bytes=0):
        from sensewell.build.neural_tflm import make

        self._net, self.inputs, self.outputs, self.arena_bytes, self.arena_used = make(tflm, buffer, arena_bytes)

    def predict(self, inputs, outputs):
        """One prediction; allocates nothing. inputs, outputs: a buffer, or a tuple or list of as many as there are.

        A buffer is as in model/neural.py. Numbers are copied into and out of the arena, as TensorFlow Lite Micro needs.
        ValueError where kind or length is wrong, or an output lies over another buffer; RuntimeError with TensorFlow
        Lite Micro's own words where it fails. Then outputs are as they were.
        """
        wrong = self._net.predict(inputs, outputs)
        if wrong:
            self._blame(wrong)

    def reset(self):
        """Forget all: the states of recurrent layers become their zero points, as after open()."""
        self._net.reset()

    @property
    def ops(self):
        from sensewell.build.neural_tflm import op_names

        return op_names(self._net)

    def _blame(self, wrong):
        if wrong == -3:
            raise ValueError("outputs must not share memory")
        if wrong < 0:
            raise ValueError("%d buffers are needed" % len(self.inputs if wrong == -1 else self.outputs))
        ports = self.inputs + self.outputs
        ports[wrong // 8].blame(0 - wrong % 8)


def open(buffer, arena_bytes=0):
    """The network in `buffer`, see Net."""
    return Net(buffer, arena_bytes)
