"""The node: the loop that brings samples at a fixed rate, and takes decisions to where they matter.

It measures its own lateness and cost and survives what sensors and outputs throw. It must not know what is decided.
"""

from sensewell.refusal import Refused

try:
    from time import sleep_us, ticks_ms, ticks_us

    from micropython import const
except ImportError:
    from sensewell._port import micropython, sleep_us, ticks_ms, ticks_us

    const = micropython.const


from array import array

_T_MASK = const((1 << 30) - 1)
_T_HALF = const(1 << 29)
_MISSING = const(-32768)  # channel.MISSING
_NAP_US = const(500000)  # the watchdog is fed at least so often


class Node:
    """Brings the samples of `sensor` to `pipeline` and its decisions to `outputs`.

    sensor: read(row) fills array('h') with a count per channel and returns its time (ticks ms), or -1 at the end of a
    recording; an exception in it makes the sample MISSING on all channels. rate_hz: None = as fast as it goes, for
    recordings: time is what the sensor says, and there is no deadline. outputs: callables that get each Decision (one
    object: copy what you keep); what they raise is counted. wdt: fed once a loop. Refused("node.channels") if the
    sensor says `n_channels` and it is another number than the bundle's.

    Counters: samples, sensor_errors, output_errors, lost (periods slept through), decisions. Microseconds, each
    with max_us and mean_us(): late (against the rate), sample_cost, window_cost (of samples that complete a window).
    `last_error`: the last exception that was survived.
    """

    def __init__(self, pipeline, sensor, rate_hz=None, outputs=(), wdt=None):
        if getattr(sensor, "n_channels", pipeline.n_channels) != pipeline.n_channels:
            raise Refused("node.channels", "bundle %d, sensor %d" % (pipeline.n_channels, sensor.n_channels))
        self.pipeline = pipeline
        self.sensor = sensor
        self.rate_hz = rate_hz
        self.outputs = tuple(outputs)
        self.wdt = wdt
        self.row = array("h", [_MISSING] * pipeline.n_channels)
        self.last_error = None
        self.limits = None  # see compose()
        self.sleep_us = sleep_us  # how it waits for the next sample; may return earlier, see link.py
        self.samples = self.sensor_errors = self.output_errors = self.lost = self.decisions = 0
        self.late = Cost()
        self.sample_cost = Cost()
        self.window_cost = Cost()
        pipeline.clock = ticks_us
        if not rate_hz:
            pipeline.deadline_us = 0

    def run(self, samples=None):
        """Take `samples` samples (None: for ever, or to the end of the recording); returns how many it took.

        Nothing is allocated unless something goes wrong. KeyboardInterrupt passes through.
        """
        real = bool(self.rate_hz)
        step_us = 1000000 // self.rate_hz if real else 0
        taken = 0
        self._due_us = ticks_us() & _T_MASK
        self._now_ms = -1
        while samples is None or taken < samples:
            if real:
                self._wait(step_us)
            if self.wdt:
                self.wdt.feed()
            t_ms = self._read(real)
            if t_ms < 0:
                break
            taken += 1
            self._step(t_ms, real)
        return taken

    def _wait(self, step_us):
        # Until the next sample is due; a loop that is late by whole periods lets them go, and counts them.
        left = (self._due_us - ticks_us()) & _T_MASK
        while 0 < left < _T_HALF:
            if left > _NAP_US:
                left = _NAP_US
                if self.wdt:
                    self.wdt.feed()
            self.sleep_us(left)
            left = (self._due_us - ticks_us()) & _T_MASK
        late = -left & _T_MASK
        self.late.add(late)
        lost = late // step_us
        self.lost += lost
        self._due_us = (self._due_us + (lost + 1) * step_us) & _T_MASK

    def _read(self, real):
        # The sensor's time, -1 at the end; keeps the clock that tells idle() the time when samples have none
        row = self.row
        try:
            t_ms = self.sensor.read(row)
        except Exception as error:  # a sensor may throw whatever its bus throws; Ctrl-C is not an Exception
            self.sensor_errors += 1
            self.last_error = error
            i = len(row)
            while i > 0:
                i -= 1
                row[i] = _MISSING
            t_ms = ticks_ms() if real else self._now_ms + self.pipeline.period_ms
        if t_ms >= 0:
            t_ms &= _T_MASK
            if real:
                self._now_ms = t_ms
            else:
                # time goes on by one period a sample, or by as much as the recording says
                now = (self._now_ms + self.pipeline.period_ms) & _T_MASK
                if self._now_ms < 0 or (t_ms - now) & _T_MASK < _T_HALF:
                    now = t_ms
                self._now_ms = now
        return t_ms

    def _step(self, t_ms, real):
        pipeline = self.pipeline
        windows = pipeline.windows
        start = ticks_us()
        decision = pipeline.feed(self.row, t_ms)
        cost = (ticks_us() - start) & _T_MASK
        if pipeline.windows == windows:
            self.sample_cost.add(cost)
        else:
            self.window_cost.add(cost)
        self.samples = (self.samples + 1) & _T_MASK
        if decision is None:
            decision = pipeline.idle(ticks_ms() & _T_MASK if real else self._now_ms)
        if decision is not None:
            self.decisions += 1
            for output in self.outputs:
                try:
                    output(decision)
                except Exception as error:
                    self.output_errors += 1
                    self.last_error = error


def compose(sensor, *args, **settings):
    """A Node that runs the active bundle, or another: build/node.py says which settings there are.

    The code that was needed only for this is dropped from RAM.
    """
    from sensewell.build import drop
    from sensewell.build.node import compose

    node = compose(sensor, *args, **settings)
    compose = None
    drop()
    return node


class Cost:
    """Maximum and mean of microseconds; halves its sums before they outgrow a small int."""

    def __init__(self):
        self.max_us = self._sum = self._n = 0

    def add(self, step_us):
        if step_us > self.max_us:
            self.max_us = step_us
        if step_us > 0xFFFFFFF:
            step_us = 0xFFFFFFF
        self._sum += step_us
        self._n += 1
        if self._sum > 0xFFFFFFF:
            self._sum >>= 1
            self._n >>= 1

    def mean_us(self):
        return self._sum // (self._n or 1)
