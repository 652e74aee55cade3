"""The power spectrum by ulab's FFT, in floats: for analysis on firmware that has ulab, at the prompt or in a capture.

It must not decide: a Pipeline never comes here, its golden vectors are answered by the integers of spectrum.py, bit for
bit. What `analysis` computes is close to them and no more. Tolerances for a window; of 24,000 made to be bad, the worst
came to four fifths of one:

    line      |sqrt(P) - sqrt(P of spectrum.py)|, in parts of the root of the greatest P    1/128
    dom       another line only where its P is nearly the greatest: less by                 1/200
    centroid  4 (Q7)     entropy  4 (Q8)     share  8 (Q14)
    band      8 (Q8), where it holds a hundredth of the power or more

Nearly all of it is the rounding of the integers, worst for a lone impulse on a constant; floats, of single precision
too, add less than a thousandth of that.
"""

# mypy: disable-error-code="import-not-found"
# (ulab has no stubs)
from ulab import numpy as np
from ulab import utils

try:
    from micropython import const
except ImportError:  # CPython has no ulab; a board has both
    pass

_DOMINANT = const(22)  # block `t`: see features_viper.py and spectrum.py
_SHIFT = const(27)
_PEAK = const(28)
_M = const(30)
_EXPONENT = const(31)
_TOTAL = const(32)
_ROOM = const(1 << 29)  # sum of all p before they are rounded


def lines(x):
    """P[0..M] of the samples `x` as an array of floats, in their unit squared. P[0] is 0: the mean is taken off.

    x: anything that ulab makes an array of; 2 M is the power of two that covers it, at least 8, the rest is zeros.
    """
    x = np.array(x)
    n = 8
    while n < len(x):
        n += n
    padded = np.zeros(n)
    padded[: len(x)] = x - np.mean(x)
    p = _power(padded)
    p[0] = 0
    return p


def analysis(specs, n_channels, length, derived=()):
    """Features, as the class of features.py makes them, whose spectrum is ulab's. The same arguments and refusals.

    It works beside the viper kernels or their bytecode: a board with the native module alone does not have those.
    """
    from sensewell import spectrum
    from sensewell.kernel.features_viper import Features

    features = Features(specs, n_channels, length, derived)
    features._stages = tuple([prepare if stage is spectrum.prepare else stage for stage in features._stages])
    return features


def prepare(features):
    """The spectrum of the channel at hand, and dom; as in spectrum.py."""
    t = features.t
    power(t[_PEAK], t[_SHIFT] - 4, features.p, None, features.z, None, t)


def power(v, acc, re, im, z, sin, t):
    """As spectrum.power, argument by argument; im and sin are not used. Allocates."""
    m = t[_M]
    p = _power(np.array(z))
    p[0] = 0
    total = float(np.sum(p))
    e = 0
    while total >= _ROOM:
        total /= 2
        e += 1
    while 0 < total < _ROOM >> 1:
        total *= 2
        e -= 1
    p = p * 2.0**-e + 0.5
    most = total = at = 0
    for k in range(m + 1):
        v = int(p[k])
        re[k] = v
        total += v
        if v > most:
            most = v
            at = k
    t[_DOMINANT] = at
    t[_TOTAL] = total
    t[_EXPONENT] = acc + acc + e


def _power(x):
    p = utils.spectrogram(x)[: len(x) // 2 + 1]
    return p * p
