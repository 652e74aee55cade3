"""The folder of a capture: capture.csv, which only ever grows, and capture.json, the schema that `data import` reads.

What was added is in the file at once, whoever kills this program, and on the disk within a second (fsync), whatever
the power does; a line that a crash left torn is cut off when the folder is opened again. Must not know boards.
"""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sensewell_host.dataset.rate import rate_said
from sensewell_host.dataset.recording import MISSING, ChannelInfo, safe_name, unique_name
from sensewell_host.errors import SensewellError

TABLE, SCHEMA = "capture.csv", "capture.json"
KEYS = ["recording", "label", "who", "place", "number", "t_us"]
_FLUSH_S = 1.0


@dataclass(frozen=True)
class Stated:
    """What the user states of a recording: nobody else can know it."""

    label: str
    who: str = ""
    place: str = ""
    when: str = ""

    def __post_init__(self) -> None:
        for what, text in vars(self).items():
            if not text.isprintable():  # a line break would let one row be two lines, and a torn one be none
                raise SensewellError(f"expected {what} as printable text in one line, got {text!r:.80}")


class Store:
    """A capture folder, open to add a recording. SensewellError where it holds other channels or another rate.

    `name`: the recording's. `torn`: bytes of an unfinished line that were cut off.
    """

    def __init__(
        self,
        folder: Path,
        channels: Sequence[ChannelInfo],
        rate_hz: float,
        stated: Stated,
        session: dict[str, Any],
        group: str,
    ) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._lock = _locked(folder)
        try:
            self._open(channels, rate_hz, stated, session, group)
        except BaseException:
            self._unlock()
            raise

    def _open(
        self, channels: Sequence[ChannelInfo], rate_hz: float, stated: Stated, session: dict[str, Any], group: str
    ) -> None:
        folder = self.folder
        columns = [*KEYS, *(channel.name for channel in channels)]
        schema = _schema(folder.resolve().name, channels, rate_hz)
        self._schema = _resumed(folder, schema) or schema
        _same_columns(folder / TABLE, columns)
        self.torn = _mend(folder / TABLE)
        sessions = self._schema["about"]["sessions"]
        taken: dict[str, int] = {}
        for one in sessions:
            unique_name(one["recording"], taken)
        base = safe_name(stated.label or "recording")
        count = 1
        while f"{base}-{count}" in taken:
            count += 1
        self.name = f"{base}-{count}"
        self.session = {
            "recording": self.name,
            "label": stated.label,
            "who": stated.who,
            "where": stated.place,
            "when": stated.when,
            **session,
            "gaps": [],
        }
        sessions.append(self.session)
        self._key = [self.name, stated.label, group, stated.place]
        self._file = (folder / TABLE).open("ab")
        self._text = io.StringIO()
        self._writer = csv.writer(self._text, lineterminator="\n")
        self._flushed = time.monotonic()
        self.rows = 0
        if self._file.tell() == 0:
            self._writer.writerow(columns)
        self.note()

    def add(self, number: NDArray[np.int64], t_us: NDArray[np.int64], counts: NDArray[np.int16]) -> None:
        """Rows of this recording: number and time of each since its start, int16 counts (n, channels)."""
        for one, at, row in zip(number.tolist(), t_us.tolist(), counts.tolist(), strict=True):
            self._writer.writerow([*self._key, one, at, *("" if x == MISSING else x for x in row)])
        self.rows += len(number)
        self._write()
        if time.monotonic() - self._flushed >= _FLUSH_S:
            self.flush()

    def flush(self) -> None:
        """All that was added is on the disk afterwards."""
        self._flushed = time.monotonic()
        self._write()
        os.fsync(self._file.fileno())

    def _write(self) -> None:
        text = self._text.getvalue()
        if text:
            self._text.seek(0)
            self._text.truncate()
            self._file.write(text.encode())
            self._file.flush()

    def note(self, **said: Any) -> None:
        """Keep this of the session, and write the schema anew, atomically."""
        self.flush()
        self.session.update(said)
        part = self.folder / (SCHEMA + ".part")
        with part.open("w", encoding="utf-8") as file:
            file.write(json.dumps(self._schema, indent=1) + "\n")
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, self.folder / SCHEMA)

    def close(self, **said: Any) -> None:
        """The recording is over."""
        self.note(rows=self.rows, **said)
        self._file.close()
        self._unlock()

    def _unlock(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def _locked(folder: Path) -> int | None:
    """A lock on the folder as long as what is returned is open: two captures into one would mix their rows.

    None where the system has no such lock.
    """
    try:
        import fcntl
    except ImportError:
        return None
    number = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(number)
        raise SensewellError(f"another capture is writing into {folder}: wait for it, or say another --out") from None
    except OSError:  # a file system without locks
        os.close(number)
        return None
    return number


def _schema(name: str, channels: Sequence[ChannelInfo], rate_hz: float) -> dict[str, Any]:
    return {
        "name": safe_name(name),
        **rate_said(rate_hz),
        "channels": [
            {"name": one.name, "unit": one.unit, "scale": one.scale, "offset": one.offset, "raw": True}
            for one in channels
        ],
        "label": "label",
        "group": "who",
        "recording": ["recording"],
        "extra": ["place", "recording"],
        "time": {"column": "number", "unit": "period"},
        "about": {"captured": True, "clock_us": "t_us", "sessions": []},
    }


def _resumed(folder: Path, wanted: dict[str, Any]) -> dict[str, Any] | None:
    """The schema of a folder that has one already."""
    path = folder / SCHEMA
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        sessions = found["about"]["sessions"]
        assert isinstance(sessions, list)
    except FileNotFoundError:
        if (folder / TABLE).exists():
            raise SensewellError(f"{folder} has a {TABLE} without its {SCHEMA}: capture into another folder") from None
        return None
    except (OSError, ValueError, KeyError, TypeError, AssertionError) as error:
        raise SensewellError(f"{path} is no schema of a capture ({error!r}): capture into another folder") from error
    for key in ("rate_hz", "period_ms", "channels"):
        if found.get(key) != wanted.get(key):
            raise SensewellError(
                f"{folder} was captured with {key} {found.get(key)!r:.200}, now it is {wanted.get(key)!r:.200}: "
                "capture into another folder"
            )
    return found


def _same_columns(path: Path, columns: list[str]) -> None:
    """SensewellError if the table has others: rows that were added to it would stand below the wrong names."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            line = file.readline()
    except FileNotFoundError:
        return
    except UnicodeDecodeError:
        line = "no UTF-8\n"
    found = next(csv.reader([line]), [])
    if line.endswith("\n") and found != columns:
        raise SensewellError(
            f"{path} has the columns {', '.join(found)}, expected {', '.join(columns)}: has another program saved it? "
            "Capture into another folder"
        )


def _mend(path: Path) -> int:
    """Cut off what stands after the last finished line; how many bytes that were."""
    with contextlib.suppress(FileNotFoundError), path.open("r+b") as file:
        size = file.seek(0, os.SEEK_END)
        at = size
        while at:
            start = max(0, at - 65536)
            file.seek(start)
            newline = file.read(at - start).rfind(b"\n")
            at = start if newline < 0 else start + newline + 1
            if newline >= 0 or not at:
                break
        file.truncate(at)
        return size - at
    return 0
