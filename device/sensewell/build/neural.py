"""Opens a .tflite for model/neural.py: asks the native module, names what it refuses, makes the ports.

Done once: dropped before anything runs. Must not know how a network is run.
"""

import struct
from array import array

from sensewell.model.neural import Port
from sensewell.refusal import Refused

# as sw_neural.h numbers them, from 1 on
REASONS = (
    "truncated alignment magic version graph limit op operands options type shape quantisation constant order arena "
    "plan memory"
)
# operators that are built in, and their numbers in the schema
OPS = (
    "0 ADD 1 AVERAGE_POOL_2D 2 CONCATENATION 3 CONV_2D 4 DEPTHWISE_CONV_2D 6 DEQUANTIZE 9 FULLY_CONNECTED 14 LOGISTIC "
    "17 MAX_POOL_2D 18 MUL 19 RELU 21 RELU6 22 RESHAPE 25 SOFTMAX 27 SVDF 28 TANH 34 PAD 39 TRANSPOSE 40 MEAN 41 SUB "
    "43 SQUEEZE 44 UNIDIRECTIONAL_SEQUENCE_LSTM 45 STRIDED_SLICE 49 SPLIT 60 PADV2 70 EXPAND_DIMS 83 PACK 88 UNPACK "
    "98 LEAKY_RELU 102 SPLIT_V 114 QUANTIZE"
)
DTYPES = {0: "f", 2: "i", 3: "B", 7: "h", 9: "b"}


def op_name(code):
    """An operator's name, or its number where it is not built in."""
    words = OPS.split()
    number = str(code)
    for i in range(0, len(words), 2):
        if words[i] == number:
            return words[i + 1]
    return "number " + number


def memory(n_bytes):
    try:
        return bytearray(n_bytes)
    except MemoryError:
        raise Refused("neural.memory", "%d bytes in one piece are not free" % n_bytes)


def accept(verdict, facts):
    if verdict:
        where = "operator %d, %s" % (facts[7], op_name(facts[8])) if facts[7] >= 0 else ""
        raise Refused("neural." + REASONS.split()[verdict - 1], where)


def make(native, buffer):
    """Prove the file, plan its memory, describe its ports -> records, arena, inputs, outputs, work."""
    facts = array("i", bytes(36))
    accept(native.measure(buffer, facts), facts)
    net = memory(facts[0])
    accept(native.prepare(buffer, net, memory(facts[1]), facts), facts)
    ports = []
    about = array("i", bytes(48))
    for number in range(facts[3] + facts[4]):
        native.describe(buffer, net, number, about)
        letters = bytes(memoryview(buffer)[about[0] : about[0] + min(about[1], 99)])
        name = "".join([chr(letter) if 32 <= letter < 127 else "?" for letter in letters])
        scale = struct.unpack("<f", struct.pack("<i", about[10]))[0]
        ports.append(Port(name, tuple(about[4 : 4 + about[3]]), DTYPES[about[2]], scale, about[11]))
    n = facts[3]
    return net, memory(facts[2] + 4), tuple(ports[:n]), tuple(ports[n:]), facts[6]
