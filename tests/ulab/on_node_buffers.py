"""ulab's arrays where the device code asks for array('h'), in node: the same answers, and the same memory."""

from array import array

import tiny_bundle
from lcg import Lcg
from sensewell.condition import Condition
from sensewell.features import Features
from sensewell.guard import Guard
from sensewell.model.trees import Forest
from sensewell.rules import Rules
from sensewell.sensor.replay import Replay
from sensewell.window import Window
from uctypes import addressof
from ulab import numpy as np
from ulab import utils


def shared(array_):
    """The array of ulab over an array('h'): its memory, seen another way."""
    view = np.frombuffer(array_, dtype=np.int16)
    assert addressof(view) == addressof(array_)
    return view


def noise(n, seed=1, spread=4000):
    random = Lcg(seed)
    return array("h", [random.next(spread) - spread // 2 for _ in range(n)])


def table(rows, n_channels, seed=1):
    """(array('h'), the same as a matrix of ulab's over the same memory)."""
    flat = noise(rows * n_channels, seed)
    return flat, shared(flat).reshape((rows, n_channels))


def test_a_window_takes_rows_of_a_matrix_and_its_ring_is_one():
    flat, matrix = table(40, 3)
    one = Window(3, 16, 8)
    other = Window(3, 16, 8)
    ring = shared(other.rows).reshape((16, 3))
    for i in range(40):
        row = matrix[i]
        assert addressof(row) == addressof(flat) + 6 * i  # a row is a view
        assert one.push(flat[3 * i : 3 * i + 3], 1) == other.push(row, 1)
        assert list(ring[i % 16]) == list(row)
    assert one.rows == other.rows
    out = np.zeros(16, dtype=np.int16)
    wanted = array("h", [0] * 16)
    for c in range(3):
        one.read(c, wanted)
        other.read(c, out)
        assert list(out) == list(wanted)
    try:
        other.read(0, np.zeros(15, dtype=np.int16))
    except ValueError:
        pass
    else:
        raise AssertionError("it has no room for a window")


def test_features_fill_a_view_of_theirs():
    specs = [{"f": name, "c": c} for c in range(2) for name in ("mean", "std", "p50", "dom", "entropy")]
    features = Features(specs, 2, 64)
    view = shared(features.vector)
    _, matrix = table(128, 2)
    window = Window(2, 64, 32)
    seen = []
    for i in range(128):
        if window.push(matrix[i], 1):
            features.compute(window)
            assert list(view) == list(features.vector)
            seen.append(list(view))
    assert len(seen) == 3 and seen[0] != seen[1]
    view[0] = 77
    assert features.vector[0] == 77


def test_a_forest_reads_ulab_features():
    forest = Forest(tiny_bundle.forest(5, 3, 7, 4), 5, 3)
    scores = array("i", [0] * 3)
    again = array("i", [0] * 3)
    classes = set()
    for seed in range(100):
        row = noise(5, seed, 6000)
        best = forest.predict(row, scores)
        assert forest.predict(np.array(row, dtype=np.int16), again) == best
        assert scores == again
        assert list(utils.from_int32_buffer(scores)) == list(scores)  # floats, a copy: ulab has no int32
        classes.add(best)
    assert len(classes) > 1


def test_the_length_is_checked_as_ever():
    forest = Forest(tiny_bundle.forest(5, 3), 5, 3)
    for n in (4, 6):
        try:
            forest.predict(np.zeros(n, dtype=np.int16), array("i", [0] * 3))
        except Exception as error:
            assert getattr(error, "reason", "") == "model.schema", error
        else:
            raise AssertionError("not refused")


def test_stations_read_and_write_ulab_rows():
    limits = [{"lo_raw": -1500, "hi_raw": 1500, "stuck_n": 4, "spike_raw": 1500}] * 3
    settings = [{"offset_raw": 10, "gain_q12": 3000}] * 3, [{"kind": "median", "n": 3}] * 3
    rules = [
        {"name": "over", "on": {"channel": 0}, "when": "above", "limit": 1000, "label": 0, "priority": 1},
        {"name": "under", "on": {"channel": 2}, "when": "below", "limit": -1000, "label": 0, "interlock": True},
    ]
    flat, matrix = table(300, 3, 9)
    guards = Guard(limits, 20), Guard(limits, 20)
    conditions = Condition(3, *settings), Condition(3, *settings)
    both = Rules(rules, 3), Rules(rules, 3)
    out = array("h", [0] * 3)
    for i in range(300):
        row = flat[3 * i : 3 * i + 3]
        assert guards[0].check(row, 20 * i) == guards[1].check(matrix[i], 20 * i)
        said = [both[k].step((row, matrix[i])[k], guards[k].verdicts, 20 * i, 0) for k in range(2)]
        assert said[0] == said[1]
        conditions[0].apply(row, out)
        conditions[1].apply(matrix[i], matrix[i])  # in place: in the memory of `flat`
        assert list(out) == list(flat[3 * i : 3 * i + 3]) == list(matrix[i])
    assert list(guards[0].counters) == list(guards[1].counters) and sum(guards[0].counters) > 50
    assert (both[0].active, both[0].interlock) == (both[1].active, both[1].interlock)
    assert guards[0].last_good == guards[1].last_good


def test_a_pipeline_decides_the_same():
    one = tiny_bundle.pipeline()
    other = tiny_bundle.pipeline()
    flat, matrix = table(200, 2, 5)
    said = []
    for i in range(200):
        row = flat[2 * i : 2 * i + 2]
        if i % 41 == 7:
            row[1] = matrix[i][1] = -32768
        if 100 < i < 130:
            row[0] = matrix[i][0] = 16000  # trips the interlock
        decision = one.feed(row, 20 * i)
        if decision:
            decision = str(decision)
        same = other.feed(matrix[i], 20 * i)
        assert decision == (str(same) if same else None)
        if decision:
            said.append(decision)
    assert len(said) > 20 and any(["interlock:over" in line for line in said]), said
    assert one.scores == other.scores and one.vector == other.vector and one.bad == other.bad > 0


def test_a_recording_is_played_from_a_matrix_and_into_a_row():
    flat, matrix = table(20, 2, 3)
    row = np.zeros(2, dtype=np.int16)
    for source in (flat, matrix, shared(flat)):
        replay = Replay(source, 2, 20)
        assert replay.rows == 20
        for i in range(20):
            assert replay.read(row) == 20 * i
            assert list(row) == list(flat[2 * i : 2 * i + 2])
        assert replay.read(row) == -1
    replay = Replay(matrix, 2, 20)
    matrix[0] = 5
    replay.read(row)
    assert list(row) == [5, 5]  # it is played as it lies
    try:
        Replay(np.zeros((20, 2)), 2, 20)
    except Exception as error:
        assert getattr(error, "reason", "") == "replay.rows", error
    else:
        raise AssertionError("floats are no counts")


def test_an_array_that_leaves_out_memory_is_refused():
    flat, matrix = table(8, 4)
    window = Window(4, 8, 8)
    for row in (matrix[:, 1], matrix[0][::2], matrix[0][::-1]):
        try:
            window.push(row, 1)
        except TypeError:
            continue
        raise AssertionError("its items do not lie side by side")
    assert window.samples == 0
    part = shared(flat)[1:5]  # but a part is as good as the whole
    window.push(part, 1)
    assert list(window.rows[:4]) == list(part)
