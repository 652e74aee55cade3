"""Models that give a value instead of a class: their Decision carries it, and there is no confidence to ask for.

Takes the place of arbiter.py's own where a manifest's `model` says output "value". Knows decisions and forests; how a
network's value is made stands in model/net.py.

A forest (link 3 of model/trees.py) with output "value": value = clamp16(raw + half >> q), in counts; `edges_raw`, the
scores and the class as for a network. decision.value is that of the window whose label it has, so a held label has the
value that came with it; None where neither model nor hold decides. confidence_pct is 0 then, and min_confidence_pct is
not asked for.
"""

from sensewell.arbiter import Arbiter as _Arbiter
from sensewell.arbiter import Decision as _Decision

try:
    from micropython import const
except ImportError:  # CPython: the same source, word by word
    from sensewell._port import micropython

    const = micropython.const

_MODEL = const(0)  # places in words.SOURCES
_HOLD = const(1)


class Decision(_Decision):
    """With .value: int16 counts, or None."""

    value = None

    def __str__(self):
        text = _Decision.__str__(self)
        return text if self.value is None else "%s  value %d" % (text, self.value)


class Arbiter(_Arbiter):
    """`scores`: those of the model, whose first one is the value."""

    def __init__(self, spec, labels, rule_names=(), min_quality_pct=0):
        _Arbiter.__init__(self, spec, labels, rule_names, min_quality_pct)
        self.decision = Decision(labels, rule_names)
        self.decision.value = self._held = self.scores = None

    def window(self, t_ms, quality_pct, cause, label, confidence_pct):
        return _Arbiter.window(self, t_ms, quality_pct, cause, label, 100)

    def _publish(self, t_ms, quality_pct, cause):
        decision = _Arbiter._publish(self, t_ms, quality_pct, cause)
        if decision.source_id == _MODEL:
            self._held = self.scores[0]
        if decision.source_id <= _HOLD:
            decision.value = self._held
            decision.confidence_pct = 0
        else:
            decision.value = None
        return decision


class Forest:
    """A forest of one value in `buffer`, with the classes of `spec`.

    Refused as Forest of model/trees.py, and "model.kind", "model.edges".
    """

    score_total = 0

    def __init__(self, buffer, n_features, spec):
        from array import array

        from sensewell.build.value import edges
        from sensewell.kernel.net_value import answer
        from sensewell.model.trees import Forest as Sums
        from sensewell.refusal import Refused

        self._sums = Sums(buffer, n_features, 1)
        if self._sums.score_total:
            raise Refused("model.kind", "its forest gives no value")
        self._q = buffer[18]
        self._half = 1 << self._q >> 1
        self._raw, self._out = array("i", (0,)), array("h", (0,))
        self._answer = answer
        self._facts = array("i", [2, 0, 32768, 1, 0, 32768] + edges(spec))
        self.n_outputs = spec["n_classes"]

    @property
    def engine(self):
        return self._sums.engine

    def predict(self, features, scores):
        """The class of `features`, array('h'); fills scores, array('i', n_outputs); allocates nothing."""
        self._sums.predict(features, self._raw)
        raw = self._raw[0] + self._half >> self._q
        self._out[0] = -32768 if raw < -32768 else 32767 if raw > 32767 else raw
        return self._answer(None, self._out, self._facts, scores)


def open(buffer, n_features, spec, window):
    """The Forest of a bundle, see there; it sees features alone."""
    return Forest(buffer, n_features, spec)
