"""Networks: values by hand, refusals by name, no allocation; the same on every board, in viper and native."""

from array import array

try:
    import micropython
except ImportError:
    from sensewell._port import micropython

from sensewell.model import neural
from sensewell.refusal import Refused
from tflites import FLOAT32, INT8, INT16, INT32, UINT8, Model


def refusal(data):
    try:
        neural.open(data)
    except Refused as refused:
        return refused.reason
    return "accepted"


def small():
    """2 x [3 inputs] to 2 outputs, relu: scales 1/2, 1/4 and 1/8 each, so a sum counts as it is."""
    m = Model()
    x = m.tensor([2, 3], INT8, 0.5, -1, name="in")
    w = m.tensor([2, 3], INT8, 0.25, 0, [1, -2, 3, 100, 0, -128])
    b = m.tensor([2], INT32, 0.125, 0, [10, -7])
    y = m.tensor([2, 2], INT8, 0.125, 5, name="out")
    m.op("FULLY_CONNECTED", [x, w, b], [y], f0=("b", 1))
    return m, x, y


def test_a_dense_layer_by_hand():
    m, x, y = small()
    net = neural.open(m.bytes([x], [y]))
    out = array("b", bytes(4))
    net.predict(array("b", [-1, -1, -1, 4, 2, 0]), out)
    # bias alone; then 5 * 1 - 3 * 2 + 1 * 3 + 10 and 5 * 100 - 1 * 128 - 7, clamped; zero point 5, relu from there on
    assert list(out) == [15, 5, 17, 127]
    assert net.ops == ("FULLY_CONNECTED",) and net.engine == ("native" if neural.native else "viper")
    port = net.inputs[0]
    assert (port.name, port.shape, port.dtype, port.scale, port.zero_point) == ("in", (2, 3), "b", 0.5, -1)
    assert net.outputs[0].name == "out" and net.outputs[0].n == 4
    assert net.macs == 12 and 64 < net.arena_bytes < 400


def test_a_name_is_only_shown():
    m, x, y = small()
    data = m.bytes([x], [y]).replace(b"in\0", b"\xffn\0")
    assert neural.open(data).inputs[0].name == "?n"


def test_numbers_are_rounded_and_clamped():
    m, x, y = small()
    net = neural.open(m.bytes([x], [y]))
    out = array("b", bytes(6))
    net.inputs[0].quantise([0.0, 0.25, -0.25, 0.2, 1000.0, -1000.0], out)
    assert list(out) == [-1, 0, -2, -1, 127, -128]
    back = array("f", bytes(24))
    net.inputs[0].dequantise(out, back)
    assert list(back) == [0.0, 0.5, -0.5, 0.0, 64.0, -63.5]


def test_a_convolution_with_padding_and_its_own_scales_by_hand():
    m = Model()
    x = m.tensor([1, 3, 3, 1], INT8, 1.0, 2)
    w = m.tensor([2, 3, 3, 1], INT8, [1.0, 0.5], 0, [1] * 9 + [0] * 4 + [2] + [0] * 4)
    y = m.tensor([1, 2, 2, 2], INT8, 1.0, 0)
    m.op("CONV_2D", [x, w], [y], f0=("b", 0), f1=("i", 2), f2=("i", 2))
    net = neural.open(m.bytes([x], [y]))
    out = array("b", bytes(8))
    net.predict(array("b", [3, 4, 5, 6, 7, 8, 9, 10, 11]), out)
    # taken off 2: 1..9. Sums of 3 x 3 around the corners, padding is 0; the second channel is the corner itself
    assert list(out) == [12, 1, 16, 3, 24, 7, 28, 9]


def test_halves_are_rounded_as_the_specification_has_it():
    m = Model()
    x = m.tensor([6], INT8, 0.5, 0)
    y = m.tensor([6], INT8, 1.0, 0)
    m.op("QUANTIZE", [x], [y])
    out = array("b", bytes(6))
    neural.open(m.bytes([x], [y])).predict(array("b", [1, 3, -1, -3, 2, -128]), out)
    assert list(out) == [1, 2, 0, -1, 1, -64]  # up, where a product is rounded
    m = Model()
    x = m.tensor([6], INT8, 0.25, 0)
    y = m.tensor([6], INT8, 1.0, 0)
    m.op("QUANTIZE", [x], [y])
    neural.open(m.bytes([x], [y])).predict(array("b", [1, 2, -2, -6, 6, -128]), out)
    assert list(out) == [1, 1, -1, -2, 2, -32]  # away from zero where it is shifted, after the first rounding: 1/4 to 1


def test_known_points_of_the_curves():
    for name, scale, zero, expected in (
        ("LOGISTIC", 1 / 256, -128, [-128, -59, 0, 31, 127]),
        ("TANH", 1 / 128, 0, [-128, -97, 0, 59, 127]),
    ):
        m = Model()
        x = m.tensor([5], INT8, 1 / 16, 0)
        y = m.tensor([5], INT8, scale, zero)
        m.op(name, [x], [y])
        out = array("b", bytes(5))
        neural.open(m.bytes([x], [y])).predict(array("b", [-128, -16, 0, 8, 127]), out)
        assert list(out) == expected, (name, list(out))  # of -8, -1, 0, 1/2 and almost 8


def test_shares_of_a_softmax_sum_to_one():
    m = Model()
    x = m.tensor([1, 4], INT8, 1 / 8, 0)
    y = m.tensor([1, 4], INT8, 1 / 256, -128)
    m.op("SOFTMAX", [x], [y], f0=("f", 1.0))
    out = array("b", bytes(4))
    neural.open(m.bytes([x], [y])).predict(array("b", [0, 8, 16, -128]), out)
    assert list(out) == [-105, -65, 42, -128], list(out)


def test_moves_put_every_number_where_it_belongs():
    m = Model()
    x = m.tensor([2, 3], INT16, 1.0, 0)
    t = m.tensor([3, 2], INT16, 1.0, 0)
    p = m.tensor([4, 2], INT16, 1.0, 0)
    r = m.tensor([8], INT16, 1.0, 0)
    y = m.tensor([4], INT16, 1.0, 0)
    m.op("TRANSPOSE", [x, m.tensor([2], INT32, data=[1, 0])], [t])
    m.op("PAD", [t, m.tensor([2, 2], INT32, data=[1, 0, 0, 0])], [p])
    m.op("RESHAPE", [p, m.tensor([1], INT32, data=[8])], [r])
    ends = [m.tensor([1], INT32, data=[n]) for n in (7, -9, -2)]
    m.op("STRIDED_SLICE", [r, ends[0], ends[1], ends[2]], [y])
    net = neural.open(m.bytes([x], [y]))
    out = array("h", bytes(8))
    net.predict(array("h", [1000, 2, 3, -4000, 5, 6]), out)
    assert list(out) == [6, 5, -4000, 0]
    assert net.ops == ("TRANSPOSE", "PAD", "RESHAPE", "STRIDED_SLICE")


def halves():
    """One input split into two outputs of different kinds."""
    m = Model()
    x = m.tensor([1, 4], INT8, 0.5, 3, name="x")
    a = m.tensor([1, 2], INT8, 0.5, 3, name="a")
    b = m.tensor([1, 2], INT8, 0.5, 3, name="b")
    c = m.tensor([1, 2], FLOAT32, name="c")
    m.op("SPLIT", [m.tensor([], INT32, data=[1]), x], [a, b], f0=("i", 2))
    m.op("DEQUANTIZE", [b], [c])
    return neural.open(m.bytes([x], [c, a]))


def test_several_outputs_and_floats():
    net = halves()
    floats, numbers = array("f", bytes(8)), array("b", bytes(2))
    net.predict((array("b", [1, 2, 4, -128]),), [floats, numbers])
    assert list(numbers) == [1, 2] and list(floats) == [0.5, -65.5]
    assert [port.dtype for port in net.outputs] == ["f", "b"] and net.outputs[0].scale == 0.0
    meant = array("f", bytes(8))
    net.outputs[0].dequantise(floats, meant)  # they mean themselves
    assert list(meant) == [0.5, -65.5]
    net.outputs[0].quantise([1.5, -2.0], floats)
    assert list(floats) == [1.5, -2.0]


def test_wrong_buffers_are_a_clear_value_error():
    net = halves()
    x, floats, numbers = array("b", bytes(4)), array("f", bytes(8)), array("b", bytes(2))
    whole = bytearray(32)
    view = memoryview(whole)
    for inputs, outputs, says in (
        (x[:3], (floats, numbers), "x: wrong length, needs 4 numbers of kind 'b'"),
        (array("h", bytes(4)), (floats, numbers), "x: wrong kind"),
        (x, (numbers, floats), "c: wrong kind"),
        (x, floats, "2 buffers are needed"),
        (x, (floats,), "2 buffers are needed, not 1"),
        ((x, x), (floats, numbers), "1 buffers are needed, not 2"),
        (view[:4], (floats, view[3:5]), "outputs must not share memory"),
    ):
        try:
            net.predict(inputs, outputs)
        except ValueError as error:
            assert str(error).startswith(says), (str(error), says)
        else:
            assert False, says
    net.predict(view[:4], (floats, view[4:6]))


def test_what_may_only_be_read_is_no_output():
    net = halves()
    x, floats = array("b", [1, 2, 3, 4]), array("f", bytes(8))
    constant = b"\x05\x06"
    for wrong in (constant, memoryview(constant), 5, None):
        try:
            net.predict(x, (floats, wrong))
        except TypeError:
            pass
        else:
            assert False, wrong
    assert constant == bytes([5, 6])
    net.predict(constant + constant, (floats, bytearray(2)))


def recurrent():
    """An SVDF with a memory of three: the sum of the last three inputs."""
    m = Model()
    x = m.tensor([1, 1], INT8, 1.0, 0)
    features = m.tensor([1, 1], INT8, 1.0, 0, [1])
    times = m.tensor([1, 3], INT16, 1.0, 0, [1, 1, 1])
    bias = m.tensor([1], INT32, 1.0, 0, [0])
    state = m.tensor([1, 3], INT16, 1.0, 0, variable=True)
    y = m.tensor([1, 1], INT8, 1.0, 0)
    m.op("SVDF", [x, features, times, bias, state], [y], f0=("i", 1))
    return neural.open(m.bytes([x], [y]))


def test_state_lasts_until_reset():
    net = recurrent()
    out = array("b", [0])
    seen = []
    for value in (1, 2, 3, 4, 0, 0):
        net.predict(array("b", [value]), out)
        seen.append(out[0])
    assert seen == [1, 3, 6, 9, 7, 4]
    net.reset()
    net.predict(array("b", [5]), out)
    assert out[0] == 5


def test_prediction_leaves_the_heap_alone():
    net = halves()
    x, outputs = array("b", [1, 2, 3, 4]), (array("f", bytes(8)), array("b", bytes(2)))
    net.predict(x, outputs)
    micropython.heap_lock()
    try:
        net.predict(x, outputs)
        net.reset()
    finally:
        micropython.heap_unlock()
    assert list(outputs[1]) == [1, 2]


def broken(**changes):
    """Small networks with one thing wrong each."""
    m = Model()
    x = m.tensor([1, 4], INT8, changes.get("scale", 0.5), changes.get("zero", 0))
    y = m.tensor(changes.get("shape", [1, 4]), changes.get("kind", INT8), changes.get("y_scale", 0.5), 0)
    m.op(changes.get("op", "RELU"), changes.get("inputs", [0]), changes.get("outputs", [1]))
    return m.bytes([x], [changes.get("result", y)])


def test_every_refusal_has_its_name():
    good = broken()
    assert refusal(good) == "accepted"
    assert refusal(b"") == "neural.truncated"
    assert refusal(good[:7]) == "neural.truncated"
    assert refusal(good[: len(good) // 2]) == "neural.truncated"
    assert refusal(good[:4] + b"TFL2" + good[8:]) == "neural.magic"
    assert refusal(memoryview(b"...." + good)[1:]) in ("neural.alignment", "neural.magic")
    assert refusal(broken(op="ABS")) == "neural.op"
    assert refusal(broken(inputs=[7])) == "neural.operands"
    assert refusal(broken(inputs=[0, 0])) == "neural.operands"
    assert refusal(broken(kind=INT16)) == "neural.type"
    assert refusal(broken(shape=[1, 5])) == "neural.shape"
    assert refusal(broken(shape=[1, 0])) == "neural.shape"
    assert refusal(broken(scale=0)) == "neural.quantisation"
    assert refusal(broken(zero=128)) == "neural.quantisation"
    assert refusal(broken(scale=[0.5, 0.25])) == "neural.quantisation"
    assert refusal(broken(inputs=[1])) == "neural.order"
    assert refusal(broken(outputs=[0])) == "neural.order"
    assert refusal(broken(result=0)) == "neural.graph"
    assert refusal(broken(op="SOFTMAX", y_scale=1 / 256)) == "neural.quantisation"


def test_a_refusal_says_which_operator():
    m, x, y = small()
    z = m.tensor([2, 2], INT8, 0.5, 0)
    m.op("ABS", [y], [z])
    try:
        neural.open(m.bytes([x], [z]))
        assert False
    except Refused as refused:
        assert str(refused) == "neural.op: operator 1, number 101", str(refused)


def deeper(**changes):
    """Refusals that need constants or options."""
    m = Model()
    x = m.tensor([1, 4, 4, 2], INT8, 0.5, 0)
    data = [1] * changes.get("numbers", 24)
    w = m.tensor(changes.get("w", [3, 2, 2, 2]), INT8, 0.5, changes.get("w_zero", 0), data)
    y = m.tensor([1, 3, 3, 3], INT8, 0.5, 0)
    step = changes.get("step", 1)
    m.op(
        "CONV_2D",
        [x, w],
        [y],
        f0=("b", changes.get("padding", 1)),
        f1=("i", step),
        f2=("i", 1),
        f3=("b", changes.get("fused", 0)),
    )
    return m.bytes([x], [y])


def test_refusals_of_constants_and_options():
    assert refusal(deeper()) == "accepted"
    assert refusal(deeper(numbers=23)) == "neural.constant"
    assert refusal(deeper(step=0)) == "neural.options"
    assert refusal(deeper(padding=2)) == "neural.options"
    assert refusal(deeper(fused=4)) == "neural.options"
    assert refusal(deeper(padding=0)) == "neural.shape"
    assert refusal(deeper(w=[3, 2, 2, 3], numbers=36)) == "neural.shape"
    assert refusal(deeper(w_zero=1)) == "neural.quantisation"


def planned(offsets):
    """Three tensors in a row with a plan of their own; the ends are the caller's."""
    from tflites import Vector

    m = Model()
    t = [m.tensor([1, 64], INT8, 0.5, 0) for _ in range(4)]
    for k in range(3):
        m.op("RELU", [t[k]], [t[k + 1]])
    import struct

    data = struct.pack("<7i", 1, 0, 4, *offsets)
    m.metadata.append({0: ("o", "OfflineMemoryAllocation"), 1: ("I", m.buffer(data))})
    assert Vector
    return m.bytes([t[0]], [t[3]])


def test_the_files_own_memory_plan_is_proven():
    assert refusal(planned([-1, 0, 64, -1])) == "accepted"
    assert refusal(planned([-1, -1, -1, -1])) == "accepted"
    assert refusal(planned([-1, 0, 32, -1])) == "neural.plan"
    assert refusal(planned([-1, 2, 128, -1])) == "neural.plan"
    assert refusal(planned([-1, 1 << 24, 0, -1])) == "neural.arena"
    assert refusal(planned([-1, 1 << 25, 0, -1])) == "neural.plan"


def test_bytes_of_either_sign_hold_bytes():
    m = Model()
    x = m.tensor([4], UINT8, 0.5, 131)
    y = m.tensor([4], INT8, 0.5, 3)
    m.op("QUANTIZE", [x], [y])
    net = neural.open(m.bytes([x], [y]))
    out = bytearray(4)
    net.predict(b"\x00\x80\x83\xff", out)
    assert list(out) == [128, 0, 3, 127]
