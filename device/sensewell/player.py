"""Plays recordings through the deployed bundle and prints what was decided; `sensewell run` sends and calls it.

It stands outside the pipeline and uses only what everybody may. A line is a letter and a packed record in base64:
  D  a decision   <iIIBBBBBbBBHh  t_ms, sample, check, label, confidence %, quality %, source, cause, best, window,
                                  rule, verdicts since the last decision, value (-32768: none)
  V  rejections   <IIHH           first sample, how many, verdict, channels (bit mask)
  E  the end      plain numbers: samples, D lines, V lines, CRC-32 over all records in order
  A  instead of E: at this sample memory was allocated on the way to the decision
`sample` counts from 0 and is the one that led to the decision; `window` is 1 if that completed a window; `best` is the
model's own class for it, -1 if it was not asked; `check` a hash over the window's features, what a network was given,
and the model's scores: boards whose checks agree, agree bit for bit. `rule`: its number, 255 for none.
"""

import gc
import struct
from array import array
from binascii import b2a_base64, crc32

try:
    import micropython
    from micropython import const
except ImportError:  # CPython: the same source, word by word
    from sensewell._port import micropython, ptr16, ptr32

    const = micropython.const

from sensewell.bundle import Bundle
from sensewell.pipeline import Pipeline
from sensewell.policy import UNSIGNED, Policy
from sensewell.sensor.replay import Replay

_NO_VALUE = const(-32768)
_PLAIN = const(13)  # of the pipeline's state
_GAP_BIT = const(8)  # of a verdict: the one reason that no channel has


@micropython.viper
def _hash16(words, n: int, value: int) -> int:
    p = ptr16(words)
    i = 0
    while i < n:
        value = (value * 31 + p[i]) & 0x3FFFFFFF
        i += 1
    return value


@micropython.viper
def _hash32(words, n: int, value: int) -> int:
    p = ptr32(words)
    i = 0
    while i < n:
        value = (value * 31 + p[i]) & 0x3FFFFFFF  # the low 30 bits: the same for words of 32 and of 64 bits
        i += 1
    return value


@micropython.viper
def _found(verdicts, counters, n: int, gaps: int) -> int:
    # every reason in the low 9 bits, the channels that have one above; a gap shows in its counter only
    p = ptr16(verdicts)
    c = ptr32(counters)
    found = 0
    if c[_GAP_BIT] != gaps:
        found = 1 << _GAP_BIT
    i = 0
    while i < n:
        if p[i]:
            found |= p[i] | (0x200 << i)
        i += 1
    return found


class Player:
    """Opens and proves `bundle` (a path) once; `say` gets the lines. Raises Refused as Bundle.open and prove do.

    safe: a reason why only its rules shall decide, as of compose().
    """

    def __init__(self, bundle, board=None, say=print, safe=""):
        self._bundle = Bundle.open(bundle, Policy(board, UNSIGNED))  # it only plays: nobody acts on it
        manifest = self._bundle.manifest
        self._n = len(manifest["channels"])
        if safe:
            manifest["model"] = {"family": "none"}
        self._calibrated = {"channels": manifest["channels"], "condition": manifest.get("condition", {})}
        self.pipeline = Pipeline(self._bundle)
        self._valued = manifest["model"].get("output") == "value"
        self._period_ms = self.pipeline.period_ms
        if safe:
            from sensewell.build.pipeline import disarm

            disarm(self.pipeline, safe)
        else:
            self._bundle.prove(self.pipeline)
        self._bundle.release()
        self._say = say
        self._row = array("h", bytes(2 * self._n))
        self._decision = bytearray(24)
        self._run = bytearray(12)
        self._crc = self._runs = 0

    def play(self, rows, faults=None, turn=None, calibration=None):
        """Play `rows` (path or buffer) with `faults` and `turn` of sensor/replay.py, as on a board with `calibration`
        (by channel name, see build/calibration.py; None: as calibrated for the one before).

        The heap is locked on the whole way from sample to decision; an allocation there ends the playing.
        """
        replay = Replay(rows, self._n, self._period_ms, faults, turn)
        if calibration is not None:
            self._calibrate(calibration)
        pipeline, guard, row, n = self.pipeline, self.pipeline.guard, self._row, self._n
        read, feed, verdicts, counters = replay.read, pipeline.feed, guard.verdicts, guard.counters
        pipeline.reset()
        self._crc = self._runs = 0
        samples = decisions = seen = start = known = 0
        windows = pipeline.windows
        gaps = counters[_GAP_BIT]
        gc.collect()
        locked = 1
        micropython.heap_lock()
        try:
            while True:
                t_ms = read(row)
                if t_ms < 0:
                    break
                decision = feed(row, t_ms)
                found = _found(verdicts, counters, n, gaps)
                if found or known or decision is not None:  # something to say: the heap is needed for that
                    micropython.heap_unlock()
                    locked = 0
                    if found != known:
                        self._rejected(start, samples, known)
                        start = samples
                        known = found
                    if found:
                        gaps = counters[_GAP_BIT]
                        seen |= found & 0x1FF
                        if guard.taint:
                            self._rejected(max(0, samples - guard.taint), samples, found)
                    if decision is not None:
                        self._decided(decision, samples, pipeline.windows != windows, seen)
                        windows = pipeline.windows
                        decisions += 1
                        seen = 0
                    locked = 1
                    micropython.heap_lock()
                samples += 1
        except MemoryError:
            if not locked:
                raise
            samples = -1 - samples
        finally:
            if locked:
                micropython.heap_unlock()
            replay.close()
        if samples < 0:
            self._say("A %d" % (-1 - samples))
            return
        self._rejected(start, samples, known)
        self._say("E %d %d %d %d" % (samples, decisions, self._runs, self._crc))

    def _calibrate(self, calibration):
        # The pipeline as it had been built on a board with this calibration: the bundle's proof knows of none
        from sensewell.build.pipeline import condition

        pipeline = self.pipeline
        pipeline.condition = made = condition(self._calibrated, calibration)
        pipeline._apply = made.apply if made else None
        pipeline.row = array("h", bytes(2 * self._n)) if made else None
        pipeline._s[_PLAIN] = 0 if made else 1

    def measure(self, rows, limit=4000):
        """Cost of feed() alone on `rows`, on a virtual board that counts instructions; one line

        C samples, instructions of all, of the dearest, windows, instructions of all, of the dearest, heap bytes of all
        where the feeds that complete a window are not among the samples.
        """
        import time

        import virt

        replay = Replay(rows, self._n, self._period_ms)
        pipeline = self.pipeline
        pipeline.clock = time.ticks_us  # as a node has it
        row = self._row
        pipeline.reset()
        most = [0, 0]
        count = [0, 0]
        total = [0, 0]
        virt.mark()
        empty = virt.since()
        gc.collect()
        gc.disable()
        heap = 0
        for _ in range(limit):
            t_ms = replay.read(row)
            if t_ms < 0:
                break
            windows = pipeline.windows
            before = gc.mem_alloc()
            virt.mark()
            pipeline.feed(row, t_ms)
            cost = virt.since() - empty
            heap += gc.mem_alloc() - before
            kind = int(pipeline.windows != windows)
            count[kind] += 1
            total[kind] += cost
            most[kind] = max(most[kind], cost)
        gc.enable()
        replay.close()
        self._say("C %d %d %d %d %d %d %d" % (count[0], total[0], most[0], count[1], total[1], most[1], heap))

    def _rejected(self, start, end, found):
        if found and end > start:
            struct.pack_into("<IIHH", self._run, 0, start, end - start, found & 0x1FF, found >> 9)
            self._runs += 1
            self._send("V ", self._run)

    def _decided(self, decision, sample, window, verdicts):
        pipeline = self.pipeline
        value = decision.value if self._valued else None
        check = 0
        best = pipeline.best if window else -1
        if best >= 0:
            check = _hash16(pipeline.vector, len(pipeline.vector), 0)
            given = getattr(pipeline.model, "given", None)
            if given:
                check = _hash16(given, len(given) // 2, check)
            check = _hash32(pipeline.scores, len(pipeline.scores), check)
        struct.pack_into(
            "<iIIBBBBBbBBHh",
            self._decision,
            0,
            decision.t_ms,
            sample,
            check,
            decision.label_id,
            decision.confidence_pct,
            decision.quality_pct,
            decision.source_id,
            decision.cause_id,
            best,
            int(window),
            decision.rule_id & 0xFF,
            verdicts,
            _NO_VALUE if value is None else value,
        )
        self._send("D ", self._decision)

    def _send(self, letter, record):
        self._crc = crc32(record, self._crc)
        self._say(letter + str(b2a_base64(record)[:-1], "ascii"))
