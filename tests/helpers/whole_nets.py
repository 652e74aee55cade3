"""Whole networks that tests and figures are about: some made here, the real models where they lie, our own where they
are built. Knows where they lie; runs nothing.
"""

from __future__ import annotations

import math
import random
from pathlib import Path

import nets
from sensewell.bundle import Bundle
from sensewell_host.convert.neural_plan import Reader
from tflites import INT8, INT32, Model

ROOT = Path(__file__).parents[2]
MODELS = ROOT.parent / "shared" / "data" / "tflite_models"
# operators by their number in the schema
CONV_2D, DEPTHWISE_CONV_2D, FULLY_CONNECTED, SVDF, LSTM = 3, 4, 9, 27, 44


def made() -> dict[str, bytes]:
    """Always there: a 1-D CNN, an autoencoder, a net of values, one that remembers. Random weights."""
    return {
        "generated 1-D CNN": cnn(),
        "generated autoencoder": nets.autoencoder(32),
        "generated value": nets.value(40),
        "generated memory": nets.remembering(6),
    }


def real() -> dict[str, bytes]:
    """The real models, by their names."""
    return {path.stem: path.read_bytes() for path in sorted(MODELS.glob("*.tflite"))}


def ours() -> dict[str, bytes]:
    """Those of the bundles under build/models."""
    found = {}
    for path in sorted((ROOT / "build" / "models").glob("*/*.swb")):
        bundle = Bundle.open(path.read_bytes())
        model = bundle.manifest.get("model") or {}
        if model.get("family") == "neural":
            found[path.stem] = bytes(bundle.sections[model["section"]])
    return found


def cnn() -> bytes:
    """A window of 100 x 6: two convolutions over time, a maximum, a mean, seven classes."""
    m, dice = Model(), random.Random(3)

    def noise(shape: list[int], scale: float) -> int:
        data = bytes(dice.randrange(1, 256) for _ in range(math.prod(shape)))
        return int(m.tensor(shape, INT8, scale, 0, data))

    def bias(n: int, scale: float) -> int:
        return int(m.tensor([n], INT32, scale, 0, [dice.randint(-900, 900) for _ in range(n)]))

    x = m.tensor([1, 1, 100, 6], INT8, 1 / 16, 0)
    a, b = m.tensor([1, 1, 100, 16], INT8, 1 / 4, -128), m.tensor([1, 1, 50, 16], INT8, 1 / 4, -128)
    c, d = m.tensor([1, 1, 50, 32], INT8, 1.0, -128), m.tensor([1, 32], INT8, 1 / 8, -128)
    e, y = m.tensor([1, 7], INT8, 1 / 4, 0), m.tensor([1, 7], INT8, 1 / 256, -128)
    step = {"f0": ("b", 0), "f1": ("i", 1), "f2": ("i", 1), "f3": ("b", 1)}
    m.op("CONV_2D", [x, noise([16, 1, 5, 6], 1 / 128), bias(16, 1 / 2048)], [a], **step)
    m.op("MAX_POOL_2D", [a], [b], f0=("b", 1), f1=("i", 2), f2=("i", 1), f3=("i", 2), f4=("i", 1))
    m.op("CONV_2D", [b, noise([32, 1, 5, 16], 1 / 128), bias(32, 1 / 512)], [c], **step)
    m.op("MEAN", [c, m.tensor([2], INT32, data=[1, 2])], [d], f0=("b", 0))
    m.op("FULLY_CONNECTED", [d, noise([7, 32], 1 / 128), bias(7, 1 / 1024)], [e])
    m.op("SOFTMAX", [e], [y], f0=("f", 1.0))
    return bytes(m.bytes([x], [y]))


def macs(data: bytes) -> int:
    """Multiply-accumulates of a prediction, by the shapes; what is no product of a weight counts nothing."""
    r = Reader(data)
    root = r.follow(0)
    [graph] = r.tables(root, 2)
    codes = [max(r.value(code, 0, "b"), r.value(code, 3, "i")) for code in r.tables(root, 1)]
    tensors = r.tables(graph, 0)
    total = 0
    for op in r.tables(graph, 3):
        inputs, outputs = r.numbers(op, 1), r.numbers(op, 2)
        shapes = [r.numbers(tensors[number], 0) if number >= 0 else [] for number in inputs]
        numbers = math.prod(r.numbers(tensors[outputs[0]], 0))
        code = codes[r.value(op, 0, "I")]
        if code == CONV_2D:
            total += numbers * math.prod(shapes[1][1:])
        elif code == DEPTHWISE_CONV_2D:
            total += numbers * math.prod(shapes[1][1:3])
        elif code == FULLY_CONNECTED:
            total += numbers * shapes[1][-1]
        elif code == SVDF:
            total += math.prod(shapes[1]) + math.prod(shapes[2])
        elif code == LSTM:  # four gates, each over the input and over the output before
            total += 4 * math.prod(shapes[0][:-1]) * (math.prod(shapes[1]) + math.prod(shapes[5]))
    return total
