"""Exponential, logistic and tanh in fixed point, as TFLite's int8 operators round them; the table of its int16 ones.

And the operators that become a table of all 256 answers, for kernel/neural_curve.py. "Qn": an int32 with n bits before
the point. Each product rounds, so the order of operations is part of the result. The same as sw_neural_curve.c.
"""

from sensewell.build.neural_scale import ONE, SIX, clamped, fold, halved, is_usable, nearest, scaled, times31
from sensewell.build.neural_step import Step

_MOST = 0x7FFFFFFF
_FACTORS = (1672461947, 1302514674, 790015084, 290630308, 39332535, 720401, 242)  # e**-(2**k / 4), Q0


def _saturated(x):
    return clamped(x, -_MOST - 1, _MOST)


def exponential(a, n):
    """e**a in Q0 for a <= 0 in Qn, n 4 or 5: below a quarter by a polynomial around -1/8, the rest bit by bit."""
    if a == 0:
        return _MOST
    quarter = 1 << (29 - n)
    part = (a & (quarter - 1)) - quarter
    x = (part << n) + (1 << 28)
    x2 = times31(x, x)
    x3 = times31(x2, x)
    x4 = times31(x2, x2)
    total = times31(halved(x4, 2) + x3, 715827883) + x2  # 1/3
    result = 1895147668 + times31(1895147668, x + halved(total, 1))  # e**-1/8
    bits = (part - a) >> (29 - n)
    for k in range(6 if n < 5 else 7):
        if bits >> k & 1:
            result = times31(result, _FACTORS[k])
    return result


def inverse(a):
    """2 / (1 + a) in Q2 for a in Q0, 0..1: three steps of Newton."""
    half = (a + (1 << 31)) >> 1
    x = 1515870810 + times31(half, -1010580540)  # 48/17 - 32/17 half
    for _ in range(3):
        x += _saturated(times31(x, (1 << 29) - times31(half, x)) << 2)
    return x


def logistic(x):
    """1 / (1 + e**-x) in Q0, x in Q4."""
    if x == 0:
        return 1 << 30
    y = _saturated(inverse(exponential(-abs(x), 4)) << 1)
    return y if x > 0 else _MOST - y


def hyperbolic(x):
    """tanh(x) in Q0, x in Q4."""
    if x == 0:
        return 0
    y = _saturated((inverse(exponential(-abs(x), 5)) - (1 << 29)) << 2)
    return y if x > 0 else -y


# 1 more where TFLite's own table, which is part of its arithmetic, has 1 more
_NUDGED = (0xFA7BD110, 0xC0467BAE, 0x20440005, 0x110090, 0x80, 0, 0, 0x80000000)


def logistic_table():
    """The table of TFLite's int16 operators: 65536 / (1 + e**-(i / 24)), rounded, i = 0..255; uint16."""
    e = 0xFFFFFFFF  # e**-(i / 24) * 2**32
    table = bytearray(512)
    for i in range(256):
        value = ((((1 << 48) // ((e >> 1) + 0x80000000)) + 1) >> 1) + (_NUDGED[i >> 5] >> (i & 31) & 1)
        table[2 * i] = value & 255
        table[2 * i + 1] = value >> 8 & 255
        e = e * 4119687349 >> 32  # e**-(1 / 24)
    return bytes(table)


def curve(g):
    """RELU, RELU6, LEAKY_RELU, LOGISTIC, TANH, QUANTIZE from int8 to int8."""
    code = g.code
    x, y = g.operands8(1, 1)
    g.need(x.count == y.count, "shape")
    x_zero = x.zero
    y_zero = y.zero
    low = y_zero if code == 19 else -128
    high = 127
    by = fold(x.scale, ONE, y.scale)
    below = by
    sign = 1
    radius = 0
    is_sigmoid = code in (14, 28)
    if code == 21:
        # only clamps, in the input's terms: the output has the same
        y_zero = low = x_zero
        high = clamped(nearest(SIX, x.scale) + x_zero, -128, 127)
    elif code == 98:
        alpha = g.option(0) & 0xFFFFFFFF
        sign = -1 if alpha >> 31 else 1
        alpha &= 0x7FFFFFFF
        g.need(g.options and (not alpha or is_usable(alpha)), "options")
        below = fold(x.scale, alpha, y.scale)
        g.fits(below, 22)
    elif is_sigmoid:
        # outputs are 1/128 or 1/256 each; inputs go to Q4
        ok = y.scale == 0x3C000000 and y.zero == 0 if code == 28 else y.scale == 0x3B800000 and y.zero == -128
        by = fold(x.scale, ONE, ONE, 27)
        g.need(ok and by[1] >= 0, "quantisation")
        radius = 0 if by[1] > 30 else (15 << 27) >> by[1]
    g.fits(by, 127 if is_sigmoid else 22)
    g.did(x.count, 16 if is_sigmoid else 1)
    table = bytearray(256)
    for i in range(256):
        v = i - (256 if i > 127 else 0) - x_zero
        if is_sigmoid:
            if v <= -radius:
                v = -128
            elif v >= radius:
                v = 127
            else:
                v = scaled(v, by)
                v = halved(hyperbolic(v), 24) if code == 28 else halved(logistic(v), 23)
                v = clamped(v + y_zero, low, high)
        else:
            if code != 21:
                v = scaled(v, by) if v >= 0 or code != 98 else sign * scaled(v, below)
            v = clamped(v + y_zero, low, high)
        table[i] = v & 255
    return tabled(x, y, table)


def tabled(x, y, table):
    step = Step("neural_curve.run", [0] * 4 + [x.count], bytes(table))
    step.place(0, x.index)
    step.place(2, y.index)
    return step
