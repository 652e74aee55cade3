"""The budgets of RAM on virt_c3, in viper and native: a node with a bundle of the size that the design names, and a
heap that stands still.

The bundle: 6 channels, windows of 100, 40 features with a spectrum, a forest of 10 x 100 leaves. Made here, of noise.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from sensewell_host import board as boards
from sensewell_host import pack, runtime
from sensewell_host.board import catalog, virtual
from sensewell_host.convert import forest
from sklearn.ensemble import RandomForestClassifier

BUDGET = {"viper": 48 * 1024, "native": 40 * 1024}
CLASSES = 7
BUILD_MODULES = "[name for name in sys.modules if name.startswith('sensewell.build') or name == 'sensewell.bundle']"

COMPOSE = f"""
import gc, sys
gc.collect()
before = gc.mem_alloc()
class Sensor:
    def read(self, row):
        return -1
from sensewell.node import compose
node = compose(Sensor(), "/bundle.swb", "virt_c3")
def deep(n):
    return n and deep(n - 1)
deep(9)  # what lay on the stack before is overwritten
gc.collect()
ram = gc.mem_alloc() - before
way = node.pipeline
print(ram, way.refusal or "-", len({BUILD_MODULES}), way.features.engine, way.model.engine)
"""

# 1,000 windows of recorded noise, one sample in 97 missing: the way of bad samples is on it too
RUN = """
import micropython, time
from array import array
pipeline = node.pipeline
pipeline.clock = time.ticks_us
rows = []
value = 1
for number in range(97):
    row = array("h", bytes(12))
    for c in range(6):
        value = (value * 1103 + 12345) & 0xFFFFF
        row[c] = (value >> 4) % 4000 - 2000
    rows.append(row)
rows[50][3] = -32768
def run(samples, t_ms):
    while samples:
        pipeline.feed(rows[samples % 97], t_ms)
        t_ms += 20
        samples -= 1
run(300, 20)
windows = pipeline.windows
bad = pipeline.bad
after = 0  # so that the name has its place before the heap is locked
gc.collect()
before = gc.mem_alloc()
micropython.heap_lock()
run(50000, 6020)
after = gc.mem_alloc()
micropython.heap_unlock()
print(after - before, pipeline.windows - windows, pipeline.bad - bad, *pipeline.sources)
"""


def manifest() -> dict[str, Any]:
    channels = [{"name": f"c{n}", "unit": "m/s2", "scale": 0.002, "offset": 0.0} for n in range(6)]
    features: list[dict[str, Any]] = []
    for name, more in (("mean", {}), ("std", {}), ("mcross", {}), ("band", {"lo": 10, "hi": 30})):
        features += [{"f": name, "c": c, **more} for c in range(8)]
    features += [{"f": "acorr", "c": c, "lag": 10} for c in range(6)]
    features += [{"f": "dom", "c": 6}, {"f": "dom", "c": 7}]
    assert len(features) == 40
    limits = {"sat_lo_raw": -32760, "sat_hi_raw": 32760, "spike_raw": 8192, "stuck_n": 8}
    return {
        "name": "budget",
        "version": 1,
        "what": "noise, in the shape of the budget",
        "boards": ["*"],
        "min_runtime": [0, 1],
        "rate_hz": 50,
        "channels": channels,
        "guard": {"gap_ms": 100, "channels": [limits] * 6},
        "bad_samples": {"policy": "hold", "fill_n": 5},
        "window": {"length": 100, "hop": 50, "min_quality_pct": 80},
        "derived": [{"norm": [0, 1, 2]}, {"norm": [3, 4, 5]}],
        "features": features,
        "labels": [f"class{k}" for k in range(CLASSES)] + ["unknown", "hot", "still"],
        "model": {"family": "trees", "section": "model", "n_classes": CLASSES},
        "rules": [
            {"name": "hot", "on": {"channel": 0}, "when": "above", "limit": 30000, "label": 8, "interlock": True},
            {"name": "still", "on": {"feature": 14}, "when": "below", "limit": 10, "label": 9},
        ],
        "arbiter": {
            "min_confidence_pct": 10,
            "smooth_n": 1,
            "smooth_m": 3,
            "hold_ms": 3000,
            "return_n": 2,
            "deadline_ms": 1000,
            "fallback_label": 7,
        },
    }


def bundle() -> bytes:
    rng = np.random.default_rng(1)
    x = rng.integers(-3000, 3000, (3000, 40)).astype(np.int16)
    y = rng.integers(0, CLASSES, len(x))
    fitted = RandomForestClassifier(10, max_leaf_nodes=100, random_state=1).fit(x, y)
    assert {tree.get_n_leaves() for tree in fitted.estimators_} == {100}
    made = manifest()
    model = forest.convert_forest(fitted, "hard", x[:500]).blob
    windows = rng.integers(-2000, 2000, (2, 100, 6))
    made["golden"], section = pack.golden(made, model, x[:16], windows)
    return pack.pack(made, {"model": model, "golden": section})


@pytest.fixture(scope="module", params=["viper", "native"])
def engine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def board(engine: str) -> Iterator[boards.Board]:
    if not virtual.is_built("virt_c3"):
        pytest.skip("virt_c3 is not built: make board-virt_c3")
    arch = catalog.load("virt_c3").arch
    native = runtime.native_modules(arch) if engine == "native" else {}
    if engine == "native" and not native:
        pytest.skip("the native modules are not built: make native")
    with virtual.session("virt_c3") as running, boards.connect(running.address) as wire:
        for target, content in runtime.files_for(arch, native=native)[0].items():
            wire.mkdirs(target.rpartition("/")[0])
            wire.put(target, content)
        wire.put("/bundle.swb", bundle())
        wire.put("/unsigned", b"")
        yield wire


def test_a_node_with_the_budgets_bundle_takes_no_more_than_its_ram(board: boards.Board, engine: str) -> None:
    board.soft_reset()
    ram, refusal, build_modules, *engines = board.exec(COMPOSE, timeout_s=60).split()
    print(f"RAM of a node with 40 features and 10 x 100 leaves: {ram} bytes of {BUDGET[engine]}")
    assert refusal == "-" and build_modules == "0" and engines == [engine, engine]
    assert int(ram) <= BUDGET[engine]


def test_the_heap_does_not_move_over_a_thousand_windows(board: boards.Board) -> None:
    board.soft_reset()
    board.exec(COMPOSE, timeout_s=60)
    moved, windows, bad, model, *_ = (int(word) for word in board.exec(RUN, timeout_s=240).split())
    assert windows == 1000 and bad > 500 and model > 500
    assert moved == 0
