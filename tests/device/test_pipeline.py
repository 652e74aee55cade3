"""The pipeline: proof before decisions, policies for bad samples, and a dead sensor always surfaces."""

from array import array

import tiny_bundle
from lcg import Lcg
from sensewell.build.pipeline import _channels
from sensewell.bundle import Bundle
from sensewell.pipeline import Pipeline
from sensewell.reasons import tripped
from sensewell.refusal import Refused

MISSING = -32768
PERIOD = 20


class Bench:
    """Feeds a pipeline with small random counts; `bad` samples are missing on channel 0."""

    def __init__(self, pipeline, seed=3):
        self.pipeline = pipeline
        self.lcg = Lcg(seed)
        self.row = array("h", [0] * pipeline.n_channels)
        self.t = 0
        self.said = []

    def run(self, n, bad=False, step_ms=PERIOD, value=None):
        """Decisions of n samples as 'source cause'."""
        said = []
        for _ in range(n):
            for c in range(len(self.row)):
                self.row[c] = self.lcg.next(4000) - 2000
            if value is not None:
                self.row[0] = value
            if bad:
                self.row[0] = MISSING
            decision = self.pipeline.feed(self.row, self.t)
            if decision:
                said.append(decision.source + " " + decision.cause)
            self.t = (self.t + step_ms) & 0x3FFFFFFF
        return said


def test_no_model_decides_before_its_proof():
    bundle = Bundle.open(tiny_bundle.build())
    pipeline = Pipeline(bundle)
    bench = Bench(pipeline)
    assert bench.run(24) == ["rule unproven", "rule unproven"] and pipeline.best == -1
    bundle.prove(pipeline)
    bundle.release()
    assert bench.run(24) == ["model ok", "model ok"] and pipeline.best >= 0
    assert pipeline.windows == 4 and list(pipeline.sources) == [2, 0, 2, 0]


def test_an_unsound_model_is_refused_by_name_and_the_rules_go_on():
    m = tiny_bundle.manifest()
    model = tiny_bundle.forest(5, 2)
    golden = tiny_bundle.golden(m, model)
    broken = bytearray(model)
    broken[20] |= 63  # the first node asks for feature 63 of 5
    bundle = Bundle.open(tiny_bundle.write(m, {"model": bytes(broken), "golden": golden}))
    pipeline = Pipeline(bundle)
    assert pipeline.refusal == "model.feature_index"
    try:
        bundle.prove(pipeline)
        raise AssertionError("proven")
    except Refused as e:
        assert e.reason == "model.feature_index"
    bench = Bench(pipeline)
    assert bench.run(16) == ["rule refused"]
    assert bench.run(1, value=16000) == ["interlock interlock"]


def test_a_bundle_without_a_model_runs_by_its_rules():
    m = tiny_bundle.manifest(model={"family": "none"})
    bundle = Bundle.open(tiny_bundle.write(m, {}))
    pipeline = Pipeline(bundle)
    bundle.prove(pipeline)
    bench = Bench(pipeline)
    assert bench.run(16) == ["rule no_model"]
    for _ in range(16):
        pipeline.feed(array("h", [7, 7]), bench.t)
        bench.t += PERIOD
    decision = pipeline.arbiter.decision
    assert decision.label == "still" and decision.reason == "rule:calm" and decision.cause == "no_model"


def test_an_interlock_is_published_with_the_very_sample_and_again_when_it_clears():
    pipeline = tiny_bundle.pipeline()
    bench = Bench(pipeline)
    bench.run(17)
    assert bench.run(2, value=16000) == ["interlock interlock"]
    assert pipeline.arbiter.decision.label == "alarm" and pipeline.arbiter.decision.t_ms == 17 * PERIOD
    assert bench.run(2, value=14500) == []
    assert bench.run(1) == ["hold cleared"]


def test_held_rows_cost_quality_and_keep_the_beat():
    pipeline = tiny_bundle.pipeline()
    bench = Bench(pipeline)
    assert bench.run(13) + bench.run(3, bad=True) == ["model ok"] and pipeline.arbiter.decision.quality_pct == 81
    assert bench.run(7) + bench.run(1, bad=True) == ["hold quality"] and pipeline.bad == 4
    assert bench.run(16) == ["model ok", "model ok"]


def test_a_rule_on_a_feature_goes_on_while_only_other_channels_are_bad():
    limit = {"when": "above", "limit": 3000, "label": 3}
    pipeline = tiny_bundle.pipeline(
        n_channels=3,
        features=[{"f": "mean", "c": c} for c in range(4)],
        derived=[{"norm": [0, 2]}],
        rules=[dict(limit, name="r%d" % f, on={"feature": f}) for f in (1, 2, 3)],
    )
    rules = pipeline.rules
    row = array("h", [0] * 3)

    def run(n, gone, *counts):
        for _ in range(n):
            for c in range(3):
                row[c] = MISSING if c in gone else counts[c] + pipeline.window.samples % 7
            pipeline.feed(row, pipeline.window.samples * PERIOD)
        return [int(tripped(rules, number)) for number in range(3)]

    assert run(16, (), 0, 0, 0) == [0, 0, 0]
    assert run(16, (0,), 0, 9000, 0) == [1, 0, 0] and pipeline.arbiter.decision.source != "model"
    assert run(16, (0,), 0, 0, 9000) == [0, 1, 0]  # the norm of 0 and 2 is not looked at
    assert run(16, (0, 1), 0, 0, 0) == [0, 0, 0]
    assert run(16, (2,), 9000, 9000, 0) == [1, 0, 0]
    assert run(16, (1,), 9000, 0, 0) == [1, 0, 1]  # bad values never help it to clear
    assert rules.row[0] == 2
    assert run(8, (), 9000, 0, 0) == [1, 0, 1]
    assert run(8, (), 9000, 0, 0) == [0, 0, 1] and pipeline.arbiter.decision.quality_pct == 100


def test_a_feature_is_made_of_all_channels_that_its_spec_names():
    m = tiny_bundle.manifest(n_channels=3, derived=[{"norm": [0, 2]}])
    m["features"] = [
        {"f": "mean", "c": 1}, {"f": "corr", "c": 1, "d": 2}, {"f": "std", "c": 3},
        {"f": "tilt", "c": 0, "d": 1, "e": 3}, {"f": "band", "c": 2, "lo": 1, "hi": 3},
    ]  # fmt: skip
    assert _channels(m) == [2, 6, 5, 7, 4]


def test_skipped_rows_cost_as_much_quality_and_time():
    pipeline = tiny_bundle.pipeline(bad_samples={"policy": "skip"})
    bench = Bench(pipeline)
    assert bench.run(12) + bench.run(4, bad=True) == [] and bench.run(4) == ["rule quality"]
    assert pipeline.arbiter.decision.quality_pct == 75
    assert bench.run(24)[-1] == "model ok"
    said = bench.run(200, bad=True)
    assert said[0] == "hold quality" and said[-1] == "rule quality" and len(said) > 20
    assert bench.run(50)[-1] == "model ok"


def test_a_broken_window_starts_anew_and_says_why_none_comes():
    pipeline = tiny_bundle.pipeline(bad_samples={"policy": "break"})
    bench = Bench(pipeline)
    assert bench.run(16) == ["model ok"]
    said = []
    for _ in range(10):
        said += bench.run(9) + bench.run(1, bad=True)
    assert said[:2] == ["model ok", "hold quality"] and said[-1] == "rule quality", said
    assert "model ok" not in said[1:] and len(said) > 9
    assert bench.run(17)[-1] == "model ok" and pipeline.breaks == 10


def test_short_gaps_are_filled_with_bad_rows_and_longer_ones_break_the_window():
    pipeline = tiny_bundle.pipeline()
    bench = Bench(pipeline)
    bench.run(10)
    bench.t += 3 * PERIOD
    assert bench.run(3) == ["model ok"] and pipeline.filled == 3 and pipeline.arbiter.decision.quality_pct == 81
    bench.t += 4 * PERIOD
    assert bench.run(15) == [] and pipeline.breaks == 1
    assert bench.run(1) == ["model ok"] and pipeline.arbiter.decision.quality_pct == 100
    bench.t += 100 * PERIOD
    assert bench.run(1) == ["rule warming"]


def test_time_that_stands_still_is_counted_and_idle_says_so():
    pipeline = tiny_bundle.pipeline()
    bench = Bench(pipeline)
    bench.run(24)
    stuck = bench.t - PERIOD
    said = []
    for i in range(60):
        assert pipeline.feed(bench.row, stuck) is None
        decision = pipeline.idle(bench.t + i * PERIOD)
        if decision:
            said.append((i, decision.source + " " + decision.cause))
    assert said[0] == (16, "hold stale") and said[-1][1] == "rule stale"
    assert [b[0] - a[0] for a, b in zip(said, said[1:])] == [9] * (len(said) - 1)
    bench.t += 60 * PERIOD
    assert bench.run(17)[-1] == "model ok"


def test_a_dead_sensor_trips_the_interlock_that_asks_for_it():
    rule = {"name": "dead", "on": {"channel": 1}, "when": "above", "limit": 30000, "label": 3, "interlock": True,
            "on_bad": "trip", "dwell_ms": 100}  # fmt: skip
    pipeline = tiny_bundle.pipeline(rules=[rule])
    bench = Bench(pipeline)
    bench.run(20)
    for now in range(bench.t, bench.t + 400, PERIOD):
        decision = pipeline.idle(now)
        if decision:
            break
    assert decision.reason == "interlock:dead" and now == bench.t + 2 * PERIOD + PERIOD + 100, now - bench.t
    assert bench.run(1)[0].startswith("hold")


def test_a_window_that_takes_too_long_is_no_answer_of_the_model():
    ticks = [0]

    def clock():
        ticks[0] += 600000
        return ticks[0]

    pipeline = tiny_bundle.pipeline()
    bench = Bench(pipeline)
    pipeline.clock = clock
    assert bench.run(16) == ["model ok"] and pipeline.window_us == 600000 and pipeline.misses == 0
    pipeline.deadline_us = 500000
    assert (
        bench.run(32) == ["hold deadline", "hold deadline", "rule deadline", "rule deadline"] and pipeline.misses == 4
    )
    pipeline.clock = None
    assert bench.run(8) == ["model ok"]


def test_calibration_of_a_board_does_not_disturb_the_proof_but_the_samples():
    bundle = Bundle.open(tiny_bundle.build())
    plain = Pipeline(bundle)
    turned = Pipeline(bundle, [{"offset_raw": 100, "gain_q12": 4096}] * 2)
    bundle.prove(plain)
    bundle.prove(turned)
    for made in (plain, turned):
        Bench(made).run(16)
    assert plain.vector[0] != turned.vector[0]


def test_settings_that_a_station_refuses_name_the_station():
    for changes, reason in (
        ({"guard": {"channels": [{"stuck_n": 1}, {}]}}, "guard.stuck_n"),
        ({"guard": {"channels": [{"stuck_n": "x"}, {}]}}, "guard.stuck_n"),
        ({"features": [{"f": "magic", "c": 0}]}, "features.unknown"), ({"features": [{}]}, "features.unknown"),
        ({"derived": [{"norm": "ab"}]}, "features.derived"),
        ({"condition": {"normalise": [{"offset_raw": "x"}] * 2}}, "condition.normalise"),
        ({"condition": {"filters": [{"kind": []}] * 2}}, "condition.filters"),
    ):  # fmt: skip
        m = tiny_bundle.manifest(model={"family": "none"}, **changes)
        m["rules"] = []
        bundle = Bundle.open(tiny_bundle.write(m, {}))
        try:
            Pipeline(bundle)
            raise AssertionError(changes)
        except Refused as e:
            assert e.reason == reason or e.reason.startswith("bundle.schema."), (e.reason, reason)
