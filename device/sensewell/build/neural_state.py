"""SVDF and UNIDIRECTIONAL_SEQUENCE_LSTM: proven and made words for their kernels.

The same checks in the same order as device/native/neural/sw_neural_state.c.
"""

from sensewell.build.neural_curve import logistic_table
from sensewell.build.neural_graph import INT8, INT16, INT32, MOST_ITEMS
from sensewell.build.neural_scale import ONE, exponent, fold, fraction, is_usable
from sensewell.build.neural_step import Step, multiplier

_LONGEST_SUM = 65536


def svdf(g):
    x, y = g.operands8(5, 5)
    features = g.input(1)
    times = g.input(2)
    state = g.input(4)
    g.is_int8(features)
    g.need(times.type in (INT8, INT16) and state.type == times.type, "type")
    g.is_quantised(times)
    g.is_quantised(state)
    g.need(not features.zero and not times.zero, "quantisation")
    rank = g.option(0)
    two = [len(t.dims) for t in (x, features, times, state, y)] == [2] * 5
    g.need(g.options and rank > 0, "options")
    g.need(two, "shape")
    filters, n_inputs = features.dims
    batches = x.dims[0]
    memory = times.dims[1]
    ok = n_inputs == x.dims[1] and times.dims[0] == filters and state.dims == [batches, times.count]
    g.need(ok and n_inputs <= _LONGEST_SUM and y.dims[0] == batches, "shape")
    units = filters // rank
    g.need(units * rank == filters and y.dims[1] == units, "shape")
    g.need(state.is_variable, "order")
    bias = g.bias(3, units)
    by_feature = fold(x.scale, features.scale, state.scale)
    by_time = fold(state.scale, times.scale, y.scale)
    g.fits(by_feature, 30)
    g.fits(by_time, 30)
    g.did(features.count, batches)
    g.did(times.count, batches)
    words = [0] * 15 + [batches, n_inputs, units, rank, memory, x.zero + 128, state.zero + 32768, y.zero + 128]
    words += [int(times.type == INT16)] + multiplier(by_feature) + multiplier(by_time)
    step = Step("neural_svdf.run", words)
    for at, tensor in ((3, x), (5, y), (7, features), (9, times), (13, state)):
        step.place(at, tensor.index)
    step.place(11, bias)
    return step


def lstm_state(g, k, kind, count):
    """Input k: a variable of `count` numbers of a type."""
    t = g.input(k)
    g.need(t.type == kind, "type")
    g.is_quantised(t)
    g.need(t.count == count, "shape")
    g.need(t.is_variable, "order")
    return t


def lstm_weights(g, k, n, depth, x):
    """Input k, int8 weights for n outputs from `depth` inputs: (its number, from products to steps of 2**-12)."""
    w = g.input(k)
    g.is_int8(w)
    g.need(not w.zero, "quantisation")
    g.need(w.dims == [n, depth] and depth <= _LONGEST_SUM, "shape")
    by = fold(x.scale, w.scale, ONE, 12)
    g.fits(by, 30)
    return w.index, by


def lstm(g):
    x, y = g.operands8(24, 24)
    g.need(g.options and g.option_byte(0) == 4 and not g.option_byte(5), "options")
    for k in range(9, 24):  # no peepholes, projection or normalisation
        g.need(12 <= k < 16 or k in (18, 19) or g.input_number(k) == -1, "options")
    is_time_major = g.option_byte(3) != 0
    xs = x.dims + [1] * 3
    ys = y.dims + [1] * 3
    batches = xs[1 if is_time_major else 0]
    n_times = xs[0 if is_time_major else 1]
    n = ys[2]
    same = len(x.dims) == 3 and len(y.dims) == 3 and ys[0] == xs[0] and ys[1] == xs[1]
    g.need(same and n * batches <= MOST_ITEMS, "shape")
    hidden = lstm_state(g, 18, INT8, n * batches)
    cell = lstm_state(g, 19, INT16, n * batches)
    # the cell's scale is a power of two: its float has no fraction bits
    power = (cell.scale >> 23) - 127
    g.need(not cell.scale & 0x7FFFFF and -20 <= power < 0 and not cell.zero, "quantisation")
    gates = []
    places = [(3, x.index), (5, y.index), (7, hidden.index), (9, cell.index)]
    for k in (1, 0, 2, 3):  # forget, input, cell, output; the file begins with input, forget
        at = 28 + 10 * len(places[4:]) // 3
        w, by_w = lstm_weights(g, 1 + k, n, xs[2], x)
        u, by_u = lstm_weights(g, 5 + k, n, n, hidden)
        add = g.input(12 + k)
        g.need(add.type == INT32, "type")
        g.need(add.count == n, "shape")
        places += [(at, w), (at + 2, u), (at + 4, add.index)]
        gates += [0] * 6 + multiplier(by_w) + multiplier(by_u)
    clip = g.option(1) & 0xFFFFFFFF
    limit = 0
    if clip:
        g.need(is_usable(clip), "options")
        # exact: only the exponent changes. Cut to an integer, at most 32767
        e = exponent(clip) - power
        limit = 32767 if e > -9 else 0 if e < -24 else fraction(clip) >> -e
    by_output = fold(ONE, ONE, hidden.scale, -30)
    g.fits(by_output, 0)
    g.did(n_times * batches, 4 * n)
    g.did(n_times * batches * 4, n * (xs[2] + n))
    words = [0] * 11 + [
        batches,
        n_times,
        xs[2],
        n,
        int(is_time_major),
        x.zero + 128,
        hidden.zero + 128,
        limit,
        power + 44,
    ]
    words += multiplier(fold(ONE, ONE, ONE, -15)) + multiplier(fold(ONE, ONE, cell.scale, -30)) + multiplier(by_output)
    step = Step("neural_lstm.run", words + [0, 0] + gates + [0] * 4, logistic_table())
    for at, tensor in places:
        step.place(at, tensor)
    step.scratch = xs[2] + n
    step.scratch_at = 26
    return step
