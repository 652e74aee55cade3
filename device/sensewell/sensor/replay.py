"""A sensor that plays a recording back, at will with field faults and a turned mounting: all in integers.

Row i of the recording is taken at i * period_ms (30 bits), whatever happens to it. It must not know what reads it.

Faults, as tuples (kind, channel, start, length, value) or dicts of these names; `start`, `length` in rows of the
recording, `channel` -1 for all; they act in order of start, each on what the ones before have left:
    stuck      the channel stays at the value it had at row `start`
    spike      `value` is added, saturated at -32767..32767
    missing    the channel reads MISSING
    saturated  the channel reads 32767, or -32767 where `value` is negative
    stale      time and row of the previous sample come again (start >= 1)
    gap        the rows are never seen; time goes on with the next one
"""

from array import array

try:
    import micropython
    from micropython import const
except ImportError:  # CPython: the same source, word by word
    from sensewell._port import micropython, ptr16, ptr32

    const = micropython.const

from sensewell.refusal import Refused

KINDS = ("stuck", "spike", "missing", "saturated", "stale", "gap")

_BLOCK_ROWS = const(32)  # rows read from a file at a time

# The block of state, array('i'), all values >= 0
_N = const(0)  # channels
_PERIOD = const(1)  # ms
_TRIPLES = const(2)  # triples of channels to turn
_FAULTS = const(3)
_FIRST = const(4)  # faults before this one are over
_INDEX = const(5)  # the next row of the recording
_TIME = const(6)  # its t_ms
_AT = const(7)  # its place in the block of rows
_HAVE = const(8)  # rows in the block
_GIVEN = const(9)  # t_ms of the last sample given
_HEAD = const(10)
# ... then for each fault
_KIND = const(0)
_CHANNEL = const(1)  # n_channels: all
_START = const(2)
_END = const(3)
_VALUE = const(4)  # + 65536
_HELD = const(5)  # 1: `held` has the value of row _START
_FIELDS = const(6)

_STUCK = const(0)
_SPIKE = const(1)
_MISSING = const(2)
_SATURATED = const(3)
_STALE = const(4)
_GAP = const(5)

_MORE = const(-2)  # _next(): the block is used up
_T_MASK = const((1 << 30) - 1)


@micropython.viper
def _next(state, rows, row, kept, turn) -> int:
    """Fill `row` with the next sample, return its t_ms; or _MORE. `kept`: previous sample, then held values."""
    s = ptr32(state)
    block = ptr16(rows)
    y = ptr16(row)
    keep = ptr16(kept)
    n = s[_N]
    last = _HEAD + s[_FAULTS] * _FIELDS

    kind = _GAP
    while kind == _GAP:  # step over the rows that are lost
        if s[_AT] == s[_HAVE]:
            return _MORE
        index = s[_INDEX]
        t_ms = s[_TIME]
        source = s[_AT] * n
        s[_INDEX] = index + 1
        s[_AT] = s[_AT] + 1
        s[_TIME] = (t_ms + s[_PERIOD]) & _T_MASK
        first = s[_FIRST]
        while first < last and s[first + _END] <= index:
            first += _FIELDS
        s[_FIRST] = first
        kind = _STUCK
        f = first
        while f < last and s[f + _START] <= index:
            if index < s[f + _END] and s[f + _KIND] > kind:
                kind = s[f + _KIND]
            f += _FIELDS

    c = 0
    if kind == _STALE:
        while c < n:
            y[c] = keep[c]
            c += 1
        return s[_GIVEN]

    while c < n:
        y[c] = block[source + c]
        c += 1

    if s[_TRIPLES]:
        m = ptr16(turn)
        i = 9
        end = i + 3 * s[_TRIPLES]
        while i < end:
            # y = (M x + 1/2) in Q14: 3 * 32767 * 16384 + 8192 < 2**31
            u = y[m[i]] ^ 0x8000
            v = y[m[i + 1]] ^ 0x8000
            w = y[m[i + 2]] ^ 0x8000
            c = 0
            while c < 3:
                turned = 0
                if u and v and w:
                    j = 3 * c
                    a = (u - 32768) * ((m[j] ^ 0x8000) - 32768)
                    a += (v - 32768) * ((m[j + 1] ^ 0x8000) - 32768)
                    a += (w - 32768) * ((m[j + 2] ^ 0x8000) - 32768)
                    turned = ((a + 8192) >> 14) + 32768
                    if turned < 1:
                        turned = 1
                    elif turned > 65535:
                        turned = 65535
                y[m[i + c]] = turned ^ 0x8000
                c += 1
            i += 3

    f = first
    while f < last and s[f + _START] <= index:
        if index < s[f + _END]:
            kind = s[f + _KIND]
            c = s[f + _CHANNEL]
            end = c + 1
            if c == n:
                c = 0
                end = n
            while c < end:
                if kind == _STUCK:
                    if s[f + _HELD]:
                        y[c] = keep[n + c]
                    else:
                        keep[n + c] = y[c]
                elif kind == _SPIKE:
                    u = y[c] ^ 0x8000
                    if u:
                        u += s[f + _VALUE] - 65536
                        if u < 1:
                            u = 1
                        elif u > 65535:
                            u = 65535
                        y[c] = u ^ 0x8000
                elif kind == _MISSING:
                    y[c] = 0x8000
                else:
                    y[c] = 0x7FFF
                    if s[f + _VALUE] < 65536:
                        y[c] = 0x8001
                c += 1
            s[f + _HELD] = 1
        f += _FIELDS

    c = 0
    while c < n:
        keep[c] = y[c]
        c += 1
    s[_GIVEN] = t_ms
    return t_ms


def _fault(fault, n_channels):
    """The record of one fault, checked."""
    if isinstance(fault, dict):
        fault = (fault["kind"], fault["channel"], fault["start"], fault["length"], fault.get("value", 0))
    kind, channel, start, length, value = fault
    if kind not in KINDS:
        raise Refused("replay.fault", "kind %r" % kind)
    kind = KINDS.index(kind)
    if not (-1 <= channel < n_channels and start >= (kind == _STALE) and length > 0 and -65535 <= value <= 65535):
        raise Refused("replay.fault", "%s: channel %r, start %r, length %r, value %r" % ((KINDS[kind],) + fault[1:]))
    return (kind, n_channels if channel < 0 else channel, start, start + length, value + 65536, 0)


def _turn(turn, n_channels):
    """Matrix and triples in one array('h')."""
    matrix = turn["matrix"]
    if len(matrix) != 9 or min(matrix) < -16384 or max(matrix) > 16384:
        raise Refused("replay.turn", "matrix %r" % (matrix,))
    packed = array("h", matrix)
    for triple in turn["triples"]:
        if len(triple) != 3 or min(triple) < 0 or max(triple) >= n_channels:
            raise Refused("replay.turn", "triple %r" % (triple,))
        packed.extend(array("h", triple))
    return packed


class Replay:
    """Plays `source`, raw little-endian int16 rows of `n_channels`: the path of a file, or a buffer used in place
    (bytes, bytearray, a memoryview of these, array('h'), or an int16 array of ulab's in one dimension or two). `rows`:
    how many there are.

    `faults`: as above. `turn`: {"matrix": 9 ints in Q14, row-major, each within -16384..16384, "triples": [[0, 1, 2],
    ...]}: each triple of channels x becomes sat((M x + 8192) >> 14), before any fault; a triple with a MISSING count is
    MISSING. Raises Refused("replay.<what>"), OSError where there is no such file.
    """

    def __init__(self, source, n_channels, period_ms, faults=None, turn=None):
        if not (0 < n_channels < 256 and 0 < period_ms < 1 << 26):
            raise Refused("replay.size", "%r channels, %r ms" % (n_channels, period_ms))
        self._file = None
        if isinstance(source, str):
            self._file = open(source, "rb")
            size = self._file.seek(0, 2)
            self._file.seek(0)
            source = bytearray(2 * n_channels * _BLOCK_ROWS)
        elif hasattr(source, "size"):  # of ulab's arrays, no other buffer has it
            if source.itemsize != 2:
                raise Refused("replay.rows", "items of %d bytes are no counts" % source.itemsize)
            size = 2 * source.size
        else:
            size = len(source) * (2 if isinstance(source, array) else 1)
        if size % (2 * n_channels):
            raise Refused("replay.rows", "%d bytes are no whole rows of %d channels" % (size, n_channels))
        self._block = source
        self.n_channels = n_channels
        self.rows = size // (2 * n_channels)

        faults = sorted([_fault(fault, n_channels) for fault in faults or ()], key=lambda fault: fault[_START])
        self._state = array("i", bytes(4 * (_HEAD + len(faults) * _FIELDS)))
        self._state[_N] = n_channels
        self._state[_PERIOD] = period_ms
        self._state[_FAULTS] = len(faults)
        at = _HEAD
        for fault in faults:
            for value in fault:
                self._state[at] = value
                at += 1
        self._state[_FIRST] = _HEAD
        if not self._file:
            self._state[_HAVE] = self.rows
        self._kept = array("h", bytes(4 * n_channels))
        self._turn = _turn(turn, n_channels) if turn else self._kept
        self._state[_TRIPLES] = len(self._turn) // 3 - 3 if turn else 0

    def read(self, row):
        """Fill `row`, array('h') with a count per channel (its length is not checked). Returns t_ms, -1 at the end."""
        while True:
            t_ms = _next(self._state, self._block, row, self._kept, self._turn)
            if t_ms != _MORE:
                return t_ms
            if not self._refill():
                return -1

    def close(self):
        """Close the file, if there is one."""
        if self._file:
            self._file.close()

    def _refill(self):
        if not self._file:
            return False
        got = self._file.readinto(self._block) or 0
        while got % (2 * self._state[_N]):  # a stream may give less than asked for
            more = self._file.readinto(memoryview(self._block)[got:])
            if not more:
                raise Refused("replay.rows", "the file was cut short")
            got += more
        self._state[_AT] = 0
        self._state[_HAVE] = got // (2 * self._state[_N])
        return got > 0
