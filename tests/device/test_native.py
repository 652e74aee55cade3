"""Native modules, where the board has them: equal to viper code bit for bit. Elsewhere the tests pass, with a note.

Forests: test_trees.py and test_trees_fuzz.py compare all engines there are.
"""

from array import array

from lcg import Lcg
from sensewell.window import Window

try:
    import micropython
except ImportError:
    from sensewell._port import micropython

try:
    import sensewell_features
    import sensewell_trees
except ImportError:
    sensewell_features = sensewell_trees = None
    print("no native modules here: nothing to compare")

LENGTHS = (8, 9, 31, 64, 100, 129, 256)
DERIVED = ({"norm": [0, 1, 2]}, {"norm": [2, 3], "shift": 1})


class Reader:
    """Hides the ring of a Window: only its read() is left."""

    def __init__(self, window):
        self.window = window

    def read(self, channel, out):
        self.window.read(channel, out)


class Silent(Window):
    """A window whose ring must be used as it lies."""

    def read(self, channel, out):
        raise AssertionError("read")


class Native:
    """The plan of a viper Features, computed by the native module."""

    def __init__(self, viper, n_channels, length):
        self.plan = viper.run, viper.derived
        self.vector = array("h", [0] * len(viper.vector))
        self.work = sensewell_features.prepare(viper.run, viper.derived, self.vector, n_channels, length)
        assert self.work
        self.row = array("h", [0] * length)

    def compute(self, window):
        run, derived = self.plan
        sensewell_features.compute(run, derived, self.vector, self.work, window, self.row)


def viper_features(specs, n_channels, length, derived=()):
    try:
        from sensewell.kernel.features_viper import Features
    except ImportError:
        from sensewell.features import Features
    return Features(specs, n_channels, length, derived)


def specs_for(n, random):
    """Each feature once, on any channel, with any parameters."""
    from sensewell.build.features import FEATURES

    half = 4
    while 2 * half < n:
        half *= 2
    specs = []
    for name in FEATURES:
        c = random.next(6)
        spec = {"f": name, "c": c}
        if name in ("mcross", "zcross"):
            spec["h"] = random.next(2) * random.next(2000)
        elif name == "acorr":
            spec["lag"] = 1 + random.next(n - 1)
        elif name in ("acpeak", "aclag", "band", "share"):
            top = half + 1 if name in ("band", "share") else n
            spec["lo"] = 1 + random.next(top - 1)
            spec["hi"] = spec["lo"] + 1 + random.next(top - spec["lo"])
        elif name in ("corr", "angle", "tilt"):
            spec["d"] = (c + 1 + random.next(2)) % 6
            if name == "tilt":
                spec["e"] = (c + 3) % 6
        specs.append(spec)
    return specs


def fill(window, n, random):
    """Push n rows of 4 channels and some more, to turn the ring: noise at some scale, extremes, a slope, a wave."""
    row = array("h", [0] * 4)
    shift = random.next(13)
    at = 0
    for i in range(n + random.next(n)):
        at += (random.int16() >> 4) - at // 8
        row[0] = random.int16() >> shift
        row[1] = 32767 if random.next(2) else -32768
        row[2] = (i * 97 + random.next(9)) % 60000 - 30000
        row[3] = max(-32768, min(32767, at))
        window.push(row, 1)


def test_native_features_equal_viper_features():
    if not sensewell_features:
        return
    random = Lcg(17)
    for n in LENGTHS:
        specs = specs_for(n, random)
        viper = viper_features(specs, 4, n, DERIVED)
        native = Native(viper, 4, n)
        window = Window(4, n, n)
        for _ in range(6):
            fill(window, n, random)
            viper.compute(window)
            for source in (window, Reader(window)):
                native.compute(source)
                for spec, got, want in zip(specs, native.vector, viper.vector):
                    assert got == want, (n, spec, got, want)


def test_native_features_use_the_ring_as_it_lies_and_leave_the_heap_alone():
    if not sensewell_features:
        return
    random = Lcg(19)
    features = Native(viper_features(specs_for(64, random), 4, 64, DERIVED), 4, 64)
    window = Silent(4, 64, 64)
    other = Window(4, 64, 64)
    fill(window, 64, random)
    fill(other, 64, random)
    reader = Reader(other)
    features.compute(reader)
    micropython.heap_lock()
    try:
        features.compute(window)
        features.compute(reader)
    finally:
        micropython.heap_unlock()


def test_a_window_of_another_shape_is_read_not_trusted():
    if not sensewell_features:
        return
    features = Native(viper_features([{"f": "max", "c": 2}], 3, 16), 3, 16)
    window = Window(4, 16, 16)
    fill(window, 16, Lcg(23))
    features.compute(window)
    column = array("h", [0] * 16)
    window.read(2, column)
    assert features.vector[0] == max(column)
    try:
        features.compute(Window(1, 16, 16))
        raise AssertionError("computed")
    except ValueError:
        pass


def test_an_unsound_plan_gets_no_work_space_and_other_buffers_are_refused():
    if not sensewell_features:
        return
    features = Native(viper_features([{"f": "max", "c": 2}, {"f": "acorr", "c": 1, "lag": 5}], 3, 16), 3, 16)
    run, derived = features.plan
    prepare = sensewell_features.prepare
    assert prepare(run, derived, features.vector[:1], 3, 16) is None
    assert prepare(run, derived, features.vector, 2, 16) is None
    assert prepare(run, derived, features.vector, 3, 300) is None
    assert prepare(run[:5], derived, features.vector, 3, 16) is None
    features.row = features.row[:8]
    try:
        features.compute(Window(3, 16, 16))
        raise AssertionError("computed")
    except ValueError:
        pass


def test_native_prediction_checks_lengths_and_leaves_the_heap_alone():
    if not sensewell_trees:
        return
    from forests import SMALL, forest

    blob = memoryview(forest([SMALL, 2]))
    row = array("h", [6, 3, 101])
    scores = array("i", [0] * 3)
    predict = sensewell_trees.predict
    micropython.heap_lock()
    try:
        best = predict(blob, row, scores)
    finally:
        micropython.heap_unlock()
    assert best == 1 and list(scores) == [0, 1, 1]
    for a, b in ((row[:2], scores), (row, scores[:2]), (scores, scores), (row, row)):
        assert predict(blob, a, b) == -1
    assert predict(blob[:8], row, scores) == -1
