"""ulab's spectrum against the integer one, in node: the tolerances that kernel/spectrum_ulab.py states.

The windows are made to be bad: constant, full scale, a lone impulse, steps, tones between lines, noise, sweeps.
"""

import math
from array import array

from lcg import Lcg
from sensewell import spectrum
from sensewell.features import Features
from sensewell.kernel import spectrum_ulab
from sensewell.kernel.features_viper import centre, lg, ratio, scan
from sensewell.kernel.lines import centroid, entropy
from sensewell.refusal import Refused
from test_features_everywhere import Rows, every
from ulab import numpy as np

LENGTHS = (8, 16, 31, 64, 100, 128, 129, 140, 200, 256)
KINDS = 10
_N = 23  # places in the block `t`: features_viper.py and spectrum.py name them
_SHIFT = 27
_PEAK = 28
_DOMINANT = 22
_M = 30
_EXPONENT = 31
_TOTAL = 32
# share: of the power; band: of its logarithm; line, dom: see there
LIMITS = {"line": 1 / 128, "dom": 1 / 200, "centroid": 4, "entropy": 4, "share": 8, "band": 8}


def signal(random, kind, n):
    """int16[n] of one of the kinds 0..KINDS - 1."""
    amplitude = (2, 5, 40, 1000, 5000, 32767)[random.next(6)]
    k = 1 + random.next(n // 2)
    phase = random.next(628) / 100
    at = random.next(n)
    x = array("h", [0] * n)
    for i in range(n):
        if kind == 0:
            v = amplitude
        elif kind == 1:
            v = random.next(2 * amplitude) - amplitude
        elif kind == 2:
            v = amplitude if i == at else 0
        elif kind == 3:
            v = amplitude if i >= at else -amplitude
        elif kind == 4:
            v = amplitude * math.cos(2 * math.pi * k * i / n + phase)
        elif kind == 5:
            v = amplitude if i // (1 + at % 9) & 1 else -amplitude
        elif kind == 6:
            v = amplitude * math.cos(2 * math.pi * (k + 0.5) * i / n) / 2 + random.next(1 + amplitude // 8)
        elif kind == 7:
            v = amplitude * (2 * i - n) / n
        elif kind == 8:
            v = amplitude * math.cos(phase * i * i / n)
        else:
            v = -amplitude if i == at else amplitude
        x[i] = int(v)
    if kind == 9:
        x[0] -= 3
    return x


class Pair:
    """The spectrum of the same windows by both; `worst`: the greatest differences so far."""

    def __init__(self):
        self.worst = {name: 0 for name in LIMITS}
        self._made = {}

    def _note(self, name, value):
        self.worst[name] = max(self.worst[name], value)

    def compare(self, x):
        n = len(x)
        if n not in self._made:
            self._made[n] = Features([{"f": "entropy", "c": 0}], 1, n)
        features = self._made[n]
        t, z, p = features.t, features.z, features.p
        features.rows[0][:] = x
        scan(0, 0, features.x, t)
        centre(0, 0, features.x, z, t)
        u = array("i", t)
        m = t[_M]
        q = array("i", [-1] * (m + 1))
        spectrum.prepare(features)
        spectrum_ulab.power(t[_PEAK], t[_SHIFT] - 4, q, None, z, None, u)
        assert q[0] == 0 and sum(q) == u[_TOTAL] < 1 << 30 and min(q) == 0
        if t[_TOTAL] == 0:
            assert u[_TOTAL] == u[_DOMINANT] == t[_DOMINANT] == 0
            return
        scale = 2.0 ** t[_EXPONENT]
        scale_u = 2.0 ** u[_EXPONENT]
        top = math.sqrt(max(p) * scale)
        for k in range(1, m + 1):
            self._note("line", abs(math.sqrt(p[k] * scale) - math.sqrt(q[k] * scale_u)) / top)
        self._note("dom", 1 - p[u[_DOMINANT]] / p[t[_DOMINANT]])
        self._note("centroid", abs(centroid(p, t) - centroid(q, u)))
        self._note("entropy", abs(entropy(p, t, lg) - entropy(q, u, lg)))
        for i in range(4):
            lo = 1 + (t[_DOMINANT] + 5 * i) % m
            hi = min(m + 1, lo + 1 + 4 * i)
            a = spectrum.band(p, lo, hi)
            b = spectrum.band(q, lo, hi)
            self._note("share", abs(ratio(a, t[_TOTAL]) - ratio(b, u[_TOTAL])))
            if 100 * a >= t[_TOTAL]:
                self._note("band", abs(lg(a, t[_EXPONENT], n) - lg(b, u[_EXPONENT], n)))


def measure(windows, seed):
    random = Lcg(seed)
    pair = Pair()
    for i in range(windows):
        pair.compare(signal(random, i % KINDS, LENGTHS[random.next(len(LENGTHS))]))
    return pair.worst


def test_the_two_are_as_close_as_stated():
    worst = measure(500, 3)
    print(worst)
    for name in LIMITS:
        assert worst[name] <= LIMITS[name], (name, worst[name])
    assert worst["line"] > 0  # they are two


def test_analysis_differs_in_the_spectrum_only():
    specs = every(0, 100, 4)
    spectral = {"dom": 0, "centroid": 4, "entropy": 4, "band": 8, "share": 8}
    derived = [{"norm": [0, 1, 2]}]
    exact = Features(specs, 3, 100, derived)
    close = spectrum_ulab.analysis(specs, 3, 100, derived)
    random = Lcg(11)
    differ = 0
    for kind in range(30):
        rows = [signal(random, 4 if kind & 1 else 6, 100) for _ in range(3)]
        exact.compute(Rows(rows))
        close.compute(Rows(rows))
        for i, spec in enumerate(specs):
            apart = abs(exact.vector[i] - close.vector[i])
            assert apart <= spectral.get(spec["f"], 0), (spec, apart)
            differ += apart
    assert differ


def test_refusals_are_those_of_features():
    for specs in ([], [{"f": "loudness", "c": 0}]):
        try:
            spectrum_ulab.analysis(specs, 1, 100)
        except Refused as refused:
            assert refused.reason in ("features.count", "features.unknown")
        else:
            raise AssertionError("not refused")


def test_lines_are_the_power_of_a_tone():
    for n in (8, 100, 128, 300):  # no bound on the length here
        lines = spectrum_ulab.lines(np.array([100 * math.cos(2 * math.pi * 2 * i / n) for i in range(n)]) + 7000)
        size = 8
        while size < n:
            size *= 2
        assert len(lines) == size // 2 + 1 and lines[0] == 0
        if size == n:
            assert np.argmax(lines) == 2 and abs(lines[2] - (50 * n) ** 2) < 1
            assert float(np.sum(lines)) - lines[2] < 1e-3


def test_lines_of_an_int16_view_are_those_of_the_integers():
    random = Lcg(4)
    x = signal(random, 6, 128)
    lines = spectrum_ulab.lines(np.frombuffer(x, dtype=np.int16))
    features = Features([{"f": "dom", "c": 0}], 1, 128)
    features.compute(Rows([x]))
    p = features.p
    scale = 2.0 ** features.t[_EXPONENT]
    top = math.sqrt(max(p) * scale)
    for k in range(1, 65):
        assert abs(math.sqrt(p[k] * scale) - math.sqrt(lines[k])) < top / 128
    assert not any(list(spectrum_ulab.lines([5] * 20)))
