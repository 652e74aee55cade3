"""Linear models in bundles, deployed to a virtual ESP32-C3: their code and no other family's; decisions as here."""

from __future__ import annotations

from pathlib import Path

import linears
import numpy as np
import pytest
import tiny_bundle
from lcg import Lcg
from sensewell_host import pack, run
from sensewell_host.board import connect, virtual
from sensewell_host.dataset.recording import Recording
from sensewell_host.deploy import deploy

pytestmark = pytest.mark.skipif(not virtual.is_built("virt_c3"), reason="virt_c3 is not built: make board-virt_c3")

RNG = np.random.default_rng(5)
RECORDING = Recording("r", RNG.integers(-3000, 3000, (300, 2)).astype(np.int16), 50, "class0", "1")


def linear_bundle(n_classes: int, folder: Path) -> Path:
    manifest = tiny_bundle.manifest(n_classes=n_classes)
    manifest["model"]["family"] = "linear"
    model = linears.linear(*linears.grow(Lcg(n_classes), 5, n_classes if n_classes > 2 else 1), q=14)
    windows, rows = RNG.integers(-2000, 2000, (2, 16, 2)), RNG.integers(-3000, 3000, (6, 5))
    manifest["golden"], section = pack.golden(manifest, model, rows, windows)
    path = folder / f"linear{n_classes}.swb"
    path.write_bytes(pack.pack(manifest, {"model": model, "golden": section}))
    return path


def test_linear_models_run_where_they_are_deployed(tmp_path: Path) -> None:
    with virtual.session("virt_c3") as running, connect(running.address) as wire:
        for n_classes in (2, 4):
            path = linear_bundle(n_classes, tmp_path)
            done = deploy(wire, path, unsigned=True, again=True)
            assert not {"trees", "neural"} & set(done.native)
            wire.soft_reset()
            played = run.play([wire], [RECORDING], [run.Way("clean")])["clean"][0]
            host = run.play_on_host(path.read_bytes(), [RECORDING], [run.Way("clean")])["clean"][0]
            assert played.same(host) and len(played.decisions) == 36
            assert 0 in played.decisions["source"] and len(set(played.decisions["check"])) == 36
        wire.soft_reset()
        models = wire.exec(f"import os\nprint(*sorted(os.listdir('/slot/{done.slot}/sensewell/model')))").split()
        assert models == ["linear.mpy"]
