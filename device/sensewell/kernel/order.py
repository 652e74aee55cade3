"""Percentiles by sorting: p5 ... p95, iqr, skew.

It must not know units: places in a sorted row, no more.
"""

# mypy: disable-error-code="valid-type"
# (ptr16 and ptr32 are types of viper only)
try:
    import micropython
    from micropython import const
except ImportError:  # CPython: the same source, word by word
    from sensewell._port import micropython, ptr8, ptr16, ptr32

    const = micropython.const


_P5 = const(13)  # block `t`
_IQR = const(20)
_SKEW = const(21)
_N = const(23)
_QUANTILES = b"\x05\x0a\x19\x32\x4b\x5a\x5f"


def prepare(features):
    """p5 ... skew of the channel at hand; the row is sorted in another."""
    order(features.t[_N], 0, features.words[1], features.x, features.t)


@micropython.viper
def order(gap: int, j: int, s: ptr16, x: ptr16, t: ptr32):
    """gap: n, j: 0. x: int16[n] sorted into s: int16[n] (Shell's sort, counts + 32768); p5 ... p95, iqr, skew in t."""
    n = gap
    while j < n:
        s[j] = x[j] ^ 0x8000
        j += 1
    while gap > 1:
        gap = (gap * 5) // 11
        if gap < 1:
            gap = 1
        i = gap
        while i < n:
            v = s[i]
            j = i
            while j >= gap:
                u = s[j - gap]
                if u <= v:
                    break
                s[j] = u
                j -= gap
            s[j] = v
            i += 1
    q = ptr8(_QUANTILES)
    i = 0
    while i < 7:
        t[_P5 + i] = s[(q[i] * (n - 1) + 50) // 100] - 0x8000
        i += 1
    t[_IQR] = t[_P5 + 4] - t[_P5 + 2]
    t[_SKEW] = t[_P5 + 5] + t[_P5 + 1] - t[_P5 + 3] - t[_P5 + 3]
