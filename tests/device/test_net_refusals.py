"""Networks in bundles that are refused, each by its name. Apart, since small boards lack the room."""

import nets
from nets import manifest, refusal


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
