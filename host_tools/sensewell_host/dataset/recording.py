"""Recordings: int16 counts of all channels, one row a sample, and the folder that keeps a set of them.

A folder holds `dataset.json` and one `NAME.i16` a recording: raw little-endian int16, row-major, the very file that a
board replays. Must not know where recordings come from, nor what is made of them.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sensewell_host.dataset.rate import rate_of, rate_said
from sensewell_host.errors import SensewellError

MISSING = -32768  # the count that means "no reading" (device/sensewell/channel.py)
MAX_COUNT = 32767
INDEX = "dataset.json"
_FORMAT = 1
_UNSAFE = re.compile(r"[^A-Za-z0-9_.-]+")


@dataclass(frozen=True)
class ChannelInfo:
    """One scalar signal: SI value = counts * `scale` + `offset`."""

    name: str
    unit: str
    scale: float
    offset: float = 0.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.scale) and self.scale > 0 and math.isfinite(self.offset)):
            raise SensewellError(
                f"channel {self.name}: expected a scale above 0 and a finite offset, "
                f"got scale {self.scale}, offset {self.offset}"
            )


@dataclass(frozen=True)
class Recording:
    """One uninterrupted recording. `samples`: int16 counts (n, channels); `group`: who must not be on both sides of a
    split (a person, a machine, a day); `rate_hz`: samples a second (see rate.py)."""

    name: str
    samples: NDArray[np.int16]
    rate_hz: float
    label: str
    group: str
    extra: dict[str, Any] = field(default_factory=dict)
    follows: bool = False

    @property
    def duration_s(self) -> float:
        return len(self.samples) / self.rate_hz


@dataclass(frozen=True)
class Dataset:
    """Recordings with the same channels and rate. `notes`: where they come from, what the import had to do."""

    name: str
    rate_hz: float
    channels: tuple[ChannelInfo, ...]
    recordings: tuple[Recording, ...]
    notes: dict[str, Any] = field(default_factory=dict)
    folder: Path | None = None

    @property
    def groups(self) -> list[str]:
        """All groups, in natural order (2 before 10)."""
        return natural({recording.group for recording in self.recordings})

    @property
    def labels(self) -> list[str]:
        """All labels in the order of their first recording."""
        return list(dict.fromkeys(recording.label for recording in self.recordings))

    def of_groups(self, groups: Iterable[str]) -> list[Recording]:
        wanted = set(groups)
        return [recording for recording in self.recordings if recording.group in wanted]

    def recording(self, name: str) -> Recording:
        for recording in self.recordings:
            if recording.name == name:
                return recording
        raise SensewellError(f"dataset {self.name} has no recording {name!r}")

    def path_of(self, name: str) -> Path:
        """The .i16 file of a recording of a dataset on disk."""
        if self.folder is None:
            raise SensewellError(f"dataset {self.name} is not on disk: save it first")
        return self.folder / f"{name}.i16"

    def save(self, folder: Path) -> Dataset:
        """Write the folder (the index last: without it the folder is no dataset). Returns the dataset on disk.

        Recordings of the dataset that it replaces are taken away; whatever else is in the folder stays.
        """
        folder.mkdir(parents=True, exist_ok=True)
        old = _files_of(folder)
        (folder / INDEX).unlink(missing_ok=True)
        for path in old:
            path.unlink(missing_ok=True)
        entries = []
        for recording in self.recordings:
            content = recording.samples.astype("<i2", copy=False).tobytes()
            (folder / f"{recording.name}.i16").write_bytes(content)
            entries.append(
                {
                    "name": recording.name,
                    "rows": len(recording.samples),
                    "label": recording.label,
                    "group": recording.group,
                    "extra": recording.extra,
                    "sha256": hashlib.sha256(content).hexdigest(),
                    **({"follows": True} if recording.follows else {}),
                }
            )
        index = {
            "sensewell_dataset": _FORMAT,
            "name": self.name,
            **rate_said(self.rate_hz),
            "channels": [asdict(channel) for channel in self.channels],
            "notes": self.notes,
            "recordings": entries,
        }
        part = folder / (INDEX + ".part")
        part.write_text(json.dumps(index, indent=1) + "\n", encoding="utf-8")
        os.replace(part, folder / INDEX)
        return Dataset(self.name, self.rate_hz, self.channels, self.recordings, self.notes, folder)

    @staticmethod
    def load(folder: Path) -> Dataset:
        """Read a folder written by `save`; every file is checked against the length and hash in the index."""
        try:
            index = json.loads((folder / INDEX).read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise SensewellError(
                f"{folder} is no dataset (there is no {INDEX}): run `sensewell data fetch` or `sensewell data import`"
            ) from None
        except (OSError, ValueError) as error:
            raise SensewellError(f"{folder / INDEX} cannot be read ({error}): import the dataset again") from error
        if not isinstance(index, dict) or index.get("sensewell_dataset") != _FORMAT:
            raise SensewellError(f"{folder / INDEX} is not of format {_FORMAT}: import the dataset again")
        try:
            channels = tuple(ChannelInfo(**channel) for channel in index["channels"])
            rate_hz = rate_of(index, str(folder / INDEX))
            recordings = tuple(_read(folder, entry, len(channels), rate_hz) for entry in index["recordings"])
            return Dataset(index["name"], rate_hz, channels, recordings, index.get("notes", {}), folder)
        except (KeyError, TypeError) as error:
            raise SensewellError(f"{folder / INDEX} is damaged ({error!r}): import the dataset again") from error


def _files_of(folder: Path) -> list[Path]:
    """The recordings' files of the dataset in `folder`, none if there is no sound one."""
    try:
        names = [entry["name"] for entry in json.loads((folder / INDEX).read_text(encoding="utf-8"))["recordings"]]
    except (OSError, ValueError, KeyError, TypeError):
        return []
    return [folder / f"{name}.i16" for name in names if isinstance(name, str) and name == safe_name(name)]


def _read(folder: Path, entry: dict[str, Any], n_channels: int, rate_hz: float) -> Recording:
    name = entry["name"]
    path = folder / f"{name}.i16"
    if name != safe_name(name):
        raise SensewellError(f"{folder / INDEX}: {name!r} is no name of a recording")
    try:
        content = path.read_bytes()
    except OSError as error:
        raise SensewellError(f"{path} cannot be read ({error}): import the dataset again") from error
    expected = 2 * n_channels * entry["rows"]
    if len(content) != expected or hashlib.sha256(content).hexdigest() != entry["sha256"]:
        raise SensewellError(
            f"{path} is not what was imported (expected {expected} bytes, got {len(content)}"
            f"{', other content' if len(content) == expected else ''}): import the dataset again"
        )
    samples = np.frombuffer(content, "<i2").astype(np.int16, copy=False).reshape(-1, n_channels)
    extra = dict(entry.get("extra", {}))
    return Recording(name, samples, rate_hz, entry["label"], entry["group"], extra, bool(entry.get("follows", False)))


def natural(names: Iterable[str]) -> list[str]:
    """Names sorted so that "2" comes before "10"."""
    return sorted(names, key=lambda name: [(0, int(p), "") if p.isdigit() else (1, 0, p) for p in _digits(name)])


def _digits(name: str) -> Sequence[str]:
    return [part for part in re.split(r"(\d+)", name) if part]


def safe_name(text: str) -> str:
    """`text` as a file name on any disk, a board's littlefs included."""
    return _UNSAFE.sub("-", text).strip("-.")[:40] or "recording"


def unique_name(text: str, taken: dict[str, int]) -> str:
    """`safe_name(text)`, with -2, -3 ... where it was given before; `taken` keeps the account."""
    name = safe_name(text)
    while True:
        taken[name] = count = taken.get(name, 0) + 1
        if count == 1:
            return name
        numbered = f"{name}-{count}"
        if numbered not in taken:
            taken[numbered] = 1
            return numbered


def to_counts(values: NDArray[np.float64], channels: Sequence[ChannelInfo]) -> tuple[NDArray[np.int16], list[int]]:
    """SI values (n, channels) -> int16 counts, NaN -> MISSING, and for each channel how many had to be clipped.

    Rounded to nearest (ties to even) and saturated at +-32767, as a converter of that scale does.
    """
    scale = np.array([channel.scale for channel in channels])
    offset = np.array([channel.offset for channel in channels])
    counts = np.rint((values - offset) / scale)
    missing = np.isnan(counts)
    clipped = (np.abs(counts) > MAX_COUNT) & ~missing
    counts = np.where(missing, MISSING, np.clip(counts, -MAX_COUNT, MAX_COUNT))
    return counts.astype(np.int16), [int(n) for n in clipped.sum(0)]
