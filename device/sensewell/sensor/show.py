"""Prints what a sensor reads, in its units: for simpletests and the prompt. No node needs it."""

from sensewell.sensor.part import row_of

try:
    from time import sleep_ms
except ImportError:
    from sensewell._port import sleep_ms

_MISSING = -32768


def show(sensor, count=10, every_ms=500):
    """Read `count` times, a line each; a fault by its name. Returns how many readings there were."""
    row = row_of(sensor)
    channels = sensor.channels()
    last = -1
    good = 0
    for _ in range(count):
        sleep_ms(every_ms)
        try:
            t_ms = sensor.read(row)
        except Exception as error:
            print(error)
            continue
        if t_ms == last:
            print("%d ms  nothing new" % t_ms)
            continue
        last = t_ms
        words = []
        for raw, channel in zip(row, channels):
            if raw == _MISSING:
                words.append(channel["name"] + " -")
            else:
                value = raw * channel["scale"] + channel["offset"]
                words.append("%s %.6g %s" % (channel["name"], value, channel["unit"]))
        print("%d ms  %s" % (t_ms, "  ".join(words)))
        good += row[0] != _MISSING
    return good
