"""Random networks of one operator: odd shapes, paddings, steps, scales and zero points, for each operator there is.

A case is (what, .tflite bytes). Knows the schema through tests/device/tflites.py, and no interpreter.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable

from tflites import FLOAT32, INT8, INT16, INT32, UINT8, Model

Dice = random.Random
Case = tuple[str, bytes]
SHAPES = (1, 1, 2, 3, 4, 5, 7, 8, 11)


def scale(dice: Dice, low: float = -9, high: float = -2) -> float:
    """A scale between 2**low and 2**high, now and then a power of two."""
    power = dice.uniform(low, high)
    return 2.0 ** round(power) if dice.random() < 0.15 else 2.0**power


def zero(dice: Dice) -> int:
    return dice.choice([-128, 127, 0, 0, dice.randint(-128, 127), dice.randint(-128, 127)])


def numbers(dice: Dice, count: int, low: int = -127, high: int = 127) -> bytes:
    if dice.random() < 0.1:
        return bytes(dice.choice([low & 255, high & 255]) for _ in range(count))
    return bytes(dice.randint(low, high) & 255 for _ in range(count))


def words(dice: Dice, count: int, most: int) -> list[int]:
    return [dice.randint(-most, most) for _ in range(count)]


def act(m: Model, dice: Dice, shape: list[int], **more: float) -> int:
    """An int8 tensor with random quantisation."""
    return m.tensor(shape, INT8, more.get("scale", scale(dice)), int(more.get("zero", zero(dice))))


def flat(shape: list[int]) -> int:
    return math.prod(shape)


def weights(m: Model, dice: Dice, shape: list[int], channels: int, axis: int) -> int:
    per = dice.random() < 0.7
    scales = [scale(dice, -12, -5) for _ in range(channels)] if per else scale(dice, -12, -5)
    if per and dice.random() < 0.1:
        scales[dice.randrange(channels)] = 0.0
    return m.tensor(shape, INT8, scales, 0, numbers(dice, flat(shape)), axis=axis)


def fitting(dice: Dice, x_scale: float, depth: int) -> float:
    """An output scale with which sums of `depth` products neither vanish nor all saturate."""
    return x_scale * 2.0 ** dice.uniform(-9, -1) * math.sqrt(depth) * 2


def fully(dice: Dice) -> Case:
    m = Model()
    k, n, rows = (
        dice.choice([1, 2, 3, 4, 5, 9, 16, 31, 64, 200]),
        dice.choice([1, 2, 3, 4, 7, 16]),
        dice.choice([1, 1, 2, 5]),
    )
    s = scale(dice)
    shape = dice.choice([[rows, k], [1, rows, k]])
    x = act(m, dice, shape, scale=s)
    w = weights(m, dice, [n, k], n, 0)
    inputs = [x, w, m.tensor([n], INT32, s * m.scale_of(w), 0, words(dice, n, 4000)) if dice.random() < 0.8 else -1]
    keep = len(shape) == 3
    y = act(m, dice, [1, rows, n] if keep else [rows, n], scale=fitting(dice, s, k))
    m.op("FULLY_CONNECTED", inputs, [y], f0=("b", dice.randrange(4)), f2=("b", keep))
    return f"FULLY_CONNECTED {rows} {k} {n}", m.bytes([x], [y])


def windowed(dice: Dice, size: int) -> tuple[int, int, int, int, int]:
    """Padding, taps, step, spread and output size for an input of `size`."""
    while True:
        padding, taps, step, spread = (
            dice.randrange(2),
            dice.choice([1, 2, 3, 4, 5]),
            dice.choice([1, 1, 2, 3]),
            dice.choice([1, 1, 2, 3]),
        )
        reach = (taps - 1) * spread + 1
        if padding == 0:
            return 0, taps, step, spread, -(-size // step)
        if reach <= size:
            return 1, taps, step, spread, (size - reach) // step + 1


def convolution(dice: Dice) -> Case:
    m = Model()
    h, w = dice.choice(SHAPES), dice.choice(SHAPES)
    groups = dice.choice([1, 1, 1, 2, 3])
    c, n, batch = groups * dice.choice([1, 2, 3, 8]), groups * dice.choice([1, 2, 3, 5, 8]), dice.choice([1, 1, 2])
    while True:
        padding, fh, sh, dh, oh = windowed(dice, h)
        padding_w, fw, sw, dw, ow = windowed(dice, w)
        if padding == padding_w:
            break
    s = scale(dice)
    x = act(m, dice, [batch, h, w, c], scale=s)
    f = weights(m, dice, [n, fh, fw, c // groups], n, 0)
    inputs = [x, f]
    if dice.random() < 0.8:
        inputs.append(m.tensor([n], INT32, s * 0.01, 0, words(dice, n, 4000)))
    y = act(m, dice, [batch, oh, ow, n], scale=fitting(dice, s, fh * fw * c))
    fused = ("b", dice.randrange(4))
    m.op("CONV_2D", inputs, [y], f0=("b", padding), f1=("i", sw), f2=("i", sh), f3=fused, f4=("i", dw), f5=("i", dh))
    return f"CONV_2D {batch}x{h}x{w}x{c} {n}x{fh}x{fw} step {sh}x{sw} spread {dh}x{dw} pad {padding}", m.bytes([x], [y])


def depthwise(dice: Dice) -> Case:
    m = Model()
    h, w = dice.choice(SHAPES), dice.choice(SHAPES)
    c, times, batch = dice.choice([1, 2, 3, 8]), dice.choice([1, 1, 2, 3, 6]), dice.choice([1, 1, 2])
    while True:
        padding, fh, sh, dh, oh = windowed(dice, h)
        padding_w, fw, sw, dw, ow = windowed(dice, w)
        if padding == padding_w:
            break
    n = c * times
    s = scale(dice)
    x = act(m, dice, [batch, h, w, c], scale=s)
    inputs = [x, weights(m, dice, [1, fh, fw, n], n, 3)]
    if dice.random() < 0.8:
        inputs.append(m.tensor([n], INT32, s * 0.01, 0, words(dice, n, 4000)))
    y = act(m, dice, [batch, oh, ow, n], scale=fitting(dice, s, fh * fw))
    fused = ("b", dice.randrange(4))
    steps = {"f0": ("b", padding), "f1": ("i", sw), "f2": ("i", sh), "f3": ("i", times)}
    m.op("DEPTHWISE_CONV_2D", inputs, [y], f4=fused, f5=("i", dw), f6=("i", dh), **steps)
    return f"DEPTHWISE {batch}x{h}x{w}x{c}*{times} {fh}x{fw} step {sh}x{sw} spread {dh}x{dw} pad {padding}", m.bytes(
        [x], [y]
    )


def pool(dice: Dice) -> Case:
    m = Model()
    h, w, c, batch = dice.choice(SHAPES), dice.choice(SHAPES), dice.choice([1, 2, 3, 8]), dice.choice([1, 2])
    while True:
        padding, fh, sh, _, oh = windowed(dice, h)
        padding_w, fw, sw, _, ow = windowed(dice, w)
        if padding == padding_w:
            break
    if padding:
        if fh > h or fw > w:
            return pool(dice)
        oh, ow = (h - fh) // sh + 1, (w - fw) // sw + 1
    s, z = scale(dice), zero(dice)
    x, y = act(m, dice, [batch, h, w, c], scale=s, zero=z), act(m, dice, [batch, oh, ow, c], scale=s, zero=z)
    name = dice.choice(["MAX_POOL_2D", "AVERAGE_POOL_2D"])
    fused = ("b", dice.randrange(4))
    m.op(name, [x], [y], f0=("b", padding), f1=("i", sw), f2=("i", sh), f3=("i", fw), f4=("i", fh), f5=fused)
    return f"{name} {batch}x{h}x{w}x{c} {fh}x{fw} step {sh}x{sw} pad {padding}", m.bytes([x], [y])


def some_shape(dice: Dice, most: int = 4) -> list[int]:
    return [dice.choice(SHAPES) for _ in range(dice.randint(1, most))]


def mean(dice: Dice) -> Case:
    m = Model()
    shape = some_shape(dice)
    axes = dice.sample(range(len(shape)), dice.randint(1, len(shape)))
    keep = dice.randrange(2)
    s = scale(dice)
    x = act(m, dice, shape, scale=s)
    out = [1 if i in axes else d for i, d in enumerate(shape) if keep or i not in axes]
    named = [a - len(shape) if dice.random() < 0.3 else a for a in axes]
    a = m.tensor([] if len(axes) == 1 and dice.random() < 0.5 else [len(axes)], INT32, data=named)
    y = act(m, dice, out, scale=s * 2.0 ** dice.uniform(-3, 1))
    m.op("MEAN", [x, a], [y], f0=("b", keep))
    return f"MEAN {shape} {axes}", m.bytes([x], [y])


def curve(dice: Dice) -> Case:
    m = Model()
    name = dice.choice(["RELU", "RELU6", "LEAKY_RELU", "LOGISTIC", "TANH", "QUANTIZE"])
    shape = dice.choice([[256], [2, 128], [40], [1, 300], some_shape(dice)])
    s = scale(dice, -14, 3) if name in ("LOGISTIC", "TANH") else scale(dice)
    x = act(m, dice, shape, scale=s)
    if name == "LOGISTIC":
        y = act(m, dice, shape, scale=1 / 256, zero=-128)
    elif name == "TANH":
        y = act(m, dice, shape, scale=1 / 128, zero=0)
    elif name == "RELU6":
        y = m.tensor(shape, INT8, s, 0)
        m.tensors[y][4] = m.tensors[x][4]
    else:
        y = act(m, dice, shape, scale=s * 2.0 ** dice.choice([0, dice.uniform(-4, 2)]))
    alpha = dice.choice([0.1, 0.01, 0.3, 0.0, -0.5, 1.5, dice.random()])
    more = {"f0": ("f", alpha)} if name == "LEAKY_RELU" else {}
    m.op(name, [x], [y], **more)
    return f"{name} {shape}", m.bytes([x], [y])


def pair(dice: Dice) -> Case:
    m = Model()
    name = dice.choice(["ADD", "SUB", "MUL"])
    shape = some_shape(dice)
    other = list(shape)
    if dice.random() < 0.5:
        other = [d if dice.random() < 0.5 else 1 for d in shape][dice.randrange(len(shape)) :]
    if dice.random() < 0.3:
        shape, other = other, shape
    longest = max(len(shape), len(other))
    out = [
        max(a, b)
        for a, b in zip([1] * (longest - len(shape)) + shape, [1] * (longest - len(other)) + other, strict=True)
    ]
    s = scale(dice)
    t = s * 2.0 ** dice.choice([0, dice.uniform(-4, 4)])
    x = act(m, dice, shape, scale=s)
    inputs = [x]
    if dice.random() < 0.3:
        z = m.tensor(other, INT8, t, zero(dice), numbers(dice, flat(other), -128))
    else:
        z = act(m, dice, other, scale=t)
        inputs.append(z)
    y = act(
        m,
        dice,
        out,
        scale=(s * t * 2.0 ** dice.uniform(1, 8)) if name == "MUL" else max(s, t) * 2.0 ** dice.uniform(-3, 2),
    )
    m.op(name, [x, z], [y], f0=("b", dice.randrange(4)))
    return f"{name} {shape} {other}", m.bytes(inputs, [y])


def softmax(dice: Dice) -> Case:
    m = Model()
    shape = dice.choice([[1, 2], [1, 10], [3, 7], [2, 3, 5], [1, 255], [1, 1], [2, 511]])
    x, y = act(m, dice, shape, scale=scale(dice, -12, 3)), act(m, dice, shape, scale=1 / 256, zero=-128)
    m.op("SOFTMAX", [x], [y], f0=("f", dice.choice([1.0, 1.0, 0.5, 2.7])))
    return f"SOFTMAX {shape}", m.bytes([x], [y])


def cast(dice: Dice) -> Case:
    m = Model()
    shape = some_shape(dice)
    s = scale(dice)
    x_kind, y_kind = dice.choice(
        [
            (FLOAT32, INT8),
            (INT8, FLOAT32),
            (UINT8, INT8),
            (INT8, UINT8),
            (INT16, INT8),
            (INT8, INT16),
            (INT16, FLOAT32),
            (FLOAT32, INT16),
        ]
    )
    name = "DEQUANTIZE" if y_kind == FLOAT32 else "QUANTIZE"
    zeros = {INT8: zero(dice), UINT8: zero(dice) + 128, INT16: 0, FLOAT32: 0}
    ratio = 2.0 ** dice.choice([0, dice.uniform(-3, 3)])
    if x_kind == FLOAT32:
        x, y = m.tensor(shape, FLOAT32), m.tensor(shape, y_kind, s, zeros[y_kind])
    elif y_kind == FLOAT32:
        x, y = m.tensor(shape, x_kind, s, zeros[x_kind]), m.tensor(shape, FLOAT32)
    else:
        wide = 256.0 if x_kind == INT16 else 1.0
        x, y = m.tensor(shape, x_kind, s / wide, zeros[x_kind]), m.tensor(shape, y_kind, s * ratio, zeros[y_kind])
        if (x_kind, y_kind) in ((UINT8, INT8), (INT8, UINT8)) and dice.random() < 0.5:
            x, y = (
                m.tensor(shape, x_kind, s, 3 if x_kind == INT8 else 131),
                m.tensor(shape, y_kind, s, 3 if y_kind == INT8 else 131),
            )
    m.op(name, [x], [y])
    return f"{name} {x_kind} to {y_kind} {shape}", m.bytes([x], [y])


def moved(dice: Dice) -> Case:
    m = Model()
    name = dice.choice(["PAD", "PADV2", "STRIDED_SLICE", "TRANSPOSE", "RESHAPE", "EXPAND_DIMS", "SQUEEZE"])
    kind = dice.choice([INT8, INT8, FLOAT32]) if name in ("TRANSPOSE", "PAD") else INT8
    s, z = (scale(dice), zero(dice)) if kind == INT8 else (0.0, 0)
    shape = some_shape(dice)
    if name == "SQUEEZE":
        shape.insert(dice.randrange(len(shape) + 1), 1)
    x = m.tensor(shape, kind, s, z)
    inputs, more = [x], {}
    if name in ("PAD", "PADV2"):
        amounts = [dice.choice([0, 0, 1, 2, 3]) for _ in range(2 * len(shape))]
        out = [d + amounts[2 * i] + amounts[2 * i + 1] for i, d in enumerate(shape)]
        inputs.append(m.tensor([len(shape), 2], INT32, data=amounts))
        if name == "PADV2":
            inputs.append(m.tensor([1], kind, s, z, [dice.randint(-128, 127)]))
    elif name == "STRIDED_SLICE":
        return slices(dice, m, x, shape, s, z)
    elif name == "TRANSPOSE":
        order = dice.sample(range(len(shape)), len(shape))
        out = [shape[i] for i in order]
        inputs.append(m.tensor([len(shape)], INT32, data=order))
    elif name == "EXPAND_DIMS":
        axis = dice.randrange(len(shape) + 1)
        out = [*shape[:axis], 1, *shape[axis:]]
        inputs.append(m.tensor([1], INT32, data=[axis]))
    elif name == "SQUEEZE":
        out = [d for d in shape if d != 1]
    else:
        out = [flat(shape)]
        inputs.append(m.tensor([1], INT32, data=out))
    y = m.tensor(out, kind, s, z)
    m.op(name, inputs, [y], **more)
    return f"{name} {shape} {out}", m.bytes([x], [y])


def slices(dice: Dice, m: Model, x: int, shape: list[int], s: float, z: int) -> Case:
    begin, end, step, out = [], [], [], []
    masks = [0, 0, 0]
    for i, d in enumerate(shape):
        by = dice.choice([1, 1, 2, 3, -1, -2])
        first = dice.randrange(d)
        last = dice.randrange(d)
        if (last - first) * by < 0:
            first, last = last, first
        stop = last + (1 if by > 0 else -1)
        count = len(range(first, stop, by))
        open_begin, open_end = dice.random() < 0.2, dice.random() < 0.2
        if open_begin:
            masks[0] |= 1 << i
            first = 0 if by > 0 else d - 1
        if open_end:
            masks[1] |= 1 << i
            stop = d if by > 0 else -1
        shrinks = dice.random() < 0.15
        count = len(range(first, stop, by))
        if shrinks:
            masks[2] |= 1 << i
            by, open_begin = 1, False
            masks[0] &= ~(1 << i)
        else:
            out.append(count)
        begin.append(first - d if dice.random() < 0.3 else first)
        # "one before the first" can only be said by a number below -d
        end.append(-d - 1 if stop < 0 else stop - d if stop < d and dice.random() < 0.3 else stop)
        step.append(by)
    y = m.tensor(out, INT8, s, z)
    inputs = [x, *(m.tensor([len(shape)], INT32, data=values) for values in (begin, end, step))]
    m.op("STRIDED_SLICE", inputs, [y], f0=("i", masks[0]), f1=("i", masks[1]), f4=("i", masks[2]))
    return f"STRIDED_SLICE {shape} {begin} {end} {step} {masks}", m.bytes([x], [y])


def parts(dice: Dice) -> Case:
    m = Model()
    name = dice.choice(["CONCATENATION", "PACK", "SPLIT", "SPLIT_V", "UNPACK"])
    s, z = scale(dice), zero(dice)
    shape = some_shape(dice)
    axis = dice.randrange(len(shape))
    n = dice.randint(1, 5)
    named = axis - len(shape) if dice.random() < 0.3 else axis
    sizes = [dice.randint(1, 4) for _ in range(n)]
    if name == "SPLIT":
        sizes = [sizes[0]] * n
    if name in ("PACK", "UNPACK"):
        sizes = [1] * n
    whole_shape = [*shape[:axis], sum(sizes), *shape[axis + 1 :]]
    shapes = [[*shape[:axis], size, *shape[axis + 1 :]] for size in sizes]
    if name in ("PACK", "UNPACK"):
        shapes = [[*shape[:axis], *shape[axis + 1 :]]] * n
    many = [m.tensor(one, INT8, s, z) for one in shapes]
    one = m.tensor(whole_shape, INT8, s, z)
    what = f"{name} {whole_shape} along {axis}: {sizes}"
    if name == "CONCATENATION":
        m.op(name, many, [one], f0=("i", named))
        return what, m.bytes(many, [one])
    if name == "PACK":
        m.op(name, many, [one], f0=("i", n), f1=("i", named))
        return what, m.bytes(many, [one])
    if name == "UNPACK":
        m.op(name, [one], many, f0=("i", n), f1=("i", named))
    elif name == "SPLIT":
        m.op(name, [m.tensor([], INT32, data=[named]), one], many, f0=("i", n))
    else:
        m.op(name, [one, m.tensor([n], INT32, data=sizes), m.tensor([], INT32, data=[named])], many, f0=("i", n))
    return what, m.bytes([one], many)


def svdf(dice: Dice) -> Case:
    m = Model()
    rank, units, n, memory, batch = (
        dice.randint(1, 3),
        dice.randint(1, 6),
        dice.randint(1, 12),
        dice.randint(1, 8),
        dice.choice([1, 2]),
    )
    filters = rank * units
    kind = dice.choice([INT8, INT16])
    s, f, t = scale(dice), scale(dice, -9, -6), scale(dice, -9, -6)
    state_scale = s * f * 2.0 ** (dice.uniform(4, 8) if kind == INT8 else dice.uniform(-4, 0)) * math.sqrt(n)
    x = act(m, dice, [batch, n], scale=s)
    features = m.tensor([filters, n], INT8, f, 0, numbers(dice, filters * n))
    data = numbers(dice, filters * memory) if kind == INT8 else words(dice, filters * memory, 32767)
    times = m.tensor([filters, memory], kind, t, 0, data)
    bias = m.tensor([units], INT32, state_scale * t, 0, words(dice, units, 3000))
    state = m.tensor(
        [batch, filters * memory], kind, state_scale, dice.randint(-20, 20) if kind == INT8 else 0, variable=True
    )
    reach = 2.0 ** (13 if kind == INT8 else 29) / 128
    y = act(m, dice, [batch, units], scale=state_scale * t * reach * math.sqrt(rank * memory) / 4)
    m.op("SVDF", [x, features, times, bias, state], [y], f0=("i", rank))
    return f"SVDF {batch}x{n} rank {rank} units {units} memory {memory} {kind}", m.bytes([x], [y])


def lstm(dice: Dice) -> Case:
    m = Model()
    n, depth, times, batch = dice.randint(1, 9), dice.randint(1, 9), dice.randint(1, 6), dice.choice([1, 1, 3])
    major = dice.randrange(2)
    s, hidden_scale, power = scale(dice), scale(dice, -8, -6), dice.choice([-15, -13, -12, -11, -10])
    x = act(m, dice, [times, batch, depth] if major else [batch, times, depth], scale=s)
    inputs = [x]
    for wide in [depth] * 4 + [n] * 4:
        inputs.append(m.tensor([n, wide], INT8, scale(dice, -8, -4), 0, numbers(dice, n * wide)))
    inputs += [-1] * 3
    inputs += [m.tensor([n], INT32, s * 0.01, 0, words(dice, n, 3000)) for _ in range(4)]
    inputs += [-1] * 2
    hidden_zero = dice.randint(-20, 20)
    inputs.append(m.tensor([batch, n], INT8, hidden_scale, hidden_zero, variable=True))
    inputs.append(m.tensor([batch, n], INT16, 2.0**power, 0, variable=True))
    inputs += [-1] * 4
    y = m.tensor([times, batch, n] if major else [batch, times, n], INT8, hidden_scale, hidden_zero)
    clip = dice.choice([0.0, 0.0, 1.0, 0.37, 10.0])
    m.op("UNIDIRECTIONAL_SEQUENCE_LSTM", inputs, [y], f0=("b", 4), f1=("f", clip), f3=("b", major))
    return f"LSTM {batch}x{times}x{depth} to {n} major {major} cell 2**{power} clip {clip}", m.bytes([x], [y])


KINDS: dict[str, Callable[[Dice], Case]] = {
    "fully": fully,
    "convolution": convolution,
    "depthwise": depthwise,
    "pool": pool,
    "mean": mean,
    "curve": curve,
    "pair": pair,
    "softmax": softmax,
    "cast": cast,
    "moved": moved,
    "parts": parts,
    "svdf": svdf,
    "lstm": lstm,
}


def whole(dice: Dice, name: str) -> bytes:
    """A net of one curve over all 256 numbers, or of one operator over all 65,536 pairs."""
    m = Model()
    pairs = name in ("ADD", "SUB", "MUL")
    shape = [65536 if pairs else 256]
    s = scale(dice, -12, 2) if name in ("LOGISTIC", "TANH") else scale(dice)
    inputs = [act(m, dice, shape, scale=s)]
    fields = {}
    if pairs:
        t = s * 2.0 ** dice.uniform(-4, 4)
        inputs.append(act(m, dice, shape, scale=t))
        product = s * t * 2.0 ** dice.uniform(4, 9)
        y = act(m, dice, shape, scale=product if name == "MUL" else max(s, t) * 2.0 ** dice.uniform(-1, 2))
        fields = {"f0": ("b", 0)}
    elif name in ("LOGISTIC", "TANH"):
        y = m.tensor(shape, INT8, *((1 / 256, -128) if name == "LOGISTIC" else (1 / 128, 0)))
    else:
        y = act(m, dice, shape, scale=s * 2.0 ** dice.uniform(-3, 2))
        if name == "LEAKY_RELU":
            fields = {"f0": ("f", dice.choice([0.1, 0.01, 0.3, -0.5, 1.5, dice.random()]))}
    m.op(name, inputs, [y], **fields)
    return m.bytes(inputs, [y])
