"""New datasets from old ones, spoilt as the field spoils them, with the truth of it beside: faults, or noise.

Faults are carried out by the device's own replay sensor, noise by train/field_noise.py. Knows no models.
"""

from __future__ import annotations

import json
import zlib
from array import array
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from sensewell_host.dataset.faults import KINDS, plan, rows_read, truth
from sensewell_host.dataset.rate import period_ms
from sensewell_host.dataset.recording import MISSING, Dataset, Recording, safe_name
from sensewell_host.device_path import use_device_path
from sensewell_host.errors import SensewellError
from sensewell_host.train.field_noise import FieldNoise, spoil

use_device_path()
from sensewell.sensor.replay import Replay  # noqa: E402

TRUTH = "truth.json"
DROP_S = 10.0  # a drop-out's chance is one for each stretch of this length


def with_faults(
    dataset: Dataset,
    kinds: Sequence[str] = KINDS,
    seed: int = 1,
    every: int = 250,
    apart: int = 100,
    step: Callable[[], None] = lambda: None,
) -> tuple[Dataset, dict[str, Any]]:
    """(dataset, truth): the same recordings with a fault in every `every` rows, as dataset/faults.py plans them.

    A fixed grid has no times: rows lost in a gap are MISSING, a stale row is the one before it once more.
    """
    made = []
    said: dict[str, Any] = {}
    for recording in dataset.recordings:
        n, channels = recording.samples.shape
        own_seed = zlib.crc32(f"{seed} {recording.name}".encode())
        planned = plan(n, channels, kinds, own_seed, every=every, apart=apart)
        raw = np.ascontiguousarray(recording.samples, "<i2").tobytes()
        replay = Replay(raw, channels, period_ms(recording.rate_hz), [fault.as_dict() for fault in planned])
        spoilt = np.full((n, channels), MISSING, np.int16)
        row = array("h", bytes(2 * channels))
        struck = truth(planned, n)
        spoilt[struck == 0] = recording.samples[struck == 0]
        for at in rows_read(planned, n).tolist():
            replay.read(row)
            if struck[at]:
                spoilt[at] = row
        made.append(replace(recording, samples=spoilt))
        said[recording.name] = [fault.as_dict() for fault in planned]
        step()
    if not any(said.values()):
        raise SensewellError(f"no recording is as long as {every} rows: have more faults with a smaller --every")
    facts = {"what": "faults", "of": dataset.name, "seed": seed, "every": every, "apart": apart, "kinds": list(kinds)}
    return _named(dataset, f"{dataset.name}-faulty", made, facts), {**facts, "recordings": said}


def with_noise(
    dataset: Dataset,
    how: FieldNoise,
    copies: int = 1,
    seed: int = 1,
    vectors: Sequence[tuple[int, int, int]] = (),
    originals: bool = True,
) -> tuple[Dataset, dict[str, Any]]:
    """(dataset, truth): `copies` of each recording with field noise, in the group of the original, which may stay.

    Gain, offset and tilt hold for a whole recording, as a sensor's do. The truth has for each copy what it was made of,
    its gain and offset as they came out (least squares a channel) and the rows that dropped out.
    """
    if not how.some:
        raise SensewellError("say what noise there shall be, for instance --gain 0.05 --noise-raw 20")
    made: list[Recording] = list(dataset.recordings) if originals else []
    said: dict[str, Any] = {}
    for copy in range(1, copies + 1):
        for recording in dataset.recordings:  # in their order: one may go on where the one before it ended
            random = np.random.default_rng([seed, copy, zlib.crc32(recording.name.encode())])
            whole = spoil(recording.samples[None], replace(how, drop=0.0), vectors, recording.rate_hz, random)[0]
            whole, dropped = _drop(whole, how, recording.rate_hz, random)
            name = safe_name(f"{recording.name[:34]}-n{copy}")
            made.append(replace(recording, name=name, samples=whole, extra={**recording.extra, "from": recording.name}))
            said[name] = {"from": recording.name, **_line(recording.samples, whole), "dropped": dropped}
    facts = {"what": "noise", "of": dataset.name, "seed": seed, "copies": copies, "noise": asdict(how)}
    return _named(dataset, f"{dataset.name}-noisy", made, facts), {**facts, "recordings": said}


def save(dataset: Dataset, told: dict[str, Any], folder: Path) -> Dataset:
    """The dataset and its truth in `folder`. SensewellError if that is the folder it was made of."""
    if dataset.folder and folder.resolve() == dataset.folder.resolve():
        raise SensewellError(f"{folder} holds the recordings themselves: say another --out")
    saved = dataset.save(folder)
    (folder / TRUTH).write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    return saved


def _named(dataset: Dataset, name: str, made: list[Recording], facts: dict[str, Any]) -> Dataset:
    taken = [recording.name for recording in made]
    if len(set(taken)) < len(taken):
        raise SensewellError("two recordings would have the same name: shorten the names of the recordings")
    return Dataset(
        name, dataset.rate_hz, dataset.channels, tuple(made), {**dataset.notes, "spoilt": facts}, dataset.folder
    )


def _drop(
    samples: np.ndarray, how: FieldNoise, rate_hz: float, random: np.random.Generator
) -> tuple[np.ndarray, list[list[int]]]:
    if not how.drop:
        return samples, []
    length = max(2, min(len(samples), round(DROP_S * rate_hz)))
    n = len(samples) // length
    if not n:
        return samples, []
    stretches = samples[: n * length].reshape(n, length, -1)
    after = spoil(stretches, FieldNoise(drop=how.drop, drop_n=how.drop_n), (), rate_hz, random)
    whole = np.concatenate([after.reshape(n * length, -1), samples[n * length :]])
    gone = (whole == MISSING).all(1) & ~(samples == MISSING).all(1)
    edges = np.flatnonzero(np.diff(np.concatenate(([0], gone.astype(np.int8), [0]))))
    return whole, [[int(a), int(b)] for a, b in zip(edges[::2], edges[1::2], strict=True)]


def _line(before: np.ndarray, after: np.ndarray) -> dict[str, list[float]]:
    """Gain and offset of each channel, by least squares."""
    gains, offsets = [], []
    for x, y in zip(before.T.astype(float), after.T.astype(float), strict=True):
        good = (x != MISSING) & (y != MISSING)
        if good.sum() > 1 and np.ptp(x[good]) > 0:
            gain, offset = np.polyfit(x[good], y[good], 1)
        else:
            gain, offset = 1.0, float((y[good] - x[good]).mean()) if good.any() else 0.0
        gains.append(round(float(gain), 5))
        offsets.append(round(float(offset), 2))
    return {"gain": gains, "offset_raw": offsets}
