"""The guard: one sample -> a verdict, a bit mask of every reason to refuse it; 0 is good.

It sees raw counts and time only. It must not know windows, models or what is done with a refused sample.

| bit | reason    | when                                                                    | whose      |
|-----|-----------|-------------------------------------------------------------------------|------------|
|   1 | missing   | the count is MISSING; then nothing else is said about that channel      | channel    |
|   2 | range     | below lo_raw or above hi_raw, and not saturated                         | channel    |
|   4 | saturated | <= sat_lo_raw or >= sat_hi_raw                                          | channel    |
|   8 | stuck     | stuck_n readings in a row within stuck_tol_raw of the first of them     | channel    |
|  16 | spike     | further than spike_raw from the baseline                                | channel    |
|  32 | rate      | further than rate_raw x periods elapsed from the baseline               | channel    |
|  64 | stale     | time stands still or goes back: nothing new was measured                | sample     |
| 128 | disagree  | two channels further apart than limit_raw for dwell samples             | both       |
| 256 | gap       | time has jumped by more than gap_ms: about what is lost BEFORE the sample | sample   |

What holds between them:
* The baseline of a channel is its last reading that passed range, saturation, spike and rate. None yet (start, reset,
  gap): the next reading in range becomes it, unchecked. A refused reading becomes it only by proof: after resync_n
  refused readings in a row that agree with one another within the same limits, the next that agrees is a real step.
* A missing count is no reading: runs, baselines and the evidence for a step wait for the next one.
* The stuck run counts readings, refused or not, so a dead value surfaces within stuck_n readings whatever else is
  wrong. It goes on through gaps, and ends with the first reading that moves.
* A stale sample teaches nothing: only missing, range and saturated are looked for. But a clock that was set back and
  runs on from there is believed after a few samples, as a gap.
* Not caught: a sensor that freezes while every change is within stuck_tol_raw of what it should read; a wrong first
  reading; a step shorter than spike_raw.
"""

from array import array

try:
    import micropython
    from micropython import const
except ImportError:  # CPython: the same source, word by word
    from sensewell._port import micropython, ptr16, ptr32

    const = micropython.const

from sensewell.refusal import Refused

MISSING = const(1)
RANGE = const(2)
SATURATED = const(4)
STUCK = const(8)
SPIKE = const(16)
RATE = const(32)
STALE = const(64)
DISAGREE = const(128)
GAP = const(256)
BAD = const(255)  # the reasons that spoil the sample itself: all but GAP
REASONS = ("missing", "range", "saturated", "stuck", "spike", "rate", "stale", "disagree", "gap")

# The one block of state, array('i'), all values >= 0. Counts in it are in offset binary (see channel.py).
_N = const(0)  # channels
_PAIRS = const(1)  # pairs that must agree
_PERIOD = const(2)  # ms
_GAP_MS = const(3)
_STARTED = const(4)  # 0 until the first sample has set the time
_TIME = const(5)  # t_ms of the last sample that was not stale
_SEEN = const(6)  # t_ms of the last sample, stale or not
_BACK = const(7)  # samples in a row that lie before _TIME, yet advance among themselves
_LOST = const(8)  # what .missed and .taint say now
_TAINT = const(9)
_SAMPLES = const(10)
_MARKED = const(11)  # 0: all of .verdicts are 0
_COUNTERS = const(12)  # 9 of them
_HEAD = const(21)
# then for each channel ...
_IN_LO = const(0)  # neither out of range nor saturated: IN_LO..IN_HI
_IN_HI = const(1)
_SAT_LO = const(2)  # 0: off
_SAT_HI = const(3)  # 0: off
_STUCK_N = const(4)  # 0: off
_TOL = const(5)
_CONST_LO = const(6)  # the band that may be constant; LO > HI: none
_CONST_HI = const(7)
_STEP = const(8)  # min(SPIKE, RATE): a shorter step needs no closer look
_SPIKE = const(9)  # _OFF: off
_RATE = const(10)  # _OFF: off
_RESYNC = const(11)
_ANCHOR = const(12)  # first reading of the run, 0: none
_RUN = const(13)  # readings in it, at most STUCK_N
_SPAN = const(14)  # periods since its first reading
_BASE = const(15)  # the baseline, 0: none
_AGE = const(16)  # periods it was not renewed for
_CAND = const(17)  # last refused reading ...
_CAND_N = const(18)  # ... and how many in a row agreed so far; not 0 only where AGE is not 0
_FIELDS = const(19)
# ... and for each pair
_A = const(0)
_B = const(1)
_LIMIT = const(2)
_DWELL = const(3)
_APART = const(4)  # samples in a row apart, at most DWELL
_PAIR = const(5)

_OFF = const(65536)  # no step between counts is longer
_CAP = const(32767)  # periods are counted up to here: 65536 * 32767 < 2**31
_CLOCK_N = const(3)  # samples that show that a clock was set back
_T_HALF = const(1 << 29)
_T_MASK = const((1 << 30) - 1)


def names(verdict):
    """The names of a verdict's reasons, lowest bit first."""
    return [name for bit, name in enumerate(REASONS) if verdict >> bit & 1]


def _take(spec, key, default, low, high):
    value = spec.get(key, default)
    if not isinstance(value, int) or not low <= value <= high:
        raise Refused("guard." + key, "expected %d..%d, got %r" % (low, high, value))
    return value


def _limits(block, at, spec):
    """Check one channel's settings and write them to the block from index `at`."""
    lo = _take(spec, "lo_raw", -32767, -32767, 32767)
    hi = _take(spec, "hi_raw", 32767, -32767, 32767)
    sat_lo = _take(spec, "sat_lo_raw", -32768, -32768, 32767)
    sat_hi = _take(spec, "sat_hi_raw", 32768, -32767, 32768)
    if lo >= hi:
        raise Refused("guard.range", "lo_raw %d, hi_raw %d" % (lo, hi))
    if sat_lo >= sat_hi:
        raise Refused("guard.saturation", "sat_lo_raw %d, sat_hi_raw %d" % (sat_lo, sat_hi))
    block[at + _IN_LO] = max(lo, sat_lo + 1) + 32768
    block[at + _IN_HI] = min(hi, sat_hi - 1) + 32768
    if block[at + _IN_LO] > block[at + _IN_HI]:
        raise Refused("guard.saturation", "no reading could be good")
    block[at + _SAT_LO] = sat_lo + 32768
    block[at + _SAT_HI] = sat_hi + 32768 if sat_hi < 32768 else 0

    block[at + _STUCK_N] = stuck_n = _take(spec, "stuck_n", 0, 0, 30000)
    block[at + _TOL] = _take(spec, "stuck_tol_raw", 0, 0, 65535)
    if stuck_n == 1:
        raise Refused("guard.stuck_n", "1 would refuse every reading")
    if ("constant_lo_raw" in spec) != ("constant_hi_raw" in spec):
        raise Refused("guard.constant", "one end of the band only")
    block[at + _CONST_LO] = 1
    if "constant_lo_raw" in spec:
        block[at + _CONST_LO] = low = _take(spec, "constant_lo_raw", 0, -32767, 32767) + 32768
        block[at + _CONST_HI] = high = _take(spec, "constant_hi_raw", 0, -32767, 32767) + 32768
        if low > high:
            raise Refused("guard.constant", "constant_lo_raw is above constant_hi_raw")

    block[at + _SPIKE] = spike = _take(spec, "spike_raw", 0, 0, 65535) or _OFF
    block[at + _RATE] = rate = _take(spec, "rate_raw", 0, 0, 65535) or _OFF
    block[at + _STEP] = min(spike, rate)
    block[at + _RESYNC] = _take(spec, "resync_n", 3, 1, 30000)


class Guard:
    """Judges samples of `len(channels_spec)` channels that come every `period_ms`.

    `channels_spec`: one dict a channel, all in counts, every key may be absent (= off); stuck_n, spike_raw and rate_raw
    are off at 0 too: lo_raw, hi_raw, sat_lo_raw, sat_hi_raw (inclusive), stuck_n, stuck_tol_raw, constant_lo_raw with
    constant_hi_raw (a value in this band may stay for ever), spike_raw, rate_raw (per period), resync_n (3).
    `gap_ms`: a longer step of time is a gap; 0: five periods.
    `disagree`: dicts a, b (channel indices), limit_raw, dwell (samples; 1).
    Raises Refused("guard.<key>") for a setting that makes no sense.

    After check(): `verdicts` array('H'), reasons per channel (stale counts for all, gap for none); `last_good`
    array('h'), the last reading with no reason against it (0 until there is one); `missed`, whole periods lost before
    this sample; `taint`, how many periods back from this sample the rows are now known to be bad, 0 if there is no
    such news (a run is known to be stuck only at its stuck_n-th reading). `counters`: samples refused, per reason.
    """

    def __init__(self, channels_spec, period_ms, gap_ms=0, disagree=()):
        n = len(channels_spec)
        times = {"period_ms": period_ms, "gap_ms": gap_ms or 5 * period_ms}
        period_ms = _take(times, "period_ms", 0, 1, _T_HALF // 8)
        if not n:
            raise Refused("guard.channels", "none")
        pairs_at = _HEAD + n * _FIELDS
        block = array("i", bytes(4 * (pairs_at + len(disagree) * _PAIR)))
        block[_N] = n
        block[_PAIRS] = len(disagree)
        block[_PERIOD] = period_ms
        block[_GAP_MS] = _take(times, "gap_ms", 0, period_ms, _T_HALF - 1)
        for channel in range(n):
            _limits(block, _HEAD + channel * _FIELDS, channels_spec[channel])
        for pair in disagree:
            block[pairs_at + _A] = a = _take(pair, "a", -1, 0, n - 1)
            block[pairs_at + _B] = b = _take(pair, "b", -1, 0, n - 1)
            if a == b:
                raise Refused("guard.disagree", "channel %d with itself" % a)
            block[pairs_at + _LIMIT] = _take(pair, "limit_raw", 0, 1, 65535)
            block[pairs_at + _DWELL] = _take(pair, "dwell", 1, 1, 30000)
            pairs_at += _PAIR
        self._block = block
        self.counters = memoryview(block)[_COUNTERS : _COUNTERS + len(REASONS)]
        self.verdicts = array("H", bytes(2 * n))
        self.last_good = array("h", bytes(2 * n))
        self.taint = 0
        self.missed = 0

    @property
    def samples(self):
        """How many samples were checked."""
        return self._block[_SAMPLES]

    def reset(self):
        """Forget time, runs, baselines and the last good values; the counters stay."""
        block = self._block
        for i in range(_STARTED, _SAMPLES):
            block[i] = 0
        at = _HEAD
        for channel in range(block[_N]):
            self.last_good[channel] = self.verdicts[channel] = 0
            for i in range(_ANCHOR, _FIELDS):
                block[at + i] = 0
            at += _FIELDS
        for _ in range(block[_PAIRS]):
            block[at + _APART] = 0
            at += _PAIR
        self.taint = self.missed = 0

    @micropython.viper
    def check(self, row, t_ms: int) -> int:
        """Verdict of `row`, array('h') of a count a channel (its length is not checked), taken at `t_ms` (30 bits)."""
        s = ptr32(self._block)
        x = ptr16(row)
        v = ptr16(self.verdicts)
        good = ptr16(self.last_good)
        n = s[_N]
        s[_SAMPLES] = s[_SAMPLES] + 1

        # time: what of this sample is new, and how many periods passed since the last one
        everywhere = 0  # reasons that hold for every channel
        verdict = 0
        lost = 0
        if s[_STARTED]:
            period = s[_PERIOD]
            dt = ((t_ms - s[_TIME] + _T_HALF) & _T_MASK) - _T_HALF
            if dt != period:
                if dt <= 0:
                    ahead = ((t_ms - s[_SEEN] + _T_HALF) & _T_MASK) - _T_HALF
                    if dt == 0 or ahead == 0:
                        s[_BACK] = 0
                    elif ahead < 0:
                        s[_BACK] = 1
                    else:
                        s[_BACK] = s[_BACK] + 1
                    if s[_BACK] > _CLOCK_N:
                        verdict = GAP  # the clock was set back: nobody knows how much is lost
                    else:
                        everywhere = STALE
                else:
                    if dt > s[_GAP_MS]:
                        verdict = GAP
                    if dt + dt >= 3 * period:
                        lost = (dt + (period >> 1)) // period - 1
        s[_SEEN] = t_ms
        if not everywhere:
            s[_STARTED] = 1
            s[_TIME] = t_ms
            s[_BACK] = 0
        if lost != s[_LOST]:
            s[_LOST] = lost
            self.missed = lost
        step = lost + 1
        if step > _CAP:
            step = _CAP

        if everywhere or s[_MARKED]:
            c = 0
            while c < n:
                v[c] = everywhere
                c += 1
        if verdict:  # a gap: baselines are renewed
            c = 0
            k = _HEAD
            while c < n:
                s[k + _BASE] = 0
                s[k + _AGE] = 0
                s[k + _CAND_N] = 0
                c += 1
                k += _FIELDS

        # pairs of channels: `v` takes what they say, the channels below add their own
        p = _HEAD + n * _FIELDS
        end = p + s[_PAIRS] * _PAIR
        if everywhere:
            end = p
        while p < end:
            a = s[p + _A]
            b = s[p + _B]
            u = x[a] ^ 0x8000
            w = x[b] ^ 0x8000
            if u and w:
                d = u - w
                if d < 0:
                    d = 0 - d
                if d <= s[p + _LIMIT]:
                    s[p + _APART] = 0
                else:
                    if s[p + _APART] < s[p + _DWELL]:
                        s[p + _APART] = s[p + _APART] + 1
                    if s[p + _APART] == s[p + _DWELL]:
                        v[a] = v[a] | DISAGREE
                        v[b] = v[b] | DISAGREE
            p += _PAIR

        taint = 0
        c = 0
        k = _HEAD
        while c < n:
            u = x[c] ^ 0x8000
            bad = v[c]
            passed = 0
            if u < s[k + _IN_LO] or u > s[k + _IN_HI]:
                if not u:
                    bad = MISSING
                elif u <= s[k + _SAT_LO] or (s[k + _SAT_HI] and u >= s[k + _SAT_HI]):
                    bad |= SATURATED
                    s[k + _CAND_N] = 0
                else:
                    bad |= RANGE
                    s[k + _CAND_N] = 0
            elif not everywhere:
                passed = 1
                w = s[k + _BASE]
                if w:
                    d = u - w
                    if d < 0:
                        d = 0 - d
                    if d > s[k + _STEP]:
                        age = s[k + _AGE] + step
                        if age > _CAP:
                            age = _CAP
                        reason = 0
                        if d > s[k + _SPIKE]:
                            reason = SPIKE
                        if d > s[k + _RATE] * age:
                            reason |= RATE
                        if reason:
                            # a lone spike, or the new level? resync_n readings that agree decide
                            d = u - s[k + _CAND]
                            if d < 0:
                                d = 0 - d
                            if d > s[k + _SPIKE] or d > s[k + _RATE] * step:
                                s[k + _CAND_N] = 0
                            if s[k + _CAND_N] < s[k + _RESYNC]:
                                s[k + _CAND_N] = s[k + _CAND_N] + 1
                                s[k + _CAND] = u
                                bad |= reason
                                passed = 0
            if passed:
                s[k + _BASE] = u
                if s[k + _AGE]:
                    s[k + _AGE] = 0
                    s[k + _CAND_N] = 0
            elif not everywhere:
                age = s[k + _AGE] + step
                if age > _CAP:
                    age = _CAP
                s[k + _AGE] = age

            w = s[k + _STUCK_N]
            if w and not everywhere:
                d = u - s[k + _ANCHOR]
                if d < 0:
                    d = 0 - d
                if u and (d > s[k + _TOL] or not s[k + _ANCHOR] or (u >= s[k + _CONST_LO] and u <= s[k + _CONST_HI])):
                    s[k + _ANCHOR] = u
                    s[k + _RUN] = 1
                    s[k + _SPAN] = 0
                else:
                    if s[k + _RUN] < w:  # a run that is not known yet to be stuck
                        d = s[k + _SPAN] + step
                        if d > _CAP:
                            d = _CAP
                        s[k + _SPAN] = d
                        if u:
                            s[k + _RUN] = s[k + _RUN] + 1
                            if s[k + _RUN] == w and d > taint:
                                taint = d
                    if u and s[k + _RUN] == w:
                        bad |= STUCK

            if bad:
                verdict |= bad
                v[c] = bad
            else:
                good[c] = x[c]
            c += 1
            k += _FIELDS

        verdict |= everywhere
        s[_MARKED] = verdict
        if taint != s[_TAINT]:
            s[_TAINT] = taint
            self.taint = taint
        c = 0
        d = verdict
        while d:
            if d & 1:
                s[_COUNTERS + c] = s[_COUNTERS + c] + 1
            d >>= 1
            c += 1
        return verdict
