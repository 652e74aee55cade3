"""Correlation of two channels: corr.

It must not know why anybody asks: features.py walks, this answers.
"""

from sensewell.kernel.features_viper import centre, damped, dot, ratio, scan
from sensewell.kernel.spread import isqrt


def ask(features, op, a, b):
    """a: the other channel; its samples go to row 2, centred to z2."""
    t = features.t
    t2 = features.t2
    z2 = features.z2
    features.load(a, 2)
    scan(0, 0, features.words[2], t2)
    centre(0, 0, features.words[2], z2, t2)
    return ratio(dot(0, 0, features.z, z2, t), isqrt(damped(t)) * isqrt(damped(t2)))
