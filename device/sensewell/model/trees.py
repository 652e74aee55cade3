"""Forests of decision trees, used in place: proven sound first, then walked; int16 features to integer scores.

Knows the binary form below and nothing of bundles, labels or where the features come from.
"""

from sensewell.refusal import Refused

try:
    import micropython
    from micropython import const
except ImportError:  # CPython: the same source, word by word
    from sensewell._port import micropython, ptr8, ptr16, ptr32

    const = micropython.const

try:
    from uctypes import addressof
except ImportError:  # CPython, and boards without uctypes: nothing to ask
    addressof = None

# The forest, little-endian, version 1. The start is 4-byte aligned, the length exactly what the counts say.
#   bytes  what
#   0..3   magic "SWTF"
#   4      version
#   5      leaf kind: 1 = a slot is the number of the entry where a row of shares starts, an entry is one word
#                     2 = the same, an entry is two words.   Others: not in version 1 (room for values: boosting)
#   6, 7   n_features 1..64, n_outputs 1..255
#   8..19  u16 each: n_trees, n_nodes, n_slots, n_words, row_total, share_bits
#   20     nodes, u32 each: all trees, one after the other, each in preorder
#   then   trees: u16 nodes (0: the tree is one leaf), u16 leaf_base
#   then   slots, u16; then the words of the rows, u16
# A row lists the classes that a leaf votes for; its shares sum to row_total. Hard vote: one class, row_total 1.
# (A slot that points into a row is allowed: that leaf votes with less. No sum can exceed score_total.)
# An entry, from its lowest bit:   share_bits share | 15 - share_bits class | 1 last of its row
# (kind 2: share_bits is 0 and the share is the next word).
# A node, from its lowest bit:   6 feature | 1 left is a leaf | 1 right is a leaf | 8 argument | 16 threshold + 32768
# Go left when feature <= threshold. A leaf id counts slots from the tree's leaf_base, so trees may share slots.
#   left  right  argument      left is             right is
#   node  node   distance d    the next node       the node d (1..255) further on
#   leaf  node   leaf id a     leaf a              the next node
#   node  leaf   leaf id a     the next node       leaf a
#   leaf  leaf   leaf id a     leaf a              leaf a + 1
# Every step goes forward inside the tree, so every walk ends: _prove shows just that, for every node.
_HEADER = const(20)
_MAX_SCORE = const(10737418)  # 100 * score stays a small int on a 32-bit board: percentages never allocate


class Forest:
    """A forest in `buffer` (bytes-like, 4-byte aligned, not copied: it must stay as it is).

    Refused("model....") if it is not entirely sound or not made for `n_features` features and `n_classes` classes.
    .n_outputs classes; .score_total what the scores of one prediction sum to: confidence_pct is 100 * best // that.
    """

    engine = "viper"

    def __init__(self, buffer, n_features, n_classes):
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
        _prove(buffer, trees, nodes, slots, words, total, bits)
        self._buffer = buffer
        self.n_features = n_features
        self.n_outputs = n_classes
        self.score_total = trees * total

    @micropython.viper
    def predict(self, features, scores) -> int:
        """The best class for `features` (array('h', n_features)), ties to the lowest; allocates nothing.

        `scores`, array('i', n_outputs), receives each class's part of score_total. Lengths are checked, item sizes not.
        """
        buffer = self._buffer
        b = ptr8(buffer)
        h = ptr16(buffer)
        x = ptr16(features)
        s = ptr32(scores)
        kind = b[5]
        n_outputs = b[7]
        if int(len(features)) != b[6] or int(len(scores)) != n_outputs:  # noqa: RUF046 (viper needs the cast)
            raise Refused("model.schema")
        bits = h[9]
        mask = (1 << bits) - 1
        root = 10
        tree = root + 2 * h[5]
        slots = tree + 2 * h[4]
        rows = slots + h[6]
        i = 0
        while i < n_outputs:
            s[i] = 0
            i += 1
        while tree < slots:
            leaf = slots + h[tree + 1]
            if h[tree]:
                i = root
                while True:
                    w = h[i]
                    if (x[w & 63] ^ 0x8000) <= h[i + 1]:
                        if w & 64:
                            leaf += w >> 8
                            break
                        i += 2
                    elif w & 128:
                        leaf += (w >> 8) + (w >> 6 & 1)
                        break
                    elif w & 64:
                        i += 2
                    else:
                        i += w >> 8 << 1
                root += h[tree] << 1
            tree += 2
            leaf = rows + h[leaf] * kind
            w = 0
            while w < 0x8000:
                w = h[leaf]
                i = (w & 0x7FFF) >> bits
                if kind == 2:
                    s[i] = s[i] + h[leaf + 1]
                else:
                    s[i] = s[i] + (w & mask)
                leaf += kind
        best = 0
        i = 1
        while i < n_outputs:
            if s[i] > s[best]:
                best = i
            i += 1
        return best


def _prove(b, trees, nodes, slots, words, total, bits):
    """Refused unless every walk ends at a proper leaf. Bytecode: it runs once, is small, and cannot stray itself."""
    kind = b[5]
    n_features = b[6]
    n_classes = b[7]
    at = _HEADER
    end = tree = at + 4 * nodes
    while trees:
        trees -= 1
        n = b[tree] | b[tree + 1] << 8  # nodes of this tree from here on
        free = slots - (b[tree + 2] | b[tree + 3] << 8)  # leaf ids that it may use
        tree += 4
        if at + 4 * n > end:
            raise Refused("model.trees")
        if n == 0 and free <= 0:
            raise Refused("model.leaf")
        while n:
            w = b[at]
            argument = b[at + 1]
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
        if b[at] | b[at + 1] << 8 >= n:
            raise Refused("model.leaf")
        at += 2
    end += 2 * words
    mask = (1 << bits) - 1
    left = total
    w = 0
    while at < end:
        w = b[at] | b[at + 1] << 8
        left -= b[at + 2] | b[at + 3] << 8 if kind == 2 else w & mask
        if (w & 0x7FFF) >> bits >= n_classes or left < 0:
            raise Refused("model.leaf")
        at += 2 * kind
        if w > 0x7FFF:
            if left:
                raise Refused("model.leaf")
            left = total
    if w < 0x8000:
        raise Refused("model.leaf")
