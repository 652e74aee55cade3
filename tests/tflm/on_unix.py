"""Runs in a MicroPython that has sensewell_tflm over the stand-in; one test_ function at a time. See test_tflm.py."""

import gc
import struct
from array import array

import micropython
from sensewell.model import neural_tflm
from sensewell.refusal import Refused
from tflites import FLOAT32, INT8, INT16, INT32, UINT8, Model

KNOWN = LEAST = 0  # bytes of arena; test_tflm.py sets them


def identity(name="in", kind=INT8, op="RESHAPE", n=6, ports=1):
    """As many RESHAPEs as ports, each from an input to an output."""
    m = Model()
    ends = []
    for k in range(ports):
        x = m.tensor([1, n], kind, 0.5, -1 if kind == INT8 else 0, name=name)
        y = m.tensor([n], kind, 0.25, 3 if kind == INT8 else 0, name="out" + str(k))
        m.op(op, [x], [y])
        ends.append((x, y))
    return m.bytes([x for x, y in ends], [y for x, y in ends])


def fails(kind, call, *arguments):
    try:
        call(*arguments)
    except kind as error:
        return str(error)
    raise AssertionError("nothing was raised")


def refusal(data, *arguments):
    try:
        neural_tflm.open(data, *arguments)
    except Refused as refused:
        return refused.reason
    return "accepted"


def test_the_ports_are_described_and_numbers_go_through():
    net = neural_tflm.open(identity())
    port = net.inputs[0]
    assert (port.name, port.shape, port.dtype, port.scale, port.zero_point) == ("in", (1, 6), "b", 0.5, -1)
    port = net.outputs[0]
    assert (port.name, port.shape, port.dtype, port.scale, port.zero_point) == ("out0", (6,), "b", 0.25, 3)
    assert net.ops == ("RESHAPE",) and net.engine == "tflm"
    out = array("b", bytes(6))
    net.predict(array("b", [1, 2, 3, -4, 5, -128]), out)
    assert list(out) == [1, 2, 3, -4, 5, -128]
    given = array("b", bytes(6))
    net.inputs[0].quantise([0.0, 0.25, 0, 0, 1000.0, -1000.0], given)
    net.predict(given, out)
    assert list(out) == [0, 0, -1, -1, 127, -128]  # the stand-in counts calls in the first


def test_every_kind_of_numbers_and_plain_bytes():
    for kind, letter in ((INT8, "b"), (UINT8, "B"), (INT16, "h"), (INT32, "i"), (FLOAT32, "f")):
        net = neural_tflm.open(identity(kind=kind))
        out = array(letter, [0] * 6)
        net.predict(array(letter, [1, 2, 3, 4, 5, 6]), out)
        assert list(out) == [1, 2, 3, 4, 5, 6], letter
        assert net.inputs[0].dtype == letter
        wrong = array("h" if letter != "h" else "f", [0] * 6)
        said = fails(ValueError, net.predict, wrong, out)
        assert said == "in: wrong kind, needs 6 numbers of kind '" + letter + "'", said
    net = neural_tflm.open(identity())
    out = bytearray(6)
    net.predict(b"\x01\x02\x03\xff\x05\x06", out)
    assert out == b"\x01\x02\x03\xff\x05\x06"
    net.predict(memoryview(b"..\x01\x02\x03\xff\x05\x06")[2:], memoryview(out))
    assert out == b"\x02\x02\x03\xff\x05\x06"


def test_what_is_wrong_with_a_buffer_is_said():
    net = neural_tflm.open(identity())
    good, out = array("b", bytes(6)), array("b", b"......")
    said = fails(ValueError, net.predict, array("b", bytes(5)), out)
    assert said == "in: wrong length, needs 6 numbers of kind 'b'", said
    said = fails(ValueError, net.predict, good, array("b", bytes(7)))
    assert said == "out0: wrong length, needs 6 numbers of kind 'b'", said
    assert fails(ValueError, net.predict, good, good) == "outputs must not share memory"
    assert fails(ValueError, net.predict, (good, good), out) == "1 buffers are needed"
    assert fails(ValueError, net.predict, good, []) == "1 buffers are needed"
    fails(TypeError, net.predict, 5, out)
    fails(TypeError, net.predict, good, b"......")  # cannot be written to
    assert bytes(out) == b"......"


def test_several_ports():
    net = neural_tflm.open(identity(ports=2))
    one, two = array("b", [1] * 6), array("b", [2] * 6)
    outs = [array("b", bytes(6)), array("b", bytes(6))]
    net.predict((one, two), outs)
    assert list(outs[0]) == [1] * 6 and list(outs[1]) == [2] * 6
    assert fails(ValueError, net.predict, one, outs) == "2 buffers are needed"
    assert fails(ValueError, net.predict, (one, two), (outs[0], outs[0])) == "outputs must not share memory"
    said = fails(ValueError, net.predict, (one, bytes(3)), outs)
    assert said == "in: wrong length, needs 6 numbers of kind 'b'", said


def test_reset_forgets():
    net = neural_tflm.open(identity())
    out = array("b", bytes(6))
    for expected in (0, 1, 2):
        net.predict(bytes(6), out)
        assert out[0] == expected
    net.reset()
    net.predict(bytes(6), out)
    assert out[0] == 0
    assert fails(RuntimeError, neural_tflm.open(identity("reset")).reset) == "reset failed"


def test_the_arena_is_what_the_host_reckoned_and_reported():
    known = neural_tflm.open(identity())
    net = neural_tflm.open(identity(), 4096)
    held, arena, used = net._net.memory()
    assert arena == 4096 and 100 < used < 1000 and held > 4096
    assert net.arena_bytes == held and net.arena_used == used
    assert known._net.memory()[1] == KNOWN


def test_an_arena_that_is_too_small_is_refused_with_its_words():
    said = fails(Refused, neural_tflm.open, identity(), 16)
    assert said == "neural.tflm: the arena needs " + str(LEAST) + " bytes at least", said
    assert refusal(identity(), LEAST - 16) == "neural.tflm" and refusal(identity(), LEAST + 15) == "accepted"
    data = identity(n=5000)
    said = fails(Refused, neural_tflm.open, data, 4096)
    assert said.startswith("neural.tflm: ") and said.endswith(" bytes missing"), said
    assert refusal(data, 16384) == "accepted"
    assert refusal(data, 1 << 40) == "neural.memory"


def test_an_operator_that_is_not_built_in_is_refused_with_its_words():
    data = identity(op="ABS")
    said = fails(Refused, neural_tflm.open, data)
    assert said == "neural.tflm: no operator number 101 here", said


def test_failures_become_exceptions_and_outputs_stay():
    out = array("b", b"......")
    net = neural_tflm.open(identity("fail"))
    for _ in range(3):
        assert fails(RuntimeError, net.predict, bytes(6), out) == "node 3 (STAND_IN) failed and so on"
    said = fails(RuntimeError, neural_tflm.open(identity("mute")).predict, bytes(6), out)
    assert said.startswith("TensorFlow Lite Micro gave no message"), said
    assert bytes(out) == b"......"


def test_an_abort_is_an_exception_and_the_end_of_that_net_only():
    out = array("b", bytes(6))
    other = neural_tflm.open(identity())
    net = neural_tflm.open(identity("abort"))
    assert fails(RuntimeError, net.predict, bytes(6), out) == "HALTED"
    for call in (net.reset, lambda: net.predict(bytes(6), out)):
        assert fails(RuntimeError, call).startswith("the interpreter is not usable"), call
    other.predict(b"\x07\0\0\0\0\0", out)
    assert out[0] == 7


def test_model_and_arena_live_as_long_as_the_net():
    nets = [neural_tflm.open(bytes(bytearray(identity()))) for _ in range(8)]
    out = array("b", bytes(6))
    for round in range(20):
        gc.collect()
        rubbish = [bytearray(b"\xee" * n) for n in (64, 1024, 4096, 20000)]  # takes what was set free wrongly
        for net in nets:
            net.predict(bytes(6), out)  # the stand-in ends the process where its memory was reused
            assert out[0] == round
    del rubbish
    free = None
    for _ in range(50):  # and it is set free with the net
        neural_tflm.open(identity())
        gc.collect()
        free = free or gc.mem_free()
    assert gc.mem_free() > free - 4096


def test_a_model_that_moves_is_noticed():
    data = bytearray(identity())
    net = neural_tflm.open(data)
    for _ in range(200):
        data.extend(bytes(1000))
    assert fails(ValueError, net.predict, bytes(6), bytearray(6)) == "the model has moved"
    assert fails(ValueError, net.reset) == "the model has moved"


def test_predict_allocates_nothing():
    net = neural_tflm.open(identity(ports=2))
    given = (array("b", bytes(6)), array("b", bytes(6)))
    outs = (array("b", bytes(6)), array("b", bytes(6)))
    net.predict(given, outs)
    micropython.heap_lock()
    try:
        net.predict(given, outs)
        net.reset()
    finally:
        micropython.heap_unlock()


def test_bad_files_are_refused_by_name():
    good = bytearray(identity())
    assert refusal(b"") == "neural.truncated"
    assert refusal(bytes(64)) == "neural.magic"
    assert refusal(good[:100]) == "neural.truncated"
    assert refusal(memoryview(b"..." + bytes(good))[3:]) in ("neural.alignment",)
    m = Model()
    x, y = m.tensor([2]), m.tensor([2])
    m.op("RELU", [x], [y])
    ends = m.bytes([x], [y])
    assert refusal(ends) == "accepted"
    assert refusal(m.bytes([], [y])) == "neural.graph"
    assert refusal(m.bytes([x], [7])) == "neural.graph"
    z = m.tensor([2])
    assert refusal(m.bytes([x], [z])) == "neural.order"
    m.op("RELU", [z], [y])
    assert refusal(m.bytes([x], [y])) == "neural.order"
    for takes, gives in (([9], [1]), ([0], [9]), ([0], [-1]), ([], [1]), ([0], [])):
        m = Model()
        x, y = m.tensor([2]), m.tensor([2])
        m.op("RELU", takes, gives)
        assert refusal(m.bytes([x], [y])) == "neural.operands", (takes, gives)
    for code in (32, 129, 142):
        m = Model()
        x, y = m.tensor([2]), m.tensor([2])
        m.op("RELU", [x], [y])
        m.codes = [code] if code < 127 else [code - 256]
        data = m.bytes([x], [y]) if code < 127 else None
        if data:
            assert refusal(data) == "neural.op", code
    m = Model()
    x, y = m.tensor([2]), m.tensor([2])
    w = m.tensor([3], INT8, data=[1, 2])
    m.op("RELU", [x, w], [y])
    assert refusal(m.bytes([x], [y])) == "neural.constant"
    m = Model()
    x, y = m.tensor([2], 4), m.tensor([2])
    m.op("RELU", [x], [y])
    assert refusal(m.bytes([x], [y])) == "neural.type"
    for shape in ([-1], [1 << 20, 1 << 20], [1] * 6, [0]):
        m = Model()
        x, y = m.tensor(shape), m.tensor([2])
        m.op("RELU", [x], [y])
        assert refusal(m.bytes([x], [y])) == "neural.shape", shape


def test_no_bad_byte_ends_the_process():
    good = identity()
    for place in range(len(good)):
        for value in (0, 1, 0x7F, 0x80, 0xFF):
            data = bytearray(good)
            data[place] = value
            try:
                net = neural_tflm.open(data, 4096)
                net.predict(bytes(6), bytearray(6))
            except (ValueError, RuntimeError):
                pass  # Refused is a ValueError
    for length in range(0, len(good), 4):
        assert refusal(good[:length]) != "accepted" or length > len(good) - 16


def test_the_module_itself_checks_its_arguments():
    native = neural_tflm.tflm
    fails(TypeError, native.Net)
    fails(TypeError, native.Net, 5)
    assert fails(ValueError, native.Net, bytes(64)) == "not a sound .tflite file"
    assert fails(ValueError, native.prove, identity(), array("i", [0])) == "too short"
    net = native.Net(identity())
    assert fails(ValueError, net.describe, 0, bytearray(3)) == "too short"
    about = array("i", bytes(48))
    assert net.describe(2, about) == net.describe(-1, about) == -1
    assert net.op(1) == net.op(-1) == -1 and net.op(0) == 22
    assert struct.calcsize("i") == 4
