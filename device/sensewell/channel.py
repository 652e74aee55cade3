"""A channel: one scalar signal, its name, unit and scale; and the count that means "no reading".

Only for the host, the REPL and reports: the data path works on raw counts and never asks for SI values.
"""

try:
    from micropython import const
except ImportError:
    from sensewell._port import micropython

    const = micropython.const

from sensewell.refusal import Refused

# The int16 count that means "no reading". Sensors write it, guards name it; no arithmetic of a station yields it
# (results saturate at -32767..32767).
MISSING = const(-32768)

# How viper kernels of this package hold counts: in OFFSET BINARY, u = x ^ 0x8000 (as 16 bits) = x + 32768, 0..65535.
#   * ptr16 loads are unsigned on every port, so `row[c] ^ 0x8000` is u with no sign extension at all;
#   * order, differences, medians and means are those of the signed counts (the bias cancels or is carried along);
#   * u is never negative, so state may live in array('i'): ptr32 is signed on boards but zero-extends on x64, and
#     both agree on 0 .. 2**31-1. MISSING is u == 0, which makes "none yet" free to store and to test.


class Channel:
    """`scale`: SI units per count; `offset`: SI value at count 0; `lo_raw`, `hi_raw`: the valid counts, inclusive."""

    def __init__(self, name, unit="", scale=1.0, offset=0.0, lo_raw=-32767, hi_raw=32767):
        if not scale:
            raise Refused("channel.scale", "%s: 0 SI units per count" % name)
        if not -32767 <= lo_raw < hi_raw <= 32767:
            raise Refused("channel.range", "%s: %d..%d" % (name, lo_raw, hi_raw))
        self.name = name
        self.unit = unit
        self.scale = scale
        self.offset = offset
        self.lo_raw = lo_raw
        self.hi_raw = hi_raw

    @staticmethod
    def from_manifest(entry):
        """A channel from one entry of a manifest's `channels`; only the name must be there."""
        if not entry.get("name"):
            raise Refused("channel.name")
        return Channel(
            entry["name"],
            entry.get("unit", ""),
            entry.get("scale", 1.0),
            entry.get("offset", 0.0),
            entry.get("lo_raw", -32767),
            entry.get("hi_raw", 32767),
        )

    def to_si(self, raw):
        """Counts to SI units (float); MISSING is NaN."""
        return float("nan") if raw == MISSING else raw * self.scale + self.offset

    def to_raw(self, value):
        """SI units to the nearest count, saturated at -32767..32767; NaN is MISSING."""
        if value != value:
            return MISSING
        return round(min(max((value - self.offset) / self.scale, -32767), 32767))
