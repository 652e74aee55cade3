"""Compares the engine with TensorFlow Lite Micro, byte for byte; a program of its own: the reference may live in
another Python.

    parity.py LIBRARY suite KIND|every NETS | model FILE INPUTS | all all NETS   -> a line of JSON: what was counted

LIBRARY: the C core as a shared object, or "viper": the viper kernels, as CPython runs them.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import subprocess
import sys
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

REFERENCE = "0.dev20261023182759"
CORE = Path(__file__).parents[3] / "device" / "native" / "neural"
DTYPES = {0: np.float32, 2: np.int32, 3: np.uint8, 7: np.int16, 9: np.int8}


def compile_core(path: Path) -> None:
    """The C core as a shared object."""
    command = ["gcc", "-std=c99", "-O2", "-Wall", "-Wextra", "-Werror", "-fPIC", "-shared"]
    subprocess.run([*command, "-o", str(path), str(CORE / "sw_neural.c")], check=True)


def golden(*arguments: str) -> dict[str, int]:
    """Runs parity.py under a Python that has the reference interpreter; skips where there is none."""
    python = os.environ.get("PARITY_PYTHON", sys.executable)
    import pytest

    probe = subprocess.run([python, "-c", "import tflite_micro"], capture_output=True)
    if probe.returncode:
        pytest.skip("tflite-micro is not installed (pip install tflite-micro==" + REFERENCE + ")")
    ran = subprocess.run([python, __file__, *arguments], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr[-2000:]
    result: dict[str, int] = json.loads(ran.stdout.splitlines()[-1])
    print(result)
    return result


class Ours:
    """A net on our engine; ValueError where it is refused."""

    def __init__(self, data: bytes) -> None:
        import sensewell_neural as engine

        self.engine, self.model, facts = engine, bytearray(data), array("i", [0] * 9)
        if engine.measure(self.model, facts):
            raise ValueError
        self.net, work = bytearray(facts[0]), bytearray(facts[1])
        if engine.prepare(self.model, self.net, work, facts):
            raise ValueError
        self.arena = bytearray(facts[2] + 4)
        self.n_ops, self.work = facts[5], facts[6]
        self.inputs = [self.port(k) for k in range(facts[3])]
        self.outputs = [self.port(facts[3] + k) for k in range(facts[4])]
        self.reset()

    def port(self, number: int) -> tuple[Any, tuple[int, ...]]:
        about = array("i", [0] * 12)
        self.engine.describe(self.model, self.net, number, about)
        return DTYPES[about[2]], tuple(about[4 : 4 + about[3]])

    def reset(self) -> None:
        self.engine.reset(self.model, self.net, self.arena)

    def run(self, inputs: list[Any]) -> list[Any]:
        outputs = [np.zeros(shape, dtype) for dtype, shape in self.outputs]
        held = [np.ascontiguousarray(one).reshape(-1) for one in inputs] + [one.reshape(-1) for one in outputs]
        for number, one in enumerate(held):
            assert self.engine.bind(self.net, number, one) == 0
        assert self.engine.predict(self.model, self.net, self.arena) == 0
        return outputs


class Viper:
    """A net on the text of the viper kernels, as CPython runs it; ValueError where it is refused."""

    def __init__(self, data: bytes) -> None:
        from sensewell.kernel.neural_viper import Net

        self.net = Net(bytearray(data))
        names = {"f": 0, "i": 2, "B": 3, "h": 7, "b": 9}
        self.inputs = [(DTYPES[names[port.dtype]], port.shape) for port in self.net.inputs]
        self.outputs = [(DTYPES[names[port.dtype]], port.shape) for port in self.net.outputs]

    def reset(self) -> None:
        self.net.reset()

    def run(self, inputs: list[Any]) -> list[Any]:
        outputs = [np.zeros(shape, dtype) for dtype, shape in self.outputs]
        flat = [memoryview(np.ascontiguousarray(one).reshape(-1)) for one in [*inputs, *outputs]]
        self.net.predict(flat[: len(inputs)], flat[len(inputs) :])
        return outputs


class Theirs:
    """The same on the reference; ValueError where it refuses."""

    def __init__(self, data: bytes) -> None:
        from tflite_micro.python.tflite_micro import runtime

        try:
            with silence():
                self.net = runtime.Interpreter.from_bytes(data, arena_size=10 * len(data) + 400_000)
        except RuntimeError:
            raise ValueError from None

    def reset(self) -> None:
        self.net.reset()

    def run(self, inputs: list[Any], n_outputs: int) -> list[Any]:
        for number, one in enumerate(inputs):
            self.net.set_input(one, number)
        self.net.invoke()
        return [np.asarray(self.net.get_output(k)) for k in range(n_outputs)]


@contextlib.contextmanager
def silence() -> Iterator[None]:
    """What the reference prints from C when it refuses."""
    kept = os.dup(2)
    with open(os.devnull, "w") as null:
        os.dup2(null.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)


def numbers(rng: np.random.Generator, dtype: Any, shape: tuple[int, ...], turn: int) -> Any:
    """Noise of full range and, every other turn, of a narrow band."""
    if dtype == np.float32:
        return np.asarray(rng.normal(size=shape) * 10.0 ** rng.integers(-3, 3), dtype)
    low, high = np.iinfo(dtype).min, np.iinfo(dtype).max
    if turn % 2:
        middle = int(rng.integers(low, high + 1))
        return np.asarray(np.clip(middle + rng.integers(-20, 21, shape), low, high), dtype)
    return np.asarray(rng.integers(low, high + 1, shape), dtype)


class Count:
    """What was compared: nets, numbers, differing bytes, distinct outputs."""

    def __init__(self, engine: type = Ours) -> None:
        self.engine = engine
        kinds = ("nets", "inputs", "numbers", "differ", "both_refuse", "one_refuses")
        self.seen: dict[str, int] = dict.fromkeys(kinds, 0)
        self.outputs: set[bytes] = set()

    def nets(self, data: bytes) -> tuple[Ours | Viper, Theirs] | None:
        made: list[Any] = []
        for kind in (self.engine, Theirs):
            with contextlib.suppress(ValueError):
                made.append(kind(data))
        if len(made) < 2:
            self.seen["one_refuses" if made else "both_refuse"] += 1
            return None
        self.seen["nets"] += 1
        return made[0], made[1]

    def compare(self, ours: Ours | Viper, theirs: Theirs, inputs: list[Any]) -> None:
        self.seen["inputs"] += 1
        a, b = ours.run(inputs), theirs.run(inputs, len(ours.outputs))
        for mine, expected in zip(a, b, strict=True):
            self.seen["numbers"] += mine.size
            same = np.frombuffer(mine.tobytes(), np.uint8) != np.frombuffer(expected.tobytes(), np.uint8)
            self.seen["differ"] += int(same.sum())
            self.outputs.add(mine.tobytes()[:256])


def suite(count: Count, kind: str, n: int, seed: int = 1) -> None:
    """n random nets of a kind, or of every kind; a few inputs each; recurrent ones are reset in the middle."""
    import cases

    if kind == "every":
        for one in cases.KINDS:
            suite(count, one, n, seed)
        return
    dice, rng = random.Random(f"{kind} {seed}"), np.random.default_rng(seed)
    for _ in range(n):
        _, data = cases.KINDS[kind](dice)
        pair = count.nets(data)
        for turn in range(6 if pair else 0):
            ours, theirs = pair  # type: ignore[misc]
            if turn == 4:
                ours.reset()
                theirs.reset()
            count.compare(ours, theirs, [numbers(rng, *port, turn) for port in ours.inputs])


def model(count: Count, path: str, n: int) -> None:
    pair = count.nets(Path(path).read_bytes())
    assert pair, "refused"
    rng = np.random.default_rng(3)
    for turn in range(n):
        if turn % 7 == 0:
            pair[0].reset()
            pair[1].reset()
        count.compare(*pair, [numbers(rng, *port, turn) for port in pair[0].inputs])


def everything(count: Count, n: int) -> None:
    """All 256 inputs of curves, all 65,536 pairs of sums and products, over n scales and zero points each."""
    import cases

    one = np.arange(-128, 128, dtype=np.int8)
    for name in ("RELU", "LEAKY_RELU", "QUANTIZE", "LOGISTIC", "TANH", "ADD", "SUB", "MUL"):
        dice = random.Random(name)
        for _ in range(n):
            pair = count.nets(cases.whole(dice, name))
            if pair:
                both = len(pair[0].inputs) == 2
                count.compare(*pair, [np.repeat(one, 256), np.tile(one, 256)] if both else [one])


def main() -> None:
    library, what, which, n = sys.argv[1:5]
    here = Path(__file__).parent
    sys.path[:0] = [str(here), str(here.parents[1] / "device"), str(here.parents[2] / "device")]
    if library != "viper":
        sys.path.insert(0, str(here / "engine"))
        import sensewell_neural

        sensewell_neural.library(library)
    count = Count(Viper if library == "viper" else Ours)
    if what == "suite":
        suite(count, which, int(n), int(sys.argv[5]) if len(sys.argv) > 5 else 1)
    elif what == "model":
        model(count, which, int(n))
    else:
        everything(count, int(n))
    print(json.dumps({**count.seen, "distinct": len(count.outputs)}))


if __name__ == "__main__":
    main()
