"""Networks by the native module sensewell_neural (C99, device/native/neural). No bundles, no labels."""

import sensewell_neural as native


class Net:
    """As model/neural.py says."""

    engine = "native"

    def __init__(self, buffer):
        from sensewell.build.neural import make

        self._model = buffer
        self._net, self._arena, self.inputs, self.outputs, self.macs = make(native, buffer)
        self.arena_bytes = len(self._net) + len(self._arena)
        self.reset()

    def predict(self, inputs, outputs):
        """One prediction; allocates nothing. See model/neural.py."""
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
