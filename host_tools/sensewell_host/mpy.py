"""The head of a .mpy file, as far as it decides what stays in a board's RAM. Knows nothing of what the code does.

The first of a module's names is that of its source; like all names, it stays for ever. A linker writes the file there
that it made, and `called` puts the module's own name in its place, which is there anyway.

MicroPython keeps two tables of a module in one block of memory: its names, then its objects (py/persistentcode.c). It
points at the begin of each. Without objects the second pointer is the end of the names: where that is the end of the
block too, it points at whatever lies behind, which the garbage collector then holds for as long as the module lives.
On a board that was a function of 20 KiB of code which was done with.
"""

from __future__ import annotations

from sensewell_host.errors import SensewellError

_HEAD_BYTES = 4  # "M", version, flags and architecture, bits of a small int
_HAS_ARCH_FLAGS = 0x40
_NONE = b"\x01"  # the object None
_NAME_BYTES = 2  # in the table
_BLOCK_WORDS = 4  # of the heap


def unpinned(mpy: bytes, word_bytes: int) -> bytes:
    """`mpy` with an object more where its table of names would end where a block of the heap does.

    word_bytes: of the board, 4 or 8. SensewellError if this is no .mpy file.
    """
    n_names, n_objects, at_objects, begin = _counts(mpy)
    words = -(-n_names * _NAME_BYTES // word_bytes)
    if n_objects or not words or words % _BLOCK_WORDS:
        return mpy
    end = begin
    for _ in range(n_names):
        end = _behind(mpy, end)
    return mpy[:at_objects] + b"\x01" + mpy[begin:end] + _NONE + mpy[end:]


def called(mpy: bytes, name: str) -> bytes:
    """`mpy` with `name` (63 characters at most) as that of its source. SensewellError if this is no .mpy file."""
    begin = _counts(mpy)[3]
    return mpy[:begin] + bytes([len(name) << 1]) + name.encode() + b"\0" + mpy[_behind(mpy, begin) :]


def _counts(mpy: bytes) -> tuple[int, int, int, int]:
    """(names, objects, where the number of objects stands, where the names begin)"""
    if mpy[:1] != b"M" or len(mpy) < _HEAD_BYTES + 2:
        raise SensewellError("this is no .mpy file")
    at = _HEAD_BYTES
    if mpy[2] & _HAS_ARCH_FLAGS:
        _, at = _number(mpy, at)
    n_names, at_objects = _number(mpy, at)
    n_objects, begin = _number(mpy, at_objects)
    return n_names, n_objects, at_objects, begin


def _behind(mpy: bytes, at: int) -> int:
    """Where the name at `at` ends."""
    length, end = _number(mpy, at)
    return end if length & 1 else end + (length >> 1) + 1  # 1: one that every firmware has


def _number(data: bytes, at: int) -> tuple[int, int]:
    """A number of seven bits a byte, the high ones first, and where it ends."""
    value = 0
    while True:
        byte = data[at]
        at += 1
        value = value << 7 | byte & 0x7F
        if not byte & 0x80:
            return value, at
