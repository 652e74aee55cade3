"""Forests of decision trees, used in place: proven sound first, then walked; int16 features to integer scores.

The binary form, and the choice of the engine: native where the board has the module, else viper. No bundles, no labels.
"""

try:
    import sensewell_trees  # device/native/trees
except ImportError:
    sensewell_trees = None

if sensewell_trees:
    from sensewell.kernel.trees_native import Forest as Forest
else:
    from sensewell.kernel.trees_viper import Forest as Forest

# The forest, little-endian, version 1. The start is 4-byte aligned, the length exactly what the counts say.
#   bytes  what
#   0..3   magic "SWTF"
#   4      version
#   5      leaf kind, what a slot is:  1  the number of the entry where a row of shares starts, an entry is one word
#                                      2  the same, an entry is two words
#                                      3  a value, int16
#                                      4  the number of an int32 among the words, which is the value
#   6, 7   n_features 1..64, n_outputs 1..255
#   8..15  u16 each: n_trees, n_nodes, n_slots, n_words
#   16..19 u16 each: row_total, share_bits (kinds 1, 2); link, q (kinds 3, 4)
#   20     nodes, u32 each: all trees, one after the other, each in preorder
#   then   trees: u16 nodes (0: the tree is one leaf), u16 leaf_base
#   then   slots, u16; then words, u16 (an int32 is two, the low one first, at any place)
#
# A node, from its lowest bit:   6 feature | 1 left is a leaf | 1 right is a leaf | 8 argument | 16 threshold + 32768
# Go left when feature <= threshold. A leaf id counts slots from the tree's leaf_base, so trees may share slots.
#   left  right  argument      left is             right is
#   node  node   distance d    the next node       the node d (1..255) further on
#   leaf  node   leaf id a     leaf a              the next node
#   node  leaf   leaf id a     the next node       leaf a
#   leaf  leaf   leaf id a     leaf a              leaf a + 1
# Every step goes forward inside the tree, so every walk ends: build/trees.py proves just that, for every node.
#
# Kinds 1, 2, votes: a row lists the classes that a leaf votes for; its shares sum to row_total. Hard vote: one class,
# row_total 1. (A slot that points into a row is allowed: that leaf votes with less. No sum can exceed score_total.)
# An entry, from its lowest bit:   share_bits share | 15 - share_bits class | 1 last of its row
# (kind 2: share_bits is 0 and the share is the next word). scores: the sums; score_total: trees * row_total.
#
# Kinds 3, 4, sums: tree t adds its value to margin t % margins, n_trees is a multiple of margins.
#   raw[m] = base[m] + sum of values; it means raw / 2**q, q 0..30 (links 1, 2, 4: in log2 units)
# Words: base of each margin, int32; link 4: limit, int32; kind 4: the values, int32.
#   link          margins  n_outputs  scores                                         class
#   1 classes     2..255   margins    by softmax                                     greatest raw, ties to the lowest
#   2 two classes 1        2          by softmax of (0, raw)                         raw > 0
#   3 a value     1        1          raw                                            0
#   4 anomaly     1        2          score_total - scores[1], pow2(raw)             raw < limit
# By softmax: e[k] = pow2(greatest raw - raw[k]), scores[k] = e[k] * 2**14 // sum of e. (The class is not read from the
# scores: they are rounded.) pow2(d): 2**-(d / 2**q) in Q14, 2**14 for d <= 0; kernel/tree_values.py says to the digit.
# score_total: 2**14, for link 3: 0, there is no confidence.
# trees / margins * greatest |value| + greatest |base| < 2**29, |limit| < 2**29 (every value counts, used or not).
