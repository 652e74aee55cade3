"""The whole feature vocabulary at once: constant windows, no allocation, the same numbers on every board."""

from array import array

from lcg import Lcg
from sensewell.build.features import FEATURES
from sensewell.features import Features

try:
    import micropython
except ImportError:
    from sensewell._port import micropython


class Rows:
    """A window over given rows, read from sample `turn` on, round and round."""

    def __init__(self, rows):
        self.rows = rows
        self.turn = 0

    def read(self, channel, out):
        row = self.rows[channel]
        at = self.turn
        for i in range(len(out)):
            if at == len(row):
                at = 0
            out[i] = row[at]
            at += 1


def compute(rows, specs, derived=()):
    features = Features(specs, len(rows), len(rows[0]), derived)
    features.compute(Rows(rows))
    return list(features.vector)


def every(c, length, others):
    """One spec of each feature on channel c."""
    top = 4
    while 2 * top < length:
        top *= 2
    asked = {
        "mcross": {"h": 3},
        "acorr": {"lag": max(length // 8, 1)},
        "acpeak": {"lo": 1, "hi": max(length // 2, 2)},
        "aclag": {"lo": 1, "hi": max(length // 2, 2)},
        "band": {"lo": 1, "hi": top // 2},
        "share": {"lo": 2, "hi": top + 1},
        "corr": {"d": (c + 1) % others},
        "angle": {"d": (c + 1) % others},
        "tilt": {"d": (c + 1) % others, "e": (c + 2) % others},
    }
    specs = []
    for name in FEATURES:
        spec = {"f": name, "c": c}
        spec.update(asked.get(name, {}))
        specs.append(spec)
    return specs


def test_a_constant_window_has_a_level_and_nothing_else():
    for value in (-32768, -1, 0, 7, 32767):
        for n in (2, 3, 8, 100, 256):
            rows = [array("h", [value] * n)] * 3
            specs = every(0, n, 3)
            for spec, got in zip(specs, compute(rows, specs)):
                name = spec["f"]
                if name in ("mean", "min", "max") or name[0] == "p":
                    assert got == value, (name, value, got)
                elif name in ("amean", "mav", "rms"):
                    assert abs(got - min(abs(value), 32767)) <= 1, (name, value, got)
                elif name not in ("angle", "tilt", "aclag"):
                    assert got == 0, (name, value, got)


def test_nothing_is_allocated_over_a_hundred_windows():
    random = Lcg(5)
    rows = [array("h", [random.int16() for i in range(64)]) for c in range(4)]
    specs = every(0, 64, 4) + every(4, 64, 4)
    features = Features(specs, 4, 64, [{"norm": [1, 2, 3]}])
    window = Rows(rows)
    features.compute(window)
    micropython.heap_lock()
    try:
        for i in range(100):
            window.turn = i & 63
            rows[i & 3][i & 31] = -32768 if i & 1 else 32767
            features.compute(window)
    finally:
        micropython.heap_unlock()


def signal(kind, n, random):
    if kind == 0:
        return [random.int16() for i in range(n)]
    if kind == 1:
        return [32767 if i & 1 else -32767 for i in range(n)]
    if kind == 2:
        return [random.next(200) - 100 for i in range(n)]
    if kind == 3:
        return [-32768] * n
    if kind == 4:
        return [32767 if i == n // 3 else -32768 for i in range(n)]
    if kind == 5:
        return [i * 120 - 3000 + random.next(9) for i in range(n)]
    return [32767 if random.next(2) else -32768 for i in range(n)]


def checksum_of(lengths):
    checksum = 0
    for n in lengths:
        random = Lcg(n)
        rows = [array("h", signal(kind, n, random)) for kind in range(7)]
        for c in range(9):
            specs = every(c, n, 7)
            for v in compute(rows, specs, [{"norm": [0, 1, 2]}, {"norm": [0, 4], "shift": 1}]):
                checksum = (checksum * 31 + v) & 0xFFFFFF
    return checksum


def test_every_platform_computes_the_same_vectors():
    checksum = checksum_of((8, 9, 31, 100, 128, 256))
    assert checksum == 10832129, checksum


def test_windows_of_few_samples_too():
    checksum = checksum_of((2, 3, 4, 5, 6, 7))
    assert checksum == 4598752, checksum
