"""Opens a .tflite for model/neural_tflm.py: has it proven, names what is refused, makes the ports.

Done once: dropped before anything runs. Must not know how a network is run.
"""

import struct
from array import array

from sensewell.build.neural import DTYPES, accept, op_name
from sensewell.model.neural import Port
from sensewell.refusal import Refused


def op_names(net):
    """Names of a net's operators, in order; a number where build/neural.py does not know the name."""
    names = []
    code = net.op(0)
    while code >= 0:
        names.append(op_name(code))
        code = net.op(len(names))
    return tuple(names)


def make(tflm, buffer, arena_bytes):
    """Prove the file, have TensorFlow Lite Micro open it -> net, inputs, outputs, bytes held, bytes of arena in use."""
    if tflm is None:
        raise Refused("neural.engine", "this firmware has no module sensewell_tflm")
    facts = array("i", bytes(36))
    accept(tflm.prove(buffer, facts), facts)
    try:
        net = tflm.Net(buffer, arena_bytes)
    except MemoryError:
        raise Refused("neural.memory", "the arena is not free in one piece")
    except RuntimeError as error:
        raise Refused("neural.tflm", str(error))
    about = array("i", bytes(48))
    ports = []
    while not net.describe(len(ports), about):
        letters = bytes(memoryview(buffer)[about[0] : about[0] + min(about[1], 99)])
        name = "".join([chr(letter) if 32 <= letter < 127 else "?" for letter in letters])
        scale = struct.unpack("<f", struct.pack("<i", about[10]))[0]
        ports.append(Port(name, tuple(about[4 : 4 + about[3]]), DTYPES[about[2]], scale, about[11]))
    held, _, used = net.memory()
    n = facts[3]
    return net, tuple(ports[:n]), tuple(ports[n:]), held, used
