"""ADD, SUB, MUL, SOFTMAX, QUANTIZE, DEQUANTIZE: proven and made words for their kernels.

The same checks in the same order as device/native/neural/sw_neural_point.c.
"""

from array import array

from sensewell.build.neural_curve import curve, exponential
from sensewell.build.neural_graph import DIMS, FLOAT32, INT8, INT32
from sensewell.build.neural_scale import ONE, fold, is_usable, times31
from sensewell.build.neural_step import Step, multiplier


def pair(g):
    x, y = g.operands8(2, 2)
    z = g.input(1)
    g.is_int8(z)
    sizes = [0] * DIMS
    x_steps = [0] * DIMS
    z_steps = [0] * DIMS
    x_step = z_step = 1
    for i in range(DIMS - 1, -1, -1):
        p = x.dim(i)
        q = z.dim(i)
        sizes[i] = y.dim(i)
        x_steps[i] = 0 if p == 1 else x_step
        z_steps[i] = 0 if q == 1 else z_step
        x_step *= p
        z_step *= q
        g.need((p == q or p == 1 or q == 1) and sizes[i] == max(p, q), "shape")
    if x.same_shape(z):  # one long dimension
        sizes = [1] * (DIMS - 1) + [y.count]
        x_steps = z_steps = [0] * (DIMS - 1) + [1]
    low, high = g.activation(0, y)
    if g.code == 18:
        by_x = by_z = (0, 0)
        by = fold(x.scale, z.scale, y.scale)
        g.fits(by, 14)
    else:
        # both to halves of the larger scale, from there to y. Bits of positive floats are in the floats' order
        larger = max(x.scale, z.scale)
        by_x = fold(x.scale, ONE, larger, -1)
        by_z = fold(z.scale, ONE, larger, -1)
        by = fold(larger, ONE, y.scale, 1 - 20)
        g.fits(by, 0)
    g.did(y.count, 2)
    words = [0] * 6 + [g.code, x.zero + 128, z.zero + 128, y.zero + 128, low + 128, high + 128]
    words += multiplier(by_x) + multiplier(by_z) + multiplier(by) + sizes + x_steps + z_steps + [0] * DIMS
    step = Step("neural_pair.run", words)
    step.place(0, x.index)
    step.place(2, y.index)
    step.place(4, z.index)
    return step


def softmax(g):
    x, y = g.operands8(1, 1)
    g.need(len(x.dims) > 0 and x.same_shape(y), "shape")
    g.need(y.scale == 0x3B800000 and y.zero == -128, "quantisation")  # 1/256
    beta = g.option(0)
    g.need(g.options and beta >= 0 and is_usable(beta), "options")
    depth = x.dims[-1]
    g.need(depth < 512, "shape")  # with more, TensorFlow Lite Micro may stop in the middle
    m, shift = fold(beta, x.scale, ONE, 26)  # to Q5
    if shift > 31:
        shift = 31
        m = 0x7FFFFFFF
    g.need(shift > 1 or (shift == 1 and m > 1 << 30), "quantisation")  # above 1
    least = -((31 << 26) >> shift)
    g.did(x.count, 32)
    table = array("i", bytes(4 * (1 - max(least, -255))))
    for i in range(len(table)):
        scaled = (-i << shift) & 0xFFFFFFFF
        table[i] = exponential(times31(scaled - (scaled >> 31 << 32), m), 5)
    step = Step("neural_softmax.run", [0] * 7 + [x.count // depth, depth, len(table)], bytes(table))
    step.place(3, x.index)
    step.place(5, y.index)
    return step


def cast(g):
    """QUANTIZE and DEQUANTIZE. From int8 to int8 it is a curve."""
    to_float = g.code == 6
    if not to_float:
        x = g.input(0)
        if x.type == INT8 and g.output(0).type == INT8:
            return curve(g)
    x, y = g.operands(1, 1)
    g.need(x.count == y.count, "shape")
    exact = x if to_float else y
    ok = exact.type != FLOAT32 and exact.type != INT32
    ok = ok and (y.type == FLOAT32 if to_float else x.type != INT32)
    g.need(ok, "type")
    g.is_quantised(exact)
    by = (0, 0)
    if x.type != FLOAT32 and not to_float:
        g.is_quantised(x)
        by = fold(x.scale, ONE, y.scale)
        g.fits(by, 14)
    g.did(x.count, 8)
    y_zero = 0 if y.type == FLOAT32 else y.zero
    x_zero = 0 if x.type == FLOAT32 else x.zero
    words = [0] * 7 + [x.count, x.type, y.type, x_zero + 32768, y_zero + 32768] + multiplier(by) + [exact.scale]
    step = Step("neural_cast.to_float" if to_float else "neural_cast.run", words)
    step.place(3, x.index)
    step.place(5, y.index)
    return step
