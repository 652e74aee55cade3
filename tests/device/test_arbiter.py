"""The arbiter: who may speak, when, and that nothing overrides an interlock; random histories included."""

from lcg import Lcg
from sensewell.arbiter import Arbiter
from sensewell.refusal import Refused
from sensewell.words import CAUSES

WARMING, QUALITY = 1, 2  # places in CAUSES
NO_MODEL, REFUSED, UNPROVEN, DEADLINE, STALE, CLEARED = range(6, 12)
LABELS = ("A", "B", "C", "unknown", "hot", "locked")
CONFIG = {
    "min_confidence_pct": 40, "smooth_n": 2, "smooth_m": 3, "hold_ms": 3000, "return_n": 2, "deadline_ms": 0,
    "fallback_label": 3,
}  # fmt: skip


def make(**changes):
    config = dict(CONFIG)
    config.update(changes)
    return Arbiter(config, LABELS, ("warm", "lock"), 80)


def told(arbiter, windows, step_ms=1000):
    """'label source cause' of windows given as (quality, fault, label, confidence)."""
    said = []
    for i, (quality, fault, label, confidence) in enumerate(windows):
        d = arbiter.window(i * step_ms, quality, fault, label, confidence)
        said.append(d.label + " " + d.source + " " + d.cause)
    return said


SURE_A = (100, 0, 0, 90)
SURE_B = (100, 0, 1, 90)


def test_the_model_speaks_after_its_return_and_says_its_confidence():
    arbiter = make()
    assert told(arbiter, (SURE_A, SURE_A)) == ["unknown rule returning", "A model ok"]
    assert arbiter.decision.confidence_pct == 90 and arbiter.decision.reason == "ok"


def test_a_change_of_label_waits_for_n_of_m_and_is_held_meanwhile():
    said = told(make(), (SURE_A, SURE_A, SURE_B, SURE_A, SURE_B, SURE_B))
    assert said[2:] == ["A hold unstable", "A model ok", "B model ok", "B model ok"]


def test_unsure_and_bad_windows_are_held_then_the_floor_speaks():
    unsure = (100, 0, 1, 39)
    poor = (79, 0, 0, 99)
    said = told(make(), (SURE_A, SURE_A, unsure, SURE_A, poor, SURE_A, SURE_A, poor, poor, poor, poor, SURE_A, SURE_A))
    assert said[2:] == [
        "A hold unsure", "A model ok", "A hold quality", "A hold returning", "A model ok",
        "A hold quality", "A hold quality", "A hold quality", "unknown rule quality", "unknown rule returning",
        "A model ok",
    ]  # fmt: skip


def test_each_fault_of_the_model_has_its_name_and_the_rules_their_say():
    arbiter = make(hold_ms=0)
    for fault in (NO_MODEL, REFUSED, UNPROVEN, DEADLINE):
        name = CAUSES[fault]
        d = arbiter.window(0, 100, fault, 0, 100)
        assert (d.label, d.source, d.cause, d.confidence_pct, d.reason) == ("unknown", "rule", name, 0, name)
    arbiter.floor(0, 4, -1, 0)
    d = arbiter.window(0, 100, NO_MODEL, 0, 0)
    assert (d.label, d.source, d.cause, d.confidence_pct, d.reason) == ("hot", "rule", "no_model", 100, "rule:warm")
    assert str(d) == "0 ms  hot  100%  quality 100%  rule  rule:warm (no_model)"


def test_an_interlock_overrides_at_once_and_the_held_decision_comes_back_after_it():
    arbiter = make()
    told(arbiter, (SURE_A, SURE_A))
    arbiter.floor(0, 4, 1, 5)
    d = arbiter.event(1100, 100, CLEARED)
    assert (d.label, d.source, d.reason, d.rule) == ("locked", "interlock", "interlock:lock", "lock")
    assert d.confidence_pct == 100
    assert arbiter.window(2000, 100, 0, 0, 99).source == "interlock"
    arbiter.floor(-1, 0, -1, 0)
    d = arbiter.event(2100, 100, CLEARED)
    assert (d.label, d.source, d.cause) == ("A", "hold", "cleared")
    assert arbiter.window(3000, 100, 0, 0, 99).source == "model"


def test_nothing_is_held_longer_than_hold_ms_even_across_the_wrap_of_time():
    for start in (0, 0x3FFFFFFF - 1500):
        arbiter = make()
        for t in (0, 1000):
            arbiter.window((start + t) & 0x3FFFFFFF, 100, 0, 0, 90)
        assert arbiter.event((start + 4000) & 0x3FFFFFFF, 0, STALE).source == "hold"
        d = arbiter.event((start + 4001) & 0x3FFFFFFF, 0, STALE)
        assert (d.source, d.cause, d.label) == ("rule", "stale", "unknown")


def test_settings_that_make_no_sense_are_refused():
    for changes in ({"smooth_n": 4}, {"smooth_n": 0}, {"fallback_label": 6}):
        try:
            make(**changes)
            raise AssertionError(changes)
        except Refused as e:
            assert e.reason.startswith("arbiter.")


def test_whatever_happens_the_promises_hold():
    lcg = Lcg(3)
    total = 0
    for _ in range(30):
        n = 1 + lcg.next(3)
        m = n + lcg.next(3)
        back = 1 + lcg.next(3)
        hold = lcg.next(4) * 1000
        arbiter = make(smooth_n=n, smooth_m=m, return_n=back, hold_ms=hold)
        changed = label = None
        t = i = 0  # i counts windows
        for _ in range(100):
            t += 500 + lcg.next(1000)
            lock = lcg.next(8) == 0
            arbiter.floor(-1, 0, 1 if lock else -1, 5)
            kind = lcg.next(10)
            if kind == 0:
                d = arbiter.event(t, lcg.next(101), (STALE, WARMING, QUALITY, CLEARED)[lcg.next(4)])
                trusted = False
            else:
                quality = 100 if kind > 3 else lcg.next(101)
                fault = (0, 0, 0, REFUSED, DEADLINE)[lcg.next(5)] if kind == 1 else 0
                confidence = lcg.next(101) if kind < 5 else 100
                said = lcg.next(3) if kind < 6 else 0
                i += 1
                d = arbiter.window(t, quality, fault, said, confidence)
                trusted = quality >= 80 and not fault and confidence >= 40
            assert (d.source == "interlock") == lock
            if d.source == "model":
                assert trusted and d.label_id == said and d.quality_pct >= 80 and d.confidence_pct == confidence
                if label is not None and d.label_id != label:
                    assert changed is None or i - changed >= n
                    changed = i
                label = d.label_id
                changed = i if changed is None else changed
            if d.source == "hold":
                assert hold > 0
            total = (total * 7 + d.label_id * 4 + d.source_id + d.cause_id * 16) % 65521
        arbiter.floor(-1, 0, -1, 0)
        for _ in range(max(n, back)):
            t += 1000
            d = arbiter.window(t, 100, 0, 2, 100)
        assert d.source == "model" and d.label == "C", (n, m, back, d.cause)
    assert total == 30700, total
