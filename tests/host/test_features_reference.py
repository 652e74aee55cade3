"""Every feature of the device vocabulary against its float formula in numpy, within the tolerance stated here.

The integer code is the product; this file says how far it may be from the mathematics.
"""

from array import array

import numpy as np
import pytest
from sensewell.build.features import FEATURES, half
from sensewell.build.kernels import sines
from sensewell.build.names import names
from sensewell.kernel.angle import arc
from sensewell.kernel.features_viper import Features, lg, ratio
from sensewell.kernel.spread import isqrt
from sensewell.spectrum import power as device_power


class Rows:
    """A window that holds int16[channels, length]."""

    def __init__(self, rows):
        self.rows = rows

    def read(self, channel, out):
        for i, value in enumerate(self.rows[channel]):
            out[i] = int(value)


def crossings(x, level, h):
    high = x[0] > level
    count = 0
    for value in x - level:
        if (high and value <= -h) or (not high and value > h):
            high = not high
            count += 1
    return count


def power(z):
    n = max(8, 1 << (len(z) - 1).bit_length())
    p = np.abs(np.fft.rfft(z, n)) ** 2
    p[0] = 0
    return p


def reference(spec, rows):
    """The float formula of one feature, and the tolerance that the integer one must keep (in its own unit)."""
    f = spec["f"]
    x = rows[spec["c"]].astype(float)
    n = len(x)
    mean = x.mean()
    z = x - mean
    std = z.std()
    squares = (z**2).sum()
    d = np.abs(np.diff(x))
    s = np.sort(x)
    q = {k: s[(k * (n - 1) + 50) // 100] for k in (5, 10, 25, 50, 75, 90, 95)}
    simple = {
        "mean": mean,
        "amean": abs(mean),
        "mav": np.abs(x).mean(),
        "jerk": d.mean(),
        "mad": np.abs(z).mean(),
        "half": x[n // 2 :].mean() - x[: n // 2].mean(),
    }
    exact = {
        "min": x.min(),
        "max": x.max(),
        "range": np.ptp(x),
        "jmax": d.max(),
        "iqr": q[75] - q[25],
        "skew": q[90] + q[10] - 2 * q[50],
        **{f"p{k}": v for k, v in q.items()},
    }
    if f in simple:
        return simple[f], 0.57  # rounding, and a Q4 mean before it
    if f in exact:
        return exact[f], 0
    if f in ("std", "rms"):
        value = std if f == "std" else np.sqrt((x**2).mean())
        return value, (1.1 if f == "std" else 1.8) + value / 2000  # z has 11 bits; rms is the floor
    if f == "energy":
        return 256 * np.log2(1 + squares / n), 2 + 100 / (1 + squares / n)
    if f == "mcross":
        return crossings(x, mean, spec.get("h", 0)), 0
    if f == "zcross":
        return crossings(x, 0, spec.get("h", 0)), 0
    acorr = [squares] + [(z[k:] * z[:-k]).sum() for k in range(1, n)]
    if f == "acorr":
        return 16384 * acorr[spec["lag"]] / (squares + 64), 16
    if f == "acpeak":
        return 16384 * max(acorr[spec["lo"] : spec["hi"]]) / (squares + 64), 16
    if f == "aclag":
        lags = range(spec["lo"], spec["hi"])
        return max(lags, key=lambda k: acorr[k]), 0
    if f == "corr":
        other = rows[spec["d"]] - rows[spec["d"]].mean()
        return 16384 * (z * other).sum() / np.sqrt((squares + 64) * ((other**2).sum() + 64)), 40
    if f in ("angle", "tilt"):
        m = [rows[spec[k]].mean() for k in ("c", "d", "e") if k in spec]
        size = max(abs(value) for value in m)
        tolerance = 2 + 360 / (size + 0.1)  # 1/100 degree; the means are good to 1/32 count
        if f == "angle":
            return 100 * np.degrees(np.arctan2(m[1], m[0])), tolerance
        return 100 * np.degrees(np.arctan2(np.hypot(m[1], m[2]), m[0])), tolerance
    p = power(z)
    total = p.sum() or 1
    k = np.arange(len(p))
    part = p[spec.get("lo", 0) : spec.get("hi", 0)].sum()
    if f == "dom":
        return (int(p.argmax()) if std else 0), 0
    if f == "centroid":
        return 128 * (k * p).sum() / total, 12
    if f == "entropy":
        share = p[p > 0] / total
        return -256 * (share * np.log2(share)).sum(), 6
    if f == "band":
        # the amplitude of each bin may be off by 2**-10 of the greatest, and by the 1/32 count that the mean may be
        off = np.sqrt(total) * 2.0**-10 + n / 32
        noise = (spec["hi"] - spec["lo"]) * off**2 + 2 * np.sqrt(part) * off
        return 256 * np.log2(1 + part / n), 3 + 256 * np.log2(1 + noise / (part + n))
    assert f == "share", f
    return 16384 * part / total, 20


def signals(n, rng):
    """Eight channels with one character each: noise, drift, gravity, tones, a gait, a small one, an impulse, a step."""
    t = np.arange(n)
    impulse = np.full(n, 200)
    impulse[n // 3] = 30000
    rows = [
        rng.normal(0, 1500, n),
        4000 + 20 * t + rng.normal(0, 100, n),
        -3500 + 900 * np.sin(2 * np.pi * t * 5.3 / n) + rng.normal(0, 50, n),
        9000 * np.sin(2 * np.pi * t * 7 / n) + 3000 * np.sin(2 * np.pi * t * 11 / n + 1),
        2000 * np.sign(np.sin(2 * np.pi * t * 3.1 / n + 0.3)) + rng.normal(0, 300, n),
        12 + rng.normal(0, 6, n),
        impulse,
        np.where(t < n // 2, -20000, 21000) + rng.normal(0, 500, n),
    ]
    return np.clip(np.rint(np.array(rows)), -32768, 32767).astype(int)


def all_specs(n, c):
    m = max(4, (1 << (n - 1).bit_length()) // 2)
    lag = max(1, n // 10)
    asked = {
        "mcross": [{}, {"h": 40}],
        "zcross": [{}, {"h": 1000}],
        "acorr": [{"lag": lag}, {"lag": n - 1}],
        "acpeak": [{"lo": 2 if n > 7 else 1, "hi": max(n // 2, 2)}],
        "aclag": [{"lo": 2 if n > 7 else 1, "hi": max(n // 2, 2)}],
        "band": [{"lo": 1, "hi": 2}, {"lo": 2, "hi": 4}, {"lo": m // 2, "hi": m + 1}, {"lo": 1, "hi": m + 1}],
        "share": [{"lo": 1, "hi": 3}, {"lo": m // 2, "hi": m + 1}],
        "corr": [{"d": (c + 1) % 8}, {"d": (c + 3) % 8}],
        "angle": [{"d": (c + 1) % 8}],
        "tilt": [{"d": (c + 1) % 8, "e": (c + 2) % 8}],
    }
    return [{"f": f, "c": c, **more} for f in FEATURES for more in asked.get(f, [{}])]


@pytest.mark.parametrize("n", [2, 3, 4, 7, 8, 9, 31, 64, 100, 128, 129, 200, 256])
def test_every_feature_keeps_to_its_formula(n):
    rng = np.random.default_rng(n)
    for _ in range(3):
        rows = signals(n, rng)
        for c in range(8):
            specs = all_specs(n, c)
            features = Features(specs, 8, n)
            features.compute(Rows(rows))
            for name, spec, got in zip(names(features), specs, features.vector, strict=True):
                want, tolerance = reference(spec, rows)
                want = min(max(want, -32768), 32767)
                difference = abs(got - want)
                if name.startswith("angle"):
                    difference = min(difference, 36000 - difference)
                if name.startswith(("mcross", "zcross", "dom", "aclag")):
                    assert difference <= tolerance or near_tie(spec, rows, got), (n, name, got, want)
                else:
                    if n < 8 and name.startswith(("ac", "corr", "share")):
                        tolerance *= 6  # ratios of few small numbers: the mean's 1/16 count is much there
                    assert difference <= tolerance, (n, name, got, want, tolerance)


def near_tie(spec, rows, got):
    """A choice may differ where two candidates are as good as equal: a sample at the level, two equal peaks."""
    x = rows[spec["c"]].astype(float)
    z = x - x.mean()
    if spec["f"] == "dom":
        p = power(z)
        return p[got] >= 0.998 * p.max()
    if spec["f"] == "aclag":
        values = {k: (z[k:] * z[:-k]).sum() for k in range(spec["lo"], spec["hi"])}
        return values[got] >= max(values.values()) - 0.001 * (z**2).sum()
    return spec["f"] == "mcross" and np.abs(np.abs(z) - spec.get("h", 0)).min() < 1 / 16


@pytest.mark.parametrize("n", [2, 8, 100, 256])
def test_derived_norms_are_the_floor_of_the_root(n):
    rng = np.random.default_rng(n)
    for scale in (3, 300, 9000, 32768):
        rows = rng.integers(-scale, scale, (3, n))
        derived = [{"norm": [0, 1, 2]}, {"norm": [2, 0]}, {"norm": [0, 1, 2], "shift": 1}]
        specs = [{"f": f, "c": c} for c in (3, 4, 5) for f in ("min", "max", "p50")]
        features = Features(specs, 3, n, derived)
        features.compute(Rows(rows))
        full = np.minimum(np.floor(np.sqrt((rows.astype(float) ** 2).sum(0))), 32767)
        pair = np.minimum(np.floor(np.sqrt(rows[0].astype(float) ** 2 + rows[2].astype(float) ** 2)), 32767)
        halved = np.floor(np.sqrt((rows.astype(int) ** 2 >> 2).sum(0)))
        want = []
        for channel in (full, pair, halved):
            s = np.sort(channel)
            want += [s[0], s[-1], s[(50 * (n - 1) + 50) // 100]]
        assert list(features.vector) == want


def test_small_integer_functions_are_right():
    rng = np.random.default_rng(0)
    for v in [0, 1, 2, 3, 4, 2**30 - 1, *rng.integers(0, 2**30, 500)]:
        assert isqrt(int(v)) == int(np.sqrt(float(v)))
    for _ in range(2000):
        m, e, n = int(rng.integers(0, 2 ** rng.integers(1, 31))), int(rng.integers(-45, 14)), int(rng.integers(1, 257))
        assert abs(lg(min(m, 2**30 - 1), e, n) - 256 * np.log2(1 + m * 2.0**e / n)) <= 0.6
        b = int(rng.integers(1, 2 ** rng.integers(1, 31)))
        a = int(rng.integers(-b, b + 1))
        assert abs(ratio(a, b) - 16384 * a / b) <= 1.6
        x, y = (int(v) for v in rng.integers(-(2**19), 2**19, 2))
        out = array("i", [0, 0])
        arc(x, y, out)
        assert abs(out[0] - 100 * np.degrees(np.arctan2(y, x))) <= 1.6
        assert abs(out[1] / np.hypot(x, y) - 1.64676) < 0.01 or np.hypot(x, y) < 200


@pytest.mark.parametrize("n", [8, 16, 100, 256])
def test_the_spectrum_is_that_of_numpy(n):
    rng = np.random.default_rng(n)
    m = half(n)
    size = 2 * m
    p, work = array("i", [0] * (m + 1)), array("i", [0] * m)
    block = array("i", [0] * 33)  # of features.py
    block[30] = m
    z = array("i", [0] * size)
    t = np.arange(n)
    square = np.where(t % 2, 2047, -2047)
    for signal in (rng.normal(0, 500, n), 2000 * np.sin(t), square, rng.normal(0, 3, n), np.eye(1, n, 3)[0] * 2000):
        z[:n] = array("i", [int(v) for v in np.rint(np.clip(signal, -2047, 2047))])
        device_power(max(abs(v) for v in z), 0, p, work, z, sines(m), block)
        want = np.abs(np.fft.rfft(np.array(z, float), size)) ** 2
        got = np.array(p) * 2.0 ** block[31]
        scale = np.sqrt(want[1:].max())
        assert np.abs(np.sqrt(got[1:]) - np.sqrt(want[1:])).max() < scale / 1000
        assert got[0] == 0 and block[32] == sum(p) < 2**30
