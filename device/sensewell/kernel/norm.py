"""Derived channels: the norm of two or three others, sample by sample.

It must not know what the channels mean.
"""

# mypy: disable-error-code="valid-type"
# (ptr16 and ptr32 are types of viper only)
try:
    import micropython
    from micropython import const
except ImportError:  # CPython: the same source, word by word
    from sensewell._port import micropython, ptr16, ptr32

    const = micropython.const


_N = const(23)  # block `t`
_Q30 = const(0x3FFFFFFF)


def load(features, at, k):
    """The derived channel at `at` of `features.derived` into row k = 0 or 2; the rows 1 and 2 - k are work space."""
    d = features.derived
    rows = features.rows
    window = features.window  # not its method: a bound method is an object on the heap
    window.read(d[at], rows[k])
    window.read(d[at + 1], rows[1])
    third = 3  # zeros
    if d[at + 2] >= 0:
        third = 2 - k
        window.read(d[at + 2], rows[third])
    rows = features.words
    norm(1, 0, d[at + 3], rows[k], rows[1], rows[third], features.t)


@micropython.viper
def norm(r: int, u: int, shift: int, a: ptr16, b: ptr16, c: ptr16, t: ptr32):
    """a: int16[n] becomes sqrt(a^2 + b^2 + c^2) (shift 0, saturated) or half of it (1).

    Newton from the last root; r: the first guess, > 0.
    """
    n = t[_N]
    i = 0
    while i < n:
        u = (a[i] ^ 0x8000) - 0x8000
        v = (b[i] ^ 0x8000) - 0x8000
        w = (c[i] ^ 0x8000) - 0x8000
        u = u * u
        v = v * v
        w = w * w
        s = (u >> 2) + (v >> 2) + (w >> 2)
        if shift == 0:
            if s < 0x10000000:
                s = u + v + w
            else:
                s = _Q30
            if s > _Q30:
                s = _Q30
        a[i] = 0
        if s:
            r = (r + s // r) >> 1
            while 1:
                u = s // r
                if u >= r:
                    break
                r = (r + u) >> 1
            a[i] = r
        i += 1
