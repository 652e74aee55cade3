"""Rules: hysteresis, dwell, priority, bad values and interlocks, on every platform the same."""

from array import array

from lcg import Lcg
from sensewell.reasons import tripped
from sensewell.refusal import Refused
from sensewell.rules import Rules

GOOD = array("H", [0, 0])
BAD = array("H", [1, 0])


def rule(name="hot", channel=0, when="above", limit=100, label=1, **more):
    spec = {"name": name, "on": {"channel": channel}, "when": when, "limit": limit, "label": label}
    spec.update(more)
    return spec


def play(rules, values, verdicts=None, step_ms=10, t_ms=0):
    """Active rule after each value of channel 0."""
    said = []
    for i, value in enumerate(values):
        bad = verdicts and verdicts[i]
        rules.step(array("h", [value, 0]), BAD if bad else GOOD, (t_ms + i * step_ms) & 0x3FFFFFFF, 0)
        said.append(rules.active)
    return said


def test_hysteresis_holds_between_clear_and_limit():
    assert play(Rules([rule(clear=90)], 2), (100, 101, 95, 91, 90, 95, 101)) == [-1, 0, 0, 0, -1, -1, 0]
    below = Rules([rule(when="below", limit=-100, clear=-90)], 2)
    assert play(below, (-100, -101, -95, -91, -90, -95, -101)) == [-1, 0, 0, 0, -1, -1, 0]


def test_extreme_limits_and_values_compare_as_signed_numbers():
    assert play(Rules([rule(limit=32766)], 2), (32766, 32767, 0, -32768)) == [-1, 0, -1, -1]
    assert play(Rules([rule(limit=-32768)], 2), (-32768, -32767, 32767)) == [-1, 0, 0]
    assert play(Rules([rule(when="below", limit=-32767)], 2), (-32767, -32768, 0)) == [-1, 0, -1]
    assert play(Rules([rule(when="below", limit=32767)], 2), (32767, 32766, -5)) == [-1, 0, 0]


def test_dwell_needs_lasting_evidence_both_ways_and_across_the_wrap_of_time():
    for start in (0, 0x3FFFFFFF - 25):
        rules = Rules([rule(dwell_ms=20, clear_dwell_ms=30)], 2)
        values = (101, 101, 100, 101, 101, 101, 0, 0, 101, 0, 0, 0, 0)
        assert play(rules, values, t_ms=start) == [-1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, -1]


def test_priority_wins_then_the_earlier_rule():
    rules = Rules([rule("a"), rule("b", limit=200, priority=5), rule("c", limit=150, priority=5)], 2)
    assert play(rules, (50, 101, 151, 201, 101)) == [-1, 0, 2, 1, 0]
    assert rules.names[2] == "c" and rules.labels[0] == 1


def test_an_interlock_is_reported_apart_and_its_changes_are_told():
    rules = Rules([rule("floor", priority=9), rule("lock", limit=200, interlock=True)], 2)
    row = array("h", [0, 0])
    told = []
    for t, value in enumerate((0, 150, 201, 202, 150, 0)):
        row[0] = value
        told.append((rules.step(row, GOOD, t, 0), rules.active, rules.interlock))
    assert told == [(0, -1, -1), (0, 0, -1), (1, 0, 1), (0, 0, 1), (1, 0, -1), (0, -1, -1)]


def test_a_bad_value_never_helps_to_clear_and_trips_only_who_asks_for_it():
    hold = Rules([rule(clear_dwell_ms=20)], 2)
    assert play(hold, (101, 0, 0, 0, 0, 0), (0, 0, 1, 0, 0, 0)) == [0, 0, 0, 0, 0, -1]
    assert play(Rules([rule()], 2), (0, 999, 999), (1, 1, 1)) == [-1, -1, -1]
    assert play(Rules([rule(dwell_ms=20)], 2), (101, 101, 101), (0, 1, 0)) == [-1, -1, 0]
    trip = Rules([rule(dwell_ms=20, on_bad="trip")], 2)
    assert play(trip, (0, 0, 0, 0, 0, 0, 0, 0), (1, 1, 0, 1, 1, 1, 1, 0)) == [-1, -1, -1, -1, -1, 0, 0, -1]
    other = Rules([rule(channel=1, on_bad="trip")], 2)
    assert play(other, (0, 0), (1, 1)) == [-1, -1]  # channel 0 is bad, the rule looks at 1


def test_no_samples_at_all_count_as_bad_ones():
    rules = Rules([rule(on_bad="trip", dwell_ms=50, interlock=True), rule("b")], 2)
    assert [rules.idle(t) for t in (0, 40, 50, 60)] == [0, 0, 1, 0]
    assert rules.interlock == 0 and rules.active == -1


def test_feature_rules_step_with_windows_only():
    spec = rule("still", when="below", limit=10)
    spec["on"] = {"feature": 2}
    rules = Rules([rule(), spec], 2, (1, 1, 2))
    vector = array("h", [0, 0, 5])
    rules.step(array("h", [0, 0]), GOOD, 0, 0)
    assert rules.active == -1
    rules.window(vector, 2, 10)
    assert rules.active == -1  # channel 1, which feature 2 is made of, is not to be believed
    rules.window(vector, 1, 20)
    assert rules.active == 1 and tripped(rules, 1)
    rules.reset()
    assert rules.active == -1 and not tripped(rules, 1)


def test_wrong_indices_and_a_clear_beyond_the_limit_are_refused():
    for spec in (rule(channel=2), rule(channel=-1), rule(clear=101), rule(when="below", clear=99)):
        try:
            Rules([spec], 2)
            raise AssertionError(spec)
        except Refused as e:
            assert e.reason in ("rules.index", "rules.clear")


def test_random_walks_agree_with_a_plain_model_and_everywhere():
    lcg = Lcg(7)
    total = 0
    for _ in range(20):
        limit = lcg.next(200) - 100
        gap = lcg.next(30)
        above = lcg.next(2)
        dwell = lcg.next(4) * 10
        when, clear = ("above", limit - gap) if above else ("below", limit + gap)
        rules = Rules([rule(when=when, limit=limit, clear=clear, dwell_ms=dwell, clear_dwell_ms=dwell)], 2)
        value = active = 0
        since = None
        for t in range(0, 1000, 10):
            value += lcg.next(61) - 30
            rules.step(array("h", [value, 0]), GOOD, t, 0)
            far = value - limit if above else limit - value
            evidence = far <= -gap if active else far > 0
            since = (t if since is None else since) if evidence else None
            if evidence and t - since >= dwell:
                active = 1 - active
                since = None
            assert rules.active == active - 1
            total = (total * 3 + active) % 65521
    assert total == 14830, total
