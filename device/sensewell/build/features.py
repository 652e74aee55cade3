"""Specs of features -> the plan that viper kernels and native module alike walk.

It must not know windows, models or who computes. What a feature means says the table in features.py.
"""

from array import array

from sensewell.build import number
from sensewell.refusal import Refused

try:
    from micropython import const
except ImportError:  # CPython: the same source, word by word
    from sensewell._port import micropython

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

# What must be done to a channel before its features can be gathered, bits; kernels.py knows by whom
_CENTRED = const(1)
_STEPS = const(2)
_ORDER = const(4)
_SPREAD = const(8)
_SPECTRUM = const(16)
_NEEDS = const(
    (
        ("mav jerk jmax", _STEPS),
        ("mad acorr acpeak aclag corr", _CENTRED),
        ("std rms energy", _CENTRED | _SPREAD),
        ("p5 p10 p25 p50 p75 p90 p95 iqr skew", _ORDER),
        ("dom centroid entropy band share", _CENTRED | _SPECTRUM),
    )
)


def plan(specs, n_channels, length, derived):
    """(run, vector, derived) as arrays: what to compute, room for it (a place for each of the specs), derived channels.

    specs: list of {"f": name, "c": channel, parameters...}; channels from n_channels on are the derived ones.
    derived: list of {"norm": [2 or 3 channels below n_channels], "shift": 0 or 1}; length: 2..256 samples.
    run, int16: for each channel its number, stages (bits), how many plain and how many asked features, the plain ones
    (place in the vector, opcode), the asked ones (place, opcode, a, b); then -1, how many of several channels, and
    those (place, opcode, c, d, e). derived, int8, for each: sources a, b, c or -1, shift.
    Raises Refused("features.length" | ".channels" | ".derived" | ".count" | ".unknown" | ".channel" | ".parameter").
    """
    _within("length", length, 2, 256)
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
    for c in sorted(blocks):
        block = blocks[c]
        asked = sorted([e[1:] + e[:1] for e in block if e[1] >= _FIRST_ASKED])  # op, a, b, place: corr comes last
        plain = [e for e in block if e[1] < _FIRST_ASKED]
        need = 0
        for e in block:
            for names, bits in _NEEDS:
                if FEATURES[e[1]] in names.split():
                    need |= bits
        run += [c, need, len(plain), len(asked)]
        for e in plain:
            run += e[:2]
        for op, a, b, place in asked:
            run += [place, op, a, b]
    run += [-1, len(late)]
    for e in late:
        run += e
    return array("h", run), array("h", [0] * len(specs)), sources


def half(length):
    """M: half the transform length, the power of two that 2 M covers the window with; at least 4."""
    m = 4
    while m + m < length:
        m += m
    return m


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
