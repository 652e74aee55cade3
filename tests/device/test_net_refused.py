"""Networks in bundles that are refused, by name; and forests that give a value.

Where there is no engine for networks, only the forests are tested.
"""

from array import array

import forests
import nets
import tiny_bundle
from lcg import Lcg
from nets import manifest, refusal
from sensewell.bundle import Bundle
from sensewell.pipeline import Pipeline


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
