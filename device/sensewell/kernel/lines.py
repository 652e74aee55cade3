"""From the lines of a spectrum: centroid, entropy.

It must not know how the spectrum was made: see spectrum.py for its formats.
"""

# mypy: disable-error-code="valid-type"
# (ptr16 and ptr32 are types of viper only)
try:
    import micropython
    from micropython import const
except ImportError:  # CPython: the same source, word by word
    from sensewell._port import micropython, ptr32

    const = micropython.const


from sensewell.kernel.features_viper import lg

_CENTROID = const(23)  # opcode
_M = const(30)  # block `t`
_TOTAL = const(32)


def ask(features, op, a, b):
    """After spectrum.prepare."""
    if op == _CENTROID:
        return centroid(features.p, features.t)
    return entropy(features.p, features.t, lg)


@micropython.viper
def centroid(p: ptr32, t: ptr32) -> int:
    """Sum k p[k] / sum p[k] in bins, Q7 (rounded down); 0 where there is no power."""
    up = 0
    v = t[_TOTAL]
    while v >= 0x400000:
        v >>= 1
        up += 1
    total = 0
    moment = 0
    i = t[_M]
    while i:
        v = p[i] >> up
        total += v
        moment += v * i
        i -= 1
    if total == 0:
        return 0
    v = moment // total
    return (v << 7) + ((moment - v * total) << 7) // total


@micropython.viper
def entropy(p: ptr32, t: ptr32, lg) -> int:
    """- sum q log2 q with q = p[k] / sum p, in bits, Q8: 0 for one line, 256 * log2(M) for flat power.

    `lg(m, e, n)` is 256 * log2(1 + m * 2**e / n). Lines below 2**-16 of the total count as 0.
    """
    up = 0
    v = t[_TOTAL]
    while v >= 0x20000:
        v >>= 1
        up += 1
    total = 0
    logs = 0
    i = t[_M]
    while i:
        v = p[i] >> up
        if v:
            total += v
            logs += v * int(lg(v - 1, 0, 1))
        i -= 1
    if total == 0:
        return 0
    v = int(lg(total - 1, 0, 1)) - logs // total
    if v < 0:
        v = 0
    return v
