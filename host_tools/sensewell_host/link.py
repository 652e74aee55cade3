"""The host's end of the link: asks a node while it runs (device/sensewell/talk.py has the frames and verbs).

Knows frames, and what to do when one is lost; neither slots nor bundles.
"""

from __future__ import annotations

import binascii
import json
import re
import time
import zlib
from collections.abc import Callable
from typing import Any

from sensewell_host.board import Board, BoardScriptError, Wire
from sensewell_host.errors import SensewellError

VERSION = "1"
PROBE_S = 0.3
_ANSWER_S = 2.0  # a node that is busy answers when it has the time
_JOB_S = 10.0  # where the board has work to do in steps
_TRIES = 3
_READ_BYTES = 1008
DATA_BYTES = 144  # in a frame of less than 256 bytes: what the consoles of some boards hold
_ECHO = b"#sw "
_ANSWER = re.compile(rb"=sw (\d{3}) ([0-9a-f]{8}) ([ -~]+)\s*$")

Line = Callable[[bytes], None]


class LinkError(SensewellError):
    """The node refuses, with a `reason`, or ("link.silent") does not answer: then it is asked at its prompt instead."""

    def __init__(self, reason: str, words: str = "") -> None:
        super().__init__(f"{reason}: {words}" if words else reason)
        self.reason = reason
        self.words = words


def frame(body: str) -> bytes:
    """A line to the board."""
    data = body.encode()
    return b"#sw %03d %08x %s\r" % (len(data), zlib.crc32(data), data)


class Link:
    """A conversation over `wire`. on_line: gets what else the program prints, a line at a time."""

    def __init__(self, wire: Wire, on_line: Line = lambda line: None) -> None:
        self._wire = wire
        self._on_line = on_line
        self._number = 0

    def ask(self, verb: str, *words: object, timeout_s: float = _ANSWER_S, tries: int = _TRIES) -> str:
        """The words of its answer. LinkError where it refuses, BoardError: the wire broke."""
        return self._ask(verb, words, timeout_s, tries)[0]

    def fetch(self, verb: str, *words: object) -> bytes:
        """The data of its answer, the same otherwise."""
        for _ in range(_TRIES):
            size, data = self._ask(verb, words, _ANSWER_S, _TRIES)
            if size == str(len(data)):
                return data
        raise LinkError("link.silent", f"the answer to {verb} does not come whole")

    def _ask(self, verb: str, words: tuple[object, ...], timeout_s: float, tries: int) -> tuple[str, bytes]:
        for _ in range(tries):
            self._number += 1
            number = str(self._number)
            self._wire.write(frame(" ".join([number, verb, *map(str, words)])))
            found = self._answer(number, time.monotonic() + timeout_s)
            if found is not None:
                return found
        raise LinkError("link.silent", f"the program at the other end does not answer {verb}")

    def _answer(self, number: str, end: float) -> tuple[str, bytes] | None:
        """None: it did not come by then, or the board could not read what it was asked."""
        data = b""
        while (line := self._wire.read_to(b"\n", end)) is not None:
            match = _ANSWER.search(line)
            if not match or len(match[3]) != int(match[1]) or zlib.crc32(match[3]) != int(match[2], 16):
                self._on_line(line)
                if time.monotonic() > end:  # a program that never stops printing
                    return None
                continue
            to, kind, rest = (*match[3].decode().split(" ", 2), "")[:3]
            if to == "-":
                return None
            if to != number:
                continue
            if kind == "more":
                data += binascii.a2b_base64(rest)
            elif kind == "ok":
                return rest, data
            else:
                reason, _, words = rest.partition(" ")
                raise LinkError(reason, words)
        return None

    def facts(self, verb: str) -> dict[str, Any]:
        """What `board` or `health` answers."""
        found: dict[str, Any] = json.loads(self.fetch(verb))
        return found

    def read(self, path: str, at: int, size: int) -> bytes:
        """A piece of a file, shorter at its end. LinkError("link.file"): there is none."""
        data = b""
        while len(data) < size:
            more = self.fetch("read", path, at + len(data), min(_READ_BYTES, size - len(data)))
            if not more:
                break
            data += more
        return data

    def get(self, path: str) -> bytes:
        """A file, as Board.get has it."""
        try:
            return self.read(path, 0, 1 << 20)
        except LinkError as error:
            if error.reason == "link.file":
                raise BoardScriptError(f"OSError: [Errno 2] {path}") from error
            raise

    def exists(self, path: str) -> bool:
        try:
            self.read(path, 0, 1)
        except LinkError as error:
            if error.reason == "link.file":
                return False
            raise
        return True

    def have(self, size: int, digest: bytes) -> tuple[int, str]:
        """How many bytes of this bundle are there, and their SHA-256 in hexadecimal."""
        words = self.ask("have", size, digest.hex(), timeout_s=_JOB_S)
        at, _, found = words.partition(" ")
        return int(at), found

    def begin(self, at: int, again: bool) -> None:
        self.ask("begin", at, int(again), timeout_s=_JOB_S)

    def data(self, at: int, block: bytes) -> None:
        self.ask("data", at, binascii.b2a_base64(block, newline=False).decode())

    def copy(self, at: int, source: int, size: int) -> None:
        self.ask("copy", at, source, size, timeout_s=_JOB_S)

    def end(self) -> None:
        self.ask("end", timeout_s=_JOB_S)


def to(board: Board, on_line: Line = lambda line: None) -> Link | None:
    """The Link to the node that runs on `board`; None: none answers, the board was stopped, or it is at its prompt.

    A prompt takes what is asked here for a comment, and echoes it.
    """
    wire = board.wire()
    if wire is None:
        return None
    link = Link(_Prompted(wire), on_line)
    try:
        words = link.ask("hello", timeout_s=PROBE_S, tries=1)
    except LinkError:
        return None
    link._wire = wire
    return link if words == VERSION else None


class _Prompted:
    """A wire at whose other end there may be a prompt: waiting ends with the echo."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def write(self, data: bytes) -> int:
        return self._wire.write(data)

    def has(self, mark: bytes) -> bool:
        return self._wire.has(mark)

    def read_to(self, mark: bytes, end: float) -> bytes | None:
        while True:
            found = self._wire.read_to(mark, min(end, time.monotonic() + 0.02))
            if found is not None and _ECHO in found:
                return None
            if found is not None or time.monotonic() >= end or self._wire.has(_ECHO):
                return found
