"""Networks in viper, as CPython runs the text: equal to TensorFlow Lite Micro, and of one mind with the C engine on
what is refused and why. The same text on boards: tests/on_boards/test_neural_boards.py.
"""

from __future__ import annotations

import importlib
import random
import struct
import sys
from array import array
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from sensewell_host import runtime

HERE = Path(__file__).parent / "neural"
sys.path.insert(0, str(HERE))

import cases  # noqa: E402
import parity  # noqa: E402
from sensewell.build.neural import REASONS  # noqa: E402
from sensewell.refusal import Refused  # noqa: E402
from tflites import INT8, INT16, Model  # noqa: E402

MOST_WORK = 5000  # of nets that are run after a mutation


@pytest.fixture(scope="module")
def native(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModuleType]:
    """The C engine under the native module's name."""
    path = tmp_path_factory.mktemp("neural") / "sw_neural.so"
    try:
        parity.compile_core(path)
    except FileNotFoundError:
        pytest.skip("gcc is not installed")
    kept = sys.modules.pop("sensewell_neural", None)  # another file may have left the host's own
    sys.path.insert(0, str(HERE / "engine"))
    engine = importlib.import_module("sensewell_neural")
    engine.library(str(path))
    yield engine
    sys.path.remove(str(HERE / "engine"))
    sys.modules.pop("sensewell_neural", None)
    if kept:
        sys.modules["sensewell_neural"] = kept


def test_every_operator_in_viper_equals_tensorflow_lite_micro() -> None:
    seen = parity.golden("viper", "suite", "every", "12", "2")
    assert seen["differ"] == 0 and seen["one_refuses"] == 0, seen
    assert seen["nets"] >= 12 * len(cases.KINDS) - 4 and seen["distinct"] > 500, seen


def test_all_inputs_of_all_curves_in_viper_equal_tensorflow_lite_micro() -> None:
    seen = parity.golden("viper", "all", "all", "1")
    assert seen["differ"] == 0 and seen["nets"] == 8 and seen["distinct"] == 8, seen


def mutated(dice: random.Random, data: bytes) -> bytes:
    """One or two places changed: bits, bytes, or whole words to what tends to hurt; now and then cut short."""
    made = bytearray(data)
    for _ in range(dice.randint(1, 2)):
        at = dice.randrange(len(made))
        way = dice.randrange(4)
        if way == 0:
            made[at] ^= 1 << dice.randrange(8)
        elif way == 1:
            made[at] = dice.randrange(256)
        elif at // 4 * 4 + 4 <= len(made):
            at = at // 4 * 4
            near = int.from_bytes(made[at : at + 4], "little") + dice.randint(-4, 4)
            words = (0, 1, 0xFFFFFFFF, 0x7FFFFFFF, 0x80000000, dice.randrange(32), len(made) - at, near)
            made[at : at + 4] = (dice.choice(words) & 0xFFFFFFFF).to_bytes(4, "little")
    return bytes(made[: dice.randrange(len(made))] if dice.random() < 0.03 else made)


def chain(planned: bool) -> bytes:
    """Several operators, a tensor that lives long, one that shares memory, a state; with a memory plan of its own."""
    m = Model()
    x = m.tensor([1, 16], INT8, 0.5, 3)
    a, b, d, y = (m.tensor([1, 16], INT8, 0.5, 3) for _ in range(4))
    c = m.tensor([4, 4], INT8, 0.5, 3)
    z = m.tensor([1, 2], INT8, 0.25, 0)
    w = m.tensor([2, 16], INT8, 0.5, 0, [k - 16 for k in range(32)])
    times = m.tensor([2, 3], INT16, 1.0, 0, [1, 2, 3, -1, -2, -3])
    state = m.tensor([1, 6], INT16, 0.25, 0, variable=True)
    m.op("QUANTIZE", [x], [a])
    m.op("RELU", [a], [b])
    m.op("RESHAPE", [b], [c])
    m.op("RESHAPE", [c], [d])
    m.op("ADD", [a, d], [y], f0=("b", 1))
    m.op("SVDF", [y, w, times, -1, state], [z], f0=("i", 1))
    if planned:
        offsets = [-1, 0, 16, -1, -1, -1, -1, -1, -1, 64]
        data = struct.pack("<13i", 1, 0, len(offsets), *offsets)
        m.metadata.append({0: ("o", "OfflineMemoryAllocation"), 1: ("I", m.buffer(data))})
    return m.bytes([x], [y, z])


def said_by_c(engine: ModuleType, model: bytearray) -> tuple[str, int, int]:
    """(reason or "", operator, work)"""
    facts = array("i", bytes(36))
    verdict = engine.measure(model, facts)
    if not verdict and max(facts[0], facts[1]) < 1 << 26:
        verdict = engine.prepare(model, bytearray(facts[0]), bytearray(facts[1]), facts)
    return ("neural." + REASONS.split()[verdict - 1] if verdict else ""), facts[7], facts[6]


def said_by_viper(model: bytearray) -> tuple[str, int, Any]:
    from sensewell.kernel.neural_viper import Net

    try:
        return "", -1, Net(model)
    except Refused as refused:
        _, _, where = str(refused).partition(": operator ")
        return refused.reason, int(where.split(",")[0]) if where else -1, None


def outputs(net: Any, ports: list[tuple[Any, tuple[int, ...]]], seed: int) -> bytes:
    rng = np.random.default_rng(seed)
    net.reset()
    return b"".join(one.tobytes() for _ in range(2) for one in net.run([parity.numbers(rng, *p, 0) for p in ports]))


def compare(engine: ModuleType, n: int, seed: int) -> Counter[str]:
    """n mutations of each of a few nets of every kind, on both; what was decided, and how often they disagree."""
    dice = random.Random(seed)
    seen: Counter[str] = Counter()
    makers = [*cases.KINDS.values(), lambda _: ("chain", chain(False)), lambda _: ("planned", chain(True))]
    for kind in makers:
        for _ in range(4):
            _, data = kind(dice)
            for _ in range(n):
                model = bytearray(mutated(dice, data))
                reason, op, work = said_by_c(engine, model)
                if not reason and work > 1 << 26:
                    continue
                own, own_op, net = said_by_viper(model)
                assert own == reason and (not reason or own_op == op), (own, own_op, reason, op, model.hex())
                seen[reason or "sound"] += 1
                if net and work <= MOST_WORK and max(port.n for port in net.inputs + net.outputs) <= 4096:
                    theirs, ours = parity.Ours(model), parity.Viper(model)
                    a, b = outputs(theirs, theirs.inputs, seen["sound"]), outputs(ours, theirs.inputs, seen["sound"])
                    assert a == b, model.hex()
                    seen["run"] += 1
    return seen


def test_mutated_networks_are_judged_as_the_c_engine_judges_them(native: ModuleType) -> None:
    seen = compare(native, 60, 5)
    print(seen)
    assert sum(seen.values()) - seen["run"] > 2000
    assert seen["sound"] > 300 and seen["run"] > 300 and len(seen) > 10, seen


def test_a_firmware_with_tensorflow_lite_micro_uses_that(monkeypatch: pytest.MonkeyPatch) -> None:
    # what is imported below stays the attribute of its package, which `from sensewell.model import neural` asks first
    monkeypatch.setattr(importlib.import_module("sensewell.model"), "neural", None, raising=False)
    for name in ("sensewell.model.neural", "sensewell.model.neural_tflm"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setitem(sys.modules, "sensewell_neural", None)  # type: ignore[arg-type]
    monkeypatch.setitem(sys.modules, "sensewell_tflm", ModuleType("sensewell_tflm"))
    assert importlib.import_module("sensewell.model.neural").Net.engine == "tflm"
    monkeypatch.delitem(sys.modules, "sensewell.model.neural")
    monkeypatch.setitem(sys.modules, "sensewell.model.neural_tflm", None)  # type: ignore[arg-type]
    assert importlib.import_module("sensewell.model.neural").Net.engine == "viper"
    monkeypatch.delitem(sys.modules, "sensewell.model.neural")


def test_a_board_gets_the_viper_text_or_the_native_module_and_not_both() -> None:
    asked = ("sensewell.model.neural",)
    in_viper = {name for name in runtime.modules_for((), asked) if "neural" in name}
    native = {name for name in runtime.modules_for((), asked, ("sensewell_neural",)) if "neural" in name}
    assert native == {"sensewell.model.neural", "sensewell.build.neural", "sensewell.kernel.neural_native"}
    own = {name for name in runtime.all_modules() if "neural" in name and "tflm" not in name}
    assert in_viper == own - {"sensewell.kernel.neural_native"}
