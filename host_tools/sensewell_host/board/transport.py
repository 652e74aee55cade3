"""A board at the end of a wire: mpremote's transport kept open, with deadlines, and errors a user can act on.

The address is what `mpremote connect` takes: socket://127.0.0.1:PORT for a virtual board, /dev/ttyUSB0 for a real one.
Nothing here can hang: every wait has an end, and a broken wire is noticed at the next byte.
"""

from __future__ import annotations

import binascii
import contextlib
import os
import re
import select
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from mpremote.transport import TransportError
from mpremote.transport_serial import SerialTransport

from sensewell_host.board.base import Board, Progress, Wire
from sensewell_host.board.errors import BoardError, BoardScriptError

_CTRL_A, _CTRL_B, _CTRL_C, _CTRL_D = b"\x01", b"\x02", b"\x03", b"\x04"
_RAW_PROMPT = b"raw REPL; CTRL-B to exit\r\n>"
_ANSWER_S = 10.0
"""How long a board may take to answer what costs it nothing."""
_PUT_BYTES = 1536
_GET_BYTES = 1536
"""Bytes of a file in one exchange: much more is no faster and needs heap on the board."""


class _Wire:
    """The byte stream under a transport, read in whole pieces. Takes the place of the pyserial object in mpremote.

    mpremote polls with pauses of 10 ms and reads bytes one by one; here a read waits for just what it needs.
    """

    def __init__(self, port: Any, address: str) -> None:
        self.port = port
        self.address = address
        self.timeout_s = _ANSWER_S
        self._buffer = bytearray()
        with contextlib.suppress(OSError, AttributeError, ValueError):
            # Commands are short and wait for an answer: without this the kernel would hold them back for 40 ms.
            twin = socket.socket(fileno=os.dup(port.fileno()))
            with twin:
                twin.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def _fill(self, timeout_s: float) -> bool:
        """Take what has arrived, waiting for it at most `timeout_s`. False: nothing came."""
        try:
            try:
                number = self.port.fileno()
            except (AttributeError, OSError, ValueError):  # not a file descriptor on this system
                self.port.timeout = timeout_s
                data = self.port.read(max(1, self.port.in_waiting))
                self._buffer += data
                return bool(data)
            if not select.select([number], [], [], max(0.0, timeout_s))[0]:
                return False
            data = os.read(number, 65536)
        except BlockingIOError:
            return False
        except OSError as error:
            raise self.broken(error) from error
        if not data:
            raise self.broken("the other end closed it")
        self._buffer += data
        return True

    def broken(self, why: object) -> BoardError:
        return BoardError(f"the wire to the board at {self.address} broke ({why}); check it, then connect again")

    # ---- as pyserial has it, for mpremote ----

    def inWaiting(self) -> int:
        if not self._buffer:
            self._fill(0)
        return len(self._buffer)

    def read(self, count: int = 1) -> bytes:
        end = time.monotonic() + self.timeout_s
        while len(self._buffer) < count and self._fill(end - time.monotonic()):
            pass
        return self.take(min(count, len(self._buffer)))

    def write(self, data: bytes) -> int:
        try:
            return int(self.port.write(data) or 0)
        except OSError as error:
            raise self.broken(error) from error

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self.port.close()

    # ---- reading up to a mark ----

    def take(self, count: int) -> bytes:
        data = bytes(self._buffer[:count])
        del self._buffer[:count]
        return data

    def unread(self, data: bytes) -> None:
        """Put data back, to be read next."""
        self._buffer[:0] = data

    def drop_input(self) -> None:
        """Forget what has arrived so far."""
        while self._fill(0):
            pass
        self._buffer.clear()

    def read_to(self, mark: bytes, end: float) -> bytes | None:
        """Return everything up to and with the mark; None where it has not come by the time `end`."""
        searched = 0
        while (found := self._buffer.find(mark, searched)) < 0:
            searched = max(0, len(self._buffer) - len(mark) + 1)
            if not self._fill(end - time.monotonic()) and time.monotonic() >= end:
                return None
        return self.take(found + len(mark))

    def has(self, mark: bytes) -> bool:
        """Is the mark in what has come and was not read?"""
        return mark in self._buffer

    def pieces_to(self, mark: bytes, end: Callable[[], float]) -> Iterator[bytes]:
        """Yield what arrives up to the one-byte mark, as it arrives; raises TimeoutError at the time `end()`."""
        while True:
            found = self._buffer.find(mark)
            if found >= 0:
                yield self.take(found)
                self.take(1)
                return
            if self._buffer:
                yield self.take(len(self._buffer))
            limit = end()
            if not self._fill(limit - time.monotonic()) and time.monotonic() >= limit:
                raise TimeoutError


class _Transport(SerialTransport):
    """mpremote's serial transport over a _Wire: its handshakes and its raw paste, without its polling."""

    def __init__(self, address: str) -> None:
        super().__init__(address, timeout=_ANSWER_S)
        self.serial: Any = _Wire(self.serial, address)

    def read_until(  # type: ignore[no-untyped-def]
        self, min_num_bytes, ending, timeout=_ANSWER_S, data_consumer=None, timeout_overall=None
    ) -> bytes:
        # mpremote waits without a limit in places; here nothing does
        found = self.serial.read_to(ending, time.monotonic() + (timeout_overall or timeout or _ANSWER_S))
        return b"" if found is None else found


class WireBoard(Board):
    """A board behind a serial port or a socket, held at its raw prompt from the first call on that needs it."""

    def __init__(self, address: str, transport: _Transport) -> None:
        self.address = address
        self._transport = transport
        self._wire: _Wire = transport.serial
        self._held = False
        self._undisturbed = True
        self._patience_s = _ANSWER_S

    @classmethod
    def connect(cls, address: str, timeout_s: float = 5.0, hold: bool = True) -> WireBoard:
        """Open the wire and take hold of the board: interrupt what runs there and start the interpreter afresh.

        hold: False: that is left for later, and a program runs on. Raises BoardError where nothing is at the address,
        somebody else uses it, or no MicroPython answers.
        """
        try:
            transport = _Transport(address)
        except (TransportError, OSError, ValueError) as error:
            raise _cannot_open(address, error) from error
        board = cls(address, transport)
        board._patience_s = timeout_s
        try:
            if hold:
                board.take_hold()
        except BoardError:
            board._wire.close()
            raise
        return board

    def take_hold(self) -> None:
        if not self._held:
            self._take_hold(time.monotonic() + self._patience_s)

    def wire(self) -> Wire | None:
        return self._wire if self._undisturbed else None

    def close(self) -> None:
        with contextlib.suppress(BoardError):
            if self._held:
                self._wire.write(b"\r" + _CTRL_B)
            # Hear the board out: some QEMUs stumble over a reader that leaves while it is being spoken to
            self._wire.read_to(b">>> ", time.monotonic() + 0.2)
        self._held = False
        self._wire.close()

    # ---- the prompt ----

    def _take_hold(self, end: float, afresh: bool = True) -> None:
        """Bring the board to its raw prompt by the time `end`; with a soft reset unless it has just started."""
        self._held = self._undisturbed = False
        while True:
            self._wire.write(b"\r" + _CTRL_C + _CTRL_C)
            self._wire.drop_input()
            self._wire.write(b"\r" + _CTRL_A)
            # A board that is just starting misses this; code that swallows one Ctrl-C may yield to the next
            if self._wire.read_to(_RAW_PROMPT, min(end, time.monotonic() + 0.25)):
                break
            if time.monotonic() >= end:
                raise _no_answer(self.address)
        if afresh:
            self._wire.write(_CTRL_D)
            if not (
                self._wire.read_to(b"soft reboot\r\n", max(end, time.monotonic() + 2.0))
                and self._wire.read_to(_RAW_PROMPT, max(end, time.monotonic() + 5.0))
            ):
                raise _no_answer(self.address)
        self._held = True
        self._wire.unread(b">")  # mpremote looks for the prompt before each command

    def _hold(self) -> None:
        if not self._held:
            self._take_hold(time.monotonic() + _ANSWER_S)

    def _start(self, code: str | bytes) -> None:
        self._hold()
        try:
            self._transport.exec_raw_no_follow(code)
        except TransportError as error:
            self._held = False
            raise BoardError(f"the board at {self.address} stopped answering ({error}); reset it") from error

    def _run(
        self, code: str | bytes, end: Callable[[], float], on_data: Callable[[bytes], None], limit_s: float
    ) -> None:
        self._start(code)
        try:
            for piece in self._wire.pieces_to(_CTRL_D, end):
                on_data(piece)
            error = b"".join(self._wire.pieces_to(_CTRL_D, lambda: time.monotonic() + _ANSWER_S))
        except TimeoutError:
            self._held = False
            self._take_hold(time.monotonic() + _ANSWER_S, afresh=False)
            raise BoardError(
                f"the board at {self.address} took longer than {limit_s:g} s and was interrupted; allow more time"
            ) from None
        except BaseException:
            self._held = False  # whatever runs there still runs: take hold again before the next call
            raise
        if error:
            raise BoardScriptError(error.decode(errors="replace"))

    # ---- running code ----

    def exec(self, code: str | bytes, timeout_s: float = 30.0) -> str:
        end = time.monotonic() + timeout_s
        pieces: list[bytes] = []
        try:
            self._run(code, lambda: end, pieces.append, timeout_s)
        except BoardScriptError as error:
            error.output = _text(b"".join(pieces))
            raise
        return _text(b"".join(pieces))

    def stream(self, code: str, on_line: Callable[[str], None], timeout_s: float = 30.0) -> None:
        rest = bytearray()

        def on_data(piece: bytes) -> None:
            rest.extend(piece)
            while (newline := rest.find(b"\n")) >= 0:
                line = bytes(rest[:newline])
                del rest[: newline + 1]
                on_line(_text(line))

        self._run(code, lambda: time.monotonic() + timeout_s, on_data, timeout_s)
        if rest:
            on_line(_text(bytes(rest)))

    # ---- files ----

    def put(self, path: str, data: bytes, progress: Progress | None = None, append: bool = False) -> None:
        self.exec(f"_f = open({path!r}, {'ab' if append else 'wb'!r})")
        try:
            for start in range(0, len(data), _PUT_BYTES):
                self.exec(b"_f.write(b'" + _literal(data[start : start + _PUT_BYTES]) + b"')")
                if progress:
                    progress(min(start + _PUT_BYTES, len(data)), len(data))
        finally:
            with contextlib.suppress(BoardScriptError):
                self.exec("_f.close()\ndel _f")

    def get(self, path: str, progress: Progress | None = None) -> bytes:
        size = int(self.eval(f"__import__('os').stat({path!r})[6]"))
        content = bytearray()

        def on_line(line: str) -> None:
            content.extend(binascii.a2b_base64(line))
            if progress:
                progress(len(content), size)

        self.stream(
            "from binascii import b2a_base64\n"
            f"with open({path!r}, 'rb') as f:\n"
            " while True:\n"
            f"  b = f.read({_GET_BYTES})\n"
            "  if not b: break\n"
            "  print(b2a_base64(b).decode(), end='')\n",
            on_line,
            timeout_s=_ANSWER_S,
        )
        if len(content) != size:
            raise BoardError(f"expected {size} bytes of {path} from {self.address}, {len(content)} came: try again")
        return bytes(content)

    # ---- resets ----

    def soft_reset(self) -> None:
        self._hold()
        self._take_hold(time.monotonic() + _ANSWER_S)

    def hard_reset(self) -> None:
        self.reset()
        self._hold()

    def reset(self) -> None:
        self._start("import machine\nmachine.reset()")
        self._held = False
        if "://" not in self.address:
            self._reopen()  # a port over USB vanishes with the chip and comes back with it

    def _reopen(self) -> None:
        self._wire.close()
        end = time.monotonic() + _ANSWER_S
        while True:
            time.sleep(0.3)
            try:
                self._transport = _Transport(self.address)
            except (TransportError, OSError) as error:
                if time.monotonic() >= end:
                    raise _cannot_open(self.address, error) from error
            else:
                self._wire = self._transport.serial
                return


# MicroPython's source is 8-bit clean inside of a bytes literal; only what ends it, and what means something to the
# prompt, is escaped. Random data grows by 10 % this way, instead of a third (base64) or three times (repr).
_ESCAPES = {byte: b"\\x%02x" % byte for byte in (0, 1, 2, 3, 4, 5, 10, 13, ord("'"), ord("\\"))}


def _literal(data: bytes) -> bytes:
    """The inside of a bytes literal for a board, as short as it can be."""
    return b"".join(_ESCAPES.get(byte) or bytes((byte,)) for byte in data)


def _text(data: bytes) -> str:
    """What a board printed, as text with plain line ends."""
    return data.decode(errors="replace").replace("\r\n", "\n").removesuffix("\r")


def _cannot_open(address: str, error: Exception) -> BoardError:
    if address.startswith("socket://"):
        return BoardError(f"no board answers at {address}: start one with `sensewell board start`, or mind the port")
    if not Path(address).exists():
        return BoardError(f"there is no port {address}: is the board plugged in? `mpremote devs` lists the ports")
    return BoardError(
        f"cannot use the port {address}: another program has it open, or you may not (the group dialout may); {error}"
    )


def _no_answer(address: str) -> BoardError:
    if others_connected(address):
        return BoardError(f"the board at {address} is busy: another program is connected to it; end that first")
    return BoardError(f"no MicroPython prompt at {address}: is there MicroPython on the board? Reset it and try again")


def others_connected(address: str) -> bool:
    """Does somebody besides us talk to this local TCP port? (False where this system cannot tell.)"""
    match = re.fullmatch(r"socket://(?:127\.0\.0\.1|localhost):(\d+)", address)
    table = Path("/proc/net/tcp")
    if not match or not table.exists():
        return False
    served = f":{int(match[1]):04X}"
    established = [row.split() for row in table.read_text().splitlines()[1:]]
    return sum(row[1].endswith(served) and row[3] == "01" for row in established) > 1
