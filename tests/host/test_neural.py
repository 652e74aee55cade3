"""The network engine on this PC: the C files built by gcc, equal to TensorFlow Lite Micro, and harmless whatever comes.

Comparisons need the `tflite-micro` wheel (PARITY_PYTHON may name a Python that has it); the rest always runs.
"""

from __future__ import annotations

import importlib
import importlib.util
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

HERE = Path(__file__).parent / "neural"
INPUTS = 2000  # of each whole net
sys.path.insert(0, str(HERE))

import cases  # noqa: E402
import parity  # noqa: E402
import whole_nets  # noqa: E402
from sensewell_host.convert import neural_plan  # noqa: E402
from sensewell_host.errors import SensewellError  # noqa: E402
from tflites import INT8, INT32, Model  # noqa: E402


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if shutil.which("gcc") is None:
        pytest.skip("gcc is not installed")
    path = tmp_path_factory.mktemp("neural") / "sw_neural.so"
    parity.compile_core(path)
    return path


@pytest.fixture(scope="module")
def device_tests(library: Path) -> Iterator[ModuleType]:
    """tests/device/test_neural.py with the engine of this PC in place of the native module."""
    forget()
    sys.path.insert(0, str(HERE / "engine"))
    importlib.import_module("sensewell_neural").library(str(library))
    spec = importlib.util.spec_from_file_location(
        "test_neural_on_this_pc", Path(__file__).parents[1] / "device" / "test_neural.py"
    )
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    sys.path.remove(str(HERE / "engine"))
    forget()


def forget() -> None:
    """What imports the engine, or not, is imported anew."""
    own = ("sensewell.model.neural", "sensewell.build.neural", "sensewell.kernel.neural_native", "sensewell_neural")
    for name in own:
        sys.modules.pop(name, None)
        package, _, last = name.rpartition(".")
        if package in sys.modules:
            vars(sys.modules[package]).pop(last, None)


def test_the_device_tests_pass_on_this_pc(device_tests: ModuleType) -> None:
    assert device_tests.neural.native is not None
    tests = [name for name in dir(device_tests) if name.startswith("test_")]
    for name in tests:
        getattr(device_tests, name)()
    assert len(tests) > 10


@pytest.mark.parametrize("kind", cases.KINDS)
def test_every_operator_equals_tensorflow_lite_micro(library: Path, kind: str) -> None:
    seen = parity.golden(str(library), "suite", kind, "60")
    assert seen["differ"] == 0, seen
    assert seen["nets"] >= 55 and seen["one_refuses"] == 0, seen
    assert seen["distinct"] > 100, seen


@pytest.mark.parametrize("name", [*whole_nets.made(), *whole_nets.real(), *whole_nets.ours()])
def test_whole_networks_equal_tensorflow_lite_micro(library: Path, name: str, tmp_path: Path) -> None:
    """Made here, in every workspace; the real models and our own, where they are."""
    found = {**whole_nets.made(), **whole_nets.real(), **whole_nets.ours()}
    (tmp_path / "net").write_bytes(found[name])
    seen = parity.golden(str(library), "model", str(tmp_path / "net"), str(INPUTS))
    assert seen["differ"] == 0 and seen["inputs"] == INPUTS, seen
    assert seen["distinct"] > 100, seen


def test_all_inputs_of_all_curves_equal_tensorflow_lite_micro(library: Path) -> None:
    seen = parity.golden(str(library), "all", "all", "60")
    assert seen["differ"] == 0 and seen["nets"] >= 400, seen


def chain() -> bytes:
    """Tensors of different sizes in a row, and one that lives from the first to the last operator."""
    m = Model()
    sizes = (16, 400, 64, 400, 16)
    x = m.tensor([16], INT8, 0.5, 0)
    t = [m.tensor([size], INT8, 0.5, 0) for size in sizes]
    m.op("RELU", [x], [t[0]])
    for k in range(4):
        pads = m.tensor([1, 2], INT32, data=[0, max(0, sizes[k + 1] - sizes[k])])
        ends = [m.tensor([1], INT32, data=[n]) for n in (0, sizes[k + 1], 1)]
        grows = sizes[k + 1] > sizes[k]
        m.op("PAD" if grows else "STRIDED_SLICE", [t[k], pads] if grows else [t[k], *ends], [t[k + 1]])
    y = m.tensor([16], INT8, 1.0, 0)
    m.op("ADD", [t[0], t[4]], [y])
    return m.bytes([x], [y])


def test_a_plan_made_here_is_proven_and_changes_no_answer(device_tests: ModuleType) -> None:
    neural = device_tests.neural
    data = chain()
    plan = neural_plan.plan(data)
    assert plan.peak == 16 + 400 + 64 and plan.peak_op == 2
    assert plan.peak <= plan.bytes <= plan.peak + 48
    assert sum(offset >= 0 for offset in plan.offsets) == 5
    planned = neural_plan.embed(data, plan.offsets)
    again = neural_plan.embed(planned, plan.offsets)
    answers = []
    for file in (data, planned, again):
        net, out = neural.open(file), np.zeros(16, np.int8)
        net.predict(np.arange(-8, 8, dtype=np.int8), out)
        answers.append(out.tolist())
    assert answers[0] == answers[1] == answers[2] and len(set(answers[0])) > 4
    wrong = list(plan.offsets)
    live = [k for k, offset in enumerate(wrong) if offset >= 0]
    wrong[live[1]] = wrong[live[0]]
    assert device_tests.refusal(neural_plan.embed(data, tuple(wrong))) == "neural.plan"
    assert device_tests.refusal(neural_plan.embed(data, plan.offsets[:-1])) == "neural.plan"


def test_what_the_planner_cannot_read_is_said() -> None:
    with pytest.raises(SensewellError, match="TFL3"):
        neural_plan.plan(b"\0" * 64)
    with pytest.raises(SensewellError, match="outside"):
        neural_plan.plan(chain()[:200])
