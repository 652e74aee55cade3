"""How the signal repeats: crossings of a level (mcross, zcross) and autocorrelation (acorr, acpeak, aclag).

It must not know rates: lags are samples.
"""

# mypy: disable-error-code="valid-type"
# (ptr16 and ptr32 are types of viper only)
try:
    import micropython
    from micropython import const
except ImportError:  # CPython: the same source, word by word
    from sensewell._port import micropython, ptr16, ptr32

    const = micropython.const


from sensewell.kernel.features_viper import damped, dot, ratio

_MCROSS = const(25)  # opcodes
_ZCROSS = const(26)
_ACORR = const(27)
_ACLAG = const(29)
_N = const(23)  # block `t`
_MEAN4 = const(25)
_Q30 = const(0x3FFFFFFF)


def ask(features, op, a, b):
    """a: h of a crossing; else the first lag, b: the end of the lags."""
    t = features.t
    if op == _MCROSS:
        return crossings(t[_MEAN4], a << 4, features.x, t)
    if op == _ZCROSS:
        return crossings(0x80000, a << 4, features.x, t)
    z = features.z
    if op == _ACORR:
        b = a + 1
    best = -_Q30
    at = a
    while a < b:
        v = dot(a, 0, z, z, t)
        if v > best:
            best = v
            at = a
        a += 1
    return at if op == _ACLAG else ratio(best, damped(t))


@micropython.viper
def crossings(level: int, h: int, x: ptr16, t: ptr32) -> int:
    """Times that x (counts + 32768, Q4) goes above level + h or to level - h and below, by turns."""
    n = t[_N]
    i = 0
    count = 0
    high = 0
    if ((x[0] ^ 0x8000) << 4) > level:
        high = 1
    while i < n:
        u = ((x[i] ^ 0x8000) << 4) - level
        if high:
            if u + h <= 0:
                high = 0
                count += 1
        elif u > h:
            high = 1
            count += 1
        i += 1
    return count
