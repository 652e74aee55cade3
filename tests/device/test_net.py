"""Networks in bundles: both inputs, all outputs, a value for a decision, nothing allocated.

Where there is no engine for networks, only that is tested: rules decide.
"""

from array import array

import nets
import tiny_bundle
from nets import manifest, network, quantised, run, samples, trusted
from sensewell.bundle import Bundle
from sensewell.pipeline import Pipeline
from sensewell.probation import Probation, limits
from sensewell.refusal import Refused


def test_a_bundle_without_an_engine_runs_by_its_rules():
    if nets.engine():
        return
    m = manifest()
    m["golden"] = {"section": "golden", "rows": 0, "windows": 1}
    bundle = Bundle.open(tiny_bundle.write(m, {"model": network(), "golden": bytes(72)}))
    pipeline = Pipeline(bundle)
    assert pipeline.refusal == "neural.engine" and pipeline.model is None
    try:
        bundle.prove(pipeline)
        raise AssertionError("proven")
    except Refused as refused:
        assert refused.reason == "neural.engine"
    assert run(pipeline, samples(16)) and pipeline.arbiter.decision.source == "rule"


def test_what_the_net_is_given_is_the_window_oldest_first():
    if not nets.engine():
        return
    m = manifest()
    pipeline = trusted(m, network())
    rows = list(samples(48))
    decided = 0
    seen = set()
    for i, row in enumerate(rows):
        if pipeline.feed(row, 20 * i) is None:
            continue
        decided += 1
        wanted = []
        for row in rows[i - 15 : i + 1]:
            for c in range(2):  # conditioned first: offset 10, gain 4000 / 4096
                wanted.append(quantised(m["model"]["take"], (row[c] - 10) * 4000 + 2048 >> 12, c))
        assert list(pipeline.model.given) == wanted, (i, list(pipeline.model.given), wanted)
        seen.update(wanted)
    assert decided == 5 and len(seen) > 30


def test_what_the_net_is_given_of_features():
    if not nets.engine():
        return
    take = dict(nets.take(3), of=[4, 0, 2])
    m = manifest("features", model={"take": take})
    pipeline = trusted(m, nets.classes(3, 2))
    assert len(run(pipeline, samples(16))) == 1
    assert list(pipeline.model.given) == [quantised(take, pipeline.vector[k], c) for c, k in enumerate(take["of"])]


def test_the_ends_of_the_range_do_not_overflow():
    if not nets.engine():
        return
    for gain, shift in ((16383, 0), (16383, 30), (0, 0), (16383, 14), (1, 30)):
        take = {"centre_raw": [-32768, 32767], "gain": [gain] * 2, "shift": [shift] * 2}
        m = manifest(model={"take": take}, guard={}, condition={}, rules=[])
        pipeline = trusted(m, network())
        values = (-32767, 32767, 0, -1, 1, 5)  # -32768 is no reading
        for i in range(16):
            pipeline.feed(array("h", [values[i % 6], values[(i + 1) % 6]]), 20 * i)
        wanted = []
        for i in range(16):
            wanted += [quantised(take, values[i % 6], 0), quantised(take, values[(i + 1) % 6], 1)]
        assert list(pipeline.model.given) == wanted, (gain, shift)


def test_the_error_of_an_autoencoder():
    if not nets.engine():
        return
    m = manifest("window", "anomaly")
    error = m["model"]["error"]
    pipeline = trusted(m, network("window", "anomaly"))
    found = []
    for limit in (1 << 20, 1, (1 << 28) - 1, None, None):
        limit = limit or found[2]  # exactly at the limit it is still good
        pipeline.model._facts[6] = limit
        run(pipeline, samples(16))
        model = pipeline.model
        total = 0
        for q, r in zip(model.given, model.said):
            e = (q + 5) * error["gain_in"] - (r - 7) * error["gain_out"] + 256 >> 9
            total += max(-16383, min(16383, e)) ** 2
        mean = total // 32
        found.append(mean)
        assert pipeline.best == (1 if mean > limit else 0), (mean, limit)
        share = 16384 * mean // (mean + limit)
        assert abs(pipeline.scores[1] - share) < 3 and sum(pipeline.scores) == 16384, (list(pipeline.scores), share)
        pipeline.reset()
    assert found[0] == found[3] > 1000


def test_no_error_is_too_large():
    if not nets.engine():
        return
    from sensewell.kernel.net_error import answer

    scores = array("i", [0, 0])
    for n in (1, 7, 700):
        given, out = array("b", [127] * n), array("b", [-128] * n)
        facts = array("i", [n, 0, 255, 16383, 16383, 0, (1 << 28) - 1])
        assert answer(given, out, facts, scores) == 0 and list(scores) == [8193, 8191]  # 16383 squared, each of them
        facts[6] = 16383 * 16383 - 1
        assert answer(given, out, facts, scores) == 1
        facts[4] = 1
        facts[5] = 30
        assert answer(given, out, facts, scores) == 0 and list(scores) == [16384, 0]


def test_a_value_has_counts_and_a_class_and_no_confidence():
    if not nets.engine():
        return
    m = manifest("window", "value")
    m["arbiter"]["min_confidence_pct"] = 100  # nobody asks
    pipeline = trusted(m, network("window", "value"))
    decision = pipeline.arbiter.decision
    assert decision.value is None
    seen = {}
    for i, row in enumerate(samples(800)):
        if pipeline.feed(row, 20 * i):
            q = pipeline.model.said[1]
            value = ((q + 3) * 9000 + 128 >> 8) + 100
            assert decision.source == "model" and decision.value == value and decision.confidence_pct == 0
            assert list(pipeline.scores) == [value, value + 500, value - 700]
            assert decision.label_id == pipeline.best == (value >= -500) + (value >= 700)
            assert str(decision).endswith("value %d" % value)
            seen[pipeline.best] = value
    assert len(seen) == 3
    i = 800 * 20
    bad = array("h", [-32768, 0])
    held = decision.value
    while decision.source == "model" or decision.source == "hold":
        pipeline.feed(bad, i)
        assert decision.value == held or decision.source == "rule"
        i += 20
    assert decision.source == "rule" and decision.value is None


def test_values_of_int16_and_their_ends():
    if not nets.engine():
        return
    net = nets.wide_value()
    take = {"centre_raw": [0], "gain": [1], "shift": [0], "of": [0]}
    for give, edges in (
        ({"gain": 1, "shift": 0, "offset_raw": 0}, [-129, -128, 384]),
        ({"gain": 16383, "shift": 0, "offset_raw": -32768, "index": 0}, []),
        ({"gain": 16383, "shift": 30, "offset_raw": 32767}, [32767]),
        ({"gain": 8192, "shift": 13, "offset_raw": 5}, [0]),
    ):
        spec = {"take": take, "give": give, "edges_raw": edges, "n_classes": len(edges) + 1}
        m = manifest("features", "value", spec, labels=["a", "b", "c", "d", "unknown", "alarm", "still"])
        m["features"] = [{"f": "mean", "c": 0}]
        m["rules"] = []
        pipeline = trusted(m, net)
        for x in (-300, -128, -1, 0, 3, 127):
            best = pipeline.model.predict(array("h", [x]), pipeline.scores)
            q = max(-128, min(127, x)) * 128
            value = (q * give["gain"] + (1 << give["shift"] >> 1) >> give["shift"]) + give["offset_raw"]
            value = max(-32768, min(32767, value))
            assert list(pipeline.scores) == [value] + [value - edge for edge in edges], (x, give)
            assert best == sum([value >= edge for edge in edges])


def test_an_answer_depends_on_its_window_alone():
    if not nets.engine():
        return
    take = {"centre_raw": [0], "gain": [1], "shift": [0], "of": [1]}
    give = {"gain": 1, "shift": 0, "offset_raw": 0}
    m = manifest("features", "value", {"take": take, "give": give, "edges_raw": [], "n_classes": 1})
    pipeline = trusted(m, nets.remembering(1))
    for x in (5, 9, 0, -7):
        pipeline.model.predict(array("h", [0, x, 0, 0, 0]), pipeline.scores)
        assert pipeline.scores[0] == x


def test_scores_of_a_network_may_be_averaged_but_not_values():
    if not nets.engine():
        return
    m = manifest()
    m["arbiter"]["average_n"] = 4
    pipeline = trusted(m, network())
    assert len(run(pipeline, samples(80))) == 9 and pipeline.sources[0] == 9
    assert pipeline.arbiter.mean.confidence_pct >= 50


class Calm:
    """Slots that only listen."""

    on_probation = True
    said = ""

    def confirm(self):
        self.said = "confirmed"

    def give_up(self, cause):
        self.said = cause


class Watched:
    """As much of a node as a Probation needs."""

    samples = lost = 0

    def __init__(self, pipeline):
        self.pipeline = pipeline
        self.outputs = ()


def test_a_probation_asks_for_confidence_where_there_is_one():
    if not nets.engine():
        return
    for output, least, verdict in (
        ("classes", 10, "confirmed"), ("classes", 100, "probation.confidence"), ("value", 100, "confirmed"),
    ):  # fmt: skip
        m = manifest("window", output)
        m["arbiter"]["min_confidence_pct"] = least
        m["probation"] = {"windows": 5}
        node = Watched(trusted(m, network("window", output)))
        slots = Calm()
        probation = Probation(node, slots, limits(m))
        i = 0
        while not slots.said:
            for row in samples(8, seed=i + 1):
                decision = node.pipeline.feed(row, 20 * i)
                node.samples += 1
                i += 1
                if decision:
                    probation(decision)
        assert slots.said == verdict, (output, least, slots.said)
