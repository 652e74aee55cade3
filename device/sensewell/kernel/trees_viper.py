"""Forests in viper: votes summed here, values in tree_values.py. The form stands in model/trees.py.

It must not know bundles, labels or where the features come from.
"""

from sensewell.refusal import Refused

try:
    import micropython
except ImportError:  # CPython: the same source, word by word
    from sensewell._port import micropython, ptr8, ptr16, ptr32


class Forest:
    """A forest in `buffer` (bytes-like, 4-byte aligned, not copied: it must stay as it is).

    Refused("model....") if it is not entirely sound or not made for `n_features` features and `n_classes` outputs.
    .n_outputs scores; .score_total what the scores of one prediction sum to at most: confidence_pct is 100 * best //
    that; 0 where the score is a value, and there is no confidence.
    """

    engine = "viper"

    def __init__(self, buffer, n_features, n_classes):
        from sensewell.build.trees import prove

        self.score_total = prove(buffer, n_features, n_classes)
        self._s = buffer
        self.n_features = n_features
        self.n_outputs = n_classes
        if buffer[5] > 2:
            from sensewell.kernel.tree_values import Values

            self.predict = Values(buffer).predict

    @micropython.viper
    def predict(self, features, scores) -> int:
        """The class for `features` (array('h', n_features)); allocates nothing.

        `scores`, array('i', n_outputs), is filled as the table in model/trees.py says. Lengths are checked, item sizes
        not.
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
