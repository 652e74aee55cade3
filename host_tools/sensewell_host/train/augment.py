"""Augmentation: windows as other people, other mountings and other sensors would have given them, from raw counts.

Every copy of a recording's windows depends on the seed, the copy's number and the recording's name alone, so leaving
people out changes nothing for the others. The copies then go through the device's code like any recording.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sensewell_host.dataset.recording import MAX_COUNT, MISSING, Recording
from sensewell_host.dataset.tape import Tape
from sensewell_host.train.field_noise import spoil
from sensewell_host.train.recipe import Augment


def augment(
    recordings: Sequence[Recording | Tape],
    source: NDArray[np.int32],
    end: NDArray[np.int32],
    length: int,
    how: Augment,
    seed: int,
    rate_hz: float = 1.0,
) -> NDArray[np.int16]:
    """Raw counts (copies, windows, length, channels) for the windows that end at row `end` of recording `source`.

    rate_hz: of the recordings; mains hum is folded by it.
    """
    n_channels = recordings[0].samples.shape[1] if recordings else 0
    made = np.empty((how.copies, len(source), length, n_channels), np.int16)
    for index, recording in enumerate(recordings):
        mine = np.flatnonzero(source == index)
        if not mine.size:
            continue
        for copy in range(how.copies):
            random = np.random.default_rng([seed, copy, zlib.crc32(recording.name.encode())])
            variant = _variant(recording.samples, end[mine] - length, length, how, random)
            made[copy, mine] = spoil(variant, how.field, [vector.of for vector in how.vectors], rate_hz, random)
    return made


def _variant(
    samples: NDArray[np.int16], start: NDArray[np.int32], length: int, how: Augment, random: np.random.Generator
) -> NDArray[np.int16]:
    """One changed copy of the windows from rows `start`: moved in time, at another speed, then turned and scaled."""
    n = len(start)
    last = len(samples) - 1
    speed = random.uniform(*how.time_scale, n)
    first = start + random.integers(-how.shift_n, how.shift_n + 1, n)
    first = np.clip(first, 0, np.maximum(last - np.ceil((length - 1) * speed), 0))
    at = np.clip(first[:, None] + speed[:, None] * np.arange(length), 0, last)
    before = np.minimum(at.astype(np.int64), max(last - 1, 0))
    after = np.minimum(before + 1, last)
    part = (at - before)[:, :, None]
    y = samples[before] * (1 - part) + samples[after] * part
    missing = (samples[before] == MISSING) | (samples[after] == MISSING)
    y[missing] = 0

    gain = 1 + random.uniform(-how.gain, how.gain, n)
    mirrored = random.random(n) < how.mirror
    turn = _rotations(random.uniform(-1, 1, (n, 3)) * np.deg2rad(how.rotate_deg))
    for vector in how.vectors:
        of = list(vector.of)
        v = y[:, :, of]
        rest = v.mean(1, keepdims=True) if vector.keep_mean else 0.0
        v = rest + (v - rest) * (1 + vector.speed * (speed - 1))[:, None, None]
        v = v * gain[:, None, None]
        v[mirrored] *= vector.mirror
        y[:, :, of] = np.einsum("nij,ntj->nti", turn, v)
    counts: NDArray[np.int16] = np.clip(np.rint(y), -MAX_COUNT, MAX_COUNT).astype(np.int16)
    counts[missing] = MISSING
    return counts


def _rotations(angles: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rotation matrices (n, 3, 3) about x, then y, then z of the angles (n, 3), radians: R = Rx Ry Rz."""
    n = len(angles)
    result = np.broadcast_to(np.eye(3), (n, 3, 3))
    for axis in range(3):
        c, s = np.cos(angles[:, axis]), np.sin(angles[:, axis])
        j, k = (axis + 1) % 3, (axis + 2) % 3
        turn = np.broadcast_to(np.eye(3), (n, 3, 3)).copy()
        turn[:, j, j] = turn[:, k, k] = c
        turn[:, j, k], turn[:, k, j] = -s, s
        result = result @ turn
    return result
