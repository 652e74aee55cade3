"""What a board is told to stream (on_device/capture_stream.py) and its lines as arrays. Knows boards, no files.

A line that does not arrive whole is counted and dropped: the samples in it show as missing numbers.
"""

from __future__ import annotations

import binascii
import contextlib
import hashlib
import json
import re
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sensewell_host import runtime
from sensewell_host.board import Board
from sensewell_host.board.base import verify
from sensewell_host.errors import SensewellError

SCRIPT = Path(__file__).parents[1] / "on_device" / "capture_stream.py"
CODE = "/capture"  # where on a board that lacks them the modules lie that its sensor needs
SLOW_US = 1_000_000  # from this period on times are in ms
ERROR, STALE = 1, 2  # flags of a sample
_MASK = (1 << 30) - 1
_MODULE = re.compile(r"\bsensewell(?:_sim)?(?:\.\w+)+")

_DIGESTS = """
import hashlib
from binascii import hexlify
for path in {paths!r}:
    try:
        with open(path, "rb") as file:
            print(str(hexlify(hashlib.sha256(file.read()).digest()), "ascii"))
    except OSError:
        print("-")
"""


@dataclass
class Head:
    """What the board says first. `channels`: name and perhaps unit, scale, offset of each; None: it does not know."""

    channels: list[dict[str, Any]] | None
    n_channels: int
    board_id: str
    machine: str
    version: str
    calibration: Any


@dataclass
class Rows:
    """Samples in order: int64 number (of its period), int64 t_us since number 0 was due, int64 late_us against its own
    due time, uint8 flags, int16 counts (n, channels)."""

    number: NDArray[np.int64]
    t_us: NDArray[np.int64]
    late_us: NDArray[np.int64]
    flags: NDArray[np.uint8]
    counts: NDArray[np.int16]


@dataclass
class Lines:
    """Takes the board's lines; gives `on_head` what it is and `on_rows` its samples. Counts what was damaged."""

    period_us: int
    on_head: Callable[[Head], None]
    on_rows: Callable[[Rows], None]
    damaged: int = 0
    lost: int = 0  # periods that the board slept through
    ended: tuple[int, int, int, int] | None = None  # samples, lost, errors, stale
    errors: list[str] = field(default_factory=list)
    _n: int = 0
    _start: int = 0
    _unit_us: int = 1
    _last: int = 0

    @property
    def begun(self) -> bool:
        """Has the board said what it is?"""
        return self._n > 0

    def __call__(self, line: str) -> None:
        letter, _, rest = line.strip().partition(" ")
        if letter == "X":
            self.errors.append(rest)
            return
        if letter not in ("H", "S", "E"):
            if letter:
                self.damaged += 1
            return
        text, _, crc = rest.rpartition(" ")
        try:
            record = text.encode() if letter == "H" else binascii.a2b_base64(text, strict_mode=True)
            if int(crc, 16) != binascii.crc32(record):
                raise ValueError
        except ValueError:
            self.damaged += 1
            return
        if letter == "H":
            self._head(json.loads(record))
        elif not self._n:
            self.damaged += 1
        elif letter == "S":
            self._samples(record)
        else:
            taken, lost, errors, stale = struct.unpack("<IIII", record)
            self.lost = lost
            self.ended = (taken, lost, errors, stale)

    def _head(self, said: dict[str, Any]) -> None:
        self._n = int(said["n"])
        self._start = self._last = int(said["start"])
        self._unit_us = 1000 if said["ms"] else 1
        self.on_head(Head(said["channels"], self._n, said["id"], said["machine"], said["version"], said["calibration"]))

    def _samples(self, record: bytes) -> None:
        first, self.lost = struct.unpack_from("<II", record)
        kind = np.dtype([("low", "<u2"), ("high", "<u2"), ("counts", "<i2", (self._n,))])
        found = np.frombuffer(record, kind, offset=8)
        ticks = (found["high"].astype(np.int64) & 0x3FFF) << 16 | found["low"]
        # ticks wrap: each is as far after the one before as the 30-bit circle says
        step = np.diff(ticks, prepend=self._last & _MASK) & _MASK
        step[step > _MASK // 2] -= _MASK + 1
        since = self._last - self._start + np.cumsum(step)
        self._last = self._start + int(since[-1])
        number = first + np.arange(len(found), dtype=np.int64)
        t_us = since * self._unit_us
        self.on_rows(
            Rows(
                number,
                t_us,
                t_us - number * self.period_us,
                (found["high"] >> 14).astype(np.uint8),
                found["counts"].astype(np.int16).reshape(-1, self._n),
            )
        )


def bring(board: Board, sensor: str | None) -> tuple[list[str], bool]:
    """Have the modules on the board that `sensor`, an expression, or its /setup.py (None) names, unless it has them.

    Returns their names, and whether it is those in CODE that count: a board with its own must not see what an earlier
    capture has left there. SensewellError where there is neither an expression nor a setup.py.
    """
    if sensor is None:
        if not board.exists("/setup.py"):
            raise SensewellError(
                "the board has no /setup.py that says which sensor to read: bring one with `sensewell deploy --setup`, "
                "or say --sensor with an expression for an object with read(row), as in device/sensewell/sensor"
            )
        content = board.get("/setup.py")
        words = _MODULE.findall(content.decode(errors="replace"))
        with contextlib.suppress(SyntaxError, ValueError):  # what is wrong with it the board will say
            words += runtime.imported_by(content)  # `from sensewell.sensor import mpu6050`, too
    else:
        words = _MODULE.findall(sensor)
    named: list[str] = []
    for name in dict.fromkeys(words):
        while runtime.module_path(name) is None and "." in name:
            name = name.rpartition(".")[0]
        if name != "sensewell" and name not in named:
            named.append(name)
    brought = bool(named) and not _has(board, named)
    if brought:
        info = board.info()
        arch = runtime.check_mpy(info.mpy, info.name)
        files = runtime.files(arch, runtime.closure(named))
        wanted = {CODE + target.removeprefix("/lib"): content for target, content in files.items()}
        there = board.exec(_DIGESTS.format(paths=list(wanted)), timeout_s=60).split()
        for (path, content), digest in zip(wanted.items(), there, strict=True):
            if digest != hashlib.sha256(content).hexdigest():
                board.mkdirs(path.rpartition("/")[0])
                board.put(path, content)
                verify(board, path, content)
    return named, brought


def _has(board: Board, named: list[str]) -> bool:
    lines = [f"try:\n import {name}\nexcept ImportError:\n print('no')" for name in named]
    said = board.exec("\n".join(lines)).strip()
    board.soft_reset()
    return not said


def script(sensor: str | None, named: list[str], brought: bool, n_channels: int, period_us: int, samples: int) -> str:
    """The text that a board is to run; named, brought: of bring(); samples: how many periods, 0: for ever."""
    slow = period_us >= SLOW_US
    lines = ["import sys", f"sys.path.insert(0, {CODE!r})"] if brought else []
    if sensor:
        lines += ["try:", " import setup", "except Exception:", " setup = None"]
        lines += [f"import {name}" for name in named]
        lines += ["try:", " import machine", "except ImportError:", " pass"]
    else:
        lines += ["import setup"]
    block = min(max(20_000 // period_us, 1), 8)
    lines += [
        SCRIPT.read_text(),
        f"stream({sensor or 'setup.sensor()'}, setup, {n_channels}, {period_us // 1000 if slow else period_us}, "
        f"{samples}, {block}, {slow})",
    ]
    return "\n".join(lines) + "\n"
