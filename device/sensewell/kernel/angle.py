"""Angles between the means of channels: angle, tilt.

It knows the means, and nothing of how they came about.
"""

try:
    from micropython import const
except ImportError:  # CPython: the same source, word by word
    from sensewell._port import micropython

    const = micropython.const

_ANGLE = const(33)  # opcode
# round(2**17 / pi * atan(2**-i)), i = 0..13: 2**17 is 180 degrees; little-endian uint16
_ARCS = (
    b"\x00\x80\x90\x4b\xed\x27\x44\x14\x2c\x0a\x17\x05\x8c\x02\x46\x01\xa3\x00\x51\x00\x29\x00\x14\x00\x0a\x00\x05\x00"
)


def finish(features, i):
    """Angles and tilts, whose entries begin at i of the run: how many, then place, op and channels of each."""
    run = features.run
    m = features.means
    out = features.t
    n = run[i]
    while n:
        c = m[run[i + 3]]
        d = m[run[i + 4]]
        if run[i + 2] == _ANGLE:
            arc(c, d, out)
        else:
            arc(d, m[run[i + 5]], out)
            arc(c + (c * 1325 >> 11), out[1], out)  # the first arc lengthened by 1.64676
        features.vector[run[i + 1]] = out[0]
        i += 5
        n -= 1


def arc(x, y, out):
    """out[0] = atan2(y, x) in 1/100 degree, out[1] = 1.64676 * hypot(x, y); |x|, |y| < 2**20. CORDIC, 14 steps."""
    turn = up = 0
    if x < 0:  # half a turn first
        turn = -0x20000 if y < 0 else 0x20000
        x = -x
        y = -y
    if x or y:
        while x < 0x1000000 and -0x1000000 < y < 0x1000000:
            x <<= 1
            y <<= 1
            up += 1
        for i in range(14):
            d = x >> i
            step = _ARCS[i + i] | _ARCS[i + i + 1] << 8
            if y < 0:
                x -= y >> i
                y += d
                turn -= step
            else:
                x += y >> i
                y -= d
                turn += step
    out[1] = x >> up
    out[0] = (turn * 1125 + 4096) >> 13
