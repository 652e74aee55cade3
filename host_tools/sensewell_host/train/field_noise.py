"""Field noise: what mounting, wiring and time do to a sensor, put into copies of training windows; [augment.field].

Works on raw counts of whole windows; must not know models, nor whose windows they are. Every key is 0 by default:

    gain = 0.05        # share: each channel for itself, up to so much more or less
    offset_raw = 80    # each channel moved by up to so many counts
    tilt_deg = 10      # each of [[augment.vector]] turned together, gravity with it, about any axis
    drop = 0.2         # share of windows with a drop-out: one run of samples that never came
    drop_n = 10        # its greatest length
    hum_raw = 60       # mains hum of up to so many counts, the same phase on all channels
    hum_hz = 50        # folded as sampling folds it
    jitter = 0.3       # each sample taken up to so much of a period too early or too late
    noise_raw = 20     # deviation of white noise
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sensewell_host.dataset.recording import MAX_COUNT, MISSING
from sensewell_host.errors import SensewellError
from sensewell_host.train.table import Table


@dataclass(frozen=True)
class FieldNoise:
    """See above; `some`: whether there is anything to do."""

    gain: float = 0.0
    offset_raw: float = 0.0
    tilt_deg: float = 0.0
    drop: float = 0.0
    drop_n: int = 10
    hum_raw: float = 0.0
    hum_hz: float = 50.0
    jitter: float = 0.0
    noise_raw: float = 0.0

    @property
    def some(self) -> bool:
        of = (self.gain, self.offset_raw, self.tilt_deg, self.drop, self.hum_raw, self.jitter, self.noise_raw)
        return any(value > 0 for value in of)


NONE = FieldNoise()


def read(table: Table) -> FieldNoise:
    """The table [augment.field]."""
    found = FieldNoise(
        gain=table.number("gain", 0.0),
        offset_raw=table.number("offset_raw", 0.0),
        tilt_deg=table.number("tilt_deg", 0.0),
        drop=table.number("drop", 0.0),
        drop_n=table.whole("drop_n", 1, 10_000, 10),
        hum_raw=table.number("hum_raw", 0.0),
        hum_hz=table.number("hum_hz", 50.0),
        jitter=table.number("jitter", 0.0),
        noise_raw=table.number("noise_raw", 0.0),
    )
    table.done()
    if min(found.gain, found.offset_raw, found.tilt_deg, found.drop, found.hum_raw, found.jitter, found.noise_raw) < 0:
        raise SensewellError(f"{table.where}: expected numbers of 0 and above")
    if found.drop > 1 or found.gain >= 1 or found.jitter >= 1 or found.tilt_deg > 180:
        raise SensewellError(f"{table.where}: expected drop up to 1, gain and jitter below 1, tilt_deg up to 180")
    return found


def spoil(
    windows: NDArray[np.int16],
    how: FieldNoise,
    vectors: Sequence[tuple[int, int, int]],
    rate_hz: float,
    random: np.random.Generator,
) -> NDArray[np.int16]:
    """Spoilt copies of raw counts (n, length, channels); MISSING stays MISSING and is what a drop-out becomes.

    vectors: channels that turn together.
    """
    if not how.some or not len(windows):
        return windows
    n, length, channels = windows.shape
    missing = windows == MISSING
    y = np.where(missing, 0.0, windows)
    at = np.arange(length)
    if how.jitter:
        y = _late(y, random.uniform(-how.jitter, how.jitter, (n, length)))
    if how.tilt_deg:
        turn = _turns(random.normal(size=(n, 3)), np.deg2rad(random.uniform(0, how.tilt_deg, n)))
        for of in vectors:
            y[:, :, list(of)] = np.einsum("nij,ntj->nti", turn, y[:, :, list(of)])
    y *= 1 + random.uniform(-how.gain, how.gain, (n, 1, channels))
    y += random.uniform(-how.offset_raw, how.offset_raw, (n, 1, channels))
    if how.hum_raw:
        phase = 2 * np.pi * (how.hum_hz / rate_hz * at + random.random((n, 1)))
        y += (random.uniform(0, how.hum_raw, (n, 1)) * np.sin(phase))[:, :, None]
    if how.noise_raw:
        y += random.normal(0, how.noise_raw, y.shape)
    counts: NDArray[np.int16] = np.clip(np.rint(y), -MAX_COUNT, MAX_COUNT).astype(np.int16)
    counts[missing] = MISSING
    if how.drop:
        hit = np.flatnonzero(random.random(n) < how.drop)
        first = random.integers(1, length, len(hit))
        n_lost = random.integers(1, how.drop_n + 1, len(hit))
        for k, start, lost in np.stack([hit, first, n_lost], 1):
            counts[k, start : start + lost] = MISSING
    return counts


def held(windows: NDArray[np.int16]) -> NDArray[np.int16]:
    """MISSING rows replaced by the last good row before them, as `bad_samples` "hold" does; at the start, by the first
    good row. (n, length, channels); a row with one MISSING channel is a bad row."""
    bad = (windows == MISSING).any(2)
    at = np.where(bad, -1, np.arange(windows.shape[1]))
    first = np.where(bad.all(1), 0, np.argmax(~bad, axis=1))
    at = np.maximum(np.maximum.accumulate(at, axis=1), first[:, None])
    found: NDArray[np.int16] = np.take_along_axis(windows, at[:, :, None], axis=1)
    return np.where(bad.all(1)[:, None, None], 0, found).astype(np.int16)


def _late(y: NDArray[np.float64], by: NDArray[np.float64]) -> NDArray[np.float64]:
    """y (n, length, channels) read at the times t + by (n, length), in periods, between two samples."""
    last = y.shape[1] - 1
    at = np.clip(np.arange(last + 1) + by, 0, last)
    before = np.minimum(at.astype(np.int64), max(last - 1, 0))
    part = (at - before)[:, :, None]
    a = np.take_along_axis(y, before[:, :, None], axis=1)
    b = np.take_along_axis(y, np.minimum(before + 1, last)[:, :, None], axis=1)
    return np.asarray(a * (1 - part) + b * part)


def _turns(axes: NDArray[np.float64], angles: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rotations (n, 3, 3) about axes (n, 3) by angles (n,), radians: Rodrigues' formula."""
    axes = axes / np.maximum(np.linalg.norm(axes, axis=1, keepdims=True), 1e-12)
    zero = np.zeros(len(axes))
    x, y, z = axes.T
    K = np.array([[zero, -z, y], [z, zero, -x], [-y, x, zero]]).transpose(2, 0, 1)
    s, c = np.sin(angles)[:, None, None], np.cos(angles)[:, None, None]
    return np.asarray(np.eye(3) + s * K + (1 - c) * (K @ K))
