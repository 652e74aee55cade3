"""A network in a bundle, deployed to a virtual ESP32-C3: native code for it and no other, decisions as on the host."""

from __future__ import annotations

from pathlib import Path

import nets
import numpy as np
import pytest
from sensewell_host import c_kernels, pack, run, runtime
from sensewell_host.board import connect, virtual
from sensewell_host.dataset.recording import Recording
from sensewell_host.deploy import deploy

pytestmark = pytest.mark.skipif(not virtual.is_built("virt_c3"), reason="virt_c3 is not built: make board-virt_c3")

RNG = np.random.default_rng(5)
RECORDING = Recording("r", RNG.integers(-3000, 3000, (300, 2)).astype(np.int16), 50, "class0", "1")
ENGINE = """
from sensewell.node import compose
class Sensor:
    def read(self, row):
        return -1
node = compose(Sensor(), {path!r}, "virt_c3")
print(node.pipeline.model.engine, node.pipeline.refusal or "-")
"""


def bundle(output: str, folder: Path) -> Path:
    manifest, model = nets.manifest("window", output), nets.network("window", output)
    manifest["golden"], section = pack.golden(manifest, model, None, RNG.integers(-2000, 2000, (2, 16, 2)))
    path = folder / f"{output}.swb"
    path.write_bytes(pack.pack(manifest, {"model": model, "golden": section}))
    return path


def test_networks_run_where_they_are_deployed(tmp_path: Path) -> None:
    if "sensewell_neural" not in runtime.native_modules("rv32imc"):
        pytest.skip("the native modules are not built: make native")
    if not c_kernels.use_neural():
        pytest.skip("there is no C compiler")
    bundles = {output: bundle(output, tmp_path) for output in ("anomaly", "value")}
    with virtual.session("virt_c3") as running, connect(running.address) as wire:
        for output, path in bundles.items():
            done = deploy(wire, path, unsigned=True, again=True)
            assert done.native == ("features", "neural")
            wire.soft_reset()
            played = run.play([wire], [RECORDING], [run.Way("clean")])["clean"][0]
            host = run.play_on_host(path.read_bytes(), [RECORDING], [run.Way("clean")])["clean"][0]
            assert played.same(host) and len(played.decisions) == 36
            assert set(played.decisions["source"]) == {0} and len(set(played.decisions["check"])) == 36
            assert (len(set(played.decisions["value"])) > 9) == (output == "value")
        wire.soft_reset()
        assert wire.exec(ENGINE.format(path=f"/slot/{done.slot}.swb")).split()[-2:] == ["native", "-"]
