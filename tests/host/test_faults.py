"""Faults: plans that keep their word, and scores that the real guard earns on a noisy signal of known truth."""

from array import array

import numpy as np
import pytest
from sensewell import reasons
from sensewell.guard import Guard
from sensewell.sensor.replay import KINDS, Replay
from sensewell_host.dataset import faults as f
from sensewell_host.errors import SensewellError

PERIOD_MS = 20
CHANNELS = 6
SPEC = {
    "sat_lo_raw": -32767,
    "sat_hi_raw": 32767,
    "stuck_n": 8,
    "spike_raw": 9000,
}


def _signal(n, seed=0):
    """Slow swings with noise, as of a moving arm."""
    noise = np.random.default_rng(seed)
    t = np.arange(n)[:, None]
    swing = 6000 * np.sin(2 * np.pi * t / (80 + 17 * np.arange(CHANNELS)) + np.arange(CHANNELS))
    return (swing + noise.normal(0, 120, (n, CHANNELS))).round().astype(np.int16)


def _replay(samples, faults, turn=None, spec=SPEC):
    """Verdicts, taints and times of the real guard behind the real replay sensor."""
    sensor = Replay(samples.tobytes(), CHANNELS, PERIOD_MS, [fault.as_dict() for fault in faults], turn)
    watch = Guard([spec] * CHANNELS, PERIOD_MS)
    row = array("h", bytes(2 * CHANNELS))
    verdicts, taints, times = [], [], []
    while (t_ms := sensor.read(row)) >= 0:
        verdicts.append(watch.check(row, t_ms))
        taints.append(watch.taint)
        times.append(t_ms)
    return verdicts, taints, times


def test_a_plan_is_the_same_for_a_seed_and_another_for_another():
    assert f.plan(10_000, 6, seed=7) == f.plan(10_000, 6, seed=7)
    assert f.plan(10_000, 6, seed=7) != f.plan(10_000, 6, seed=8)
    assert f.plan(3000, 6, seed=3)[:2] == [f.Fault("gap", -1, 128, 47), f.Fault("stuck", 5, 380, 55)]


def test_planned_faults_lie_apart_inside_the_recording_and_within_their_bounds():
    for seed in range(20):
        faults = f.plan(20_123, 6, seed=seed, every=300, apart=120)
        assert len(faults) == 67
        assert {fault.kind for fault in faults} == set(KINDS)
        end = 0
        for fault in faults:
            low, high = f.LENGTHS[fault.kind]
            assert low <= fault.length <= high
            assert fault.start - end >= 120
            end = fault.rows.stop
            assert -1 <= fault.channel < 6
            if fault.kind == "spike":
                assert 16384 <= abs(fault.value) <= 32767
        assert end <= 20_123


def test_kinds_amplitudes_and_lengths_can_be_chosen():
    faults = f.plan(50_000, 3, ["spike", "gap"], 2, spike_raw_min=3000, spike_raw_max=3001, lengths={"gap": (4, 4)})
    assert {fault.kind for fault in faults} == {"spike", "gap"}
    assert {abs(fault.value) for fault in faults if fault.kind == "spike"} == {3000, 3001}
    assert {fault.value > 0 for fault in faults if fault.kind == "spike"} == {True, False}
    assert {fault.length for fault in faults if fault.kind == "gap"} == {4}
    assert f.plan(249, 3) == []
    assert f.plan(5000, 3, []) == []


def test_what_cannot_be_planned_is_said_in_a_sentence():
    with pytest.raises(SensewellError, match="unknown kind of fault 'melted'"):
        f.plan(1000, 3, ["melted"])
    with pytest.raises(SensewellError, match="do not fit"):
        f.plan(1000, 3, every=150)
    with pytest.raises(SensewellError, match="cannot plan"):
        f.plan(1000, 0)


def test_truth_marks_the_rows_of_each_kind():
    mask = f.truth([f.Fault("stuck", 0, 2, 3), f.Fault("gap", -1, 4, 2)], 7)
    assert mask.tolist() == [0, 0, 1, 1, 33, 32, 0]
    assert f.rows_read([f.Fault("gap", -1, 4, 2)], 7).tolist() == [0, 1, 2, 3, 6]


def test_the_guard_finds_every_planned_fault_and_spares_the_clean_rows():
    total = f.Score()
    for seed in range(4):
        samples = _signal(15_000, seed)
        faults = f.plan(len(samples), CHANNELS, seed=seed)
        verdicts, taints, times = _replay(samples, faults)
        total += f.score(faults, len(samples), verdicts, taints, times, PERIOD_MS)
    assert total.by_kind["gap"].faulty == 40
    for kind in KINDS:
        assert total.recall[kind] >= 0.99, (kind, total.by_kind[kind])
    assert total.false_reject_rate <= 0.002, total


def test_taint_can_be_worked_out_from_the_verdicts_alone():
    samples = _signal(15_000)
    faults = f.plan(len(samples), CHANNELS, seed=5)
    verdicts, taints, _ = _replay(samples, faults)
    assert f.score(faults, len(samples), verdicts, 7) == f.score(faults, len(samples), verdicts, taints)


def test_a_clean_recording_is_hardly_refused_and_a_blind_guard_scores_nothing():
    samples = _signal(5000)
    verdicts, taints, times = _replay(samples, [])
    clean = f.score([], len(samples), verdicts, taints, times, PERIOD_MS)
    assert (clean.clean, clean.clean_refused, clean.recall) == (5000, 0, {})
    faults = f.plan(len(samples), CHANNELS)
    blind = f.score(faults, len(samples), [0] * len(f.rows_read(faults, len(samples))))
    assert set(blind.recall.values()) == {0.0}


def test_the_score_counts_what_fits_the_kind():
    faults = [
        f.Fault("stuck", 0, 10, 6),
        f.Fault("gap", -1, 20, 5),
        f.Fault("spike", 1, 30, 1),
        f.Fault("stale", -1, 33, 2),
    ]
    verdicts = [0] * 35
    verdicts[13:16] = [reasons.STUCK] * 3
    verdicts[20] = reasons.GAP
    verdicts[25] = reasons.MISSING  # row 30: refused, but for another reason
    verdicts[28] = reasons.STALE  # row 33
    verdicts[34] = reasons.RANGE  # row 39: clean
    result = f.score(faults, 40, verdicts, 3)
    assert {kind: (v.faulty, v.refused, v.named) for kind, v in result.by_kind.items()} == {
        "stuck": (6, 6, 6),
        "spike": (1, 1, 0),
        "missing": (0, 0, 0),
        "saturated": (0, 0, 0),
        "stale": (2, 1, 1),
        "gap": (1, 1, 1),
    }
    assert (result.clean, result.clean_refused) == (26, 1)


def test_lists_that_do_not_belong_together_are_refused():
    with pytest.raises(SensewellError, match="10 samples can be read"):
        f.score([], 10, [0] * 9)
    with pytest.raises(SensewellError, match="times"):
        f.score([], 3, [0] * 3, 0, [0, 20, 41], 20)
    with pytest.raises(SensewellError, match="taint"):
        f.score([], 3, [0] * 3, [0])


def test_the_host_turns_a_mounting_as_the_sensor_does_bit_for_bit():
    samples = np.random.default_rng(1).integers(-32767, 32768, (500, CHANNELS)).astype(np.int16)
    for axis, degrees in (((1, 0, 0), 30), ((1, 2, -3), 170), ((0, 0, 1), -90), ((0, 1, 0), 0)):
        turn = f.turn(axis, degrees, [(0, 1, 2), (3, 4, 5)])
        sensor = Replay(samples.tobytes(), CHANNELS, PERIOD_MS, None, turn)
        row = array("h", bytes(2 * CHANNELS))
        rows = []
        while sensor.read(row) >= 0:
            rows.append(list(row))
        assert np.array_equal(np.array(rows), f.turned(samples, turn))
    quarter = f.turn((0, 0, 1), 90, [(0, 1, 2)])
    assert f.turned(np.array([[100, 0, 7]], np.int16), quarter).tolist() == [[0, 100, 7]]
