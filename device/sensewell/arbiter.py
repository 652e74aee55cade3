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
"""

from sensewell.refusal import Refused

try:
    from micropython import const
except ImportError:
    from sensewell._port import micropython

    const = micropython.const

SOURCES = ("model", "hold", "rule", "interlock")
MODEL = const(0)
HOLD = const(1)
RULE = const(2)
INTERLOCK = const(3)

CAUSES = (
    "ok", "warming", "quality", "unsure", "unstable", "returning", "no_model", "refused", "unproven", "deadline",
    "stale", "cleared", "interlock",
)  # fmt: skip
OK = const(0)
WARMING = const(1)
QUALITY = const(2)
UNSURE = const(3)
UNSTABLE = const(4)
RETURNING = const(5)
NO_MODEL = const(6)
REFUSED = const(7)
UNPROVEN = const(8)
DEADLINE = const(9)
STALE = const(10)
CLEARED = const(11)
_INTERLOCK = const(12)

_NONE = const(255)  # no vote
_T_MASK = const((1 << 30) - 1)


class Decision:
    """One decision; the same object is filled anew each time: copy what you keep.

    t_ms: ticks of the sample that brought it; label_id, source_id, cause_id: indices; rule_id: the rule or interlock
    that gave the label, -1 = none; confidence_pct 0..100; quality_pct 0..100: good samples in the window.
    """

    def __init__(self, labels, rule_names):
        self._labels = labels
        self._rules = rule_names
        self.t_ms = self.label_id = self.confidence_pct = self.quality_pct = self.cause_id = 0
        self.source_id = RULE
        self.rule_id = -1

    @property
    def label(self):
        return self._labels[self.label_id]

    @property
    def source(self):
        return SOURCES[self.source_id]

    @property
    def cause(self):
        """Why the model does or does not speak: a name in CAUSES."""
        return CAUSES[self.cause_id]

    @property
    def rule(self):
        """The name of the rule or interlock that gave the label, or ''."""
        return self._rules[self.rule_id] if self.rule_id >= 0 else ""

    @property
    def reason(self):
        """The cause; or `rule:NAME` / `interlock:NAME` where one of these gave the label."""
        return self.source + ":" + self.rule if self.rule_id >= 0 else self.cause

    def __str__(self):
        text = "%d ms  %s  %d%%  quality %d%%  %s  %s" % (
            self.t_ms, self.label, self.confidence_pct, self.quality_pct, self.source, self.reason,
        )  # fmt: skip
        return text + " (" + self.cause + ")" if self.rule_id >= 0 and self.source_id == RULE else text


class Arbiter:
    """config: the manifest's `arbiter`; labels, rule_names: tuples of str; min_quality_pct: of the manifest's `window`.

    Raises Refused("arbiter.smooth"/"arbiter.fallback_label"). `decision` is the last one (the same object always).
    """

    def __init__(self, config, labels, rule_names=(), min_quality_pct=0):
        self._min_quality = min_quality_pct
        self._min_confidence = config["min_confidence_pct"]
        self._n = config["smooth_n"]
        self._hold_ms = config["hold_ms"]
        self._return_n = config["return_n"]
        self._fallback = config["fallback_label"]
        if not 1 <= self._n <= config["smooth_m"]:
            raise Refused("arbiter.smooth")
        if not 0 <= self._fallback < len(labels):
            raise Refused("arbiter.fallback_label")
        self._votes = bytearray(config["smooth_m"])
        self.decision = Decision(labels, rule_names)
        self.reset()

    def reset(self):
        """As new: no trusted decision yet, no rule tripped."""
        self._rule = self._interlock = -1
        self._rule_label = self._interlock_label = 0
        self._held = 0  # 1: there is a decision to hold
        self._held_label = self._held_confidence = self._held_t = 0
        self.interrupt()

    def interrupt(self):
        """Windows before this moment do not go together with those after it: no votes, and a proper return."""
        votes = self._votes
        for i in range(len(votes)):
            votes[i] = _NONE
        self._at = 0
        self._run = 0  # trusted windows in a row
        self._lost = 1  # 1: the model must earn its return

    def floor(self, rule, rule_label, interlock, interlock_label):
        """What the rules say now: numbers and labels of the winning rule and the winning interlock; -1 = none."""
        self._rule = rule
        self._rule_label = rule_label
        self._interlock = interlock
        self._interlock_label = interlock_label

    def window(self, t_ms, quality_pct, fault, label, confidence_pct):
        """Decide a window. fault: OK, or why there is no answer of a model (NO_MODEL, REFUSED, UNPROVEN, DEADLINE);
        label, confidence_pct: the model's answer. Returns the Decision. No allocation.
        """
        cause = fault
        if cause == OK:
            if quality_pct < self._min_quality:
                cause = QUALITY
            elif confidence_pct < self._min_confidence:
                cause = UNSURE
        votes = self._votes
        m = len(votes)
        votes[self._at] = label if cause == OK else _NONE
        self._at = (self._at + 1) % m
        if cause != OK:
            self._run = 0
            if cause != UNSURE:
                self._lost = 1
        else:
            if self._run < self._return_n:
                self._run += 1
            mine = 0
            i = 0
            while i < m:
                if votes[i] == label:
                    mine += 1
                i += 1
            if self._lost and self._run < self._return_n:
                cause = RETURNING
            elif mine < self._n:
                cause = UNSTABLE
            else:
                if not self._held or label != self._held_label:
                    while i > 0:
                        i -= 1
                        if votes[i] != label:
                            votes[i] = _NONE
                self._lost = 0
                self._held = 1
                self._held_label = label
                self._held_confidence = confidence_pct
                self._held_t = t_ms
        return self._publish(t_ms, quality_pct, cause)

    def event(self, t_ms, quality_pct, cause):
        """Decide between windows: cause WARMING, QUALITY or STALE (the way back must be earned anew), or CLEARED (no
        harm done). Never of source model. Returns the Decision. No allocation.
        """
        if cause != CLEARED:
            self.interrupt()
        return self._publish(t_ms, quality_pct, cause)

    def _publish(self, t_ms, quality_pct, cause):
        if self._held and (t_ms - self._held_t) & _T_MASK > self._hold_ms:
            self._held = 0
            self._lost = 1
        decision = self.decision
        decision.t_ms = t_ms
        decision.quality_pct = quality_pct
        decision.cause_id = cause
        decision.rule_id = -1
        if self._interlock >= 0:
            decision.source_id = INTERLOCK
            decision.cause_id = _INTERLOCK
            decision.rule_id = self._interlock
            decision.label_id = self._interlock_label
            decision.confidence_pct = 100
        elif self._held and (cause == OK or self._hold_ms):
            decision.source_id = MODEL if cause == OK else HOLD
            decision.label_id = self._held_label
            decision.confidence_pct = self._held_confidence
        else:
            self._lost = 1
            decision.source_id = RULE
            decision.rule_id = self._rule
            decision.label_id = self._rule_label if self._rule >= 0 else self._fallback
            decision.confidence_pct = 100 if self._rule >= 0 else 0
        return decision
