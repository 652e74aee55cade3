"""Plain trees to the bytes of a device forest: its table stands in device/sensewell/model/trees.py.

Knows how trees are made small; knows no library, and nothing of what leaf values mean but where they are kept.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from sensewell_host.convert.plain import LEAF, Ints, PlainTree, leaves_of, renumbered, simplified
from sensewell_host.errors import SensewellError

HEADER = struct.Struct("<4sBBBBHHHHHH")
MAX_FEATURES = 64
MAX_OUTPUTS = 255
MAX_JUMP = 255
MAX_WINDOW = 256  # leaf ids of one tree
MAX_SCORE = 10_737_418  # trees * row_total: a percentage of it stays a small int on a 32-bit board
MAX_SUM = 1 << 29  # of leaf values and a base
PACKED, WIDE, INT16, INT32 = 1, 2, 3, 4  # leaf kinds
SOFTMAX, LOGISTIC, VALUE, ANOMALY = 1, 2, 3, 4  # links
MAX_COUNT = 65535


def encode_shares(trees: Sequence[PlainTree], n_features: int, kind: int, rows: Ints) -> bytes:
    """The blob of `trees`, whose leaf values are numbers of `rows`: (n, n_outputs) shares, all summing to the same.

    kind: PACKED or WIDE entries.
    """
    row_total = int(rows[0].sum())
    small = [simplified(tree) for tree in trees]
    offsets = np.zeros(len(rows), dtype=np.int64)
    bits = share_bits(rows.shape[1]) if kind == PACKED else 0
    words: list[int] = []
    for row in _used(small):  # rows that only removed branches used are not carried
        offsets[row] = len(words) // kind
        classes = np.flatnonzero(rows[row]).tolist()
        for k in classes:
            share = int(rows[row, k])
            head = k << bits | (k == classes[-1]) << 15
            words += [head | share] if kind == PACKED else [head, share]
    if len(trees) * row_total > MAX_SCORE:
        raise SensewellError(f"{len(trees)} trees are too many for one forest: use fewer")
    return _bytes(small, (kind, n_features, rows.shape[1]), (row_total, bits), offsets, words, "words of leaf shares")


def encode_sums(
    trees: Sequence[PlainTree],
    n_features: int,
    n_outputs: int,
    link: int,
    value_bits: int,
    values: Ints,
    first: Ints,
    wide: bool,
) -> bytes:
    """The blob of `trees`, whose leaf values are numbers of `values`: integers, value_bits of them a fraction.

    first: the bases of the margins, and for ANOMALY the limit after them. wide: INT32 instead of INT16 leaves.
    The bounds of sums are the caller's to keep.
    """
    unique, number = np.unique(values, return_inverse=True)
    small = [simplified(renumbered(tree, number.reshape(-1))) for tree in trees]
    carried = first.tolist()
    if wide:
        used = _used(small)
        slot = np.zeros(len(unique), dtype=np.int64)
        slot[used] = len(carried) + np.arange(len(used))
        carried += unique[used].tolist()
    else:
        slot = unique & 0xFFFF
    words = np.array(carried, dtype="<i4").view("<u2").tolist()
    kind = INT32 if wide else INT16
    return _bytes(small, (kind, n_features, n_outputs), (link, value_bits), slot, words, "words of leaf values")


def _bytes(
    trees: Sequence[PlainTree],
    shape: tuple[int, int, int],
    meaning: tuple[int, int],
    slot: Ints,
    words: Sequence[int],
    what_words: str,
) -> bytes:
    """Header, nodes, trees, slots (slot[leaf value]) and words."""
    table, bases, ids = _lay_slots(trees)
    nodes: list[int] = []
    records = []
    for which, (tree, base) in enumerate(zip(trees, bases, strict=True)):
        encoded = _encode_tree(tree, ids[which], f"tree {which}")
        nodes += encoded
        alone = ids[which][LEAF - tree.root, _ALONE] if tree.root < 0 else 0  # no node there to say which leaf it is
        records += [len(encoded), base + alone]
    counts = {"trees": len(trees), "nodes": len(nodes), "leaves": len(table), what_words: len(words)}
    for what, count in counts.items():
        if count > MAX_COUNT:
            raise SensewellError(
                f"the forest has {count} {what}, at most {MAX_COUNT} fit: use fewer trees or max_leaf_nodes"
            )
    header = HEADER.pack(b"SWTF", 1, *shape, *counts.values(), *meaning)
    rest = np.array([*records, *slot[table].tolist(), *words], dtype="<u2")
    return header + np.array(nodes, dtype="<u4").tobytes() + rest.tobytes()


def share_bits(n_classes: int) -> int:
    """What a packed entry of 16 bits leaves for the share, beside the class and the mark of the last entry."""
    return 15 - max(1, (n_classes - 1).bit_length())


def _used(trees: Sequence[PlainTree]) -> list[int]:
    return sorted({LEAF - leaf for tree in trees for _, _, leaf in leaves_of(tree)})


Places = dict[tuple[int, int], int]  # (leaf value, leaf value beside it or _ALONE) -> leaf id
_ALONE = -1


def _lay_slots(trees: Sequence[PlainTree]) -> tuple[list[int], list[int], list[Places]]:
    """One table of leaf values for all trees, in windows of at most 256 that as many trees as possible share.

    Returns the table, every tree's window start, and for every tree where in its window a value stands, or where two
    stand side by side, as the children of a node with two leaves must.
    """
    table: list[int] = []
    start = 0
    windows = []
    for which, tree in enumerate(trees):
        pairs, singles = set(), set()
        if tree.root < 0:
            singles.add(LEAF - tree.root)
        for i in {node for node, _, _ in leaves_of(tree) if node >= 0}:
            left, right = LEAF - tree.left[i], LEAF - tree.right[i]
            if left >= 0 and right >= 0:
                pairs.add((left, right))
            else:
                singles.add(max(left, right))
        window = _extended(table[start:], pairs, singles)
        if len(window) > MAX_WINDOW:
            start = len(table)
            window = _extended([], pairs, singles)
        if len(window) > MAX_WINDOW:
            raise SensewellError(
                f"tree {which} needs {len(window)} leaves, {MAX_WINDOW} fit a device tree: "
                "train with max_leaf_nodes=256 or less"
            )
        table[start:] = window
        windows.append((start, len(window)))
    finders = []
    for base, size in windows:
        places: Places = {}
        for k in reversed(range(size)):
            places[table[base + k], _ALONE] = k
            if k + 1 < size:
                places[table[base + k], table[base + k + 1]] = k
        finders.append(places)
    return table, [base for base, _ in windows], finders


def _extended(window: list[int], pairs: set[tuple[int, int]], singles: set[int]) -> list[int]:
    """`window` with every pair side by side and every single somewhere, as few additions as a greedy trail needs."""
    window = list(window)
    missing = pairs - set(pairwise(window))
    follow: dict[int, list[int]] = {}
    surplus: dict[int, int] = {}
    for a, b in sorted(missing, reverse=True):
        follow.setdefault(a, []).append(b)
        surplus[a] = surplus.get(a, 0) + 1
        surplus[b] = surplus.get(b, 0) - 1
    while follow:
        if not window or window[-1] not in follow:  # start a new trail where more pairs begin than end
            window.append(max(follow, key=lambda a: (surplus[a], -a)))
        a = window[-1]
        b = follow[a].pop()
        if not follow[a]:
            del follow[a]
        surplus[a] -= 1
        surplus[b] += 1
        window.append(b)
    window += sorted(singles - set(window))
    return window


def _encode_tree(tree: PlainTree, places: Places, name: str) -> list[int]:
    """The tree's nodes in preorder, as 32-bit words."""
    order: list[int] = []
    stack = [tree.root] if tree.root >= 0 else []
    while stack:
        i = stack.pop()
        order.append(i)
        stack += [child for child in (tree.right[i], tree.left[i]) if child >= 0]
    place = {node: k for k, node in enumerate(order)}
    words = []
    for i in order:
        left, right = tree.left[i], tree.right[i]
        if left >= 0 and right >= 0:
            argument = place[right] - place[i]
            if argument > MAX_JUMP:
                raise SensewellError(
                    f"{name} is too large: a left branch of {argument - 1} nodes, at most {MAX_JUMP - 1} fit "
                    "a device tree: train with max_leaf_nodes=256 or less"
                )
        elif left < 0 and right < 0:
            argument = places[LEAF - left, LEAF - right]
        else:
            argument = places[LEAF - min(left, right), _ALONE]
        # simplified() leaves only thresholds that some int16 is above and some not: -32768..32766
        flags = (left < 0) << 6 | (right < 0) << 7
        words.append(tree.feature[i] | flags | argument << 8 | (tree.threshold[i] + 32768) << 16)
    return words
