"""Operators that only move numbers: proven and made words for kernel/neural_move.py. They take every kind of number.

The same checks in the same order as device/native/neural/sw_neural_move.c.
"""

from sensewell.build.neural_graph import DIMS, INT8, MOST_ITEMS
from sensewell.build.neural_scale import clamped
from sensewell.build.neural_step import Step

_SIZE = 11  # in the words of steps
_X_STEP = 16
_Y_STEP = 21
_X_FROM = 31
_Y_FROM = 32


def steps(g, least, most):
    """(step, x, y) of an operator that moves x to y by steps, which are those of dense tensors at first."""
    x, y = g.operands(least, most)
    g.need(x.type == y.type, "type")
    g.same_quantisation(x, y)
    words = [0] * 33
    words[4] = x.item
    words[10] = y.bytes
    x_step = x.item
    y_step = y.item
    for i in range(DIMS - 1, -1, -1):
        words[_SIZE + i] = y.dim(i)
        words[_X_STEP + i] = x_step
        words[_Y_STEP + i] = y_step
        x_step *= x.dim(i)
        y_step *= y.dim(i)
    g.did(y.count, 1)
    step = Step("neural_move.steps", words)
    step.place(0, x.index)
    step.place(2, y.index)
    return step, x, y


def joined(step):
    """The last dimension at once where its items lie side by side."""
    words = step.words
    last = DIMS - 1
    if words[_X_STEP + last] == words[4] and words[_Y_STEP + last] == words[4]:
        words[4] *= words[_SIZE + last]
        words[_SIZE + last] = 1
    return step


def pad(g):
    step, x, y = steps(g, 2, 3)
    words = step.words
    amounts = g.constants(1)
    n = len(x.dims)
    g.need(len(amounts) == 2 * n and n == len(y.dims), "shape")
    for i in range(n):
        before, after = amounts[2 * i : 2 * i + 2]
        g.need(before >= 0 and after >= 0 and x.dims[i] + before + after == y.dims[i], "shape")
        words[_SIZE + i + DIMS - n] = x.dims[i]
        words[_Y_FROM] += before * words[_Y_STEP + i + DIMS - n]
    words[5] = 1
    if x.type == INT8:
        g.is_quantised(y)
        words[6] = y.zero & 255
    if g.input_number(2) != -1:
        fill = g.input(2)
        g.need(fill.type == x.type, "type")
        g.need(fill.count == 1, "shape")
        words[5] = 2
        words[9] = x.item
        step.place(7, fill.index)
        if x.type == INT8:
            g.same_quantisation(fill, y)
    return joined(step)


def strided_slice(g):
    step, x, y = steps(g, 4, 4)
    words = step.words
    begin = g.constants(1)
    end = g.constants(2)
    stride = g.constants(3)
    n = len(x.dims)
    g.need(len(begin) == n and len(end) == n and len(stride) == n, "shape")
    begin_mask = g.option(0)
    end_mask = g.option(1)
    shrink = g.option(4)
    g.need(g.options and not g.option(2) and not g.option(3) and not g.option_byte(5), "options")
    left = 0  # dimensions of y seen
    for i in range(n):
        size = x.dims[i]
        by = stride[i]
        first = begin[i]
        last = end[i]
        g.need(by and -MOST_ITEMS < by < MOST_ITEMS, "options")
        low = 0 if by > 0 else -1
        high = size if by > 0 else size - 1
        first = clamped(first + size if first < 0 else first, low, high)
        last = clamped(last + size if last < 0 else last, low, high)
        if begin_mask >> i & 1:
            first = low if by > 0 else high
        if end_mask >> i & 1:
            last = high if by > 0 else low
        count = -((first - last) // by)
        if shrink >> i & 1:
            count = int(0 <= first < size)
        else:
            g.need(left < len(y.dims) and y.dims[left] == count, "shape")
            left += 1
        g.need(count > 0, "shape")
        place = i + DIMS - n
        words[_X_FROM] += first * words[_X_STEP + place]
        words[_X_STEP + place] = words[_X_STEP + place] * by if count > 1 else 0
        words[_SIZE + place] = count
    g.need(left == len(y.dims), "shape")
    # y is dense in the same order, with or without the dimensions that shrank
    at = y.item
    for i in range(DIMS - 1, -1, -1):
        if i < DIMS - n:
            words[_SIZE + i] = 1
        words[_Y_STEP + i] = at
        at *= words[_SIZE + i]
    return joined(step)


def transpose(g):
    step, x, y = steps(g, 2, 2)
    words = step.words
    order = g.constants(1)
    n = len(x.dims)
    g.need(len(order) == n and len(y.dims) == n, "shape")
    old = words[_X_STEP : _X_STEP + DIMS]
    seen = 0
    for i in range(n):
        axis = order[i]
        g.need(0 <= axis < n and y.dims[i] == x.dims[axis], "shape")
        seen |= 1 << axis
        words[_X_STEP + i + DIMS - n] = old[axis + DIMS - n]
    g.need(seen == (1 << n) - 1, "shape")
    return joined(step)


def is_part(g, whole, t, axis, adds):
    """Part `t` of the whole along dimension `axis`. adds: the part lacks that dimension."""
    ok = len(t.dims) + adds == len(whole.dims)
    for i in range(len(whole.dims) if ok else 0):
        ok = ok and (i == axis or t.dims[i - (1 if adds and i > axis else 0)] == whole.dims[i])
    g.need(ok, "shape")
    g.need(t.type == whole.type, "type")
    g.same_quantisation(whole, t)


def parts(g, join, first, axis, adds):
    """join: the inputs from `first` on become the output; else input `first` becomes the outputs."""
    n = len(g.inputs) - first if join else len(g.outputs)
    g.need(1 <= n < 4096 and (len(g.outputs) == 1 if join else len(g.inputs) > first), "operands")
    whole = g.output(0) if join else g.input(first)
    axis = axis + len(whole.dims) if axis < 0 else axis
    g.need(0 <= axis < len(whole.dims), "shape")
    rounds = 1
    for size in whole.dims[:axis]:
        rounds *= size
    step = Step("neural_move.parts", [0, 0, int(join), rounds, n])
    step.place(0, whole.index)
    total = 0
    for i in range(n):
        part = g.input(first + i) if join else g.output(i)
        is_part(g, whole, part, axis, adds)
        total += part.bytes // rounds
        g.need(total <= whole.bytes // rounds, "shape")
        step.words += [0, 0, part.bytes // rounds]
        step.place(5 + 3 * i, part.index)
    g.need(total == whole.bytes // rounds, "shape")
    g.did(whole.count, 1)
    return step


def copied(g):
    """RESHAPE, EXPAND_DIMS, SQUEEZE: one part. Mostly the output shares the memory of the input."""
    x, y = g.operands(1, 2)
    g.need(x.type == y.type, "type")
    g.same_quantisation(x, y)
    g.need(x.count == y.count, "shape")
    g.did(x.count, 1)
    step = Step("neural_move.parts", [0, 0, 1, 1, 1, 0, 0, x.bytes])
    step.place(0, y.index)
    step.place(5, x.index)
    step.shares = (x.index, y.index)
    return step


def split(g):
    """SPLIT has its axis in input 0, SPLIT_V in input 2."""
    first = 1 if g.code == 49 else 0
    axis = g.constants(0 if first else 2)
    g.need(len(axis) == 1, "shape")
    return parts(g, False, first, axis[0], 0)


def join(g):
    """CONCATENATION, PACK, UNPACK."""
    g.need(g.options != 0, "options")
    if g.code == 2:
        g.need(g.option_byte(1) == 0, "options")
        return parts(g, True, 0, g.option(0), 0)
    return parts(g, g.code == 83, 0, g.option(1), 1)
