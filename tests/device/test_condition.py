"""Conditioning: scaling and filters against their formulas, start-up, MISSING, and equal results everywhere."""

from array import array

try:
    import micropython
except ImportError:
    from sensewell._port import micropython

from lcg import Lcg
from sensewell.condition import Condition
from sensewell.refusal import Refused


def _run(condition, values):
    """One channel's `values` through `condition`."""
    row = array("h", [0])
    out = []
    for value in values:
        row[0] = value
        condition.apply(row, row)
        out.append(row[0])
    return out


def _filter(values, **spec):
    return _run(Condition(1, None, [spec]), values)


def _sat(value):
    return min(max(value, -32767), 32767)


def _noise(seed, count):
    random = Lcg(seed)
    return [max(random.int16(), -32767) for _ in range(count)]


def test_nothing_to_do_is_known_and_copies():
    for condition in (
        Condition(2),
        Condition(2, [None, {}], [{"kind": "none"}, None], [{"offset_raw": 0, "gain_q12": 4096}, None]),
    ):
        assert condition.identity
        out = array("h", [0, 0])
        condition.apply(array("h", [-32768, 32767]), out)
        assert list(out) == [-32768, 32767]
    assert not Condition(1, [{"offset_raw": 1}]).identity
    assert not Condition(1, None, [{"kind": "iir", "shift": 1}]).identity
    assert not Condition(1, None, None, [{"gain_q12": 1}]).identity


def test_scaling_is_its_formula_saturated():
    for offset, gain in ((0, 8192), (100, 4096), (-32768, 16383), (32767, -16383), (-5, 1), (7, 0), (0, -4096)):
        values = _noise(offset & 0xFF, 40) + [-32767, -1, 0, 1, 32767]
        expected = [_sat(((x - offset) * gain + 2048) >> 12) for x in values]
        spec = [{"offset_raw": offset, "gain_q12": gain}]
        assert _run(Condition(1, spec), values) == expected
        assert _run(Condition(1, None, None, spec), values) == expected


def test_the_average_is_the_rounded_mean_of_the_last_n():
    values = _noise(3, 60)
    for n in (2, 3, 5, 16):
        padded = [values[0]] * (n - 1) + values
        expected = [(sum(padded[i : i + n]) + n // 2) // n for i in range(len(values))]
        assert _filter(values, kind="average", n=n) == expected


def test_the_median_is_the_middle_one_of_the_last_n():
    values = _noise(4, 60) + [5, 5, 5, 9, 9, 5, 9, 9, 9]
    for n in (3, 5):
        padded = [values[0]] * (n - 1) + values
        expected = [sorted(padded[i : i + n])[n // 2] for i in range(len(values))]
        assert _filter(values, kind="median", n=n) == expected


def test_a_median_swallows_a_lone_spike():
    assert _filter([10, 10, 32767, 10, 10], kind="median", n=3) == [10] * 5


def test_the_iir_is_its_formula_in_q8():
    values = _noise(6, 80) + [32767] * 30 + [-32767] * 30
    for shift in (1, 4, 8):
        state = values[0] << 8
        expected = []
        for x in values:
            state += ((x << 8) - state) >> shift
            expected.append((state + 128) >> 8)
        assert _filter(values, kind="iir", shift=shift) == expected


def test_every_filter_starts_as_if_the_first_reading_had_always_been_there():
    for spec in ({"kind": "average", "n": 7}, {"kind": "median", "n": 5}, {"kind": "iir", "shift": 3}):
        for value in (-32767, -1, 0, 12345, 32767):
            assert _filter([value] * 10, **spec) == [value] * 10


def test_reset_forgets():
    for spec in ({"kind": "average", "n": 7}, {"kind": "median", "n": 5}, {"kind": "iir", "shift": 3}):
        condition = Condition(1, None, [spec])
        _run(condition, _noise(9, 20))
        condition.reset()
        assert _run(condition, [-77] * 3) == [-77] * 3


def test_missing_goes_through_and_no_filter_takes_note():
    for spec in ({"kind": "average", "n": 4}, {"kind": "median", "n": 3}, {"kind": "iir", "shift": 2}):
        with_holes = _run(Condition(1, [{"offset_raw": 5}], [spec]), [-32768, 100, -32768, 200, 300, -32768])
        without = _run(Condition(1, [{"offset_raw": 5}], [spec]), [100, 200, 300])
        assert with_holes == [-32768, without[0], -32768, without[1], without[2], -32768]


def test_the_order_is_calibration_filter_normalisation():
    condition = Condition(1, [{"gain_q12": 8192}], [{"kind": "average", "n": 2}], [{"offset_raw": 10}])
    assert _run(condition, [20000, 1, 1]) == [32757, 16375, -8]  # 32767; (32767 + 2 + 1) // 2; 2


def test_settings_that_make_no_sense_are_refused_by_name():
    for arguments, reason in (
        ((1, [{"gain_q12": 16384}]), "calibration"),
        ((1, [{"offset_raw": 40000}]), "calibration"),
        ((1, None, None, [{"gain_q12": -16384}]), "normalise"),
        ((2, None, [{}]), "filters"),
        ((1, None, [{"kind": "magic"}]), "filters"),
        ((1, None, [{"kind": "average", "n": 17}]), "filters"),
        ((1, None, [{"kind": "median", "n": 4}]), "filters"),
        ((1, None, [{"kind": "iir"}]), "filters"),
    ):
        try:
            Condition(*arguments)
        except Refused as error:
            assert error.reason == "condition." + reason, error.reason
            continue
        assert False, arguments


def _busy():
    return Condition(
        4,
        [{"offset_raw": -300, "gain_q12": 5000}, None, {"gain_q12": -4096}, None],
        [
            {"kind": "average", "n": 5},
            {"kind": "median", "n": 5},
            {"kind": "iir", "shift": 3},
            {"kind": "median", "n": 3},
        ],
        [None, {"offset_raw": 1000, "gain_q12": 2000}, None, {"gain_q12": 8000}],
    )


def test_every_platform_gives_the_same_numbers():
    random = Lcg(11)
    condition = _busy()
    row = array("h", [0] * 4)
    out = array("h", [0] * 4)
    check = 0
    for _ in range(400):
        for c in range(4):
            row[c] = random.int16()
        condition.apply(row, out)
        for c in range(4):
            check = (check * 31 + out[c]) & 0xFFFFFF
    assert check == 6313307, check


def test_the_heap_does_not_move():
    condition = _busy()
    row = array("h", [1, 2, 3, 4])
    out = array("h", [0] * 4)
    micropython.heap_lock()
    for i in range(2000):
        row[i & 3] = i
        condition.apply(row, out)
    micropython.heap_unlock()
    assert out[3] != 0
