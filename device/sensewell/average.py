"""The mean of a model's scores over the last windows: one window errs more than many do. Loaded where it is asked for.

It must not know windows, labels or what a score means. The first n windows count alike; from then on each new one moves
the mean by a part in n, so an answer is there at once, and a change of it takes about two thirds of n windows.
"""

try:
    import micropython
    from micropython import const
except ImportError:  # CPython: the same source, word by word
    from sensewell._port import micropython, ptr32

    const = micropython.const

# The state, array('i'), all values >= 0
_CLASSES = const(0)
_N = const(1)
_COUNT = const(2)  # windows so far, at most n
_SHIFT = const(3)  # the means are kept in scores * 2**SHIFT
_TOTAL = const(4)  # what the means sum to, at most
_PCT = const(5)  # of the best mean
_MEANS = const(6)


class Average:
    """Over about `n` (2..64) windows of `n_classes` scores that sum to `total` at most (< 2**24)."""

    def __init__(self, n_classes, n, total):
        from array import array

        shift = 0
        while total << shift < 1 << 22:
            shift += 1
        self._s = array("i", [n_classes, n, 0, shift, total << shift, 0] + [0] * n_classes)

    def reset(self):
        """The next window is the first one."""
        self._s[_COUNT] = 0

    @property
    def confidence_pct(self):
        """How much of all scores the best class has, on average: 0..100."""
        return self._s[_PCT]

    @micropython.viper
    def add(self, scores) -> int:
        """Take in one window's scores, array('i'); the best class on average, ties to the lowest. No allocation."""
        s = ptr32(self._s)
        new = ptr32(scores)
        n = s[_COUNT]
        if n < s[_N]:
            n += 1
            s[_COUNT] = n
        best = 0
        k = 0
        while k < s[_CLASSES]:
            mean = new[k] << s[_SHIFT]
            if n > 1:
                mean = (s[_MEANS + k] * (n - 1) + mean) // n
            s[_MEANS + k] = mean
            if mean > s[_MEANS + best]:
                best = k
            k += 1
        s[_PCT] = s[_MEANS + best] * 100 // s[_TOTAL]
        return best
