"""A plan of features -> the viper kernels that it needs, loaded now, and the scratch they work in.

It must not read specs: features.py beside it has made a plan of them.
"""

from array import array

from sensewell.build.features import FEATURES, half

try:
    from micropython import const

    def cast(buffer, code):  # the kernels are viper, they take buffers as they are
        return buffer

except ImportError:  # CPython: the same source, word by word
    from sensewell._port import cast, micropython

    const = micropython.const

# The kernels of a plan's stages, from the second bit on; `centre` is the first
_CENTRED = const(1)
_ORDER = const(4)
_SPECTRUM = const(16)
_STAGES = const("kernel.steps kernel.order kernel.spread spectrum")
_FIRST_ASKED = const(23)
_CORR = const(32)
_ANGLE = const(33)
_ASKS = const(
    (
        ("centroid entropy", "kernel.lines"),
        ("mcross zcross acorr acpeak aclag", "kernel.rhythm"),
        ("band share", "spectrum"),
        ("corr", "kernel.correlation"),
    )
)

_SIZE = const(33)  # words of the block `t`; those set here:
_N = const(23)
_WIDE = const(24)
_M = const(30)

# round(32768 * sin(pi i / 128)), i = 0..64, little-endian uint16
_QUARTER = const(
    b"\x00\x00\x24\x03\x48\x06\x6b\x09\x8c\x0c\xab\x0f\xc8\x12\xe2\x15\xf9\x18\x0c\x1c\x1a\x1f\x24\x22\x28\x25"
    b"\x27\x28\x1f\x2b\x11\x2e\xfc\x30\xdf\x33\xba\x36\x8d\x39\x57\x3c\x17\x3f\xce\x41\x7b\x44\x1d\x47\xb4\x49"
    b"\x40\x4c\xc0\x4e\x34\x51\x9b\x53\xf6\x55\x43\x58\x82\x5a\xb4\x5c\xd7\x5e\xec\x60\xf2\x62\xe9\x64\xd0\x66"
    b"\xa7\x68\x6e\x6a\x24\x6c\xca\x6d\x5f\x6f\xe3\x70\x55\x72\xb6\x73\x05\x75\x42\x76\x6c\x77\x85\x78\x8a\x79"
    b"\x7d\x7a\x5d\x7b\x2a\x7c\xe4\x7c\x8a\x7d\x1e\x7e\x9d\x7e\x0a\x7f\x62\x7f\xa7\x7f\xd9\x7f\xf6\x7f\x00\x80"
)


def kernels(run, derived):
    """(stages, asks, load, finish) of viper Features: modules' functions for what `run` asks, None for the rest."""
    groups = i = 0
    asks = [None] * (_ANGLE - _FIRST_ASKED)
    while run[i] >= 0:
        groups |= run[i + 1]
        asked = run[i + 3]
        i += 4 + 2 * run[i + 2]
        while asked:
            op = run[i + 1]
            for names, kernel in _ASKS:
                if FEATURES[op] in names.split():
                    asks[op - _FIRST_ASKED] = _kernel(kernel).ask
            i += 4
            asked -= 1
    stages = [_kernel(name).prepare if groups & 2 << i else None for i, name in enumerate(_STAGES.split())]
    load = _kernel("kernel.norm").load if derived else None
    finish = _kernel("kernel.angle").finish if run[i + 1] else None
    return groups, tuple(stages), tuple(asks), load, finish


def scratch(features, groups, n_channels, length, gather):
    """(rows, words, t, z, t2, z2, means, p, work, sin): what the planned kernels work in, None where none does."""
    derived = features.derived
    paired = features._asks[_CORR - _FIRST_ASKED]
    m = half(length) if groups & _SPECTRUM else 0
    rows = (
        array("h", bytes(2 * length)),
        array("h", bytes(2 * length if groups & _ORDER or derived else 0)),
        array("h", bytes(2 * length if paired or derived else 0)),
        array("h", bytes(2 * length if -1 in list(derived) else 0)),
    )
    # viper on x64 zero-extends what it loads from a ptr32: seen by what becomes of -1
    probe = array("h", [0])
    t = array("i", bytes(4 * _SIZE))
    t[0] = -1
    gather(0, 1, array("h", [0, 0]), t, probe)
    t[_N] = length
    t[_WIDE] = 32 if probe[0] > 0 else 0
    z = p = work = sin = t2 = z2 = means = None
    if m:
        t[_M] = m
        work = array("i", bytes(4 * m))
        p = array("i", bytes(4 * (m + 1)))
        sin = sines(m)
        z = array("i", bytes(8 * m))
    elif groups & _CENTRED:
        z = array("i", bytes(4 * length))
    if paired:
        z2 = array("i", bytes(4 * length))
        t2 = array("i", t)
    if features.finish:
        means = array("i", bytes(4 * (n_channels + len(derived) // 4)))
    return rows, tuple([cast(row, "H") for row in rows]), t, z, t2, z2, means, p, work, sin


def sines(m):
    """The table of the spectrum, int32[3 m / 2]."""
    quarter = m >> 1
    sin = array("i", bytes(4 * (m + quarter)))
    for i in range(quarter + 1):
        at = i * (128 // m) * 2
        v = _QUARTER[at] | _QUARTER[at + 1] << 8
        sin[i] = v
        sin[m - i] = v
        if i < quarter:
            sin[m + i] = -v
    return sin


def _kernel(name):
    if False:  # never: it tells the host what to send
        from sensewell import spectrum  # noqa: F401
        from sensewell.kernel import angle, correlation, lines, norm, order, rhythm, spread, steps  # noqa: F401
    name = "sensewell.%s" % name
    return __import__(name, None, None, (name,))
