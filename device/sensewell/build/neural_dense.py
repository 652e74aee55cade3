"""FULLY_CONNECTED, CONV_2D, DEPTHWISE_CONV_2D: proven and made words for kernel/neural_dense.py and neural_deep.py.

The same checks in the same order as device/native/neural/sw_neural_dense.c.
"""

from array import array

from sensewell.build.neural_graph import INT8, MOST_ITEMS
from sensewell.build.neural_scale import fold, is_usable
from sensewell.build.neural_step import Step

# Words, also of pools:
#   0..3    places of x and y
#   4..8    places of weights and bias (255: none); scratch
#   9       a window: images
#   10..12  lines, columns, channels of the input
#   13..15  of the output
#   16..23  taps down and across, steps, spreads, padding
#   24..27  zero point of x + 128, of y + 128; limits of y + 128
#   28, 29  groups, or outputs for each input channel; numbers in a sum
#   30, 31  each channel has a multiplier; how many there are
#   32      weights or bias are no constants
#   33, 34  channels of a group, in and out
#   35      multipliers, then what is constant in the sum of each channel (not depthwise), then bytes: shifts + 32
_LONGEST_SUM = 65536  # * 128 * 255 < 2**31


def pad(g, is_valid, size, out, taps, step, spread):
    """One direction of a window: the padding before the first input."""
    ok = 0 < step <= MOST_ITEMS and 0 < spread <= MOST_ITEMS and 0 < taps <= MOST_ITEMS
    g.need(ok, "options")
    reach = (taps - 1) * spread + 1
    g.need(reach <= (size if is_valid else 2 * MOST_ITEMS), "shape")
    n = (size - reach) // step + 1 if is_valid else (size + step - 1) // step
    g.need(n == out, "shape")
    return max((n - 1) * step + reach - size, 0) // 2


def window(g, x, y, taps, spreads):
    """Words 9..23. spreads: where the options have them, 0: not."""
    is_valid = g.option_byte(0)
    across = g.option(1)
    down = g.option(2)
    spread_w = spread_h = 1
    if spreads:
        spread_w = g.file.number(g.options, spreads, 1)
        spread_h = g.file.number(g.options, spreads + 1, 1)
    g.need(not is_valid & ~1, "options")
    g.need(len(x.dims) == 4 and len(y.dims) == 4 and y.dims[0] == x.dims[0], "shape")
    pad_h = pad(g, is_valid, x.dims[1], y.dims[1], taps[0], down, spread_h)
    pad_w = pad(g, is_valid, x.dims[2], y.dims[2], taps[1], across, spread_w)
    return x.dims + y.dims[1:] + [taps[0], taps[1], down, across, spread_h, spread_w, pad_h, pad_w]


def fully(g, x, w, y):
    """The window of FULLY_CONNECTED: one tap over a line of rows."""
    g.need(g.option_byte(1) == 0, "options")
    g.need(len(w.dims) == 2 and x.count % w.dims[1] == 0, "shape")
    rows = x.count // w.dims[1]
    g.need(len(y.dims) and y.dims[-1] == w.dims[0] and y.count == rows * w.dims[0], "shape")
    g.need(w.scales[1] < 2 or not w.axis, "quantisation")
    return [1, 1, rows, w.dims[1], 1, rows, w.dims[0], 1, 1, 1, 1, 1, 1, 0, 0]


def scales(g, x, w, y, n):
    """Multipliers for the n output channels."""
    count = w.scales[1]
    g.need(n <= 0xFFFF, "shape")
    g.need(count in (1, n), "quantisation")
    for i in range(w.zeros[1]):
        g.need(not g.file.u32(w.zeros[0] + 8 * i), "quantisation")
    m = array("i", bytes(4 * count))  # a list would leave holes in the heap: these are no small integers
    shifts = bytearray(count)
    for i in range(count):
        scale = g.file.u32(w.scales[0] + 4 * i)
        g.need(not scale or is_usable(scale), "quantisation")
        by = fold(x.scale, scale, y.scale)
        g.fits(by, 30)
        m[i] = by[0]
        shifts[i] = by[1] + 32
    return m, shifts


def dense(g):
    is_deep = g.code == 4
    x, y = g.operands8(2, 3)
    w = g.input(1)
    g.need(w.type == INT8, "type")
    g.need(g.options != 0, "options")
    if g.code == 9:
        v = fully(g, x, w, y)
        groups = 1
        k = w.dims[1]
    else:
        g.need(len(w.dims) == 4, "shape")
        v = window(g, x, y, w.dims[1:3], 5 if is_deep else 4)
        n = w.dims[3 if is_deep else 0]
        k = w.count // n
        groups = g.option(3) if is_deep else v[3] // w.dims[3]
        ok = groups > 0 and n == v[6]
        if is_deep:
            ok = ok and groups * v[3] == n and w.dims[0] == 1
        else:
            ok = ok and groups * w.dims[3] == v[3] and n % groups == 0
        g.need(ok, "shape")
    add = g.bias(2, v[6])
    g.need(k <= _LONGEST_SUM, "shape")
    low, high = g.activation(0 if g.code == 9 else 4 if is_deep else 3, y)
    m, shifts = scales(g, x, w, y, v[6])
    g.did(y.count, k)
    is_constant = w.data and not w.is_variable
    if add is not None:
        t = g.tensor(add)
        is_constant = is_constant and t.data and not t.is_variable
    words = [0] * 9 + v + [x.zero + 128, y.zero + 128, low + 128, high + 128, groups, k]
    words += [int(len(m) > 1), len(m), int(not is_constant), v[3] // groups, v[6] // groups]
    constants = b"" if is_deep else bytes(4 * v[6])
    step = Step("neural_deep.run" if is_deep else "neural_dense.run", words, bytes(m) + constants + shifts)
    step.place(0, x.index)
    step.place(2, y.index)
    step.place(4, w.index)
    step.place(6, add)
    step.scratch = 4 * v[6] if is_deep else k
    step.scratch_at = 8
    step.prepares = not is_deep and is_constant
    return step
