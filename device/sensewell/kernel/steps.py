"""From one sample to the next: mav, jerk, jmax.

It must not know the rate: steps are from sample to sample.
"""

# mypy: disable-error-code="valid-type"
# (ptr16 and ptr32 are types of viper only)
try:
    import micropython
    from micropython import const
except ImportError:  # CPython: the same source, word by word
    from sensewell._port import micropython, ptr16, ptr32

    const = micropython.const


_MAV = const(6)  # block `t`
_JERK = const(7)
_JMAX = const(8)
_N = const(23)


def prepare(features):
    """mav jerk jmax of the channel at hand."""
    steps(0, 0, features.x, features.t)


@micropython.viper
def steps(u: int, v: int, x: ptr16, t: ptr32):
    """x: int16[n] -> mav jerk jmax in t."""
    n = t[_N]
    last = x[0] ^ 0x8000
    mav = 0
    jerk = 0
    jmax = 0
    i = 0
    while i < n:
        v = x[i] ^ 0x8000
        u = v - last
        last = v
        if u < 0:
            u = -u
        jerk += u
        if u > jmax:
            jmax = u
        v -= 0x8000
        if v < 0:
            v = -v
        mav += v
        i += 1
    t[_JMAX] = jmax
    t[_MAV] = (mav + mav + n) // (n + n)
    n -= 1
    t[_JERK] = (jerk + jerk + n) // (n + n)
