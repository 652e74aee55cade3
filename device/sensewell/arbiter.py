"""The arbiter: what the model says, what the rules say and how healthy the data is -> one decision with its grounds.

It must not know samples, windows or models: it sees numbers about one window, and decides who may speak.

| source    | label                         | confidence                | when                                         |
|-----------|-------------------------------|---------------------------|----------------------------------------------|
| interlock | of the winning interlock      | 100                       | one is tripped; nothing overrides it         |
| model     | of this very window           | the model's               | the window is trusted and decided            |
| hold      | of the last "model" decision  | of that decision          | else, for at most hold_ms after it           |
| rule      | winning rule's, else fallback | 100, or 0 of the fallback | else: the floor                              |

A window is trusted when a proven model answers in time (else no_model, refused, unproven, deadline), its quality is
enough (else quality) and the model is sure (else unsure). It is decided when its own label has smooth_n of the last
smooth_m windows (else unstable); a change of label strikes out the votes for others, so that two changes are at least
smooth_n windows apart. After bad health, and after every stay on the floor, return_n trusted windows in a row must
come first (else returning). Between windows: warming (no full window yet), stale (no samples), cleared (an interlock
let go).

With `average_n` above 1 a model's answer is not of one window alone: label and confidence are those of the mean of its
scores over the last windows (average.py).
"""

try:
    from micropython import const
except ImportError:
    from sensewell._port import micropython

    const = micropython.const

# places in words.SOURCES ...
_MODEL = const(0)
_HOLD = const(1)
_RULE = const(2)
_INTERLOCK = const(3)
# ... and in words.CAUSES
_OK = const(0)
_QUALITY = const(2)
_UNSURE = const(3)
_UNSTABLE = const(4)
_RETURNING = const(5)
_CLEARED = const(11)
_LOCKED = const(12)

# The state, array('i'); build/manifest.py sets the first of it
_MIN_QUALITY = const(0)
_MIN_CONFIDENCE = const(1)
_SMOOTH_N = const(2)
_HOLD_MS = const(3)
_RETURN_N = const(4)
_FALLBACK = const(5)
_RULE_ID = const(6)  # what the rules say, see floor()
_RULE_LABEL = const(7)
_LOCK_ID = const(8)
_LOCK_LABEL = const(9)
_HELD = const(10)  # 1: there is a decision to hold
_HELD_LABEL = const(11)
_HELD_CONFIDENCE = const(12)
_HELD_T = const(13)
_AT = const(14)  # of the next vote
_RUN = const(15)  # trusted windows in a row
_LOST = const(16)  # 1: the model must earn its return

_NONE = const(255)  # no vote
_T_MASK = const((1 << 30) - 1)


class Decision:
    """One decision; the same object is filled anew each time: copy what you keep.

    t_ms: ticks of the sample that brought it; label_id, source_id, cause_id: indices; rule_id: the rule or interlock
    that gave the label, -1 = none; confidence_pct 0..100; quality_pct 0..100: good samples in the window. In words:
    label; source; cause, why the model does or does not speak; rule, the name of the rule or interlock that gave the
    label, or ''; reason, the cause, or `rule:NAME` / `interlock:NAME` where one of these gave the label, and the note:
    what makes all decisions of this board worth less (unsigned). The words but `label` come from words.py, which stays
    in RAM from the first of them on.
    """

    def __init__(self, labels, rule_names):
        self.labels = labels
        self.rule_names = rule_names
        self.t_ms = self.label_id = self.confidence_pct = self.quality_pct = self.cause_id = 0
        self.source_id = _RULE
        self.rule_id = -1
        self.note = ""

    @property
    def label(self):
        return self.labels[self.label_id]

    def __getattr__(self, name):
        from sensewell.words import word

        return word(self, name)

    def __str__(self):
        from sensewell.words import line

        return line(self)


class Arbiter:
    """spec: the manifest's `arbiter`; labels, rule_names: tuples of str; min_quality_pct: of the manifest's `window`.

    Raises Refused("arbiter.smooth"/"arbiter.fallback_label"). `decision` is the last one (the same object always).
    """

    def __init__(self, spec, labels, rule_names=(), min_quality_pct=0):
        from sensewell.build.manifest import arbiter

        self._s, self._votes = arbiter(spec, labels, min_quality_pct)
        self.mean = None  # an Average of the model's scores, where the manifest asks for one
        self.decision = Decision(labels, rule_names)
        self.reset()

    def reset(self):
        """As new: no trusted decision yet, no rule tripped."""
        s = self._s
        s[_HELD] = 0
        s[_RULE_ID] = s[_LOCK_ID] = -1
        self.interrupt()

    def interrupt(self):
        """Windows before this moment do not go together with those after it: no votes, and a proper return."""
        votes = self._votes
        for i in range(len(votes)):
            votes[i] = _NONE
        s = self._s
        s[_AT] = s[_RUN] = 0
        s[_LOST] = 1
        if self.mean:
            self.mean.reset()

    def floor(self, rule, label, lock, lock_label):
        """What the rules say now: numbers and labels of the winning rule and the winning interlock; -1 = none."""
        s = self._s
        s[_RULE_ID] = rule
        s[_RULE_LABEL] = label
        s[_LOCK_ID] = lock
        s[_LOCK_LABEL] = lock_label

    def window(self, t_ms, quality_pct, cause, label, confidence_pct):
        """Decide a window. cause: OK, or why there is no answer of a model (NO_MODEL, REFUSED, UNPROVEN, DEADLINE);
        label, confidence_pct: the model's answer. Returns the Decision. No allocation.
        """
        s = self._s
        if cause == _OK:
            if quality_pct < s[_MIN_QUALITY]:
                cause = _QUALITY
            elif confidence_pct < s[_MIN_CONFIDENCE]:
                cause = _UNSURE
        votes = self._votes
        m = len(votes)
        votes[s[_AT]] = label if cause == _OK else _NONE
        s[_AT] = (s[_AT] + 1) % m
        if cause != _OK:
            s[_RUN] = 0
            if cause != _UNSURE:
                s[_LOST] = 1
        else:
            if s[_RUN] < s[_RETURN_N]:
                s[_RUN] += 1
            mine = 0
            i = 0
            while i < m:
                if votes[i] == label:
                    mine += 1
                i += 1
            if s[_LOST] and s[_RUN] < s[_RETURN_N]:
                cause = _RETURNING
            elif mine < s[_SMOOTH_N]:
                cause = _UNSTABLE
            else:
                if not s[_HELD] or label != s[_HELD_LABEL]:
                    while i > 0:
                        i -= 1
                        if votes[i] != label:
                            votes[i] = _NONE
                s[_LOST] = 0
                s[_HELD] = 1
                s[_HELD_LABEL] = label
                s[_HELD_CONFIDENCE] = confidence_pct
                s[_HELD_T] = t_ms
        return self._publish(t_ms, quality_pct, cause)

    def event(self, t_ms, quality_pct, cause):
        """Decide between windows: cause WARMING, QUALITY or STALE (the way back must be earned anew), or CLEARED (no
        harm done). Never of source model. Returns the Decision. No allocation.
        """
        if cause != _CLEARED:
            self.interrupt()
        return self._publish(t_ms, quality_pct, cause)

    def _publish(self, t_ms, quality_pct, cause):
        s = self._s
        if s[_HELD] and (t_ms - s[_HELD_T]) & _T_MASK > s[_HOLD_MS]:
            s[_HELD] = 0
            s[_LOST] = 1
        decision = self.decision
        decision.t_ms = t_ms
        decision.quality_pct = quality_pct
        decision.cause_id = cause
        decision.rule_id = -1
        if s[_LOCK_ID] >= 0:
            decision.source_id = _INTERLOCK
            decision.cause_id = _LOCKED
            decision.rule_id = s[_LOCK_ID]
            decision.label_id = s[_LOCK_LABEL]
            decision.confidence_pct = 100
        elif s[_HELD] and (cause == _OK or s[_HOLD_MS]):
            decision.source_id = _MODEL if cause == _OK else _HOLD
            decision.label_id = s[_HELD_LABEL]
            decision.confidence_pct = s[_HELD_CONFIDENCE]
        else:
            s[_LOST] = 1
            decision.source_id = _RULE
            decision.rule_id = s[_RULE_ID]
            decision.label_id = s[_RULE_LABEL] if s[_RULE_ID] >= 0 else s[_FALLBACK]
            decision.confidence_pct = 100 if s[_RULE_ID] >= 0 else 0
        return decision
