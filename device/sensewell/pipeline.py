"""The pipeline: joins the stations from sample to decision; the only file that knows them all.

It must not know sensors, files or clocks other than the one it is given. No allocation from feed() to the decision.
"""

try:
    import micropython
    from micropython import const
except ImportError:  # CPython: the same source, word by word
    from sensewell._port import micropython, ptr32

    const = micropython.const

_T_MASK = const((1 << 30) - 1)
_T_HALF = const(1 << 29)
_BAD = const(255)  # of a verdict, see reasons.py
_STALE = const(64)
_GAP = const(256)
_SKIP = const(1)  # bad_samples.policy
_BREAK = const(2)
_OK = const(0)  # causes, see words.py
_WARMING = const(1)
_QUALITY = const(2)
_DEADLINE = const(9)
_NEWS_STALE = const(10)
_CLEARED = const(11)

# The state, array('i'), all values >= 0; ms are ticks. build/pipeline.py sets what is not 0 at first
_STARTED = const(0)  # 0: no sample or idle() yet
_DUE = const(1)  # ms of the last window or idle decision
_FRESH = const(2)  # ms of the last sample that was not stale
_DEBT = const(3)  # skipped samples that later rows will be marked bad for
_VERDICT = const(4)  # of the last sample
_CAUSE = const(5)  # why no window is due, should that last
_REFUSED = const(6)  # samples with a reason against them, ever
_PERIOD = const(7)  # ms
_HOP_MS = const(8)
_FULL_MS = const(9)  # a window and a hop
_HOP = const(10)
_STEP_RULES = const(11)  # 1: there are rules on channels
_STEP_LATE = const(12)  # 1: there are rules on features
_PLAIN = const(13)  # 1: nothing to condition
_POLICY = const(14)
_FILL_N = const(15)
_MIN_QUALITY = const(16)
_FAULT = const(17)  # OK, or why the model must not decide
_FEATURES_GOOD = const(18)  # 0: they are proven wrong
_LAST_BAD = const(19)  # for each channel: the last row that it was bad in, of window.samples


class Pipeline:
    """Everything between a row of counts and a decision, as `bundle` (opened, not released) describes it.

    calibration: None, one dict a channel (condition.py), or one by channel name (build/calibration.py). Raises Refused
    where a station cannot be built. A model that is not sound does not stop it: `refusal` says why, and the rules
    decide. `bundle.prove(pipeline)` must have succeeded before the model decides. clock: a function with ticks in us,
    for `window_us` and the deadline.

    Bad samples, by `bad_samples.policy`: hold = the last good value of every channel stands in and the row is marked
    bad; skip = no row, and one later row is marked bad for it; break = the window starts anew. Up to fill_n lost
    samples are replaced by rows of last good values (the sample after the gap included), marked bad; after a longer gap
    the window starts anew. A window with too many bad rows silences the model; with hold, rules on features go on
    while the channels that they are made of had no bad row.

    Counters: bad, filled, breaks, windows, misses (of the deadline); `sources` counts decisions by source id and
    guard.counters refused samples by reason. `best` is the model's class for the last window (-1: not asked), `scores`
    array('i') its scores, `vector` array('h') the features, `verdict` what the guard said of the last sample.
    """

    def __init__(self, bundle, calibration=None, clock=None):
        from sensewell.build.pipeline import build

        facts, stations, state = build(bundle, calibration)
        self.n_channels, self.rate_hz, self.period_ms, self.length, self.deadline_us, self.labels, self.refusal = facts
        # condition, features, rules, model: None where the bundle asks for none
        self.guard, self.condition, self.window, self.features, self.rules, self.arbiter, self.model = stations
        self._s, self.row, self.vector, self.scores, self.sources = state
        self._check = self.guard.check  # bound once: a lookup less for every sample
        self.verdicts = self.guard.verdicts
        self._step = self.rules.step if self.rules else None
        self._apply = self.condition.apply if self.condition else None
        self._push = self.window.push
        self.feed = self.feed  # for the caller too: 1,000 instructions of 11,000 on virt_c3
        self.clock = clock
        self.filled = self.breaks = self.windows = self.misses = self.window_us = 0
        self.reset()

    def reset(self):
        """Forget every sample, decision and tripped rule; counters and the proof stay."""
        self.guard.reset()
        self.window.reset()
        for station in (self.condition, self.rules):
            if station:
                station.reset()
        self.arbiter.reset()
        self._s[_STARTED] = self._s[_DEBT] = self._s[_VERDICT] = 0
        self._s[_CAUSE] = _WARMING
        self.best = -1

    @property
    def bad(self):
        """How many samples were refused, for whatever reason."""
        return self._s[_REFUSED]

    @property
    def verdict(self):
        """What the guard said of the last sample: a mask of its reasons, 0 is good."""
        return self._s[_VERDICT]

    # -- from here on nothing allocates --------------------------------------------------------------------------------

    @micropython.viper
    def feed(self, row, t_ms: int):
        """One sample: row array('h') of n_channels raw counts (MISSING = no reading), taken at t_ms (0..2**30-1).

        Returns the Decision if a window was due, an interlock tripped or cleared, or no window came due for too long;
        else None. The Decision is one object, filled anew each time.
        """
        s = ptr32(self._s)
        verdict = int(self._check(row, t_ms))
        s[_VERDICT] = verdict
        if verdict & _STALE:
            s[_REFUSED] = s[_REFUSED] + 1
            return None  # nothing new: if it lasts, idle() says so
        doubtful = verdict | s[_DEBT]
        if s[_STARTED]:
            if (t_ms - s[_FRESH]) & _T_MASK > s[_PERIOD]:
                doubtful |= int(self.guard.missed)
        else:
            s[_STARTED] = 1
            s[_DUE] = t_ms
        s[_FRESH] = t_ms
        changed = 0
        if s[_STEP_RULES]:
            changed = int(self._step(row, self.verdicts, t_ms, 0))
        if doubtful:
            due = int(self._doubtful(row, verdict, self.guard.missed))
        elif s[_PLAIN]:
            due = int(self._push(row, 1))
        else:
            self._apply(row, self.row)
            due = int(self._push(self.row, 1))
        if due:
            return self._decide(t_ms)
        if changed:
            return self._event(t_ms, _CLEARED)
        if (t_ms - s[_DUE]) & _T_MASK > s[_HOP_MS] + s[_HOP_MS]:
            return self.idle(t_ms)
        return None

    def _doubtful(self, row, verdict, missed):
        # Lost samples first, then what is now known of earlier rows, then this sample. 1: a window is due.
        due = 0
        s = self._s
        whole = missed or s[_DEBT]  # the row is bad on all channels, else on those that the guard refused
        if missed > s[_FILL_N] or (verdict & _GAP and not missed):
            self._break(_WARMING)
        else:
            while missed > 0:
                missed -= 1
                self.filled += 1
                if self._condition(self.guard.last_good, 0):
                    due = 1
        if self.guard.taint:
            self.window.taint(self.guard.taint)
        c = self.n_channels
        while c > 0:
            c -= 1
            if whole or self.verdicts[c]:
                s[_LAST_BAD + c] = self.window.samples + 1
        good = 1
        if verdict & _BAD:
            good = 0
            s[_REFUSED] += 1
            if s[_POLICY] == _BREAK:
                self._break(_QUALITY)
                return 0
            if s[_POLICY] == _SKIP:
                if s[_DEBT] < self.length:
                    s[_DEBT] += 1
                return due
            row = self.guard.last_good
        elif s[_DEBT]:
            s[_DEBT] -= 1
            good = 0
        if self._condition(row, good):
            due = 1
        return due

    def _condition(self, row, good):
        # To the window, by way of the conditioning where there is any
        if self._apply:
            self._apply(row, self.row)
            row = self.row
        return self._push(row, good)

    def _break(self, cause):
        self.breaks += 1
        self._s[_CAUSE] = cause
        self._s[_DEBT] = 0
        self.window.reset()
        if self.condition:
            self.condition.reset()
        self.arbiter.interrupt()

    def _decide(self, t_ms):
        # A window is due: features, rules on them, the model, the arbiter.
        s = self._s
        s[_DUE] = t_ms
        s[_CAUSE] = _WARMING
        self.windows += 1
        clock = self.clock
        start = clock() if clock else 0
        rules = self.rules if s[_STEP_LATE] else None
        fault = s[_FAULT]
        quality = self.window.quality_pct
        best = -1
        confidence = 0
        bad = 0 if s[_FEATURES_GOOD] else 0xFFFF
        sound = not bad and quality >= s[_MIN_QUALITY]
        if self.features and (rules or (sound and fault == _OK)):
            self.features.compute(self.window)
        if rules:
            # They need less than the model: that no row is bad on the channels that they are made of
            c = 0 if sound else self.n_channels
            while c > 0:
                c -= 1
                if self.window.samples - s[_LAST_BAD + c] < self.length:
                    bad |= 1 << c
            rules.window(self.vector, bad, t_ms)
        if sound and fault == _OK:
            best = self.model.predict(self.vector, self.scores)
            confidence = self.scores[best] * 100 // (self.model.score_total or 1)
        self.best = best
        if clock:
            self.window_us = (clock() - start) & _T_MASK
            if self.deadline_us and self.window_us > self.deadline_us:
                self.misses += 1
                if fault == _OK:
                    fault = _DEADLINE
        self._floor()
        mean = self.arbiter.mean
        if mean and best >= 0 and fault == _OK:
            best = mean.add(self.scores)
            confidence = mean.confidence_pct
        decision = self.arbiter.window(t_ms, quality, fault, best, confidence)
        self.sources[decision.source_id] += 1
        return decision

    def _event(self, t_ms, cause):
        self._floor()
        decision = self.arbiter.event(t_ms, self.window.quality_pct, cause)
        self.sources[decision.source_id] += 1
        return decision

    def _floor(self):
        rules = self.rules
        if rules:
            rule = rules.active
            lock = rules.interlock
            labels = rules.labels
            self.arbiter.floor(rule, labels[rule] if rule >= 0 else 0, lock, labels[lock] if lock >= 0 else 0)

    def idle(self, t_ms):
        """Call it whenever feed() gave None, with the time now on the samples' clock: a dead sensor must surface.

        Returns a Decision of cause stale, quality or warming when no window has come due for two hops (or, while good
        samples fill a new window, for a window and a hop), and again every hop; at once when an interlock that counts a
        bad value as a trip has seen no sample for three periods and its dwell. Else None.
        """
        s = self._s
        t_ms &= _T_MASK
        if not s[_STARTED]:
            s[_STARTED] = 1
            s[_DUE] = s[_FRESH] = t_ms
        quiet = (t_ms - s[_FRESH]) & _T_MASK
        if quiet >= _T_HALF:
            quiet = 0  # the caller's clock is a little behind
        if quiet > 3 * s[_PERIOD] and self.rules and self.rules.idle(t_ms):
            return self._event(t_ms, _NEWS_STALE)
        elapsed = (t_ms - s[_DUE]) & _T_MASK
        if elapsed >= _T_HALF:
            s[_DUE] = t_ms  # the clock was set back
            return None
        hop_ms = s[_HOP_MS]
        if elapsed <= 2 * hop_ms:
            return None
        cause = s[_CAUSE]
        if quiet > hop_ms:
            cause = _NEWS_STALE
        elif cause == _WARMING:
            if elapsed <= s[_FULL_MS] and s[_DEBT] < s[_HOP]:
                return None
            if s[_DEBT]:
                cause = _QUALITY
        s[_DUE] = (t_ms - hop_ms) & _T_MASK
        return self._event(t_ms, cause)
