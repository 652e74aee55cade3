"""The pipeline: joins the stations from sample to decision; the only file that knows them all.

It must not know sensors, files or clocks other than the one it is given. No allocation from feed() to the decision.
"""

from array import array

from sensewell import arbiter as _a
from sensewell.arbiter import Arbiter
from sensewell.condition import Condition
from sensewell.guard import Guard
from sensewell.refusal import Refused
from sensewell.rules import Rules
from sensewell.window import Window

try:
    import micropython
    from micropython import const
except ImportError:  # CPython: the same source, word by word
    from sensewell._port import micropython, ptr32

    const = micropython.const

_T_MASK = const((1 << 30) - 1)
_T_HALF = const(1 << 29)
_BAD = const(255)  # guard.BAD, guard.STALE, guard.GAP: as literals they cost nothing
_STALE = const(64)
_GAP = const(256)
_POLICIES = ("hold", "skip", "break")
_SKIP = const(1)
_BREAK = const(2)
_CLEARED = const(11)  # arbiter.CLEARED
_MAX_TOTAL = const(10000000)  # score * 100 stays a small int

# The state that every sample touches, array('i'), all values >= 0; ms are ticks
_STARTED = const(0)  # 0: no sample or idle() yet
_DUE = const(1)  # ms of the last window or idle decision
_FRESH = const(2)  # ms of the last sample that was not stale
_DEBT = const(3)  # skipped samples that later rows will be marked bad for
_VERDICT = const(4)  # of the last sample
_PERIOD = const(5)  # ms
_HOP_MS = const(6)
_STEP_RULES = const(7)  # 1: there are rules on channels
_PLAIN = const(9)  # 1: nothing to condition
_REFUSED = const(8)  # samples with a reason against them, ever


class Pipeline:
    """Everything between a row of counts and a decision, as `bundle` (opened, not released) describes it.

    calibration: None or one dict a channel, see condition.py. Raises Refused where a station cannot be built. A model
    that is not sound does not stop it: `refusal` says why, and the rules decide. `bundle.prove(pipeline)` must have
    succeeded before the model decides. clock: a function with ticks in us, for `window_us` and the deadline.

    Bad samples, by `bad_samples.policy`: hold = the last good value of every channel stands in and the row is marked
    bad; skip = no row, and one later row is marked bad for it; break = the window starts anew. Up to fill_n lost
    samples are replaced by rows of last good values (the sample after the gap included), marked bad; after a longer gap
    the window starts anew.

    Counters: bad, filled, breaks, windows, misses (of the deadline); `sources` counts decisions by source id and
    guard.counters refused samples by reason. `best` is the model's class for the last window (-1: not asked), `scores`
    array('i') its scores, `vector` array('h') the features, `verdict` what the guard said of the last sample.
    """

    def __init__(self, bundle, calibration=None, clock=None):
        part = "pipeline"
        try:
            m = bundle.manifest
            n = self.n_channels = len(m["channels"])
            self.rate_hz = m["rate_hz"]
            period = self.period_ms = 1000 // self.rate_hz
            shape = m["window"]
            length = self.length = shape["length"]
            self.labels = tuple(m["labels"])
            part = "guard"
            spec = m.get("guard", {})
            self.guard = Guard(
                spec.get("channels") or [{}] * n, period, spec.get("gap_ms", 0), spec.get("disagree", ())
            )
            part = "condition"
            spec = m.get("condition", {})
            self._calibrated = bool(calibration)
            self.condition = Condition(n, calibration, spec.get("filters"), spec.get("normalise"))
            part = "window"
            self.window = Window(n, length, shape["hop"])
            part = "features"
            self.features = None
            self.vector = array("h")
            if m["features"]:
                from sensewell.features import Features

                self.features = Features(m["features"], n, length, m.get("derived", ()))
                self.vector = self.features.vector
            part = "rules"
            self.rules = Rules(m.get("rules", ()), n, len(m["features"]))
            part = "arbiter"
            self.arbiter = Arbiter(m["arbiter"], self.labels, self.rules.names, shape["min_quality_pct"])
            part = "model"
            self.refusal = ""
            self._fault = _a.NO_MODEL
            self.model = None
            self.scores = array("i")
            if m["model"]["family"] != "none":
                self._fault = _a.UNPROVEN
                try:
                    self._load(bundle.sections[m["model"]["section"]], len(m["features"]), m["model"])
                except Refused as e:
                    self.refuse(e.reason)
        except Refused:
            raise
        except MemoryError:
            raise Refused("bundle.memory", part)
        except (TypeError, KeyError, ValueError, AttributeError, IndexError, OverflowError) as e:
            raise Refused("bundle.schema." + part, str(e))
        spec = m.get("bad_samples", {})
        self._policy = _POLICIES.index(spec.get("policy", "hold"))
        self._fill_n = spec.get("fill_n", 0)
        self._min_quality = shape["min_quality_pct"]
        self._row = array("h", bytes(2 * n))  # a conditioned row
        self.clock = clock
        self.deadline_us = m["arbiter"]["deadline_ms"] * 1000  # 0: none
        self._hop = shape["hop"]
        self._s = array("i", (0, 0, 0, 0, 0, period, self._hop * period, 1 if self.rules.on_channels else 0, 0, 0))
        self._s[_PLAIN] = 1 if self.condition.identity else 0
        self._check = self.guard.check  # bound once: a lookup less for every sample
        self._verdicts = self.guard.verdicts
        self._step = self.rules.step
        self._apply = self.condition.apply
        self._push = self.window.push
        self.feed = self.feed  # for the caller too: 1,000 instructions of 11,000 on virt_c3
        self._full_ms = (length + self._hop) * period
        self._features_good = 1
        self.filled = self.breaks = self.windows = self.misses = self.window_us = 0
        self.sources = array("i", bytes(4 * 4))
        self.reset()

    def _load(self, data, n_features, spec):
        if spec["family"] == "trees":
            from sensewell.model.trees import Forest as Model
        else:
            raise Refused("model.family", spec["family"])
        model = Model(memoryview(data), n_features, spec["n_classes"])
        if model.n_outputs != spec["n_classes"] or not 0 < model.score_total <= _MAX_TOTAL:
            raise Refused("model.outputs")
        self.scores = array("i", bytes(4 * model.n_outputs))
        self.model = model

    def uncalibrated(self, m):
        """The condition station as it is on every board: without this board's calibration; m: the manifest."""
        if not self._calibrated:
            return self.condition
        spec = m.get("condition", {})
        return Condition(self.n_channels, None, spec.get("filters"), spec.get("normalise"))

    def accept(self):
        """The golden vectors were answered: from now on the model may decide (Bundle.prove calls it)."""
        if self.model:
            self._fault = _a.OK

    def refuse(self, reason):
        """The model must not decide, for `reason`; the rules do. Wrong features are kept from the rules too."""
        self.refusal = reason
        self._fault = _a.REFUSED
        self.model = None
        if reason == "golden.features":
            self._features_good = 0

    def reset(self):
        """Forget every sample, decision and tripped rule; counters and the proof stay."""
        self.guard.reset()
        self.condition.reset()
        self.window.reset()
        self.rules.reset()
        self.arbiter.reset()
        self._s[_STARTED] = self._s[_DEBT] = self._s[_VERDICT] = 0
        self._cause = _a.WARMING  # why no window is due, should that last
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
            changed = int(self._step(row, self._verdicts, t_ms, 0))
        if doubtful:
            due = int(self._doubtful(row, verdict, self.guard.missed))
        elif s[_PLAIN]:
            due = int(self._push(row, 1))
        else:
            self._apply(row, self._row)
            due = int(self._push(self._row, 1))
        if due:
            return self._decide(t_ms)
        if changed:
            return self._event(t_ms, _CLEARED)
        if (t_ms - s[_DUE]) & _T_MASK > s[_HOP_MS] + s[_HOP_MS]:
            return self.idle(t_ms)
        return None

    def _doubtful(self, row, verdict, missed):
        # Lost samples first, then what is now known of earlier rows, then this sample. 1: a window is due.
        window = self.window
        due = 0
        if missed > self._fill_n or (verdict & _GAP and not missed):
            self._break(_a.WARMING)
        else:
            while missed > 0:
                missed -= 1
                self.filled += 1
                self.condition.apply(self.guard.last_good, self._row)
                if window.push(self._row, 0):
                    due = 1
        if self.guard.taint:
            window.taint(self.guard.taint)
        good = 1
        if verdict & _BAD:
            good = 0
            self._s[_REFUSED] += 1
            if self._policy == _BREAK:
                self._break(_a.QUALITY)
                return 0
            if self._policy == _SKIP:
                if self._s[_DEBT] < self.length:
                    self._s[_DEBT] += 1
                return due
            row = self.guard.last_good
        elif self._s[_DEBT]:
            self._s[_DEBT] -= 1
            good = 0
        self.condition.apply(row, self._row)
        if window.push(self._row, good):
            due = 1
        return due

    def _break(self, cause):
        self.breaks += 1
        self._cause = cause
        self._s[_DEBT] = 0
        self.window.reset()
        self.condition.reset()
        self.arbiter.interrupt()

    def _decide(self, t_ms):
        # A window is due: features, rules on them, the model, the arbiter.
        self._s[_DUE] = t_ms
        self._cause = _a.WARMING
        self.windows += 1
        clock = self.clock
        start = clock() if clock else 0
        rules = self.rules
        fault = self._fault
        quality = self.window.quality_pct
        best = -1
        confidence = 0
        if quality >= self._min_quality and self._features_good:
            if self.features and (fault == _a.OK or rules.on_features):
                self.features.compute(self.window)
                if rules.on_features:
                    rules.window(self.vector, 1, t_ms)
            if fault == _a.OK:
                best = self.model.predict(self.vector, self.scores)
                confidence = self.scores[best] * 100 // self.model.score_total
        elif rules.on_features:
            rules.window(self.vector, 0, t_ms)
        self.best = best
        if clock:
            self.window_us = (clock() - start) & _T_MASK
            if self.deadline_us and self.window_us > self.deadline_us:
                self.misses += 1
                if fault == _a.OK:
                    fault = _a.DEADLINE
        self._floor()
        decision = self.arbiter.window(t_ms, quality, fault, best, confidence)
        self.sources[decision.source_id] += 1
        return decision

    def _floor(self):
        rules = self.rules
        rule = rules.active
        lock = rules.interlock
        labels = rules.labels
        self.arbiter.floor(rule, labels[rule] if rule >= 0 else 0, lock, labels[lock] if lock >= 0 else 0)

    def _event(self, t_ms, cause):
        self._floor()
        decision = self.arbiter.event(t_ms, self.window.quality_pct, cause)
        self.sources[decision.source_id] += 1
        return decision

    def idle(self, now_ms):
        """Call it whenever feed() gave None, with the time now on the samples' clock: a dead sensor must surface.

        Returns a Decision of cause stale, quality or warming when no window has come due for two hops (or, while good
        samples fill a new window, for a window and a hop), and again every hop; at once when an interlock that counts a
        bad value as a trip has seen no sample for three periods and its dwell. Else None.
        """
        s = self._s
        now_ms &= _T_MASK
        if not s[_STARTED]:
            s[_STARTED] = 1
            s[_DUE] = s[_FRESH] = now_ms
        quiet = (now_ms - s[_FRESH]) & _T_MASK
        if quiet >= _T_HALF:
            quiet = 0  # the caller's clock is a little behind
        if quiet > 3 * s[_PERIOD] and self.rules.idle(now_ms):
            return self._event(now_ms, _a.STALE)
        elapsed = (now_ms - s[_DUE]) & _T_MASK
        if elapsed >= _T_HALF:
            s[_DUE] = now_ms  # the clock was set back
            return None
        hop_ms = s[_HOP_MS]
        if elapsed <= 2 * hop_ms:
            return None
        cause = self._cause
        if quiet > hop_ms:
            cause = _a.STALE
        elif cause == _a.WARMING:
            if elapsed <= self._full_ms and s[_DEBT] < self._hop:
                return None
            if s[_DEBT]:
                cause = _a.QUALITY
        s[_DUE] = (now_ms - hop_ms) & _T_MASK
        return self._event(now_ms, cause)
