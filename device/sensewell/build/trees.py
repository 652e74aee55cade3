"""The proof that a forest is sound, before its first walk. The binary form is described in model/trees.py.

It must not know bundles or labels, and believes no byte of the buffer.
"""

from sensewell.refusal import Refused

try:
    from micropython import const
except ImportError:  # CPython: the same source, word by word
    from sensewell._port import micropython

    const = micropython.const

try:
    from uctypes import addressof
except ImportError:  # CPython, and boards without uctypes: nothing to ask
    addressof = None

_HEADER = const(20)
_MAX_SCORE = const(10737418)  # 100 * score stays a small int on a 32-bit board: percentages never allocate
_MAX_RAW = const((1 << 29) - 1)  # the difference of two sums does, too


def prove(buffer, n_features, n_classes):
    """Returns score_total; Refused("model....") if the forest is not entirely sound, or not made for these numbers."""
    if len(buffer) < _HEADER:
        raise Refused("model.truncated")
    if bytes(buffer[:4]) != b"SWTF":
        raise Refused("model.magic")
    if buffer[4] != 1:
        raise Refused("model.version")
    trees, nodes, slots, words, total, bits = [buffer[i] | buffer[i + 1] << 8 for i in range(8, 20, 2)]
    excess = len(buffer) - _HEADER - 4 * (nodes + trees) - 2 * (slots + words)
    if excess:
        raise Refused("model.extended" if excess > 0 else "model.truncated")
    if buffer[6] != n_features or buffer[7] != n_classes:
        raise Refused("model.schema", "%d features, %d classes" % (buffer[6], buffer[7]))
    kind = buffer[5]
    first = margins = 0
    if kind < 3:
        if bits > 15 or (kind != 1 and (kind != 2 or bits or words & 1)):
            raise Refused("model.kind")
        fits = n_classes > 0 < total and 0 < trees * total <= _MAX_SCORE
    else:  # total is the link, bits are q
        if kind > 4 or bits > 30 or not 0 < total < 5:
            raise Refused("model.kind")
        margins = n_classes if total == 1 else 1
        first = margins + (total == 4)
        fits = n_classes > 1 if total == 1 else n_classes == (1 if total == 3 else 2)
        fits = fits and trees and trees % margins == 0
        fits = fits and (words == 2 * first if kind == 3 else words >= 2 * first and not words & 1)
    if not (fits and 0 < n_features <= 64):
        raise Refused("model.header")
    if addressof and addressof(buffer) & 3:
        raise Refused("model.alignment")

    # Every walk must end at a proper leaf. Bytecode: it runs once, is small, and cannot stray itself.
    n_trees = trees
    at = _HEADER
    end = tree = at + 4 * nodes
    while trees:
        trees -= 1
        n = buffer[tree] | buffer[tree + 1] << 8  # nodes of this tree from here on
        free = slots - (buffer[tree + 2] | buffer[tree + 3] << 8)  # leaf ids that it may use
        tree += 4
        if at + 4 * n > end:
            raise Refused("model.trees")
        if n == 0 and free <= 0:
            raise Refused("model.leaf")
        while n:
            w = buffer[at]
            argument = buffer[at + 1]
            if w & 63 >= n_features:
                raise Refused("model.feature_index")
            if w > 63:
                if w > 191:
                    argument += 1
                elif n == 1:
                    raise Refused("model.jump")
                if argument >= free:
                    raise Refused("model.leaf")
            elif not 0 < argument < n:
                raise Refused("model.jump")
            at += 4
            n -= 1
    if at != end:
        raise Refused("model.trees")
    if kind < 3:
        _votes(buffer, tree, slots, words, n_classes)
        return n_trees * total
    _sums(buffer, tree, slots, words, first, margins, n_trees // margins)
    return 0 if total == 3 else 16384


def _votes(buffer, at, slots, words, n_classes):
    # Every slot is the number of an entry, and every row ends and sums to the total
    kind = buffer[5]
    total = buffer[16] | buffer[17] << 8
    bits = buffer[18]
    end = at + 2 * slots
    n = words // kind
    while at < end:
        if buffer[at] | buffer[at + 1] << 8 >= n:
            raise Refused("model.leaf")
        at += 2
    end += 2 * words
    mask = (1 << bits) - 1
    left = total
    w = 0
    while at < end:
        w = buffer[at] | buffer[at + 1] << 8
        left -= buffer[at + 2] | buffer[at + 3] << 8 if kind == 2 else w & mask
        if (w & 0x7FFF) >> bits >= n_classes or left < 0:
            raise Refused("model.leaf")
        at += 2 * kind
        if w > 0x7FFF:
            if left:
                raise Refused("model.leaf")
            left = total
    if w < 0x8000:
        raise Refused("model.leaf")


def _sums(buffer, at, slots, words, first, margins, rounds):
    # Every slot is a value or the number of one, and no sum of values can leave its range
    base = limit = value = 0
    end = at + 2 * slots
    values = buffer[5] == 3
    while at < end:
        w = buffer[at] | buffer[at + 1] << 8
        at += 2
        if values:
            w = abs((w ^ 0x8000) - 0x8000)
            if w > value:
                value = w
        elif not first <= w < words >> 1:
            raise Refused("model.leaf")
    for i in range(words >> 1):
        w = ((buffer[at + 2] | buffer[at + 3] << 8) ^ 0x8000) - 0x8000
        if not -0x2000 <= w < 0x2000:  # 2**29 or more; the others stay small ints on the way
            raise Refused("model.overflow")
        w = abs((w << 16) + (buffer[at] | buffer[at + 1] << 8))
        at += 4
        if i < margins:
            if w > base:
                base = w
        elif i < first:
            limit = w
        elif w > value:
            value = w
    if limit > _MAX_RAW or rounds * value + base > _MAX_RAW:
        raise Refused("model.overflow")
