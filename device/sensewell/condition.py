"""Conditioning: raw counts -> what windows see. The board's calibration, then filters, then the bundle's normalisation.

It must not know verdicts: whoever calls it has already put a stand-in where a reading was refused.

Scaling, per channel:  y = sat(((x - offset_raw) * gain_q12 + 2048) >> 12)         gain Q12: 4096 is 1.0
Filters, per channel:  none
                       average  y = floor((sum of the last n + n // 2) / n)         n 2..16
                       median   the middle one of the last n                        n 3 or 5
                       iir      s += (256 x - s) >> shift;  y = (s + 128) >> 8      s Q8, shift 1..8
Filters start as if the first reading had been there for ever. sat: -32767..32767, so MISSING never arises. A MISSING
count goes through as it is and no filter takes note of it.
"""

from array import array

try:
    import micropython
    from micropython import const
except ImportError:  # CPython: the same source, word by word
    from sensewell._port import micropython, ptr16, ptr32

    const = micropython.const

from sensewell.refusal import Refused

# The block of state, array('i'), all values >= 0; counts in offset binary (see channel.py). A record for each channel:
_SIZE = const(0)  # of this record
_CAL = const(1)  # 1: calibrate
_CAL_OFFSET = const(2)  # offset binary
_CAL_GAIN = const(3)  # + 16384
_NORM = const(4)  # 1: normalise
_NORM_OFFSET = const(5)
_NORM_GAIN = const(6)
_KIND = const(7)  # 0 none, 1 average, 2 median, 3 iir
_N = const(8)  # readings in the ring; the shift of an iir
_STATE = const(9)  # 0: no reading yet; average: sum + 1; iir: s + 1; median: 1
_POS = const(10)  # the oldest reading's place in the ring
_RING = const(11)
_KINDS = ("none", "average", "median", "iir")


def _scaling(block, at, spec, name):
    offset = spec.get("offset_raw", 0)
    gain = spec.get("gain_q12", 4096)
    if not -32768 <= offset <= 32767:
        raise Refused("condition." + name, "offset_raw %r" % offset)
    if not -16384 < gain < 16384:
        raise Refused("condition." + name, "gain_q12 %r" % gain)
    block[at] = int(offset != 0 or gain != 4096)
    block[at + 1] = offset + 32768
    block[at + 2] = gain + 16384


class Condition:
    """`n` channels. `calibration`, `filters`, `normalise`: None, or one dict (or None) a channel as in the table above:
    {"offset_raw": counts, "gain_q12": |g| < 16384} and {"kind": name, "n": readings, "shift": bits}.

    Raises Refused("condition.<what>") for a setting that makes no sense. `identity`: True if apply() only copies.
    """

    def __init__(self, n, calibration=None, filters=None, normalise=None):
        self.identity = True
        size = 0
        records = []
        for name, specs in (("calibration", calibration), ("filters", filters), ("normalise", normalise)):
            if specs and len(specs) != n:
                raise Refused("condition." + name, "expected %d channels, got %d" % (n, len(specs)))
        for c in range(n):
            spec = (filters and filters[c]) or {}
            kind = spec.get("kind", "none")
            if kind not in _KINDS:
                raise Refused("condition.filters", "kind %r" % kind)
            kind = _KINDS.index(kind)
            length = spec.get("shift" if kind == 3 else "n", 0)
            if kind and length not in ((), range(2, 17), (3, 5), range(1, 9))[kind]:
                raise Refused("condition.filters", "%s of %r" % (_KINDS[kind], length))
            record = array("i", bytes(4 * (_RING + (length if kind in (1, 2) else 0))))
            record[_SIZE] = len(record)
            record[_KIND] = kind
            record[_N] = length
            _scaling(record, _CAL, (calibration and calibration[c]) or {}, "calibration")
            _scaling(record, _NORM, (normalise and normalise[c]) or {}, "normalise")
            if kind or record[_CAL] or record[_NORM]:
                self.identity = False
            size += len(record)
            records.append(record)
        self._n = n
        self._block = array("i", bytes(4 * size))
        at = 0
        for record in records:
            for value in record:
                self._block[at] = value
                at += 1

    def reset(self):
        """Forget what the filters hold."""
        at = 0
        for _ in range(self._n):
            self._block[at + _STATE] = 0
            at += self._block[at + _SIZE]

    @micropython.viper
    def apply(self, row_in, row_out):
        """One sample, array('h') counts, from `row_in` to `row_out` (may be the same; lengths are not checked)."""
        s = ptr32(self._block)
        x = ptr16(row_in)
        out = ptr16(row_out)
        n = int(self._n)
        c = 0
        k = 0
        while c < n:
            u = x[c] ^ 0x8000
            if u:
                if s[k + _CAL]:
                    u = (((u - s[k + _CAL_OFFSET]) * (s[k + _CAL_GAIN] - 16384) + 2048) >> 12) + 32768
                    if u < 1:
                        u = 1
                    elif u > 65535:
                        u = 65535

                kind = s[k + _KIND]
                if kind:
                    length = s[k + _N]
                    ring = k + _RING
                    state = s[k + _STATE]
                    if kind == 3:
                        if not state:
                            state = (u << 8) + 1
                        state += ((u << 8) - (state - 1)) >> length
                        s[k + _STATE] = state
                        u = (state + 127) >> 8
                    else:
                        if not state:
                            i = 0
                            while i < length:
                                s[ring + i] = u
                                i += 1
                            state = u * length + 1
                        i = s[k + _POS]
                        state += u - s[ring + i]
                        s[k + _STATE] = state
                        s[ring + i] = u
                        i += 1
                        if i == length:
                            i = 0
                        s[k + _POS] = i
                        if kind == 1:
                            u = (state - 1 + (length >> 1)) // length
                        else:  # the one with (length - 1) / 2 others before it, equals in ring order
                            i = 0
                            before = length
                            while before != length >> 1:
                                u = s[ring + i]
                                before = 0
                                j = 0
                                while j < length:
                                    if s[ring + j] < u or (s[ring + j] == u and j < i):
                                        before += 1
                                    j += 1
                                i += 1

                if s[k + _NORM]:
                    u = (((u - s[k + _NORM_OFFSET]) * (s[k + _NORM_GAIN] - 16384) + 2048) >> 12) + 32768
                    if u < 1:
                        u = 1
                    elif u > 65535:
                        u = 65535
            out[c] = u ^ 0x8000
            k += s[k + _SIZE]
            c += 1
