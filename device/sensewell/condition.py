"""Conditioning: raw counts -> what windows see. The board's calibration, then filters, then the bundle's normalisation.

It must not know verdicts: whoever calls it has already put a stand-in where a reading was refused.

Axis map, per channel: x is the count of channel `from`, as the sensor names it: parts are mounted turned
Scaling, per channel:  y = sat(((x - offset_raw) * gain_q12 + 2048) >> 12)         gain Q12: 4096 is 1.0
Filters, per channel:  none
                       average  y = floor((sum of the last n + n // 2) / n)         n 2..16
                       median   the middle one of the last n                        n 3 or 5
                       iir      s += (256 x - s) >> shift;  y = (s + 128) >> 8      s Q8, shift 1..8
Filters start as if the first reading had been there for ever. sat: -32767..32767, so MISSING never arises. A MISSING
count goes through as it is and no filter takes note of it.
"""

try:
    import micropython
    from micropython import const
except ImportError:  # CPython: the same source, word by word
    from sensewell._port import micropython, ptr16, ptr32, uint

    const = micropython.const

# The block of state, array('i'), all values >= 0; counts in offset binary (see channel.py). A record for each channel:
_SIZE = const(0)  # of this record
_FROM = const(1)  # whose count it takes
_CAL = const(2)  # 1: calibrate
_CAL_OFFSET = const(3)  # offset binary
_CAL_GAIN = const(4)  # + 16384
_NORM = const(5)  # 1: normalise
_NORM_OFFSET = const(6)
_NORM_GAIN = const(7)
_KIND = const(8)  # 0 none, 1 average, 2 median, 3 iir
_N = const(9)  # readings in the ring; the shift of an iir
_STATE = const(10)  # 0: no reading yet; average: sum + 1; iir: s + 1; median: 1
_POS = const(11)  # the oldest reading's place in the ring
_RING = const(12)


class Condition:
    """`n` channels. `calibration`, `filters`, `normalise`: None, or one dict (or None) a channel as in the table above:
    {"offset_raw": counts, "gain_q12": |g| < 16384} and {"kind": name, "n": readings, "shift": bits}; a calibration may
    have "from", too, the index of a channel.

    Raises Refused("condition.<what>") for a setting that makes no sense. `identity`: True if apply() only copies.
    """

    def __init__(self, n, calibration=None, filters=None, normalise=None):
        from sensewell.build.stations import condition

        self._n = n
        self._s, self.identity = condition(n, calibration, filters, normalise)

    def reset(self):
        """Forget what the filters hold."""
        at = 0
        for _ in range(self._n):
            self._s[at + _STATE] = 0
            at += self._s[at + _SIZE]

    @micropython.viper
    def apply(self, row_in, row_out):
        """One sample, array('h') counts, from `row_in` to `row_out`; lengths are not checked.

        They may be the same where there is no axis map.
        """
        s = ptr32(self._s)
        x = ptr16(row_in)
        out = ptr16(row_out)
        n = int(self._n)
        c = 0
        at = uint(s)
        while c < n:
            q = ptr32(at)
            u = x[q[_FROM]] ^ 0x8000
            if u:
                if q[_CAL]:
                    u = (((u - q[_CAL_OFFSET]) * (q[_CAL_GAIN] - 16384) + 2048) >> 12) + 32768
                    if u < 1:
                        u = 1
                    elif u > 65535:
                        u = 65535

                kind = q[_KIND]
                if kind:
                    length = q[_N]
                    state = q[_STATE]
                    if kind == 3:
                        if not state:
                            state = (u << 8) + 1
                        state += ((u << 8) - (state - 1)) >> length
                        q[_STATE] = state
                        u = (state + 127) >> 8
                    else:
                        if not state:
                            i = 0
                            while i < length:
                                q[_RING + i] = u
                                i += 1
                            state = u * length + 1
                        i = q[_POS]
                        state += u - q[_RING + i]
                        q[_STATE] = state
                        q[_RING + i] = u
                        i += 1
                        if i == length:
                            i = 0
                        q[_POS] = i
                        if kind == 1:
                            u = (state - 1 + (length >> 1)) // length
                        else:  # the one with (length - 1) / 2 others before it, equals in ring order
                            i = 0
                            before = length
                            while before != length >> 1:
                                u = q[_RING + i]
                                before = 0
                                j = 0
                                while j < length:
                                    if q[_RING + j] < u or (q[_RING + j] == u and j < i):
                                        before += 1
                                    j += 1
                                i += 1

                if q[_NORM]:
                    u = (((u - q[_NORM_OFFSET]) * (q[_NORM_GAIN] - 16384) + 2048) >> 12) + 32768
                    if u < 1:
                        u = 1
                    elif u > 65535:
                        u = 65535
            out[c] = u ^ 0x8000
            at += q[_SIZE] << 2
            c += 1
