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

try:
    import micropython
    from micropython import const
except ImportError:  # CPython: the same source, word by word
    from sensewell._port import micropython, ptr16, ptr32, uint

    const = micropython.const

# reasons.py has these for everybody else
_MISSING = const(1)
_RANGE = const(2)
_SATURATED = const(4)
_STUCK = const(8)
_SPIKING = const(16)
_RATING = const(32)
_STALE = const(64)
_DISAGREE = const(128)
_GAP = const(256)

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


class Guard:
    """Judges samples of `len(channels)` channels that come every `period_ms`.

    `channels`: one dict a channel, all in counts, every key may be absent (= off); stuck_n, spike_raw and rate_raw
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

    def __init__(self, channels, period_ms, gap_ms=0, disagree=()):
        from sensewell.build.stations import guard

        self._s, self.counters, self.verdicts, self.last_good = guard(channels, period_ms, gap_ms, disagree)
        self.taint = self.missed = 0

    @property
    def samples(self):
        """How many samples were checked."""
        return self._s[_SAMPLES]

    def reset(self):
        """Forget time, runs, baselines and the last good values; the counters stay."""
        block = self._s
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
        s = ptr32(self._s)
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
                        verdict = _GAP  # the clock was set back: nobody knows how much is lost
                    else:
                        everywhere = _STALE
                else:
                    if dt > s[_GAP_MS]:
                        verdict = _GAP
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
            at = uint(s) + 4 * _HEAD
            while c < n:
                q = ptr32(at)
                q[_BASE] = 0
                q[_AGE] = 0
                q[_CAND_N] = 0
                c += 1
                at += 4 * _FIELDS

        # pairs of channels: `v` takes what they say, the channels below add their own
        at = uint(s) + 4 * _HEAD + 4 * _FIELDS * n
        c = s[_PAIRS]
        if everywhere:
            c = 0
        while c:
            q = ptr32(at)
            a = q[_A]
            b = q[_B]
            u = x[a] ^ 0x8000
            w = x[b] ^ 0x8000
            if u and w:
                d = u - w
                if d < 0:
                    d = 0 - d
                if d <= q[_LIMIT]:
                    q[_APART] = 0
                else:
                    if q[_APART] < q[_DWELL]:
                        q[_APART] = q[_APART] + 1
                    if q[_APART] == q[_DWELL]:
                        v[a] = v[a] | _DISAGREE
                        v[b] = v[b] | _DISAGREE
            at += 4 * _PAIR
            c -= 1

        taint = 0
        c = 0
        at = uint(s) + 4 * _HEAD
        while c < n:
            q = ptr32(at)
            u = x[c] ^ 0x8000
            bad = v[c]
            passed = 0
            if u < q[_IN_LO] or u > q[_IN_HI]:
                if not u:
                    bad = _MISSING
                elif u <= q[_SAT_LO] or (q[_SAT_HI] and u >= q[_SAT_HI]):
                    bad |= _SATURATED
                    q[_CAND_N] = 0
                else:
                    bad |= _RANGE
                    q[_CAND_N] = 0
            elif not everywhere:
                passed = 1
                w = q[_BASE]
                if w:
                    d = u - w
                    if d < 0:
                        d = 0 - d
                    if d > q[_STEP]:
                        age = q[_AGE] + step
                        if age > _CAP:
                            age = _CAP
                        reason = 0
                        if d > q[_SPIKE]:
                            reason = _SPIKING
                        if d > q[_RATE] * age:
                            reason |= _RATING
                        if reason:
                            # a lone spike, or the new level? resync_n readings that agree decide
                            d = u - q[_CAND]
                            if d < 0:
                                d = 0 - d
                            if d > q[_SPIKE] or d > q[_RATE] * step:
                                q[_CAND_N] = 0
                            if q[_CAND_N] < q[_RESYNC]:
                                q[_CAND_N] = q[_CAND_N] + 1
                                q[_CAND] = u
                                bad |= reason
                                passed = 0
            if passed:
                q[_BASE] = u
                if q[_AGE]:
                    q[_AGE] = 0
                    q[_CAND_N] = 0
            elif not everywhere:
                age = q[_AGE] + step
                if age > _CAP:
                    age = _CAP
                q[_AGE] = age

            w = q[_STUCK_N]
            if w and not everywhere:
                d = u - q[_ANCHOR]
                if d < 0:
                    d = 0 - d
                if u and (d > q[_TOL] or not q[_ANCHOR] or (u >= q[_CONST_LO] and u <= q[_CONST_HI])):
                    q[_ANCHOR] = u
                    q[_RUN] = 1
                    q[_SPAN] = 0
                else:
                    if q[_RUN] < w:  # a run that is not known yet to be stuck
                        d = q[_SPAN] + step
                        if d > _CAP:
                            d = _CAP
                        q[_SPAN] = d
                        if u:
                            q[_RUN] = q[_RUN] + 1
                            if q[_RUN] == w and d > taint:
                                taint = d
                    if u and q[_RUN] == w:
                        bad |= _STUCK

            if bad:
                verdict |= bad
                v[c] = bad
            else:
                good[c] = x[c]
            c += 1
            at += 4 * _FIELDS

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
