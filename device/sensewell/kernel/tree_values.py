"""Forests whose leaves are values (kinds 3, 4): sums of trees, and what they mean. In viper; the form: model/trees.py.

It must not know bundles or labels, and is given proven forests only.
"""

from sensewell.refusal import Refused

try:
    import micropython
except ImportError:  # CPython: the same source, word by word
    from sensewell._port import micropython, ptr8, ptr16, ptr32


class Values:
    """A proven forest of kind 3 or 4 in `buffer`."""

    def __init__(self, buffer):
        self._s = buffer

    @micropython.viper
    def predict(self, features, scores) -> int:
        """As Forest.predict. Sums are kept 2**29 too high: so none is negative, and x64 reads them back unharmed."""
        buffer = self._s
        b = ptr8(buffer)
        h = ptr16(buffer)
        x = ptr16(features)
        s = ptr32(scores)
        kind = b[5]
        n_outputs = b[7]
        if int(len(features)) != b[6] or int(len(scores)) != n_outputs:  # viper needs the cast
            raise Refused("model.schema")
        link = h[8]
        q = h[9]
        margins = n_outputs if link == 1 else 1
        root = 10
        tree = root + 2 * h[5]
        slots = tree + 2 * h[4]
        words = slots + h[6]
        i = 0
        w = words
        while i < margins:
            s[i] = 0x20000000 + (h[w] | ((h[w + 1] ^ 0x8000) - 0x8000) << 16)
            w += 2
            i += 1
        m = 0
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
            w = h[leaf]
            if kind == 4:
                w = words + w + w
                s[m] = s[m] + (h[w] | ((h[w + 1] ^ 0x8000) - 0x8000) << 16)
            else:
                s[m] = s[m] + (w ^ 0x8000) - 0x8000
            m += 1
            if m == margins:
                m = 0
        best = 0
        if link == 3:
            s[0] = s[0] - 0x20000000
            return best
        if link == 2:
            s[1] = s[0]
            s[0] = 0x20000000
        elif link == 4:
            s[1] = 0x20000000
            if s[0] - 0x20000000 < (h[words + 2] | ((h[words + 3] ^ 0x8000) - 0x8000) << 16):
                best = 1
        if link != 4:
            i = 1
            while i < n_outputs:
                if s[i] > s[best]:
                    best = i
                i += 1
        # 2**-(d / 2**q) in Q14: octaves by shift, between them a cubic that is exact at both ends (+-2 of 16384)
        top = s[0 if link == 4 else best]
        total = 0
        i = 0
        while i < n_outputs:
            w = top - s[i]
            m = 16384
            if w > 0:
                leaf = w >> q
                m = 0
                if leaf < 15:
                    w -= leaf << q
                    w = w >> q - 14 if q > 14 else w << 14 - q
                    m = 45326 - ((15148 - (2590 * w >> 14)) * w >> 14)
                    m = (16384 - (m * w + 32768 >> 16)) >> leaf
            s[i] = m
            total += m
            i += 1
        if link == 4:
            s[0] = 16384 - s[1]
            return best
        i = 0
        while i < n_outputs:
            s[i] = (s[i] << 14) // total
            i += 1
        return best
