"""The proof that a linear model is sound, before it adds anything. The binary form is described in model/linear.py.

It must not know bundles or labels, and believes no byte of the buffer.
"""

from sensewell.refusal import Refused

try:
    from micropython import const
except ImportError:  # CPython: the same source, word by word
    from sensewell._port import micropython

    const = micropython.const

try:
    from uctypes import addressof
except ImportError:  # CPython, and boards without uctypes: nothing to ask
    addressof = None

_HEADER = const(8)
_MAX_RAW = const((1 << 29) - 1)  # the difference of two sums stays a small int, too


def prove(buffer, n_features, n_classes):
    """A forest without trees, of kind 3 and link 1 or 2, whose bases are for the model's margins (see model/linear.py).

    Refused("model....") if the model is not entirely sound, or not made for these numbers.
    """
    if len(buffer) < _HEADER:
        raise Refused("model.truncated")
    if bytes(buffer[:4]) != b"SWLN":
        raise Refused("model.magic")
    if buffer[4] != 1:
        raise Refused("model.version")
    margins = 1 if buffer[7] == 2 else buffer[7]
    excess = len(buffer) - _HEADER - 4 * margins - 2 * buffer[6] * (margins + 1)
    if excess:
        raise Refused("model.extended" if excess > 0 else "model.truncated")
    if buffer[6] != n_features or buffer[7] != n_classes:
        raise Refused("model.schema", "%d features, %d classes" % (buffer[6], buffer[7]))
    if not (0 < n_features <= 96 and n_classes > 1 and buffer[5] <= 30):
        raise Refused("model.header")
    if addressof and addressof(buffer) & 3:
        raise Refused("model.alignment")

    # How far any int16 features could carry a sum. Bytecode: it runs once and is small
    reach = 0
    at = _HEADER
    for _ in range(margins):
        w = _int16(buffer, at + 2)
        if not -0x2000 <= w < 0x2000:  # 2**29 or more; the others stay small ints on the way
            raise Refused("model.overflow")
        reach = max(reach, abs((w << 16) + (buffer[at] | buffer[at + 1] << 8)))
        at += 4
    for _ in range(n_features):
        shift = buffer[at] | buffer[at + 1] << 8
        if shift > 30:
            raise Refused("model.header", "shift %d" % shift)
        greatest = 0
        for _ in range(margins):
            at += 2
            greatest = max(greatest, abs(_int16(buffer, at)))
        at += 2
        reach += (greatest << 15 >> shift) + 1
    if reach > _MAX_RAW:
        raise Refused("model.overflow")
    none = bytearray(20 + 4 * margins)
    none[5] = 3
    none[6] = buffer[6]
    none[7] = n_classes
    none[14] = 2 * margins & 255
    none[15] = margins >> 7
    none[16] = 2 if margins == 1 else 1
    none[18] = buffer[5]
    return none


def _int16(buffer, at):
    return ((buffer[at] | buffer[at + 1] << 8) ^ 0x8000) - 0x8000
