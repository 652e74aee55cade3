"""Networks in bundles on the host: packed, proven and replayed by the engine that boards have, in C."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import nets
import numpy as np
import pytest
from sensewell.bundle import Bundle
from sensewell.pipeline import Pipeline
from sensewell_host import c_kernels, device_run, pack, run, runtime
from sensewell_host.convert import neural_take
from sensewell_host.errors import SensewellError

ROOT = Path(__file__).parents[2]
RNG = np.random.default_rng(4)


@pytest.fixture(autouse=True)
def compiler() -> None:
    if not c_kernels.use_neural():
        pytest.skip("there is no C compiler")


def test_the_device_tests_pass_on_them() -> None:
    folders = [ROOT / "device", ROOT / "tests" / "device", ROOT / "tests" / "on_boards", device_run.NATIVE_MODULES]
    for name in ("test_net", "test_net_proof", "test_net_refused", "test_neural"):
        script = f"import sys; sys.path[:0] = {[str(folder) for folder in folders]!r}; import runner; "
        script += f"runner.run({name!r}); import nets; print(nets.engine(), 'ctypes' in sys.modules)"
        script = "import sys, traceback; sys.print_exception = traceback.print_exception; " + script
        ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
        *said, done, engine = ran.stdout.splitlines()
        assert done.startswith("DONE ") and done.endswith(" 0") and len(said) > 1, ran.stdout + ran.stderr
        assert engine == "True True"


def packed(seen: str, output: str) -> tuple[dict[str, Any], bytes, np.ndarray[Any, Any]]:
    manifest, model = nets.manifest(seen, output), nets.network(seen, output)
    windows = RNG.integers(-2000, 2000, (3, 16, 2))
    rows = RNG.integers(-3000, 3000, (6, 5)) if seen == "features" else None
    manifest["golden"], section = pack.golden(manifest, model, rows, windows)
    return manifest, pack.pack(manifest, {"model": model, "golden": section}), windows


@pytest.mark.parametrize(("seen", "output"), nets.WAYS)
def test_a_packed_network_proves_itself(seen: str, output: str, tmp_path: Path) -> None:
    manifest, data, _ = packed(seen, output)
    bundle = Bundle.open(data)
    pipeline = Pipeline(bundle)
    assert pipeline.model.engine == "native"
    bundle.prove(pipeline)
    (tmp_path / "net.swb").write_bytes(data)
    assert pack.inspect(tmp_path / "net.swb")["manifest"]["golden"] == {
        "section": "golden", "rows": 6 if seen == "features" else 0, "windows": 3,
    }  # fmt: skip
    assert manifest["golden"]["rows"] == (0 if seen == "window" else 6)


def test_a_wrong_golden_answer_is_refused_at_packing() -> None:
    manifest, model = nets.manifest(), nets.network()
    manifest["golden"], section = pack.golden(manifest, model, None, RNG.integers(-2000, 2000, (1, 16, 2)))
    wrong = section[:-1] + bytes([section[-1] ^ 1])
    with pytest.raises(SensewellError, match=r"golden\.scores"):
        pack.pack(manifest, {"model": model, "golden": wrong})
    with pytest.raises(SensewellError, match=r"neural\.truncated"):
        pack.golden(manifest, model[:200], None, RNG.integers(-2000, 2000, (1, 16, 2)))


def test_a_misspelt_key_is_found() -> None:
    for part, key in (("take", "centre"), ("error", "limit"), ("give", "offset")):
        manifest = nets.manifest()
        manifest["model"][part] = {key: 1}
        with pytest.raises(SensewellError, match=f"model.{part}.{key}"):
            pack.check_keys(manifest)


def test_recordings_are_replayed_on_the_host(tmp_path: Path) -> None:
    class Rows:
        name = "noise"
        samples = RNG.integers(-2000, 2000, (160, 2)).astype(np.int16)

    for output in ("classes", "value"):
        _, data, _ = packed("window", output)
        played = run.play_on_host(data, [Rows()], [run.Way("clean")])["clean"][0]
        decided = played.decisions
        assert len(decided) == 19 and set(decided["source"]) == {0}
        assert len(set(decided["check"])) == 19 and len(set(decided["best"])) > 1
        valued = output == "value"
        assert (decided["confidence_pct"] == 0).all() == valued == (len(set(decided["value"])) > 9)
        assert valued or set(decided["value"]) == {run.NO_VALUE}


def test_files_of_other_families_stay_away() -> None:
    for families, has, has_not in (
        (["neural"], "model.net", "model.trees"),
        (["trees"], "model.trees", "model.net"),
        (["trees", "value"], "model.value", "model.neural"),
        (["linear"], "model.linear", "model.trees"),
        (["trees"], "model.trees", "model.linear"),
    ):
        names = runtime.modules_for(families)
        assert f"sensewell.{has}" in names and f"sensewell.{has_not}" not in names
        assert ("sensewell.kernel.net_error" in names) == ("neural" in families)
    assert runtime.families_of({"model": {"family": "none"}}) == []
    assert runtime.families_of({"model": {"family": "trees"}}) == ["trees"]
    assert runtime.families_of({"model": {"family": "neural", "output": "value"}}) == ["value", "neural"]
    assert runtime.families_of({"model": {"family": "linear"}}) == ["linear"]
    assert not {"sensewell.build.linear", "sensewell.model.linear"} & set(runtime.modules_for(["trees", "neural"]))
    native = {f"sensewell_{name}": b"M" for name in ("neural", "trees", "features")}
    for family in ("neural", "trees"):
        wanted, _ = runtime.files_for("rv32imc", [family], native=native)
        assert runtime.native_names(wanted) == tuple(sorted(("features", family)))


# -- the integers at both ends -----------------------------------------------------------------------------------------
def test_a_quantiser_is_as_good_as_rounding() -> None:
    mean, std = np.array([100.0, -5000.4, 3.0, 0.0]), np.array([300.0, 2.0, 20000.0, 0.0])
    for scale, zero in ((0.05, -3), (0.001, 0), (0.5, 127)):
        take = neural_take.quantiser(mean, std, scale, zero)
        x = RNG.integers(-32768, 32768, (4000, 4))
        x[:2000] = np.clip(mean + std * RNG.normal(size=(2000, 4)), -32768, 32767)
        centre = np.round(mean)
        real = np.divide(x - centre, std, out=np.zeros(x.shape), where=std > 0) / scale + zero
        got = neural_take.quantised(take, x, zero)
        off = abs(np.clip(real, -128, 127) - got)
        assert off.max() < 0.52 and got[:, 3].min() == got[:, 3].max() == zero
        assert abs(neural_take.meant(take, x, scale) / scale - (real - zero)).max() < 1e-3 * abs(real).max()
    assert json.dumps(take)


def test_the_board_quantises_the_same() -> None:
    manifest, _, windows = packed("window", "classes")
    pipeline = Pipeline(Bundle(manifest, {"model": nets.network()}))
    sample = pipeline.guard.last_good
    for row in windows[0]:
        sample[0], sample[1] = (int(value) for value in row)
        pipeline.condition.apply(sample, sample)
        pipeline.window.push(sample, 1)
    pipeline.model.predict(pipeline.vector, pipeline.scores)
    rows = np.array(pipeline.window.rows).reshape(16, 2)
    assert list(pipeline.model.given) == neural_take.quantised(manifest["model"]["take"], rows, -5).ravel().tolist()


def test_errors_and_values_are_those_of_the_board() -> None:
    from array import array

    from sensewell.kernel.net_error import answer as error_answer
    from sensewell.kernel.net_value import answer as value_answer

    for scales in ((1 / 16, 1 / 20), (0.03, 0.09), (0.1, 0.02)):
        error = neural_take.error_gains(*scales, limit_mse=(40 * scales[0]) ** 2)
        q_in, q_out = RNG.integers(-128, 128, (2, 50, 32)).astype(np.int8)
        found = neural_take.error_q8(error, q_in, q_out, -5, 7)
        real = (((q_in + 5.0) * scales[0] - (q_out - 7.0) * scales[1]) ** 2).mean(axis=1)
        assert abs(found / 256 * scales[0] ** 2 / real - 1).max() < 0.01
        facts = array("i", [32, 123, 135, error["gain_in"], error["gain_out"], error["shift"], error["limit_q8"]])
        for n in range(50):
            scores = array("i", [0, 0])
            best = error_answer(q_in[n].tobytes(), q_out[n].tobytes(), facts, scores)
            assert best == (found[n] > error["limit_q8"])
            assert abs(scores[1] - 16384 * found[n] // (found[n] + error["limit_q8"])) <= 1
    for std in (3.0, 400.0, 9000.0):
        give = neural_take.giver(120.4, std, 1 / 40)
        q = np.arange(-128, 128).astype(np.int8)
        counts = neural_take.given(give, q, -3)
        assert abs(counts - (120 + (q + 3.0) / 40 * std)).max() < 0.6
        facts = array("i", [1, 0, 32765, give["gain"], give["shift"], give["offset_raw"] + 32768, 0])
        for n in (0, 100, 255):
            scores = array("i", [0])
            value_answer(None, q[n : n + 1].tobytes(), facts, scores)
            assert scores[0] == counts[n]


def test_integers_that_cannot_do_it_are_said() -> None:
    for call, says in (
        (lambda: neural_take.quantiser([0], [1, 2], 0.1, 0), "as many"),
        (lambda: neural_take.quantiser([0], [1], 0.1, 300), "zero point"),
        (lambda: neural_take.quantiser([0], [-1], 0.1, 0), "negative"),
        (lambda: neural_take.quantiser([40000], [1], 0.1, 0), "counts"),
        (lambda: neural_take.quantiser([0], [1e-3], 1e-3, 0), "14 bits"),
        (lambda: neural_take.quantiser([0], [1e9], 10, 0), "14 bits"),
        (lambda: neural_take.error_gains(0.1, 0.1, 0), "above zero"),
        (lambda: neural_take.error_gains(1e-5, 1, 1), "coarser"),
        (lambda: neural_take.error_gains(1e-3, 1e-3, 1e6), "reach"),
        (lambda: neural_take.giver(0, 0, 1), "target"),
        (lambda: neural_take.giver(0, 1e9, 1), "14 bits"),
    ):
        with pytest.raises(SensewellError, match=says):
            call()
