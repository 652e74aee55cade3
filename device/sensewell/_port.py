"""CPython stand-ins for what MicroPython builds in: `micropython`, viper pointers, ticks.

With these the device package runs, word for word, on a PC. No station logic belongs here.
"""

import ctypes as _ctypes
import time as _time

_BYTES = {"B": 1, "H": 2, "i": 4}
TICKS_MASK = (1 << 30) - 1  # MicroPython's ticks wrap at 30 bits on 32-bit boards; here too


class micropython:
    """The names of MicroPython's `micropython` module that device code uses."""

    @staticmethod
    def const(value):
        return value

    @staticmethod
    def viper(function):
        return function

    native = viper

    @staticmethod
    def heap_lock():
        """CPython has no heap to lock; boards prove 'no allocation', the PC only runs the code."""

    @staticmethod
    def heap_unlock():
        return 0


def ptr8(buffer):
    """Unsigned bytes of `buffer`, as viper's ptr8 reads them."""
    return _Pointer(buffer, "B", 0xFF)


def ptr16(buffer):
    """Unsigned 16-bit words of `buffer`: viper's ptr16 does not sign-extend."""
    return _Pointer(buffer, "H", 0xFFFF)


def ptr32(buffer):
    """Signed 32-bit words, as on a 32-bit board (x64 zero-extends: see `sext32` in kernels that care)."""
    return _Pointer(buffer, "i", 0)


def cast(buffer, code):
    """The same memory as words of another kind: what a viper function's own ptr16 or ptr32 arguments see."""
    return memoryview(buffer).cast("B").cast(code)


def uint(pointer):
    """The address in a viper pointer, which may be moved on by bytes and made a pointer again: ptr32(uint(p) + 4)."""
    return _Address(pointer.view, 0)


class _Address:
    def __init__(self, view, at):
        self._view = view
        self._at = at

    def __add__(self, n_bytes):
        return _Address(self._view, self._at + n_bytes)

    def __int__(self):
        """Where it is, for what compares addresses: 0 for what may only be read, or is empty."""
        try:
            return _ctypes.addressof(_ctypes.c_char.from_buffer(self.view()))
        except (TypeError, ValueError):
            return 0

    def view(self):
        return self._view.cast("B")[self._at :]


class _Pointer:
    """Loads and stores with viper's widths: a store keeps the low bits, it never raises."""

    __slots__ = ("_mask", "view")

    def __init__(self, buffer, code, mask):
        if isinstance(buffer, _Address):
            buffer = buffer.view()
        view = memoryview(buffer).cast("B")
        odd = view.nbytes % _BYTES[code]
        self.view = (view[: view.nbytes - odd] if odd else view).cast(code)
        self._mask = mask

    def __getitem__(self, index):
        return self.view[index]

    def __setitem__(self, index, value):
        if self._mask:
            self.view[index] = value & self._mask
        else:
            self.view[index] = ((value + 0x80000000) & 0xFFFFFFFF) - 0x80000000


def ticks_ms():
    return _time.monotonic_ns() // 1_000_000 & TICKS_MASK


def ticks_us():
    return _time.monotonic_ns() // 1000 & TICKS_MASK


def ticks_diff(end, start):
    """`end - start` on the 30-bit circle, -2**29 .. 2**29-1 (as MicroPython's time.ticks_diff)."""
    half = 1 << 29
    return ((end - start + half) & TICKS_MASK) - half


def sleep_us(duration_us):
    _time.sleep(duration_us / 1_000_000)


def sleep_ms(duration_ms):
    _time.sleep(duration_ms / 1000)
