"""Stand-ins for viper on a firmware without a native emitter: its pointers, its way with the heap; plain bytecode.

The host writes them in where it compiles for such a board (arch none). No station logic belongs here. Pointers load
and store with viper's widths on memory in place: arrays, ulab arrays, bytes. As in viper, no end of it is known.
"""

from uctypes import ARRAY, INT32, UINT8, UINT16, addressof, struct

try:
    from micropython import const
except ImportError:  # there is always one on a board
    pass

_ANY = const(0x100000)  # items: more than there are
_BYTES = (ARRAY, UINT8 | _ANY)
_WORDS = (ARRAY, UINT16 | _ANY)
_LONGS = (ARRAY, INT32 | _ANY)


def ptr8(buffer):
    """Unsigned bytes of `buffer` (or at an address, as `uint` gives it). A store keeps the low bits."""
    return struct(uint(buffer), _BYTES)


def ptr16(buffer):
    """Unsigned 16-bit words; `buffer` must be 2-byte aligned."""
    return struct(uint(buffer), _WORDS)


def ptr32(buffer):
    """Signed 32-bit words, as on a 32-bit board; 4-byte aligned."""
    return struct(uint(buffer), _LONGS)


def uint(pointer):
    """The address in a pointer, which may be moved on by bytes and made a pointer again: ptr32(uint(p) + 4).

    Raises TypeError for what is no buffer; an array of ulab that leaves out items of its memory is none.
    """
    return pointer if type(pointer) is int else addressof(pointer)


def heap_lock():
    """The heap stays open: bytecode makes pointers and, on 32 bits, integers beyond 2**30 on it."""


def heap_unlock():
    return 0
