"""Splits by group, never by window: windows of one person are alike, and a random split flatters by 12-14 points.

Must not know what a group is, nor what is trained.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sensewell_host.dataset.recording import Dataset, Recording, natural
from sensewell_host.dataset.tape import tapes
from sensewell_host.errors import SensewellError


@dataclass(frozen=True)
class Split:
    """Recordings to learn from and recordings nobody may look at before the end; no group is on both sides."""

    train: tuple[Recording, ...]
    test: tuple[Recording, ...]


def split_by_group(dataset: Dataset, train: Sequence[str], test: Sequence[str]) -> Split:
    """Split by lists of groups. Refuses a group on both sides, one that is not there, and an empty side."""
    both = natural(set(train) & set(test))
    if both:
        raise SensewellError(f"group {', '.join(both)} is in train and in test: a group belongs to one side only")
    absent = natural((set(train) | set(test)) - set(dataset.groups))
    if absent:
        raise SensewellError(
            f"dataset {dataset.name} has no group {', '.join(absent)}: its groups are {', '.join(dataset.groups)}"
        )
    split = Split(tuple(dataset.of_groups(train)), tuple(dataset.of_groups(test)))
    if not split.train or not split.test:
        raise SensewellError(f"the {'test' if split.train else 'train'} side has no recordings: name its groups")
    refuse_leak(split.train, split.test)
    return split


def refuse_leak(train: Iterable[Recording], test: Iterable[Recording]) -> None:
    """Raise where a group, or a recording under another group's name, is on both sides.

    Recordings are compared with all that follows them: pieces of a label that lasted a few samples may well be equal.
    """
    train, test = list(train), list(test)
    both = natural({recording.group for recording in train} & {recording.group for recording in test})
    if both:
        raise SensewellError(f"group {', '.join(both)} is in train and in test: a group belongs to one side only")
    content = {tape.samples.tobytes(): tape.name for tape in tapes(train)}
    for tape in tapes(test):
        if tape.samples.tobytes() in content:
            raise SensewellError(
                f"recording {tape.name} of the test side is the same as {content[tape.samples.tobytes()]} "
                "of the train side"
            )


def leave_one_group_out(groups: NDArray[Any]) -> Iterator[tuple[str, NDArray[np.bool_], NDArray[np.bool_]]]:
    """(group, train rows, test rows) for each group; `groups`: one name a row."""
    names = natural({str(name) for name in groups})
    if len(names) < 2:
        raise SensewellError(f"leaving one group out needs two groups at least, got {', '.join(names) or 'none'}")
    for name in names:
        held = groups == name
        yield name, ~held, held
