"""The self-test of inertial parts: switch their test force on, see how far the readings move, switch it off again.

It must not know any part: which bits, and how far, the drivers say.
"""

from array import array

try:
    from time import sleep_ms
except ImportError:
    from sensewell._port import sleep_ms

from sensewell.refusal import Refused

_READINGS = 16


def respond(part, pairs, bounds, sleep_ms=sleep_ms, first=b""):
    """The shift of each channel in counts; Refused("sensor.self_test") unless each lies within its (least, greatest).

    pairs: registers and values in turns that switch it on; first: those written before both measurements. The part is
    configured as it was in the end, and must lie still.
    """
    try:
        _write(part, first)
        rest = _mean(part, sleep_ms)
        _write(part, pairs)
        moved = _mean(part, sleep_ms)
    finally:
        part._configure()
        part._up = False  # the next read starts it anew
    shifts = [moved[i] - rest[i] for i in range(len(rest))]
    for i in range(len(shifts)):
        least, greatest = bounds[i]
        if not least <= shifts[i] <= greatest:
            text = "channel %d moved by %d, expected %d..%d" % (i, shifts[i], least, greatest)
            raise Refused("sensor.self_test", text)
    return shifts


def _write(part, pairs):
    for i in range(0, len(pairs), 2):
        part._put(pairs[i], pairs[i + 1])


def _mean(part, sleep_ms):
    # of readings after 200 ms, in which filters settle and buffers are emptied
    row = array("h", [0] * part.n_channels)
    for _ in range(40):
        sleep_ms(5)
        part._fetch(row, 0)
    total = [0] * part.n_channels
    n = tries = 0
    while n < _READINGS:
        sleep_ms(5)
        tries += 1
        if tries > 20 * _READINGS:
            raise Refused("sensor.timeout", "no readings in the self-test")
        if part._fetch(row, 0) >= 0:
            n += 1
            for i in range(part.n_channels):
                total[i] += row[i]
    return [one // _READINGS for one in total]
