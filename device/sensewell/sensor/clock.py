"""The hour as a sensor: how far noon and 18 o'clock are, and whether it is a weekend. From the board's own clock.

Who is in a room, or what a machine does, follows the day; a model that knows the hour need not guess it from drifting
readings. None of the channels grows with elapsed time, and none jumps at midnight.
"""

try:
    from time import ticks_ms

    from micropython import const
except ImportError:
    from sensewell._port import micropython, ticks_ms

    const = micropython.const

from sensewell.refusal import Refused
from sensewell.sensor.part import Part

SET_SINCE = const(2025)  # boards whose clock nobody has set begin at 1970, 2000 or 2021
_NOON = const(720)  # minutes of the day
_SIX = const(1080)
_DAY = const(1440)


def hour_row(row, minute, weekday):
    """minute of the day, 0..1439, and weekday, 0 Monday..6 -> row[0:3]: minutes from the nearest noon and from the
    nearest 18:00, 0..720 each, and 1 at a weekend. The first two together say which minute of the day it is."""
    row[0] = abs(minute - _NOON)
    far = abs(minute - _SIX)
    row[1] = _DAY - far if far > _NOON else far
    row[2] = 1 if weekday >= 5 else 0


class Clock(Part):
    """now: time.localtime or what gives (year, month, day, hour, minute, second, weekday, ...), local time. Three
    channels: from_noon from_18h (minutes), weekend. A reading allocates what `now` does: a tuple.

    A clock that nobody has set since the board got power is sensor.brownout: see `mpremote rtc --set`, ntptime.
    """

    n_channels = 3
    name = "clock"

    def __init__(self, now=None, clock=ticks_ms):
        super().__init__(None, 0, clock)
        if now is None:
            import time

            now = getattr(time, "localtime", None)
            if now is None:
                raise Refused("sensor.setting", "this board has no time.localtime: pass now")
        self.now = now

    def _fetch(self, row, now):
        when = self.now()
        if when[0] < SET_SINCE:
            raise Refused("sensor.brownout", "nobody has set this clock: it is in %d" % when[0])
        hour_row(row, 60 * when[3] + when[4], when[6])
        return now

    def table(self):
        """Minutes, and 0 or 1."""
        return """from_noon min 1 0 lo_raw=0 hi_raw=720
from_18h min 1 0 lo_raw=0 hi_raw=720
weekend - 1 0 lo_raw=0 hi_raw=1"""
