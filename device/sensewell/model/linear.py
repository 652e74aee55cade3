"""Linear models (logistic regression), used in place: proven sound first; int16 features to integer scores.

The binary form, and its sums in viper. No bundles, no labels.
"""

from sensewell.kernel.tree_values import Values
from sensewell.refusal import Refused

try:
    import micropython
except ImportError:  # CPython: the same source, word by word
    from sensewell._port import micropython, ptr8, ptr16, ptr32

# The model, little-endian, version 1. The start is 4-byte aligned, the length exactly what the counts say.
#   bytes  what
#   0..3   magic "SWLN"
#   4      version
#   5      q, 0..30
#   6, 7   n_features 1..96, n_classes 2..255
#   8      base of each margin, int32
#   then   of each feature: shift, u16, 0..30; its weight in each margin, int16
#
#   raw[m] = base[m] + sum over the features of (weight[m] * feature >> shift)      (>> rounds down)
# raw, q, scores and class are those of links 1 and 2 of model/trees.py: a margin for each class, but of two classes the
# one margin of class 1; raw / 2**q in log2 units, scores by softmax, the class that of the greatest raw, ties to the
# lowest. They are computed there, too: what the margins mean is what a forest of no trees says that has them as base.
#
# A weight is worth weight / 2**(q + shift) for a count: each feature has the shift that its greatest weight leaves it,
# so features of a few counts and of thousands stand side by side. A product fits 32 bits, and no sum, nor a part of
# one, leaves its range for any int16 features:
#   greatest |base| + sum over the features of (greatest |weight| * 2**15 >> shift) + 1 each < 2**29


class Linear:
    """A linear model in `buffer` (bytes-like, 4-byte aligned, not copied: it must stay as it is).

    Refused("model....") if it is not entirely sound or not made for `n_features` features and `n_classes` classes.
    """

    engine = "viper"
    score_total = 16384

    def __init__(self, buffer, n_features, n_classes):
        from sensewell.build.linear import prove

        self._margins = prove(buffer, n_features, n_classes)
        self._mean = Values(self._margins).predict
        self._s = buffer
        self.n_outputs = n_classes

    @micropython.viper
    def predict(self, features, scores) -> int:
        """The class for `features` (array('h', n_features)); allocates nothing.

        `scores`, array('i', n_classes), is filled as said above. Lengths are checked, item sizes not. Sums are kept
        2**29 too high: so none is negative, and x64 reads them back unharmed.
        """
        buffer = self._s
        h = ptr16(buffer)
        x = ptr16(features)
        n = ptr8(buffer)[7]
        left = int(len(features))  # viper needs the cast
        if left != ptr8(buffer)[6] or int(len(scores)) != n:
            raise Refused("model.schema")
        end = 6 if n == 2 else 5 + n
        raw = ptr32(self._margins)
        at = 4
        i = 5
        while i < end:
            raw[i] = 0x20000000 + (h[at] | ((h[at + 1] ^ 0x8000) - 0x8000) << 16)
            at += 2
            i += 1
        k = 0
        while k < left:
            value = (x[k] ^ 0x8000) - 0x8000
            shift = h[at]
            at += 1
            i = 5
            while i < end:
                raw[i] = raw[i] + (((h[at] ^ 0x8000) - 0x8000) * value >> shift)
                at += 1
                i += 1
            k += 1
        i = 5
        while i < end:
            raw[i] = raw[i] - 0x20000000
            i += 1
        return int(self._mean(features, scores))


def open(buffer, n_features, spec, window):
    """The Linear of a bundle, see there; it sees features alone."""
    return Linear(buffer, n_features, spec["n_classes"])
