"""Networks in bundles that are refused, by name; and forests that give a value.

Where there is no engine for networks, only the forests are tested.
"""

import gc
from array import array

import forests
import nets
import tiny_bundle
from lcg import Lcg
from nets import manifest
from sensewell.build.manifest import check
from sensewell.bundle import Bundle
from sensewell.pipeline import Pipeline
from sensewell.refusal import Refused


def refusal(m, net):
    m["golden"] = {"section": "golden", "rows": 0 if m["model"]["input"] == "window" else 1, "windows": 1}
    m["sections"] = {name: {"offset": 0, "bytes": 1, "sha256": "0" * 64} for name in ("model", "golden")}
    gc.collect()
    try:
        check(m)
        return Pipeline(Bundle(m, {"model": net})).refusal
    except Refused as refused:
        return refused.reason
    except (TypeError, KeyError):
        return "bundle.schema."  # says Bundle.open


def test_refusals_by_name():
    if not nets.engine():
        return
    take = nets.take(2)
    for reason, output, spec, net in (
        ("neural.truncated", "classes", {}, (bytes, 7)),
        ("neural.magic", "classes", {}, (bytes, 64)),
        ("model.input", "classes", {}, (nets.classes, 31, 2)),
        ("model.input", "classes", {"take": dict(nets.take(1), of=[1])}, (nets.classes, 32, 2)),
        ("", "classes", {"take": dict(nets.take(1), of=[1])}, (nets.classes, 16, 2)),
        ("model.take", "classes", {"take": dict(take, of=[])}, (nets.classes, 32, 2)),
        ("model.take", "classes", {"take": dict(take, of=[0, 2])}, (nets.classes, 32, 2)),
        ("model.take", "classes", {"take": dict(take, gain=[1])}, (nets.classes, 32, 2)),
        ("model.take", "classes", {"take": dict(take, gain=[1, 16384])}, (nets.classes, 32, 2)),
        ("model.take", "classes", {"take": dict(take, gain=[1, -1])}, (nets.classes, 32, 2)),
        ("model.take", "classes", {"take": dict(take, shift=[0, 31])}, (nets.classes, 32, 2)),
        ("model.take", "classes", {"take": dict(take, centre_raw=[0, 1.5])}, (nets.classes, 32, 2)),
        ("model.take", "classes", {"take": {}}, (nets.classes, 32, 2)),
        ("bundle.schema.model", "classes", {"take": 7}, (nets.classes, 32, 2)),
        ("bundle.schema.model", "classes", {"output": "guess"}, (nets.classes, 32, 2)),
        ("bundle.schema.model", "classes", {"n_classes": 99}, (nets.classes, 32, 2)),
        ("bundle.schema.model", "classes", {"family": "trees"}, (nets.classes, 32, 2)),
        ("model.outputs", "classes", {}, (nets.classes, 32, 3)),
        ("model.outputs", "classes", {"n_classes": 1}, (nets.classes, 32, 1)),
        ("model.outputs", "classes", {}, (nets.value, 32)),
        ("model.outputs", "anomaly", {}, (nets.value, 32)),
        ("model.outputs", "anomaly", {"n_classes": 3}, (nets.autoencoder, 32)),
        ("model.error", "anomaly", {"error": {}}, (nets.autoencoder, 32)),
        ("model.error", "anomaly", {"error": dict(nets.ENDS["anomaly"]["error"], limit_q8=0)}, (nets.autoencoder, 32)),
        ("model.error", "anomaly", {"error": dict(nets.ENDS["anomaly"]["error"], gain_in=1 << 14)},
         (nets.autoencoder, 32)),
        ("model.give", "value", {"give": {}}, (nets.value, 32)),
        ("model.give", "value", {"give": dict(nets.ENDS["value"]["give"], index=2)}, (nets.value, 32)),
        ("model.give", "value", {"give": dict(nets.ENDS["value"]["give"], offset_raw=40000)}, (nets.value, 32)),
        ("model.edges", "value", {"edges_raw": [700, -500]}, (nets.value, 32)),
        ("model.edges", "value", {"edges_raw": [5, 5]}, (nets.value, 32)),
        ("model.edges", "value", {"edges_raw": [5]}, (nets.value, 32)),
    ):  # fmt: skip
        assert refusal(manifest("window", output, spec), net[0](*net[1:])) == reason, (reason, output, spec)
    m = manifest("window", "value")
    m["arbiter"]["average_n"] = 2
    assert refusal(m, nets.value(32)) == "model.average"
    m = manifest("features", features=[])
    m["rules"] = []
    assert refusal(m, nets.classes(5, 2)) == "bundle.schema.features"


def test_random_changes_of_settings_never_crash():
    if not nets.engine():
        return
    lcg = Lcg(7)
    m = manifest("window", "value")
    net = nets.value(32)
    for _ in range(40):
        changed = manifest("window", "value")
        spec = changed["model"]
        part = (spec, spec["take"], spec["give"])[lcg.next(3)]
        key = sorted(part)[lcg.next(len(part))]
        part[key] = (None, [], {}, -1, 1 << 29, "x", True, [1, 2], 1.5, [None, {}])[lcg.next(10)]
        if spec.get("input") is None or type(spec["input"]) is not str:
            continue
        assert refusal(changed, net).startswith(("", "model.", "bundle.", "neural."))
    assert refusal(m, net) == ""


def test_a_forest_may_give_a_value_too():
    model = forests.sums([(0, 10, 300, -20000), (1, -5, 1 << 12, (2, 0, 7, 77))], 3, 2, (1000 << 2,))
    spec = {"family": "trees", "section": "model", "output": "value", "n_classes": 2, "edges_raw": [1000]}
    m = manifest("features", "value", features=tiny_bundle.manifest(n_features=3)["features"])
    m["model"] = spec
    golden = tiny_bundle.golden(m, model, 4)
    bundle = Bundle.open(tiny_bundle.write(m, {"model": model, "golden": golden}))
    pipeline = Pipeline(bundle)
    bundle.prove(pipeline)
    for vector, raw in (([0, -9, 0], 4000 + 300 + 4096), ([11, 0, 0], 4000 - 20000 + 7), ([10, 0, 1], 4000 + 377)):
        best = pipeline.model.predict(array("h", vector), pipeline.scores)
        value = raw + 2 >> 2
        assert list(pipeline.scores) == [value, value - 1000] and best == (value >= 1000)
    lcg = Lcg(3)
    for i in range(16):
        pipeline.feed(array("h", [lcg.next(4000) - 2000, lcg.next(4000) - 2000]), 20 * i)
    assert pipeline.sources[0] == 1 and pipeline.arbiter.decision.value == pipeline.scores[0]
    del spec["output"]
    bundle = Bundle.open(tiny_bundle.write(m, {"model": model, "golden": golden}))
    assert Pipeline(bundle).refusal in ("model.schema", "model.outputs")
    spec["output"] = "value"
    bundle = Bundle.open(tiny_bundle.write(m, {"model": tiny_bundle.forest(3, 1), "golden": golden}))
    assert Pipeline(bundle).refusal == "model.kind"
