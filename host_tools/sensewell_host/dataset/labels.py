"""Labels of stretches of recordings: kept beside them as labels.json and labels.csv; cut into recordings of their own.

    {"sensewell_labels": 1, "dataset": "moves", "recordings": {"r1": [{"start": 0, "end": 250, "label": "walk"}]}}

start, end: rows, end not included; stretches of a recording do not overlap. Must not know how they are made.
"""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

from sensewell_host.dataset.recording import Dataset, Recording, unique_name
from sensewell_host.errors import SensewellError

FILE, TABLE = "labels.json", "labels.csv"
_FORMAT = 1
_LONGEST = 64


@dataclass(frozen=True, order=True)
class Stretch:
    """Rows start .. end - 1 of a recording and what was going on."""

    start: int
    end: int
    label: str


Labels = dict[str, list[Stretch]]


def parse(content: Any, dataset: Dataset) -> Labels:
    """The labels in `content`, sorted; SensewellError where they do not fit the dataset."""
    if not isinstance(content, dict) or content.get("sensewell_labels") != _FORMAT:
        raise SensewellError(f"expected labels of format {_FORMAT}, got {content!r:.60}")
    recordings = content.get("recordings")
    if not isinstance(recordings, dict):
        raise SensewellError(f"expected the recordings' labels as an object, got {recordings!r:.60}")
    found: Labels = {}
    for name, entries in recordings.items():
        rows = len(dataset.recording(name).samples)
        if not isinstance(entries, list):
            raise SensewellError(f"{name}: expected a list of stretches, got {entries!r:.60}")
        stretches = sorted(_stretch(entry, name, rows) for entry in entries)
        for one, two in pairwise(stretches):
            if two.start < one.end:
                raise SensewellError(f"{name}: rows {two.start}..{min(one.end, two.end) - 1} have two labels")
        if stretches:
            found[name] = stretches
    return found


def _stretch(entry: Any, name: str, rows: int) -> Stretch:
    if not isinstance(entry, dict) or set(entry) != {"start", "end", "label"}:
        raise SensewellError(f"{name}: expected a stretch as start, end and label, got {entry!r:.80}")
    start, end, label = entry["start"], entry["end"], entry["label"]
    if type(start) is not int or type(end) is not int or not 0 <= start < end <= rows:
        raise SensewellError(f"{name}: expected rows inside 0..{rows}, got {start!r}..{end!r}")
    if not isinstance(label, str) or not label.strip() or len(label) > _LONGEST or not label.isprintable():
        raise SensewellError(f"{name}: expected a label of 1..{_LONGEST} printable characters, got {label!r:.80}")
    return Stretch(start, end, label.strip())


def load(folder: Path, dataset: Dataset) -> Labels:
    """What `save` wrote, nothing if there is no such file."""
    path = folder / FILE
    try:
        return parse(json.loads(path.read_text(encoding="utf-8")), dataset)
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise SensewellError(f"{path} cannot be read ({error}): move it away to begin anew") from error


def as_json(labels: Mapping[str, list[Stretch]], dataset: Dataset) -> dict[str, Any]:
    """The content of labels.json."""
    recordings = {name: [vars(one) for one in some] for name, some in labels.items() if some}
    return {"sensewell_labels": _FORMAT, "dataset": dataset.name, "recordings": recordings}


def save(labels: Mapping[str, list[Stretch]], dataset: Dataset, folder: Path) -> None:
    """Both files, each either as it was or whole and on the disk."""
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(["recording", "start", "end", "start_s", "end_s", "label"])
    for name, some in labels.items():
        for one in some:
            seconds = [f"{row / dataset.rate_hz:.6g}" for row in (one.start, one.end)]
            writer.writerow([name, one.start, one.end, *seconds, one.label])
    _write(folder / TABLE, table.getvalue())
    _write(folder / FILE, json.dumps(as_json(labels, dataset), indent=1) + "\n")


def _write(path: Path, text: str) -> None:
    part = path.with_name(path.name + ".part")
    with part.open("w", encoding="utf-8", newline="") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(part, path)


def cut(dataset: Dataset, labels: Mapping[str, list[Stretch]]) -> Dataset:
    """Each labelled stretch as a recording of its own, in the group of the one it is from; the rest is left out."""
    taken: dict[str, int] = {}
    made: list[Recording] = []
    for name, some in labels.items():
        whole = dataset.recording(name)
        for one in some:
            extra = {**whole.extra, "from": name, "from_row": one.start}
            part = whole.samples[one.start : one.end].copy()
            made.append(
                replace(
                    whole,
                    name=unique_name(f"{name[:30]}-{one.label}", taken),
                    samples=part,
                    label=one.label,
                    extra=extra,
                    follows=False,
                )
            )
    if not made:
        raise SensewellError(f"no stretch of {dataset.name} has a label yet")
    return Dataset(dataset.name, dataset.rate_hz, dataset.channels, tuple(made), {**dataset.notes, "cut": True})
