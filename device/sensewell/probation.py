"""Probation: watches how a bundle does for its first windows, and then confirms it or has its board return.

Knows a node, its decisions and the slots. It is one of the node's outputs while it lasts; then it is gone.

| cause                | over the probation                                                                     |
|----------------------|----------------------------------------------------------------------------------------|
| probation.silent     | no window, or a model that was never asked in any                                      |
| probation.deadline   | more than misses_pct of the windows missed the pipeline's deadline                     |
| probation.lost       | more than lost_pct of the samples were slept through: the node is too slow for its rate |
| probation.quality    | the windows' mean quality is below quality_pct                                         |
| probation.confidence | more than unsure_pct of the answers are below the arbiter's min_confidence_pct         |

What ends the run itself is not seen here: Slots.boot() finds it out by its count ("probation.watchdog", ".crash",
".power"), and build/start.py says "probation.exception".
"""

from array import array

try:
    from time import ticks_ms

    from micropython import const
except ImportError:
    from sensewell._port import micropython, ticks_ms

    const = micropython.const

_T_MASK = const((1 << 30) - 1)

# Manifest key `probation`, all optional: key, default, least, greatest (see build.numbers)
LIMITS = const(
    """windows 20 1 100000
seconds 60 1 500000
misses_pct 10 0 100
lost_pct 5 0 100
quality_pct 50 0 100
unsure_pct 90 0 100
tries 3 1 100"""
)
_WINDOWS = const(0)
_SECONDS = const(1)
_MISSES = const(2)
_LOST = const(3)
_QUALITY = const(4)
_UNSURE = const(5)
_CONFIDENCE = const(7)  # the arbiter's min_confidence_pct
_NO_LOOP_MS = const(60000)


def limits(manifest):
    """The limits that a Probation takes, of a bundle's manifest. Refused("bundle.schema.probation")."""
    from sensewell.build import numbers

    spec = manifest.get("probation", {})
    found = numbers(spec, LIMITS, "bundle.schema.probation")
    period_ms = manifest.get("period_ms")
    if period_ms and "seconds" not in spec:  # long enough for four windows
        window = manifest["window"]
        seconds = (window["length"] + 4 * window["hop"]) * period_ms // 1000
        found[_SECONDS] = min(max(seconds, found[_SECONDS]), 500000)
    return array("i", found + [manifest["arbiter"]["min_confidence_pct"]])


class Probation:
    """Call it with every decision of `node`; after limits[windows] windows or limits[seconds] seconds it decides.

    slots: confirmed, or given up; then, once that is on flash, ended(cause) is called. A bundle that is not on
    probation is confirmed again if it has come so far, or has run for a minute, however it does: this start was none of
    a loop (slow sensors are on probation for days, and may see many a power cut in them). cause: None until it decided,
    then "" or why it was given up. Nothing is allocated before the end.
    """

    def __init__(self, node, slots, limits, ended=None):
        self._node = node
        self._slots = slots
        self._limits = limits
        self._ended = ended
        self.cause = None
        self.windows = self.quality = self.answers = self.unsure = 0
        self._windows = node.pipeline.windows
        self._misses = node.pipeline.misses
        self._samples = node.samples
        self._lost = node.lost
        self._most_ms = limits[_SECONDS] * 1000
        if not slots.on_probation and self._most_ms > _NO_LOOP_MS:
            self._most_ms = _NO_LOOP_MS
        self._start_ms = ticks_ms()

    def __call__(self, decision):
        pipeline = self._node.pipeline
        if pipeline.windows != self._windows:
            self._windows = pipeline.windows
            self.windows += 1
            self.quality += decision.quality_pct
            best = pipeline.best
            if best >= 0 and pipeline.model:
                self.answers += 1
                total = pipeline.model.score_total
                if total and pipeline.scores[best] * 100 // total < self._limits[_CONFIDENCE]:
                    self.unsure += 1
        elapsed_ms = (ticks_ms() - self._start_ms) & _T_MASK
        if self.windows >= self._limits[_WINDOWS] or elapsed_ms >= self._most_ms:
            self._end()

    def verdict(self):
        """ "" or the cause by which it fails, by what was seen so far."""
        node = self._node
        limits = self._limits
        windows = self.windows
        if not windows:
            return "probation.silent"
        if (node.pipeline.misses - self._misses) * 100 > windows * limits[_MISSES]:
            return "probation.deadline"
        lost = node.lost - self._lost
        if lost * 100 > (node.samples - self._samples + lost) * limits[_LOST]:
            return "probation.lost"
        if self.quality < windows * limits[_QUALITY]:
            return "probation.quality"
        if node.pipeline.model and not self.answers:
            return "probation.silent"
        if self.unsure * 100 > self.answers * limits[_UNSURE]:
            return "probation.confidence"
        return ""

    def _end(self):
        # What the slots raise reaches the node, which counts it; the next decision tries again
        cause = self.verdict() if self._slots.on_probation else ""
        if cause:
            self._slots.give_up(cause)
        else:
            self._slots.confirm()
        self.cause = cause
        self._node.outputs = tuple([output for output in self._node.outputs if output is not self])
        if self._ended:
            self._ended(cause)
