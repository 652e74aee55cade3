"""A device forest read back on the host: by the device's own code, and in bulk by numpy.

Knows the binary form (its table stands in device/sensewell/model/trees.py); knows no library.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from sensewell_host.convert.encode import ANOMALY, HEADER, INT32, LOGISTIC, PACKED, SOFTMAX, VALUE, WIDE
from sensewell_host.convert.plain import Ints
from sensewell_host.device_path import use_device_path
from sensewell_host.errors import SensewellError

ONE = 16384  # a share of 1 in the scores of sums of trees
POW2_ERROR = 2.9 / ONE  # pow2 against 2**-(d / 2**value_bits): the cubic 1.81, its argument cut to 14 bits, rounding
LINKS = {SOFTMAX: "softmax", LOGISTIC: "logistic", VALUE: "value", ANOMALY: "anomaly"}


@dataclass(frozen=True)
class Image:
    """A blob, read: nodes and trees as arrays. Only of blobs that the device code has accepted."""

    kind: int
    n_features: int
    n_outputs: int
    meaning: tuple[int, int]  # row_total, share_bits; of sums: link, value_bits
    trees: list[tuple[int, int, int]]  # first node, nodes, leaf_base
    nodes: Ints
    slots: Ints
    words: Ints

    @property
    def sums(self) -> bool:
        """Whether leaves are values to be added, not shares of votes."""
        return self.kind > WIDE

    @property
    def link(self) -> str:
        """ "votes", or what a sum means: "softmax", "logistic", "value", "anomaly"."""
        return LINKS[self.meaning[0]] if self.sums else "votes"

    @property
    def value_bits(self) -> int:
        return self.meaning[1] if self.sums else 0

    @property
    def leaf_kind(self) -> str:
        if self.sums:
            return "int32" if self.kind == INT32 else "int16"
        return "class" if self.meaning[0] == 1 else "packed" if self.kind == PACKED else "wide"

    @property
    def score_total(self) -> int:
        """What the scores of one prediction sum to; 0 where there is no confidence."""
        if self.sums:
            return 0 if self.link == "value" else ONE
        return len(self.trees) * self.meaning[0]

    @property
    def margins(self) -> int:
        return self.n_outputs if self.meaning[0] == SOFTMAX else 1


def device_forest(blob: bytes, n_features: int, n_classes: int) -> Any:
    """The device's own Forest over `blob`; SensewellError if the device would refuse it."""
    use_device_path()
    from sensewell.model.trees import Forest
    from sensewell.refusal import Refused

    try:
        return Forest(blob, n_features, n_classes)
    except Refused as refused:
        raise SensewellError(f"the board would refuse this forest: {refused}") from refused


def read(blob: bytes) -> Image:
    """`blob` as an Image; SensewellError if it is no forest or the device would refuse it."""
    if len(blob) < HEADER.size or blob[:4] != b"SWTF":
        raise SensewellError("this is not a Sensewell forest (no magic SWTF at its start)")
    _, _, kind, features, outputs, n_trees, n_nodes, n_slots, _, *meaning = HEADER.unpack_from(blob)
    device_forest(blob, features, outputs)
    nodes = np.frombuffer(blob, "<u4", n_nodes, HEADER.size).astype(np.int64)
    rest = np.frombuffer(blob, "<u2", -1, HEADER.size + 4 * n_nodes).astype(np.int64)
    records, slots, words = np.split(rest, [2 * n_trees, 2 * n_trees + n_slots])
    trees, first = [], 0
    for count, base in records.reshape(-1, 2).tolist():
        trees.append((first, count, base))
        first += count
    return Image(kind, features, outputs, (meaning[0], meaning[1]), trees, nodes, slots, words)


def predict(blob: bytes, x: npt.NDArray[np.int16]) -> tuple[Ints, Ints]:
    """Classes (n,) and scores (n, n_outputs) of `blob` for int16 rows, in numpy: what the device computes, in bulk."""
    image = read(blob)
    if not image.sums:
        scores = np.zeros((len(x), image.n_outputs), dtype=np.int64)
        shares, row_of = _shares(image)
        for which, ids in _walks(image, x):
            scores += shares[row_of[image.trees[which][2] + ids]]
        return scores.argmax(axis=1), scores
    raw = _raw(image, x)
    if image.link == "value":
        return np.zeros(len(x), dtype=np.int64), raw
    if image.link == "softmax":
        best: Ints = raw.argmax(axis=1)
        powers = pow2(raw.max(axis=1, keepdims=True) - raw, image.value_bits)
        return best, (powers << 14) // powers.sum(axis=1, keepdims=True)
    if image.link == "logistic":
        both = np.concatenate([np.zeros_like(raw), raw], axis=1)
        powers = pow2(both.max(axis=1, keepdims=True) - both, image.value_bits)
        return (raw[:, 0] > 0).astype(np.int64), (powers << 14) // powers.sum(axis=1, keepdims=True)
    score = pow2(raw, image.value_bits)
    return (raw[:, 0] < _first(image)[1]).astype(np.int64), np.concatenate([ONE - score, score], axis=1)


def raw_sums(blob: bytes, x: npt.NDArray[np.int16]) -> Ints:
    """The margins (n, margins) that a forest of sums adds up, in steps of 2**-value_bits."""
    image = read(blob)
    if not image.sums:
        raise SensewellError("this forest counts votes, it has no sums")
    return _raw(image, x)


def pow2(d: Ints, value_bits: int) -> Ints:
    """2**-(d / 2**value_bits) in Q14, the device's integers: the cubic of model/trees.py."""
    whole = d >> value_bits
    f = d & ((1 << value_bits) - 1)
    f = f >> (value_bits - 14) if value_bits > 14 else f << (14 - value_bits)
    t = 15148 - (2590 * f >> 14)
    t = 45326 - (t * f >> 14)
    power = (ONE - (t * f + 32768 >> 16)) >> np.clip(whole, 0, 31)
    result: Ints = np.where(d <= 0, ONE, np.where(whole > 14, 0, power))
    return result


def describe(blob: bytes) -> dict[str, Any]:
    """What `sensewell inspect` says of a forest: sizes, depth (comparisons of the longest walk), leaf kind."""
    image = read(blob)
    depth = 0
    nodes = image.nodes.tolist()
    for first, count, _ in image.trees:
        levels = [1] * count
        for k in range(count):
            word = nodes[first + k]
            flags, argument = word >> 6 & 3, word >> 8 & 255
            for child in {0: (k + 1, k + argument), 1: (k + 1,), 2: (k + 1,), 3: ()}[flags]:
                levels[child] = max(levels[child], levels[k] + 1)
        depth = max(depth, *levels) if levels else depth
    return {
        "trees": len(image.trees),
        "nodes": len(nodes),
        "leaves": len(image.slots),
        "rows": len(np.unique(image.slots)),  # different leaves
        "depth": depth,
        "bytes": len(blob),
        "leaf_kind": image.leaf_kind,
        "link": image.link,
        "value_bits": image.value_bits,
        "n_features": image.n_features,
        "n_classes": image.n_outputs,
        "score_total": image.score_total,
    }


def _walks(image: Image, x: npt.NDArray[np.int16]) -> Any:
    """For every tree (its number, the leaf ids (n,) that the rows reach)."""
    nodes = image.nodes
    feature, flags, argument = nodes & 63, nodes >> 6 & 3, nodes >> 8 & 255
    threshold = (nodes >> 16) - 32768
    every = np.arange(len(x))
    x = x.astype(np.int64)
    for which, (first, count, _) in enumerate(image.trees):
        leaf = np.zeros(len(x), dtype=np.int64)
        walking = every if count else every[:0]
        at = np.full(len(walking), first, dtype=np.int64)
        while len(walking):
            left = x[walking, feature[at]] <= threshold[at]
            f, a = flags[at], argument[at]
            done = np.where(left, f & 1, f >> 1) == 1
            leaf[walking[done]] = (a + (~left & (f == 3)))[done]
            at = (at + np.where(left | (f & 1 == 1), 1, a))[~done]
            walking = walking[~done]
        yield which, leaf


def _shares(image: Image) -> tuple[Ints, Ints]:
    """All rows of shares as (n_rows, n_outputs), and for every slot the number of its row."""
    bits = image.meaning[1]
    heads = image.words[:: image.kind]
    last = heads >> 15
    row = np.cumsum(last) - last  # of every entry
    shares = np.zeros((int(last.sum()), image.n_outputs), dtype=np.int64)
    what = image.words[1::2] if image.kind == WIDE else heads & ((1 << bits) - 1)
    np.add.at(shares, (row, (heads & 0x7FFF) >> bits), what)
    return shares, row[image.slots]


def _first(image: Image) -> Ints:
    """The words of a forest of sums as int32: bases, limit, values."""
    pairs = image.words.reshape(-1, 2)
    signed: Ints = ((pairs[:, 0] | pairs[:, 1] << 16) ^ 1 << 31) - (1 << 31)
    return signed


def _raw(image: Image, x: npt.NDArray[np.int16]) -> Ints:
    words = _first(image)
    values = words[image.slots] if image.kind == INT32 else (image.slots ^ 0x8000) - 0x8000
    raw = np.repeat(words[None, : image.margins], len(x), axis=0)
    for which, ids in _walks(image, x):
        raw[:, which % image.margins] += values[image.trees[which][2] + ids]
    return raw
