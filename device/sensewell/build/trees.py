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
    if bits > 15 or (kind != 1 and (kind != 2 or bits or words & 1)):
        raise Refused("model.kind")
    if not (0 < n_features <= 64 and n_classes > 0 < total and 0 < trees * total <= _MAX_SCORE):
        raise Refused("model.header")
    if addressof and addressof(buffer) & 3:
        raise Refused("model.alignment")

    # Every walk must end at a proper leaf. Bytecode: it runs once, is small, and cannot stray itself.
    score_total = trees * total
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
    at = tree
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
    return score_total
