"""The guard under random faults: what holds in every sequence, equal results everywhere, a heap that stays put."""

from array import array

try:
    import micropython
except ImportError:
    from sensewell._port import micropython

from lcg import Lcg
from sensewell.guard import Guard
from sensewell.reasons import GAP, MISSING, SPIKE, STALE, STUCK

HOLE = -32768
N = 3
STUCK_N = 6
SPIKE_RAW = 2000
SPEC = {
    "lo_raw": -20000,
    "hi_raw": 21000,
    "sat_lo_raw": -32000,
    "sat_hi_raw": 32000,
    "stuck_n": STUCK_N,
    "stuck_tol_raw": 1,
    "spike_raw": SPIKE_RAW,
    "rate_raw": 1500,
}


def _guard():
    return Guard([SPEC] * N, 20, 100, [{"a": 0, "b": 1, "limit_raw": 15000, "dwell": 4}])


class Weather:
    """A noisy signal with every fault at random: step() changes row and t_ms."""

    def __init__(self, seed):
        self.random = Lcg(seed)
        self.row = array("h", [0] * N)
        self.base = array("h", [0] * N)
        self.hold = array("h", [0] * N)
        self.t_ms = 0

    def step(self):
        random = self.random.next
        what = random(40)
        if what:
            self.t_ms += 20
        elif random(2):
            self.t_ms += 20 * random(12)
        for c in range(N):
            if self.hold[c]:
                self.hold[c] -= 1
                if random(8) == 0:
                    self.row[c] = HOLE
                elif self.row[c] == HOLE:
                    self.row[c] = self.base[c]
                continue
            what = random(60)
            if what == 0:
                self.base[c] = random(40000) - 20000
            elif what == 1:
                self.hold[c] = random(20)
            self.row[c] = self.base[c] + random(600)
            if what == 2:
                self.row[c] = HOLE
            elif what == 3:
                self.row[c] = 32767
            elif what == 4:
                self.row[c] = -25000
            elif what == 5:
                self.row[c] = random(40000) - 20000


def test_what_is_accepted_is_a_reading_within_all_limits():
    weather = Weather(1)
    watch = _guard()
    good = 0
    for _ in range(3000):
        before = list(watch.last_good)
        verdict = watch.check(weather.row, weather.t_ms)
        every = 0
        for c in range(N):
            x = weather.row[c]
            bad = watch.verdicts[c]
            every |= bad
            assert (x == HOLE) == bool(bad & MISSING)
            if bad:
                assert watch.last_good[c] == before[c]
            else:
                assert -20000 <= x <= 21000 and watch.last_good[c] == x
        assert verdict & ~GAP == every & ~GAP or verdict & STALE
        good += verdict == 0
        weather.step()
    assert 500 < good < 2900
    assert watch.samples == 3000
    for bit in range(9):
        assert watch.counters[bit] > 0, bit


def test_a_value_that_stops_moving_surfaces_as_stuck_whatever_came_before():
    random = Lcg(2)
    for seed in range(40):
        weather = Weather(seed)
        watch = _guard()
        for _ in range(random.next(60)):
            watch.check(weather.row, weather.t_ms)
            weather.step()
        for c in range(N):
            weather.row[c] = random.next(60000) - 30000
        seen = 0
        while seen < STUCK_N + 3:
            weather.t_ms += 20 + 200 * (random.next(9) == 0)
            row = weather.row
            if random.next(4) == 0:
                row = array("h", [HOLE] * N)
            else:
                seen += 1
            verdict = watch.check(row, weather.t_ms)
            if seen >= STUCK_N and row is weather.row:
                assert verdict & STUCK
                for c in range(N):
                    assert watch.verdicts[c] & STUCK
            if random.next(5) == 0:
                assert watch.check(row, weather.t_ms) & STALE
        # and it comes back: as soon as values move and agree again, nothing is left of it
        for i in range(12):
            for c in range(N):
                weather.row[c] = 100 * (i & 1) + c
            weather.t_ms += 20
            verdict = watch.check(weather.row, weather.t_ms)
        assert verdict == 0


def test_a_lone_jump_is_refused_and_a_step_that_stays_is_believed():
    random = Lcg(3)
    for _ in range(60):
        resync_n = 1 + random.next(5)
        watch = Guard([{"spike_raw": SPIKE_RAW, "resync_n": resync_n}], 20)
        t_ms = random.next(1000)
        base = random.next(50000) - 25000
        row = array("h", [0])
        for i in range(20):
            row[0] = base + random.next(500)
            jump = i in (5, 8, 14)
            if jump:
                row[0] = min(max(row[0] + (6000 if random.next(2) else -6000), -32767), 32767)
            t_ms += 20
            assert watch.check(row, t_ms) == (SPIKE if jump else 0)
        for i in range(resync_n + 4):
            row[0] = (base + 3000 if base < 0 else base - 3000) + random.next(500)
            t_ms += 20
            assert watch.check(row, t_ms) == (SPIKE if i < resync_n else 0)


def test_every_platform_gives_the_same_verdicts():
    weather = Weather(7)
    watch = _guard()
    check = 0
    for _ in range(2000):
        check = (check * 31 + watch.check(weather.row, weather.t_ms)) & 0xFFFFFF
        check = (check * 31 + watch.taint + watch.missed + watch.last_good[1]) & 0xFFFFFF
        weather.step()
    assert check == 14373736, check


def test_the_heap_does_not_move():
    weather = Weather(9)
    watch = _guard()
    verdict = 0
    for _ in range(3000):
        micropython.heap_lock()
        verdict |= watch.check(weather.row, weather.t_ms)
        micropython.heap_unlock()
        weather.step()
    assert verdict == 511
