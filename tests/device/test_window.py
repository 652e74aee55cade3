"""The window: when it is due, its quality, what taint does, and reading in time order."""

from array import array

try:
    import micropython
except ImportError:
    from sensewell._port import micropython

from lcg import Lcg
from sensewell.refusal import Refused
from sensewell.window import Window


def _due(window, count, good=1):
    """The 1-based places among `count` pushes at which a window was due."""
    return [i + 1 for i in range(count) if window.push(array("h", [i, -i]), good)]


def test_a_window_is_due_when_full_and_then_every_hop():
    assert _due(Window(2, 5, 2), 12) == [5, 7, 9, 11]
    assert _due(Window(2, 5, 5), 12) == [5, 10]
    assert _due(Window(2, 2, 5), 12) == [2, 7, 12]
    assert _due(Window(2, 1, 1), 3) == [1, 2, 3]


def test_push_says_true_or_false():
    window = Window(1, 2, 1)
    row = array("h", [0])
    assert window.push(row, True) is False
    assert window.push(row, False) is True


def test_after_a_break_a_whole_window_is_needed_again():
    window = Window(2, 5, 2)
    assert _due(window, 6) == [5]
    window.reset()
    assert window.quality_pct == 0
    assert _due(window, 8) == [5, 7]
    assert window.samples == 14


def test_rows_are_read_oldest_first_at_every_turn_of_the_ring():
    window = Window(2, 5, 1)
    out = array("h", bytes(10))
    for i in range(23):
        window.push(array("h", [i, -i]), 1)
        first = max(0, i - 4)
        count = i - first + 1
        for channel, sign in ((0, 1), (1, -1)):
            window.read(channel, out)
            assert list(out)[:count] == [sign * value for value in range(first, i + 1)]


def test_extreme_counts_come_back_as_they_went_in():
    window = Window(1, 3, 1)
    for value in (-32768, 32767, -1):
        window.push(array("h", [value]), 1)
    out = array("h", bytes(6))
    window.read(0, out)
    assert list(out) == [-32768, 32767, -1]


def test_reading_refuses_what_would_leave_the_arrays():
    window = Window(2, 3, 1)
    _due(window, 4)
    for channel, length in ((-1, 3), (2, 3), (0, 2), (1, 0)):
        try:
            window.read(channel, array("h", bytes(2 * length)))
        except ValueError:
            continue
        assert False, (channel, length)


def test_quality_is_the_share_of_good_rows_rounded_down():
    window = Window(2, 3, 1)
    assert window.quality_pct == 0
    for good, quality in ((1, 100), (0, 50), (1, 66), (1, 66), (1, 100), (0, 66), (0, 33), (0, 0), (7, 33)):
        _due(window, 1, good)
        assert window.quality_pct == quality, (good, quality, window.quality_pct)


def test_taint_marks_the_last_rows_and_stops_at_the_oldest():
    window = Window(2, 4, 1)
    _due(window, 7)
    window.taint(1)
    assert window.quality_pct == 75
    window.taint(1)
    assert window.quality_pct == 75
    window.taint(3)
    assert window.quality_pct == 25
    window.taint(1000)
    assert window.quality_pct == 0
    window.reset()
    _due(window, 2)
    window.taint(4)
    assert window.quality_pct == 0
    window.taint(0)
    window.taint(-1)
    _due(window, 4)
    assert window.quality_pct == 100


def test_quality_stays_right_through_random_pushes_taints_and_breaks():
    random = Lcg(5)
    window = Window(1, 7, 3)
    row = array("h", [0])
    flags = []
    for _ in range(1500):
        what = random.next(20)
        if what == 0:
            window.reset()
            flags = []
        elif what < 4:
            n = random.next(10)
            window.taint(n)
            n = min(n, len(flags))
            flags = flags[: len(flags) - n] + [0] * n
        else:
            good = 1 if random.next(4) else 0
            window.push(row, good)
            flags = (flags + [good])[-7:]
        assert window.quality_pct == (sum(flags) * 100 // len(flags) if flags else 0)


def test_sizes_that_make_no_sense_are_refused():
    for sizes in ((0, 4, 1), (1, 0, 1), (1, 4, 0), (1, 9000, 1)):
        try:
            Window(*sizes)
        except Refused as error:
            assert error.reason == "window.size"
            continue
        assert False, sizes


def test_the_heap_does_not_move():
    window = Window(2, 50, 25)
    row = array("h", [1, 2])
    out = array("h", bytes(100))
    due = 0
    micropython.heap_lock()
    for i in range(3000):
        if window.push(row, i & 7):
            due += 1
            window.read(1, out)
            window.taint(3)
            due += window.quality_pct >> 10
    micropython.heap_unlock()
    assert due == 119
