"""Examples between groups: where groups are numbers (speeds, loads, temperatures), what lies between two neighbours.

A forest answers in steps: between two speeds it has seen it knows nothing but either of them. A feature that changes
steadily from one to the next is better met half-way, by mixtures of a vector of each (mixup, Zhang et al. 2018,
arXiv:1710.09412, here of one class and neighbouring groups only). Must not know what a group or a feature is.
"""

from __future__ import annotations

import itertools
import zlib

import numpy as np
from numpy.typing import NDArray

from sensewell_host.errors import SensewellError

Vectors = NDArray[np.int16]
Classes = NDArray[np.int64]


def between(X: Vectors, y: Classes, groups: NDArray[np.str_], n: int, seed: int) -> tuple[Vectors, Classes]:
    """n mixtures (n * classes * pairs, features) of every class for each pair of neighbouring groups that both have it.

    Every mixture is of two random vectors in a random ratio. Those of a pair depend on the seed and its two groups
    alone. SensewellError where a group is no number.
    """
    try:
        order = sorted(set(groups.tolist()), key=float)
    except ValueError as error:
        raise SensewellError(f"[augment] between: expected groups that are numbers, such as speeds: {error}") from error
    made: list[Vectors] = []
    classes: list[Classes] = []
    for low, high in itertools.pairwise(order):
        random = np.random.default_rng([seed, zlib.crc32(f"{low} {high}".encode())])
        for k in np.unique(y):
            below = np.flatnonzero((groups == low) & (y == k))
            above = np.flatnonzero((groups == high) & (y == k))
            if not below.size or not above.size:
                continue
            share = random.uniform(size=(n, 1))
            mixed = (1 - share) * X[random.choice(below, n)] + share * X[random.choice(above, n)]
            made.append(np.rint(mixed).astype(np.int16))
            classes.append(np.full(n, k))
    return np.concatenate([X[:0], *made]), np.concatenate([y[:0], *classes])
