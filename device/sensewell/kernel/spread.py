"""From the sum of squares that `centre` leaves: std, rms, energy.

It must not see samples: the sums are enough.
"""

try:
    import micropython
    from micropython import const
except ImportError:  # CPython: the same source, word by word
    from sensewell._port import micropython

    const = micropython.const


from sensewell.kernel.features_viper import lg

_AMEAN = const(1)  # block `t`
_STD = const(10)
_RMS = const(11)
_ENERGY = const(12)
_N = const(23)
_SHIFT = const(27)
_SQUARES = const(29)


def prepare(features):
    """std rms energy of the channel at hand."""
    spread(features.t)


@micropython.viper
def isqrt(v: int) -> int:
    """floor(sqrt(v)), 0 <= v < 2**30."""
    r = 0
    b = 1 << 28
    while b:
        if v >= r + b:
            v -= r + b
            r = (r >> 1) + b
        else:
            r >>= 1
        b >>= 2
    return r


def spread(t):
    """After `centre`: std rms energy in t."""
    n = t[_N]
    shift = t[_SHIFT]
    v = t[_SQUARES]
    u = v // n
    v = (u << 8) + ((v - u * n) << 8) // n  # mean square, Q8 of z
    t[_ENERGY] = lg(v, shift + shift - 16, 1)
    v = isqrt(v)  # deviation, Q4 of z
    v = (v << shift >> 7) + 1 >> 1
    if v > 0x7FFF:
        v = 0x7FFF
    t[_STD] = v
    u = t[_AMEAN]
    if u > 0x7FFF:
        u = 0x7FFF
    if u + v < 0x7FFF:
        u = isqrt(u * u + v * v)
    else:  # the sum of squares must stay below 2**30
        u = isqrt((u * u >> 2) + (v * v >> 2)) << 1
    t[_RMS] = u
