"""Forests of decision trees, used in place: proven sound first, then walked; int16 features to integer scores.

Knows the binary form below and nothing of bundles, labels or where the features come from.
"""

from sensewell.refusal import Refused

try:
    import micropython
except ImportError:  # CPython: the same source, word by word
    from sensewell._port import micropython, ptr8, ptr16, ptr32

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
# Every step goes forward inside the tree, so every walk ends: build/trees.py proves just that, for every node.


class Forest:
    """A forest in `buffer` (bytes-like, 4-byte aligned, not copied: it must stay as it is).

    Refused("model....") if it is not entirely sound or not made for `n_features` features and `n_classes` classes.
    .n_outputs classes; .score_total what the scores of one prediction sum to: confidence_pct is 100 * best // that.
    """

    def __init__(self, buffer, n_features, n_classes):
        from sensewell.build.trees import prove

        self.score_total = prove(buffer, n_features, n_classes)
        self._s = buffer
        self.n_features = n_features
        self.n_outputs = n_classes

    @micropython.viper
    def predict(self, features, scores) -> int:
        """The best class for `features` (array('h', n_features)), ties to the lowest; allocates nothing.

        `scores`, array('i', n_outputs), receives each class's part of score_total. Lengths are checked, item sizes not.
        """
        buffer = self._s
        b = ptr8(buffer)
        h = ptr16(buffer)
        x = ptr16(features)
        s = ptr32(scores)
        kind = b[5]
        n_outputs = b[7]
        if int(len(features)) != b[6] or int(len(scores)) != n_outputs:  # viper needs the cast
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
