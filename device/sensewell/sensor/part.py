"""What drivers have in common: whether the part answers, what is wrong by name, and starting it again.

It must not know any part's registers.

read(row) -> t_ms, as the node wants it, with three outcomes:
    a new sample         the row is filled, its time comes back
    nothing new          the row is left alone, the time of the last sample comes back: the guard calls that stale;
                         MISSING and the time now while the part has not measured yet
    a fault              Refused, with its name; from then on each RETRY_MS a new start is tried

| reason           | what happened                                                                            |
|------------------|------------------------------------------------------------------------------------------|
| sensor.nack      | nobody answers at the address                                                            |
| sensor.stuck_bus | the bus does not move: a line is held low                                                |
| sensor.id        | another part answers, or bits of the bus are stuck                                       |
| sensor.brownout  | what was configured is not there: the part has started anew by itself, or holds nothing  |
| sensor.crc       | a checksum is wrong                                                                      |
| sensor.timeout   | the part answers, is configured, and measures nothing new                                |
"""

from array import array

try:
    from time import ticks_ms

    import micropython
    from micropython import const
except ImportError:  # CPython: the same source, word by word
    from sensewell._port import micropython, ptr8, ptr16, ticks_ms

    const = micropython.const

from sensewell.refusal import Refused

RETRY_MS = const(100)
_CHECK_N = const(8)  # samples from one look at the configuration to the next
_MISSING = const(-32768)
_T_MASK = const((1 << 30) - 1)
_ETIMEDOUT = const(110)  # 116 where the C library's numbers are used
_NEWLIB_ETIMEDOUT = const(116)


@micropython.viper
def words(buffer, at: int, row, first: int, n: int, high: int):
    """`n` signed words of `buffer` from byte `at` to row[first:], -32768 as -32767. high: 0 big-endian, 1 little."""
    b = ptr8(buffer)
    y = ptr16(row)
    end = first + n
    while first < end:
        value = b[at + high] << 8 | b[at + 1 - high]
        if value == 0x8000:
            value = 0x8001
        y[first] = value
        first += 1
        at += 2


class Part:
    """A part on `bus`, a machine.I2C or what behaves like it. clock: ticks in ms.

    Subclasses say n_channels, name and:
        _start()            check who it is, configure it; Refused or OSError if that fails
        _test()             what self_test() gives, if the part has one: see there
        _fetch(row, now)    fill the row, return the sample's time; -1 if there is nothing new
        table()             what the datasheet says of each channel: see build/datasheet.py
        config              registers and values in turns, as _start wrote them: each is looked at from time to time
    `reason`: "" or what is wrong now. `faults`: {reason: how often it was met}, `errors`: in all, `last_reason`: the
    last of them. `starts`: how often it was started.
    """

    n_channels = 0
    timeout_ms = 100
    config = b""

    def __init__(self, bus, address, clock=ticks_ms):
        self.bus = bus
        self.address = address
        self.clock = clock
        self.reason = ""
        self.detail = ""
        self.faults = {}
        self.last_reason = ""
        self.starts = self.errors = 0
        self.t_ms = self._tried_ms = self._fresh_ms = 0
        self._up = self._warm = False
        self._left = _CHECK_N
        self._at = 0
        self._one = bytearray(1)

    def read(self, row):
        """One sample: row array('h') with a count per channel. Nothing is allocated unless something is wrong."""
        now = self.clock() & _T_MASK
        if self.reason and not self._up and (now - self._tried_ms) & _T_MASK < RETRY_MS:
            raise Refused(self.reason, self.detail)
        try:
            if not self._up:
                self._tried_ms = now
                self._start()
                self._check_all()
                self.starts += 1
                self._up = True
                self._warm = False
                self._fresh_ms = now = self.clock() & _T_MASK
            t_ms = self._fetch(row, now)
            if t_ms >= 0:
                self._left -= 1
                if not self._left:
                    self._left = _CHECK_N
                    self._check()
                if self.reason:
                    self.reason = self.detail = ""
                self._warm = True
                self._fresh_ms = now
                self.t_ms = t_ms & _T_MASK
                return self.t_ms
            if (now - self._fresh_ms) & _T_MASK > self.timeout_ms:
                self._check_all()
                raise Refused("sensor.timeout", "nothing new for %d ms" % self.timeout_ms)
        except Refused as e:
            fault = e
        except OSError as e:
            fault = _silent(e)
        else:
            if self._warm:
                return self.t_ms
            i = self.n_channels
            while i > 0:
                i -= 1
                row[i] = _MISSING
            return now
        self._up = False
        self._tried_ms = now
        self.errors += 1
        self.reason = self.last_reason = fault.reason
        self.detail = str(fault)[len(fault.reason) + 2 :]
        self.faults[fault.reason] = self.faults.get(fault.reason, 0) + 1
        raise fault

    def self_test(self, *how, **options):
        """What the part says of itself, each in its own way; a part without a test starts, and its first row (counts)
        comes back. Refused, by the names of read(), if it is not well."""
        try:
            return self._test(*how, **options)
        except OSError as e:
            raise _silent(e)

    def channels(self):
        """Name, unit, scale and offset of each channel, as a manifest has them."""
        from sensewell.build.datasheet import channels

        return channels(self)

    def limits(self):
        """The guard's limits of each channel that follow from the datasheet, as a manifest has them."""
        from sensewell.build.datasheet import limits

        return limits(self)

    # -- for subclasses ------------------------------------------------------------------------------------------------

    def _start(self):
        pass

    def _fetch(self, row, now):
        raise NotImplementedError

    def _test(self):
        # Of a part without a test of its own: that it starts; what it reads then
        self._up = False
        row = row_of(self)
        self._start()
        self._fetch(row, self.clock() & _T_MASK)
        return list(row)

    def _get(self, register):
        self.bus.readfrom_mem_into(self.address, register, self._one)
        return self._one[0]

    def _put(self, register, value):
        self._one[0] = value
        self.bus.writeto_mem(self.address, register, self._one)

    def _is(self, register, wanted):
        found = self._get(register)
        if found not in wanted:
            raise Refused("sensor.id", "0x%02x, expected %s" % (found, " or ".join(["0x%02x" % one for one in wanted])))
        return found

    def _configure(self):
        for i in range(0, len(self.config), 2):
            self._put(self.config[i], self.config[i + 1])

    def _check_all(self):
        for _ in range((len(self.config) >> 1) or 1):
            self._check()

    def _check(self):
        # One register of the configuration, another one each time
        if self.config:
            at = self._at
            if self._get(self.config[at]) != self.config[at + 1]:
                raise Refused("sensor.brownout", "register 0x%02x is 0x%02x" % (self.config[at], self._one[0]))
            at += 2
            self._at = 0 if at == len(self.config) else at


def _silent(e):
    # The name of what an OSError of a bus means
    stuck = e.args and e.args[0] in (_ETIMEDOUT, _NEWLIB_ETIMEDOUT)
    return Refused("sensor.stuck_bus" if stuck else "sensor.nack", repr(e))


def row_of(sensor):
    """A row for `sensor`, array('h'), all MISSING."""
    return array("h", [_MISSING] * sensor.n_channels)
