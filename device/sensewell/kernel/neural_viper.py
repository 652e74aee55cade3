"""Networks in viper, where the board has no native module: one kernel after the other, over buffers in place.

It must not know files, operators or where inputs come from: build/neural_viper.py has made a list of kernels of them.
"""

try:
    import micropython
except ImportError:  # CPython: the same source, word by word
    from sensewell._port import micropython, ptr8, ptr32, uint


@micropython.viper
def address(buffer) -> int:
    """The lowest four bits of where it lies."""
    return int(uint(ptr8(buffer))) & 15


@micropython.viper
def overlap(bases, lengths, inputs: int, ports: int) -> int:
    """1: an output lies where another port does. bases: ports from 2 on; lengths: bytes of each port."""
    n = ptr32(lengths)
    i = inputs
    while i < ports:
        k = 0
        while k < i:
            apart = int(uint(ptr8(bases[2 + i]))) - int(uint(ptr8(bases[2 + k])))
            if apart >= 0:
                if apart < n[k]:
                    return 1
            elif 0 - apart < n[i]:
                return 1
            k += 1
        i += 1
    return 0


class Net:
    """As model/neural.py says. Holds on to the buffers of the last prediction, and looks at a buffer's kind when it
    first comes: signed and unsigned numbers are taken for each other, as long as their width is right.
    """

    engine = "viper"

    def __init__(self, buffer):
        from array import array

        from sensewell.build.neural_viper import make

        made = make(buffer, address(buffer))
        self._bases, self._steps, self._states, self.inputs, self.outputs, self.macs, self._codes, n_bytes = made
        sizes = [port.n * {"h": 2, "i": 4, "f": 4}.get(port.dtype, 1) for port in self.inputs + self.outputs]
        self._lengths = array("i", sizes)
        self.arena_bytes = len(self._bases[1]) + n_bytes
        self.reset()

    def predict(self, inputs, outputs):
        """One prediction; allocates nothing once it has seen these buffers. See model/neural.py."""
        self._bind(self.inputs, inputs, 2)
        self._bind(self.outputs, outputs, 2 + len(self.inputs))
        bases = self._bases
        if overlap(bases, self._lengths, len(self.inputs), len(self._lengths)):
            raise ValueError("outputs must not share memory")
        arena = bases[1]
        for run, words in self._steps:
            run(arena, arena, bases, words)

    def reset(self):
        """Forget all: the states of recurrent layers become their zero points, as after open()."""
        arena = self._bases[1]
        for at, n, value in self._states:
            while n:
                n -= 1
                arena[at + n] = value

    @property
    def ops(self):
        from sensewell.build.neural import op_name

        return tuple([op_name(code) for code in self._codes])

    def _bind(self, ports, given, first):
        if type(given) is not tuple and type(given) is not list:
            if len(ports) != 1:
                raise ValueError("%d buffers are needed" % len(ports))
            self._take(ports[0], first, given)
            return
        if len(given) != len(ports):
            raise ValueError("%d buffers are needed, not %d" % (len(ports), len(given)))
        number = first
        for buffer in given:
            self._take(ports[number - first], number, buffer)
            number += 1

    def _take(self, port, number, buffer):
        if buffer is not self._bases[number]:
            n = len(buffer)
            size = self._lengths[number - 2] // port.n
            if n and (len(bytes(buffer[:1])) != size or (type(buffer[0]) is float) != (port.dtype == "f")):
                port.blame(-2)
            if n == port.n and address(buffer) & (size - 1):
                port.blame(-4)
            if n and number - 2 >= len(self.inputs):
                buffer[0] = buffer[0]  # TypeError where it may only be read: kernels would write all the same
        if len(buffer) != port.n:
            port.blame(-3)
        self._bases[number] = buffer
