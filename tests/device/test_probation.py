"""Probation: what a bundle must show to be confirmed, and each cause for which it returns."""

from array import array

from sensewell import probation
from sensewell.probation import Probation, limits
from sensewell.refusal import Refused
from signer import reason_of


class _Slots:
    on_probation = True

    def __init__(self):
        self.said = []
        self.broken = False

    def confirm(self):
        if self.broken:
            raise Refused("slots.journal")
        self.said.append("confirm")

    def give_up(self, cause):
        self.said.append(cause)


class _Model:
    score_total = 200


class _Pipeline:
    def __init__(self):
        self.windows = 7
        self.misses = 3
        self.best = 1
        self.model = _Model()
        self.scores = array("i", [20, 180])


class _Node:
    def __init__(self):
        self.pipeline = _Pipeline()
        self.samples = 1000
        self.lost = 100
        self.outputs = ()


class _Decision:
    quality_pct = 100


def _limits(**probation):
    manifest = {"arbiter": {"min_confidence_pct": 60}}
    if probation:
        manifest["probation"] = probation
    return limits(manifest)


def _start(ended=None, **probation):
    node = _Node()
    watch = Probation(node, _Slots(), _limits(**probation), ended)
    node.outputs = (print, watch)
    return node, watch


def _windows(node, watch, n=20, **what):
    """n windows with what is given: scores of class 1 of 200, quality, misses, lost per window."""
    for _ in range(n):
        node.pipeline.windows += 1
        node.pipeline.best = what.get("best", 1)
        node.pipeline.scores[1] = what.get("score", 180)
        node.pipeline.misses += what.get("misses", 0)
        node.samples += 10
        node.lost += what.get("lost", 0)
        _Decision.quality_pct = what.get("quality", 100)
        if watch.cause is None:
            watch(_Decision)


def _verdict(**what):
    node, watch = _start()
    _windows(node, watch, **what)
    assert len(watch._slots.said) == 1
    return watch._slots.said[0]


def test_a_bundle_that_does_well_is_confirmed_after_its_windows_and_then_left_alone():
    node, watch = _start()
    _windows(node, watch, 19)
    assert watch.cause is None and node.outputs == (print, watch)
    for _ in range(5):
        watch(_Decision)  # decisions between windows are no windows
    assert watch.cause is None
    _windows(node, watch, 1)
    assert watch.cause == "" and watch._slots.said == ["confirm"] and node.outputs == (print,)


def test_a_confirmed_bundle_that_ran_for_a_minute_is_in_no_loop_however_long_its_probation_was():
    for on_probation, said in ((True, []), (False, ["confirm"])):
        slots = _Slots()
        slots.on_probation = on_probation
        watch = Probation(_Node(), slots, _limits(seconds=500000))
        watch(_Decision)
        assert slots.said == []
        watch._start_ms -= 60001
        watch(_Decision)
        assert slots.said == said


def test_what_was_before_does_not_count():
    assert _verdict() == "confirm"  # the node had misses and lost samples before


def test_missed_deadlines():
    node, watch = _start()
    _windows(node, watch, 2, misses=1)
    _windows(node, watch, 18)
    assert watch._slots.said == ["confirm"]  # 10 %: at the limit
    assert _verdict(misses=1) == "probation.deadline"


def test_samples_slept_through():
    assert _verdict(lost=1) == "probation.lost"
    node, watch = _start(lost_pct=10)
    _windows(node, watch, lost=1)
    assert watch._slots.said == ["confirm"]


def test_quality():
    assert _verdict(quality=50) == "confirm"
    assert _verdict(quality=49) == "probation.quality"
    assert _verdict(quality=10, best=-1) == "probation.quality"


def test_a_model_that_is_never_asked():
    assert _verdict(best=-1) == "probation.silent"
    node, watch = _start()
    node.pipeline.model = None
    _windows(node, watch, best=-1)
    assert watch._slots.said == ["confirm"]  # a bundle of rules alone has no model to ask


def test_confidence_that_collapsed():
    assert _verdict(score=120) == "confirm"
    assert _verdict(score=119) == "probation.confidence"
    node, watch = _start()
    _windows(node, watch, 18, score=10)
    _windows(node, watch, 2)
    assert watch._slots.said == ["confirm"]  # 90 %: at the limit
    node, watch = _start()
    node.pipeline.model.score_total = 0  # a value has no confidence
    _windows(node, watch, score=0)
    _Model.score_total = 200
    assert watch._slots.said == ["confirm"]


def test_seconds_end_it_too_and_none_without_a_window():
    node, watch = _start(seconds=1)
    watch(_Decision)
    assert watch.cause is None
    watch._start_ms = (watch._start_ms - 1000) & ((1 << 30) - 1)
    watch(_Decision)
    assert watch._slots.said == ["probation.silent"]
    node, watch = _start(seconds=1)
    watch._start_ms = (watch._start_ms - 1000) & ((1 << 30) - 1)
    _windows(node, watch, 1)
    assert watch._slots.said == ["confirm"]


def test_its_end_is_told_once_it_is_written():
    for quality, cause in ((0, "probation.quality"), (100, "")):
        order = []
        node, watch = _start(order.append)
        watch._slots.said = order
        _windows(node, watch, quality=quality)
        assert order == [cause or "confirm", cause] and watch.cause == cause


def test_a_bundle_that_is_not_on_probation_is_only_confirmed_again():
    node, watch = _start()
    watch._slots.on_probation = False
    _windows(node, watch, quality=0, score=0)
    assert watch._slots.said == ["confirm"] and watch.cause == ""


def test_a_journal_that_fails_is_tried_again_with_the_next_decision():
    node, watch = _start()
    watch._slots.broken = True
    _windows(node, watch, 19)
    assert reason_of(_windows, node, watch, 1) == "slots.journal"
    assert watch.cause is None and watch in node.outputs
    watch._slots.broken = False
    _windows(node, watch, 1)
    assert watch._slots.said == ["confirm"]


def test_limits_have_defaults_and_each_is_checked():
    assert list(_limits()) == [20, 60, 10, 5, 50, 90, 3, 60]
    assert _limits(windows=5)[0] == 5
    for line in probation.LIMITS.split("\n"):
        key, _, least, greatest = line.split()
        for value in (int(least) - 1, int(greatest) + 1, "1", None):
            assert reason_of(lambda: _limits(**{key: value})) == "bundle.schema.probation"


def test_a_slow_bundle_is_given_time_for_four_windows():
    slow = {"arbiter": {"min_confidence_pct": 60}, "window": {"length": 24, "hop": 6}, "period_ms": 60000}
    assert limits(slow)[1] == (24 + 4 * 6) * 60
    slow["period_ms"] = 1000
    assert limits(slow)[1] == 60
    slow["period_ms"] = 3600000
    slow["window"]["length"] = 142
    assert limits(slow)[1] == 500000
    slow["probation"] = {"seconds": 90}
    assert limits(slow)[1] == 90


def test_nothing_is_allocated_until_it_decides():
    try:
        import micropython
    except ImportError:
        return
    node, watch = _start(windows=100)
    _windows(node, watch, 2)
    pipeline = node.pipeline
    i = 0
    micropython.heap_lock()
    while i < 50:
        pipeline.windows += 1
        watch(_Decision)
        i += 1
    micropython.heap_unlock()
    assert watch.windows == 52
