"""Settings of guard, conditioning and window -> their blocks of state, laid out as the stations say.

It must not know manifests: each station can be built alone.
"""

from array import array

try:
    from micropython import const
except ImportError:  # CPython: the same source, word by word
    from sensewell._port import micropython

    const = micropython.const

from sensewell.build import choice, number, numbers
from sensewell.refusal import Refused

# -- guard.py ----------------------------------------------------------------------------------------------------------
_HEAD = const(21)  # words before the channels
_COUNTERS = const(12)  # where the counters are in it ...
_REASONS = const(9)  # ... and how many
_OFF = const(65536)
_LONGEST_MS = const((1 << 29) - 1)

_LIMITS = const(
    """lo_raw -32767 -32767 32767
hi_raw 32767 -32767 32767
sat_lo_raw -32768 -32768 32767
sat_hi_raw 32768 -32767 32768
stuck_n 0 0 30000
stuck_tol_raw 0 0 65535
constant_lo_raw 0 -32767 32767
constant_hi_raw 0 -32767 32767
spike_raw 0 0 65535
rate_raw 0 0 65535
resync_n 3 1 30000"""
)

_PAIR = const(
    """limit_raw 0 1 65535
dwell 1 1 30000"""
)


def guard(specs, period_ms, gap_ms, disagree):
    """(block, counters, verdicts, last_good) of a Guard; Refused("guard.<key>") for a setting that makes no sense."""
    n = len(specs)
    if not n:
        raise Refused("guard.channels", "none")
    times = {"period_ms": period_ms, "gap_ms": gap_ms or 5 * period_ms}
    number(times, "period_ms", 0, 1, _LONGEST_MS // 8, "guard")
    block = [n, len(disagree), period_ms, number(times, "gap_ms", 0, period_ms, _LONGEST_MS, "guard")]
    block += [0] * (_HEAD - len(block))
    for spec in specs:  # one channel's record, in the order of its fields
        values = numbers(spec, _LIMITS, "guard")
        lo, hi, sat_lo, sat_hi, stuck_n, tolerance, constant_lo, constant_hi, spike, rate, resync_n = values
        if lo >= hi:
            raise Refused("guard.range", "lo_raw %d, hi_raw %d" % (lo, hi))
        if sat_lo >= sat_hi:
            raise Refused("guard.saturation", "sat_lo_raw %d, sat_hi_raw %d" % (sat_lo, sat_hi))
        block.append(max(lo, sat_lo + 1) + 32768)
        block.append(min(hi, sat_hi - 1) + 32768)
        if block[-2] > block[-1]:
            raise Refused("guard.saturation", "no reading could be good")
        block += [sat_lo + 32768, sat_hi + 32768 if sat_hi < 32768 else 0]
        if stuck_n == 1:
            raise Refused("guard.stuck_n", "1 would refuse every reading")
        block += [stuck_n, tolerance]
        if ("constant_lo_raw" in spec) != ("constant_hi_raw" in spec):
            raise Refused("guard.constant", "one end of the band only")
        if constant_lo > constant_hi:
            raise Refused("guard.constant", "constant_lo_raw is above constant_hi_raw")
        if "constant_lo_raw" not in spec:
            constant_lo, constant_hi = 1, 0  # no band
        spike = spike or _OFF
        rate = rate or _OFF
        block += [constant_lo + 32768, constant_hi + 32768, min(spike, rate), spike, rate, resync_n]
        block += [0] * 7
    for pair in disagree:
        a = number(pair, "a", -1, 0, n - 1, "guard")
        b = number(pair, "b", -1, 0, n - 1, "guard")
        if a == b:
            raise Refused("guard.disagree", "channel %d with itself" % a)
        block += [a, b] + numbers(pair, _PAIR, "guard") + [0]
    state = array("i", block)
    counters = memoryview(state)[_COUNTERS : _COUNTERS + _REASONS]
    return state, counters, array("H", bytes(2 * n)), array("h", bytes(2 * n))


# -- condition.py ------------------------------------------------------------------------------------------------------
_KINDS = const("kind none average median iir")


def condition(n, calibration, filters, normalise):
    """(block, whether apply would only copy) of a Condition; Refused("condition.<what>")."""
    for name, specs in (("calibration", calibration), ("filters", filters), ("normalise", normalise)):
        if specs and len(specs) != n:
            raise Refused("condition.%s" % name, "expected %d channels, got %d" % (n, len(specs)))
    identity = True
    block = []
    for c in range(n):
        spec = (filters and filters[c]) or {}
        kind = choice(spec, _KINDS, "condition.filters")
        length = 0  # readings, or the shift of an iir
        if kind:
            length = numbers(spec, ("n none 2 16", "n none 3 5", "shift none 1 8")[kind - 1], "condition.filters")[0]
        if kind == 2 and length == 4:
            raise Refused("condition.filters", "a median of 3 or 5 readings is expected")
        spec = (calibration and calibration[c]) or {}
        source = number(spec, "from", c, 0, n - 1, "condition.calibration")
        before = _scaling(spec, "condition.calibration")
        after = _scaling((normalise and normalise[c]) or {}, "condition.normalise")
        if kind or before[0] or after[0] or source != c:
            identity = False
        record = [source] + before + after + [kind, length, 0, 0]
        if kind == 1 or kind == 2:
            record += [0] * length
        block += [len(record) + 1] + record
    return array("i", block), identity


def _scaling(spec, name):
    offset, gain = numbers(spec, "offset_raw 0 -32768 32767\ngain_q12 4096 -16383 16383", name)
    return [int(offset != 0 or gain != 4096), offset + 32768, gain + 16384]


# -- window.py ---------------------------------------------------------------------------------------------------------
def window(n_channels, length, hop):
    """(rows, flags, block) of a Window; Refused("window.size") beyond what its kernels can index."""
    if not (0 < n_channels < 256 and 0 < length <= 8192 and 0 < hop <= 32767):
        raise Refused("window.size", "%r channels, length %r, hop %r" % (n_channels, length, hop))
    block = array("i", (n_channels, length, hop, 0, 0, length, 0, 0))
    return array("h", bytes(2 * n_channels * length)), bytearray(length), block
