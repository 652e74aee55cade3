"""The integer FFT: table, lines, extremes, the power sums; the same numbers on every board."""

import math
from array import array

from lcg import Lcg
from sensewell.build.features import half
from sensewell.build.kernels import sines
from sensewell.kernel.features_viper import lg
from sensewell.kernel.lines import centroid, entropy
from sensewell.spectrum import band, power


class Spectrum:
    """The work space for windows of `length` samples, and the block `t` of features.py."""

    def __init__(self, length):
        self.m = m = half(length)
        self.p = array("i", [0] * (m + 1))
        self._work = array("i", [0] * m)
        self.sin = sines(m)
        self.t = array("i", [0] * 33)
        self.t[30] = self.m
        # on x64 viper loads are zero-extended: the kernels must be told
        self.t[24] = 32 if band(array("i", [-1]), 0, 1) > 0 else 0

    def compute(self, z, exponent, peak):
        power(peak, exponent, self.p, self._work, z, self.sin, self.t)

    def exponent(self):
        return self.t[31]

    def total(self):
        return self.t[32]

    def dominant(self):
        return self.t[22]

    def band(self, lo, hi):
        return band(self.p, lo, hi)

    def centroid(self):
        return centroid(self.p, self.t)

    def entropy(self):
        return entropy(self.p, self.t, lg)


def make(length):
    """A Spectrum and its zeroed input."""
    s = Spectrum(length)
    return s, array("i", [0] * (2 * s.m))


def peak(z):
    return max(max(z), -min(z))


def test_sines_of_the_table_are_right_to_one_part_in_32768():
    for length in (8, 64, 100, 256):
        s, z = make(length)
        assert len(s.sin) == 3 * s.m // 2
        for i, v in enumerate(s.sin):
            assert abs(v - 32768 * math.sin(math.pi * i / s.m)) < 0.6


def test_a_pure_tone_is_one_line():
    for length in (16, 64, 128, 256):
        s, z = make(length)
        for k in (1, 2, length // 4, length // 2 - 1):
            for i in range(length):
                z[i] = int(1500 * math.cos(2 * math.pi * k * i / length) + 1500.5) - 1500
            s.compute(z, 0, peak(z))
            assert s.dominant() == k
            assert s.p[k] >= s.total() - s.total() // 100
            power = s.p[k] * 2.0 ** s.exponent()
            assert abs(power / (1500 * length / 2) ** 2 - 1) < 0.01
            assert abs(s.centroid() - 128 * k) < 128
            assert s.entropy() < 30


def test_an_impulse_is_flat():
    for length in (8, 100, 256):
        s, z = make(length)
        z[3] = 2000
        s.compute(z, 0, 2000)
        for k in range(1, s.m + 1):
            assert abs(s.p[k] * 2.0 ** s.exponent() / 4e6 - 1) < 0.02
        assert abs(s.entropy() - 256 * math.log(s.m) / math.log(2)) < 4


def test_an_alternating_square_at_full_scale_is_nyquist():
    for length in (8, 128, 256):
        s, z = make(length)
        for i in range(length):
            z[i] = 8191 if i & 1 else -8191
        s.compute(z, 5, 8191)
        assert s.dominant() == s.m
        assert s.p[s.m] == s.total() > 0
        assert abs(s.p[s.m] * 2.0 ** s.exponent() / (8191 * 32 * length) ** 2 - 1) < 0.01


def test_the_smallest_signal_keeps_its_shape():
    s, z = make(64)
    for i in range(64):
        z[i] = (0, 1, 1, 1, 0, -1, -1, -1)[i % 8]
    s.compute(z, -4, 1)
    assert s.dominant() == 8
    assert s.p[8] > s.total() * 9 // 10


def test_silence_has_no_power_and_divides_by_nothing():
    s, z = make(100)
    s.compute(z, 0, 0)
    assert (s.total(), s.dominant(), s.centroid(), s.entropy(), s.band(1, 65)) == (0, 0, 0, 0, 0)


def test_the_power_is_that_of_the_samples():
    random = Lcg(7)
    for length in (8, 33, 100, 200, 256):
        s, z = make(length)
        for spread in (8, 300, 8000):
            for i in range(length):
                z[i] = random.next(spread) - spread // 2
            s.compute(z, 0, peak(z))
            n = 2 * s.m
            squares = sum([v * v for v in z])
            mean = sum(z)
            scale = 2.0 ** s.exponent()
            # Parseval: bins 1..M-1 count twice, Nyquist once, bin 0 is left out
            power = (2 * s.total() - s.p[s.m]) * scale + mean * mean
            assert abs(power / (n * squares) - 1) < 0.01
            assert s.total() < 1 << 30
            assert s.band(1, s.m + 1) == s.total()


def test_every_platform_computes_the_same_lines():
    random = Lcg(99)
    checksum = 0
    for length in (8, 16, 31, 64, 100, 128, 129, 256):
        s, z = make(length)
        for kind in range(6):
            for i in range(length):
                if kind < 4:
                    z[i] = random.next(1 << (1 + 4 * kind)) - (1 << (4 * kind))
                elif kind == 4:
                    z[i] = 8191 if random.next(2) else -8191
                else:
                    z[i] = 8191 if i % 7 < 3 else -8191
            s.compute(z, 0, peak(z))
            for v in s.p:
                checksum = (checksum * 31 + (v & 0xFFFF) + (v >> 16)) & 0xFFFFFF
            for v in (s.exponent(), s.total() & 0xFFFF, s.dominant(), s.centroid(), s.entropy()):
                checksum = (checksum * 31 + v) & 0xFFFFFF
    assert checksum == 14925698, checksum
