"""MAX_POOL_2D, AVERAGE_POOL_2D, MEAN: proven and made words for kernel/neural_pool.py and neural_mean.py.

The same checks in the same order as device/native/neural/sw_neural_pool.c.
"""

from sensewell.build.neural_dense import window
from sensewell.build.neural_graph import DIMS
from sensewell.build.neural_scale import ONE, fold
from sensewell.build.neural_step import Step


def pool(g):
    """Words as build/neural_dense.py has them, but 4: the average."""
    x, y = g.operands8(1, 1)
    g.same_quantisation(x, y)
    g.need(g.options != 0, "options")
    across = g.option(3)
    down = g.option(4)
    v = window(g, x, y, (down, across), 0)
    g.need(y.dims[3] == x.dims[3], "shape")
    low, high = g.activation(5, y)
    g.did(y.count, min(down, x.dims[1]) * min(across, x.dims[2]))
    step = Step("neural_pool.run", [0] * 4 + [int(g.code == 1)] + [0] * 4 + v + [0, 0, low + 128, high + 128])
    step.place(0, x.index)
    step.place(2, y.index)
    return step


def mean(g):
    x, y = g.operands8(2, 2)
    summed = [False] * DIMS
    n = len(x.dims)
    for axis in g.constants(1):
        axis = axis + n if axis < 0 else axis
        g.need(0 <= axis < n, "shape")
        summed[axis + DIMS - n] = True
    sizes = [x.dim(i) for i in range(DIMS)]
    steps = [1] * DIMS
    count = 1
    for i in range(DIMS):
        for k in range(i + 1, DIMS):
            steps[i] *= sizes[k]
        count *= sizes[i] if summed[i] else 1
    g.need(y.count == x.count // count and count <= 1 << 23, "shape")  # sums and offsets fit int32
    # one over the count goes into the multiplier, with as many bits as it has room for
    by = fold(x.scale, ONE, y.scale)
    bits = 0
    while count >> bits > 1:
        bits += 1
    bits = min(bits, 31 + by[1])
    words = [0, 0, 0, (by[0] << bits) // count, by[1] - bits + 32, (x.zero + 128) * count, y.zero + 128, 0, 0, 0, 0, 0]
    words += [1 if summed[i] else sizes[i] for i in range(DIMS)]
    words += [sizes[i] if summed[i] else 1 for i in range(DIMS)] + steps + [0] * (2 * DIMS)
    g.fits(by, 30)
    g.did(x.count, 1)
    step = Step("neural_mean.run", words)
    step.place(8, x.index)
    step.place(10, y.index)
    return step
