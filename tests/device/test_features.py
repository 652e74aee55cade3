"""The feature vocabulary: known answers, extremes, names, refusals."""

import math
from array import array

from lcg import Lcg
from sensewell.build.names import names
from sensewell.features import Features
from sensewell.refusal import Refused


class Rows:
    """A window over given rows."""

    def __init__(self, rows):
        self.rows = rows

    def read(self, channel, out):
        row = self.rows[channel]
        for i in range(len(out)):
            out[i] = row[i]


def compute(rows, specs, derived=()):
    features = Features(specs, len(rows), len(rows[0]), derived)
    features.compute(Rows(rows))
    return list(features.vector)


def one(row, name, **parameters):
    parameters.update({"f": name, "c": 0})
    return compute([row], [parameters])[0]


def constant(value, n=100):
    return array("h", [value] * n)


def test_a_small_window_gives_the_answers_of_a_pencil():
    row = array("h", [10, -20, 30, 0, 5, -5, 40, -60])
    want = {"mean": 0, "min": -60, "max": 40, "range": 100, "mav": 21, "jerk": 39, "jmax": 100, "half": -10}
    want.update({"mad": 21, "std": 29, "rms": 29, "p5": -60, "p10": -20, "p25": -5, "p50": 5, "p75": 10, "p90": 30})
    want.update({"p95": 40, "iqr": 15, "skew": 0, "zcross": 7, "mcross": 7, "amean": 0})
    for name in sorted(want):
        assert one(row, name) == want[name], (name, one(row, name))
    assert one(row, "energy") == round(256 * math.log(1 + 6650 / 8) / math.log(2))
    assert one(row, "acorr", lag=1) == round(16384 * -3425 / (6650 + 64))


def test_a_full_scale_square_wave_neither_wraps_nor_hangs():
    for n in (8, 100, 128, 256):
        row = array("h", [32767 if i & 1 else -32767 for i in range(n)])
        for name in ("std", "mad", "mav", "max", "jerk", "jmax", "range"):
            assert one(row, name) == 32767, (name, n)
        assert one(row, "rms") >= 32766
        assert one(row, "mean") == one(row, "half") == 0
        assert one(row, "energy") == 7680
        assert one(row, "mcross") == one(row, "zcross", h=32766) == n - 1
        top = 64 if n == 100 else n // 2
        assert one(row, "dom") == top
        assert one(row, "band", lo=1, hi=3) < one(row, "band", lo=3, hi=top + 1)


def test_a_single_impulse_is_seen_at_its_true_size():
    for n in (8, 100, 256):
        row = constant(-32768, n)
        row[n // 3] = 32767
        assert one(row, "range") == one(row, "jmax") == 32767
        true = 65535 * math.sqrt((1 - 1 / n) / n)
        assert abs(one(row, "std") - true) < 20, (one(row, "std"), true)
        assert abs(one(row, "energy") - 512 * math.log(true) / math.log(2)) < 4
        assert one(row, "p50") == -32768


def test_crossings_need_more_than_their_hysteresis():
    row = array("h", [100 + (9 if i % 4 < 2 else -9) for i in range(64)])
    assert one(row, "mcross") == 31
    assert one(row, "mcross", h=8) == 31
    assert one(row, "mcross", h=10) == 0
    assert one(row, "zcross") == 0


def test_autocorrelation_finds_the_period():
    row = array("h", [int(3000 * math.sin(2 * math.pi * i / 20)) for i in range(100)])
    assert one(row, "aclag", lo=5, hi=40) == 20
    assert abs(one(row, "acpeak", lo=5, hi=40) - 16384 * 0.8) < 50
    assert abs(one(row, "acorr", lag=10) + 16384 * 0.9) < 50
    assert one(row, "dom") == 6  # 6.4 bins of 128


def test_correlation_is_one_with_itself_scaled_and_minus_one_with_its_mirror():
    random = Lcg(3)
    a = array("h", [random.next(2000) - 1000 for i in range(100)])
    rows = [a, array("h", [7 * v + 5 for v in a]), array("h", [-v for v in a]), constant(5)]
    specs = [{"f": "corr", "c": 0, "d": d} for d in (1, 2, 3)]
    up, down, none = compute(rows, specs)
    assert up > 16350 and down < -16350 and none == 0


def test_tilt_and_angle_follow_gravity():
    for degrees in range(0, 181, 15):
        x = round(4096 * math.cos(math.radians(degrees)))
        y = round(4096 * math.sin(math.radians(degrees)))
        rows = [constant(x), constant(y), constant(0)]
        specs = [
            {"f": "tilt", "c": 0, "d": 1, "e": 2},
            {"f": "angle", "c": 0, "d": 1},
            {"f": "tilt", "c": 2, "d": 0, "e": 1},
        ]
        tilt, angle, level = compute(rows, specs)
        assert abs(tilt - 100 * degrees) <= 3 and abs(angle - 100 * degrees) <= 3 and abs(level - 9000) <= 1
    assert compute([constant(0)] * 3, specs) == [0, 0, 0]


def test_norms_saturate_or_halve():
    rows = [constant(3), constant(-4), constant(12), constant(-32768)]
    derived = [{"norm": [0, 1]}, {"norm": [0, 1, 2]}, {"norm": [3, 3, 3]}, {"norm": [3, 3, 3], "shift": 1}]
    assert compute(rows, [{"f": "mean", "c": c} for c in range(4, 8)], derived) == [5, 13, 32767, 28377]


def test_names_say_feature_parameters_and_channels():
    specs = [{"f": "std", "c": 0}, {"f": "band", "c": 7, "lo": 3, "hi": 6}, {"f": "corr", "c": 0, "d": 1}]
    specs += [{"f": "acorr", "c": 2, "lag": 10}, {"f": "tilt", "c": 2, "d": 0, "e": 1}, {"f": "mcross", "c": 1}]
    found = names(Features(specs, 6, 100, [{"norm": [0, 1, 2]}, {"norm": [3, 4, 5]}]))
    assert found == ["std.c0", "band3-6.c7", "corr.c0.c1", "acorr10.c2", "tilt.c2.c0.c1", "mcross.c1"]


def reason(specs, n_channels=3, length=100, derived=()):
    try:
        Features(specs, n_channels, length, derived)
    except Refused as refused:
        return refused.reason
    return "accepted"


def test_what_is_not_in_the_vocabulary_is_refused_by_name():
    good = {"f": "mean", "c": 0}
    assert reason([good]) == "accepted"
    for spec in ({"f": "kurtosis", "c": 0}, {"c": 0}, {}, "mean", 7, None, {"f": ["mean"], "c": 0}):
        assert reason([good, spec]) == "features.unknown", spec
    for spec in ({"f": "mean", "c": 3}, {"f": "mean", "c": -1}, {"f": "mean"}, {"f": "mean", "c": "0"}):
        assert reason([spec]) == "features.channel", spec
    for more in ({"d": 0}, {"d": 9}, {}):
        more.update({"f": "corr", "c": 0})
        assert reason([more]) == "features.channel", more
    for more in ({"lag": 0}, {"lag": 100}, {"lag": 1.5}, {}, {"lag": 5, "hi": 3}):
        more.update({"f": "acorr", "c": 0})
        assert reason([more]) == "features.parameter", more
    for more in ({"lo": 0, "hi": 4}, {"lo": 4, "hi": 4}, {"lo": 1, "hi": 66}, {"lo": 1}):
        more.update({"f": "band", "c": 0})
        assert reason([more]) == "features.parameter", more
    assert reason([good], length=1) == reason([good], length=257) == "features.length"
    assert reason([good], n_channels=0) == "features.channels"
    assert reason([]) == "features.count"
    for one in ({"norm": [0]}, {"norm": [0, 3]}, {"norm": 5}, {"sum": [0, 1]}, {"norm": [0, 1], "shift": 2}, 5):
        assert reason([good], derived=[one]) == "features.derived", one
