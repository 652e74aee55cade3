"""Specs of features -> the plan that features.py walks, the kernels it needs, their scratch.

It must not know windows or models. What a feature means says the table in features.py.
"""

from array import array

from sensewell.build import number
from sensewell.refusal import Refused

try:
    from micropython import const

    def cast(buffer, code):  # the kernels are viper, they take buffers as they are
        return buffer

except ImportError:  # CPython: the same source, word by word
    from sensewell._port import cast, micropython

    const = micropython.const


# A feature's place here is its opcode; of the plain ones it is also the slot in the block `t`.
FEATURES = (
    "mean amean min max range half mav jerk jmax mad std rms energy p5 p10 p25 p50 p75 p90 p95 iqr skew dom "
    "centroid entropy mcross zcross acorr acpeak aclag band share corr angle tilt"
).split()
KEYS = " / /h/h/lag/lo hi/lo hi/lo hi/lo hi/d/d/d e".split("/")  # parameters of those asked for, from centroid on
_FIRST_ASKED = const(23)
_ACORR = const(27)
_BAND = const(30)
_CORR = const(32)
_ANGLE = const(33)
_TILT = const(34)

# What must be done to a channel before its features can be gathered, bits, and the kernels that do it after `centre`
_CENTRED = const(1)
_STEPS = const(2)
_ORDER = const(4)
_SPREAD = const(8)
_SPECTRUM = const(16)
_STAGES = const("kernel.steps kernel.order kernel.spread spectrum")
_NEEDS = const(
    (
        ("mav jerk jmax", _STEPS),
        ("mad acorr acpeak aclag corr", _CENTRED),
        ("std rms energy", _CENTRED | _SPREAD),
        ("p5 p10 p25 p50 p75 p90 p95 iqr skew", _ORDER),
        ("dom centroid entropy band share", _CENTRED | _SPECTRUM),
    )
)
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


def build(specs, n_channels, length, derived):
    """(groups, run, vector, derived, stages, asks, load, finish) of Features; Refused("features.<what>")."""
    _within("length", length, 8, 256)
    _within("channels", n_channels, 1, 64)
    _within("count", len(specs), 1, 256)
    _within("derived", len(derived), 0, 16)
    sources = array("b")
    for i, one in enumerate(derived):
        sources.extend(_sources(i, one, n_channels))
    blocks = {}  # channel -> [place, op, a, b] of its features
    late = []  # [place, op, c, d, e] of those that need several means
    for i, spec in enumerate(specs):
        _read(i, spec, n_channels + len(derived), length, blocks, late)
    run = []
    groups = 0
    asks = [None] * (_ANGLE - _FIRST_ASKED)
    for c in sorted(blocks):
        block = blocks[c]
        asked = sorted([e[1:] + e[:1] for e in block if e[1] >= _FIRST_ASKED])  # op, a, b, place: corr comes last
        plain = [e for e in block if e[1] < _FIRST_ASKED]
        need = 0
        for e in block:
            need |= _of(_NEEDS, e[1], 0)
        groups |= need
        run += [c, need, len(plain), len(asked)]
        for e in plain:
            run += e[:2]
        for op, a, b, place in asked:
            run += [place, op, a, b]
            asks[op - _FIRST_ASKED] = _kernel(_of(_ASKS, op, "")).ask
    run += [-1, len(late)]
    for e in late:
        run += e
    stages = [_kernel(name).prepare if groups & _STEPS << i else None for i, name in enumerate(_STAGES.split())]
    load = _kernel("kernel.norm").load if derived else None
    finish = _kernel("kernel.angle").finish if late else None
    vector = array("h", [0] * len(specs))
    return groups, array("h", run), vector, sources, tuple(stages), tuple(asks), load, finish


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


def half(length):
    """M: half the transform length, the power of two that 2 M covers the window with; at least 4."""
    m = 4
    while m + m < length:
        m += m
    return m


def _kernel(name):
    if False:  # never: it tells the host what to send
        from sensewell import spectrum  # noqa: F401
        from sensewell.kernel import angle, correlation, lines, norm, order, rhythm, spread, steps  # noqa: F401
    name = "sensewell.%s" % name
    return __import__(name, None, None, (name,))


def _of(table, op, default):
    for some, value in table:
        if FEATURES[op] in some.split():
            return value
    return default


def _within(name, value, least, greatest):
    return number({name: value}, name, 0, least, greatest, name if "." in name else "features.%s" % name)


def _sources(at, spec, n_channels):
    # a, b, c or -1, shift
    try:
        sources = spec["norm"]
        shift = spec.get("shift", 0)
        if len(spec) != 1 + ("shift" in spec) or len(sources) not in (2, 3):
            raise KeyError
    except (KeyError, TypeError, AttributeError, IndexError):
        raise Refused("features.derived", str(at))
    entry = [_within("derived", c, 0, n_channels - 1) for c in sources]
    if len(entry) == 2:
        entry.append(-1)
    entry.append(_within("derived", shift, 0, 1))
    return array("b", entry)


def _read(i, spec, channels, length, block, late):
    # Check one spec and enter it: into the block of its channel, or among those that need several means
    name = spec.get("f") if isinstance(spec, dict) else None
    if name not in FEATURES:
        raise Refused("features.unknown", str(name))
    op = FEATURES.index(name)
    c = _within("channel", spec.get("c"), 0, channels - 1)
    keys = KEYS[op - _FIRST_ASKED].split() if op >= _FIRST_ASKED else ()
    for key in spec:
        if key not in keys and key != "f" and key != "c":
            raise Refused("features.parameter", name + " takes no parameter " + str(key))
    a = b = 0
    if op >= _CORR:
        a = _within("channel", spec.get(keys[0]), 0, channels - 1)
        b = _within("channel", spec.get(keys[1]), 0, channels - 1) if op == _TILT else -1
        if a == c or b == c or a == b:
            raise Refused("features.channel", name)
    elif op == _ACORR:
        a = _within("features.parameter", spec.get(keys[0]), 1, length - 1)
    elif op > _ACORR:
        b = half(length) + 1 if op >= _BAND else length
        b = _within("features.parameter", spec.get(keys[1]), 2, b)
        a = _within("features.parameter", spec.get(keys[0]), 1, b - 1)
    elif keys:
        a = _within("features.parameter", spec.get(keys[0], 0), 0, 32767)
    for j in (c, a, b) if op >= _ANGLE else (c,):
        if j >= 0 and j not in block:
            block[j] = []
    if op >= _ANGLE:
        late.append([i, op, c, a, b])
    else:
        block[c].append([i, op, a, b])
