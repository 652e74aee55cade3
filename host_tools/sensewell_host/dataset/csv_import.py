"""Import of plain CSV (.csv, .csv.gz): a table with a header, and the schema that says what its columns are.

Every defect of the file is one clear sentence with its line. Must not know any particular dataset.
"""

from __future__ import annotations

import csv
import difflib
import gzip
import io
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sensewell_host.dataset.rate import rate_said
from sensewell_host.dataset.recording import MISSING, Dataset, Recording, to_counts, unique_name
from sensewell_host.dataset.schema import Schema
from sensewell_host.device_path import use_device_path
from sensewell_host.errors import SensewellError

HOLE_S = 2.0  # rows lost for longer than this and HOLE_ROWS end a recording; fewer are put back as MISSING
HOLE_ROWS = 5  # periods: what a guard takes for a gap
_NONE = {"", "nan", "NaN", "NAN", "null", "NULL", "None", "NA", "N/A"}


@dataclass
class ImportReport:
    """What the import found and did; everything it changed is counted."""

    rows: int = 0
    recordings: int = 0
    missing: dict[str, int] = field(default_factory=dict)  # cells without a reading, by channel
    clipped: dict[str, int] = field(default_factory=dict)  # values outside the channel's counts, by channel
    rows_put_back: int = 0  # rows lost in time, now MISSING
    split_at_holes: int = 0  # recordings that went on after a hole longer than that


def import_csv(
    path: Path, schema: Schema | None = None, schema_path: Path | None = None
) -> tuple[Dataset, ImportReport]:
    """The dataset in `path`. Without a schema: the JSON of the same name beside the CSV."""
    if schema is None:
        schema = Schema.load(schema_path or default_schema_path(path))
    header, lines, cells = _read(path, schema)
    where = {name: header.index(name) for name in schema.needed}
    report = ImportReport(rows=len(cells))

    values = np.empty((len(cells), len(schema.channels)))
    for number, (column, factor, clock) in enumerate(zip(schema.columns, schema.factors, schema.clock, strict=True)):
        column_cells = [row[where[column]] for row in cells]
        if clock is not None:
            values[:, number] = _hours(path, column, column_cells, lines)[:, clock]
            continue
        values[:, number] = _numbers(path, column, column_cells, lines)
        for none in schema.missing:
            values[values[:, number] == none, number] = np.nan
        info = schema.channels[number]
        if factor:
            values[:, number] *= factor
        else:
            values[:, number] = values[:, number] * info.scale + info.offset
    counts, clipped = to_counts(values, schema.channels)
    for number, channel in enumerate(schema.channels):
        report.missing[channel.name] = int((counts[:, number] == MISSING).sum())
        report.clipped[channel.name] = clipped[number]

    time_s = _time(path, schema, header, lines, cells)
    table = _Table([[row[where[name]] for name in schema.needed] for row in cells], schema)
    recordings: list[Recording] = []
    taken: dict[str, int] = {}
    for start, end in _sessions(table, time_s):
        whole = [np.arange(start, end)]
        if time_s is not None:
            grid = _on_the_grid(path, schema, time_s[start:end], lines[start:end], report)
            whole = [np.where(place < 0, -1, place + start) for place in grid]
        for place in whole:
            rows = np.where((place >= 0)[:, None], counts[place], np.int16(MISSING))
            said = np.maximum.accumulate(place)  # what is put back belongs to the row before
            first_name = ""
            for number, (first, last) in enumerate(_runs([table.label(int(row)) for row in said])):
                row = int(said[first])
                name = unique_name(table.name(row) or path.name.split(".")[0], taken)
                first_name = first_name or name  # what stands for the group where the schema has none
                recordings.append(
                    Recording(
                        name=name,
                        samples=np.ascontiguousarray(rows[first:last]),
                        rate_hz=schema.rate_hz,
                        label=table.label(row),
                        group=table.group(row) or first_name,
                        extra={column: table.cell(row, column) for column in schema.extra},
                        follows=number > 0,
                    )
                )
    report.recordings = len(recordings)
    notes = {"source": path.name, "missing": report.missing, "clipped": report.clipped}
    if schema.about:
        notes["about"] = schema.about
    return Dataset(schema.name, schema.rate_hz, schema.channels, tuple(recordings), notes), report


def times_of(path: Path, schema: Schema) -> list[tuple[str, NDArray[np.float64]]]:
    """(name, times in s as they stand in the file) of each recording, before any row is put back.

    Of a capture: when its samples were taken, not when they were due.
    """
    clock = schema.about.get("clock_us")
    if schema.about.get("captured") is True and isinstance(clock, str):
        schema = replace(schema, time=(clock, 1e-6))
    if schema.time is None:
        return []
    header, lines, cells = _read(path, schema)
    time_s = _time(path, schema, header, lines, cells)
    assert time_s is not None
    where = {name: header.index(name) for name in schema.needed}
    table = _Table([[row[where[name]] for name in schema.needed] for row in cells], schema)
    return [(table.name(start) or path.name, time_s[start:end]) for start, end in _sessions(table, time_s)]


def _time(
    path: Path, schema: Schema, header: Sequence[str], lines: Sequence[int], cells: Sequence[Sequence[str]]
) -> NDArray[np.float64] | None:
    """The time of every row in s, None where the schema has none."""
    if schema.time is None:
        return None
    column, unit_s = schema.time
    moments = [row[header.index(column)] for row in cells]
    time_s = _iso(path, column, moments, lines) if unit_s == 0 else _numbers(path, column, moments, lines) * unit_s
    if np.isnan(time_s).any():
        line = lines[int(np.flatnonzero(np.isnan(time_s))[0])]
        raise SensewellError(f"{path.name}, line {line}: column {column!r} has no time: every row needs one")
    return time_s


def default_schema_path(path: Path) -> Path:
    """watch.csv.gz -> watch.json"""
    return path.with_name(path.name.removesuffix(".gz").removesuffix(".csv") + ".json")


def _read(path: Path, schema: Schema) -> tuple[list[str], list[int], list[list[str]]]:
    """Header, line numbers and cells, checked to be a full table with the columns that the schema needs."""
    try:
        raw = path.read_bytes()
        text = (gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw).decode("utf-8-sig")
    except FileNotFoundError:
        raise SensewellError(f"there is no file {path}") from None
    except UnicodeDecodeError as error:
        raise SensewellError(f"{path.name} is no UTF-8 text (byte {error.start}): save it as CSV in UTF-8") from error
    except (OSError, EOFError, ValueError) as error:
        raise SensewellError(f"{path.name} cannot be read: {error}") from error
    if schema.about.get("captured") is True and not text.endswith("\n"):
        text = text[: text.rfind("\n") + 1]  # a line that the capture could not finish
    reader = csv.reader(io.StringIO(text, newline=""))
    try:
        header = [name.strip() for name in next(reader, [])]
        if not any(header):
            raise SensewellError(f"{path.name} is empty: expected a header with {', '.join(schema.needed)}")
        _check_header(path, header, schema)
        lines, cells = [], []
        for row in reader:
            if not row:
                continue
            if len(row) != len(header):
                raise SensewellError(
                    f"{path.name}, line {reader.line_num}: expected {len(header)} cells as in the header, "
                    f"got {len(row)}"
                )
            lines.append(reader.line_num)
            cells.append(row)
    except csv.Error as error:
        raise SensewellError(f"{path.name}, line {reader.line_num}: {error}") from error
    if not cells:
        raise SensewellError(f"{path.name} has a header and no rows")
    return header, lines, cells


def _check_header(path: Path, header: Sequence[str], schema: Schema) -> None:
    doubled = [name for name in schema.needed if header.count(name) > 1]
    if doubled:
        raise SensewellError(f"{path.name}: column {doubled[0]!r} is there {header.count(doubled[0])} times")
    absent = [name for name in schema.needed if name not in header]
    if not absent:
        return
    other = next((one for one in ";\t|" if header[0].count(one) >= len(schema.needed) - 1 > 0), "")
    if other and len(header) == 1:
        raise SensewellError(
            f"{path.name}: its columns are divided by {other!r}, expected commas, and points in numbers: save it so"
        )
    near = difflib.get_close_matches(absent[0], header, 1)
    raise SensewellError(
        f"{path.name}: expected columns {', '.join(schema.needed)}; the file has {', '.join(header)}; "
        f"not there: {', '.join(absent)}. Correct the header or the schema"
        + (f" (is {near[0]!r} meant for {absent[0]!r}?)" if near else "")
    )


def _numbers(path: Path, column: str, cells: Sequence[str], lines: Sequence[int]) -> NDArray[np.float64]:
    try:
        values = np.array([math.nan if cell in _NONE else float(cell) for cell in cells])
        bad = np.flatnonzero(np.isinf(values))
    except ValueError:
        bad = np.array([next(i for i, cell in enumerate(cells) if not _is_number(cell))])
    if bad.size:
        at = int(bad[0])
        raise SensewellError(
            f"{path.name}, line {lines[at]}, column {column!r}: expected a number, got {cells[at]!r} "
            "(leave the cell empty where there is no reading)"
        )
    return values


def _iso(path: Path, column: str, cells: Sequence[str], lines: Sequence[int]) -> NDArray[np.float64]:
    """Seconds since 1970 of ISO 8601 times; those without a zone count as UTC, so that none comes twice."""
    found = _moments(path, column, cells, lines)
    return np.array([(moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() for moment in found])


def _hours(path: Path, column: str, cells: Sequence[str], lines: Sequence[int]) -> NDArray[np.int16]:
    """int16[rows, 3] as the board's clock has it: the hour that is written, whatever its zone."""
    use_device_path()
    from sensewell.sensor.clock import hour_row

    found = np.empty((len(cells), 3), np.int16)
    for row, moment in zip(found, _moments(path, column, cells, lines), strict=True):
        hour_row(row, 60 * moment.hour + moment.minute, moment.weekday())
    return found


def _moments(path: Path, column: str, cells: Sequence[str], lines: Sequence[int]) -> list[datetime]:
    found = []
    for line, cell in zip(lines, cells, strict=True):
        try:
            found.append(datetime.fromisoformat(cell))
        except ValueError:
            raise SensewellError(
                f"{path.name}, line {line}, column {column!r}: expected a time as 2026-05-04 13:30:00, got {cell!r}"
            ) from None
    return found


def _is_number(cell: str) -> bool:
    try:
        return cell in _NONE or math.isfinite(float(cell))
    except ValueError:
        return False


def _runs(keys: Sequence[Any]) -> Iterator[tuple[int, int]]:
    """[start, end) of rows in a row with the same key."""
    start = 0
    for at in range(1, len(keys) + 1):
        if at == len(keys) or keys[at] != keys[start]:
            yield start, at
            start = at


class _Table:
    """What the schema makes of the text cells of a row. cells: the columns `schema.needed`."""

    def __init__(self, cells: Sequence[Sequence[str]], schema: Schema) -> None:
        self._cells = cells
        self._schema = schema
        self._place = {name: number for number, name in enumerate(schema.needed)}

    def __len__(self) -> int:
        return len(self._cells)

    def cell(self, row: int, column: str) -> str:
        return self._cells[row][self._place[column]]

    def label(self, row: int) -> str:
        schema = self._schema
        said = self.cell(row, schema.label) if schema.label else ""
        if schema.label_above is None:
            return said
        limit, low, high = schema.label_above
        if not _is_number(said) or said in _NONE or float(said) in schema.missing:
            return ""
        return high if float(said) > limit else low

    def group(self, row: int) -> str:
        said = self.cell(row, self._schema.group) if self._schema.group else ""
        if self._schema.group_by is None:
            return said
        try:
            when = datetime.fromisoformat(said)
        except ValueError:
            raise SensewellError(f"expected a time as 2026-05-04 13:30:00 to group by, got {said!r}") from None
        forms = {"day": f"{when:%Y-%m-%d}", "month": f"{when:%Y-%m}", "quarter": f"{when:%Y}q{(when.month + 2) // 3}"}
        return forms[self._schema.group_by]

    def session(self, row: int) -> tuple[str, ...]:
        return (*self._recording(row), self.group(row))

    def name(self, row: int) -> str:
        return "-".join(self._recording(row) or [part for part in (self.group(row), self.label(row)) if part])

    def _recording(self, row: int) -> list[str]:
        return [self.cell(row, column) for column in self._schema.recording]


def _sessions(table: _Table, time_s: NDArray[np.float64] | None) -> Iterator[tuple[int, int]]:
    """[start, end) of rows that were taken one after another; where time starts anew with a new label, so do they."""
    for start, end in _runs([table.session(row) for row in range(len(table))]):
        cuts = [start]
        if time_s is not None:
            back = np.flatnonzero(np.diff(time_s[start:end]) <= 0) + start + 1
            cuts += [at for at in back.tolist() if table.label(at) != table.label(at - 1)]
        yield from zip(cuts, [*cuts[1:], end], strict=True)


def _moment(time_s: float, schema: Schema) -> str:
    if schema.time and schema.time[1] == 0:
        return f"{datetime.fromtimestamp(time_s, UTC).replace(tzinfo=None)} UTC"
    return f"{time_s:.12g} s"


def _on_the_grid(
    path: Path, schema: Schema, time_s: NDArray[np.float64], lines: Sequence[int], report: ImportReport
) -> Iterator[NDArray[np.int64]]:
    """For each stretch without a long hole the row for every period, -1 where it was lost: a file that is replayed has
    no clock but the number of its rows."""
    step = np.diff(time_s)
    if (step <= 0).any():
        at = int(np.flatnonzero(step <= 0)[0])
        before, after = (_moment(float(one), schema) for one in time_s[at : at + 2])
        raise SensewellError(
            f"{path.name}, line {lines[at + 1]}: time goes from {before} to {after}; "
            "it must rise inside a recording (is a recording column missing in the schema?)"
        )
    if len(step) and not 0.8 < np.median(step) * schema.rate_hz < 1.25:
        key, value = next(iter(rate_said(schema.rate_hz).items()))
        raise SensewellError(
            f"{path.name}, line {lines[0]}: rows are {np.median(step):g} s apart, {key} {value} means "
            f"{1 / schema.rate_hz:g} s: correct {key} or the unit of the time"
        )
    lost = np.rint(step * schema.rate_hz).astype(np.int64) - 1
    late = np.flatnonzero((lost[:-1] > 0) & (lost[1:] < 0))  # the next one came right after it: none was lost
    lost[late] -= 1
    ends = [*np.flatnonzero(step > max(HOLE_S, (HOLE_ROWS + 0.5) / schema.rate_hz)).tolist(), len(time_s) - 1]
    report.split_at_holes += len(ends) - 1
    start = 0
    for end in ends:
        inside = np.maximum(lost[start:end], 0)
        place = np.concatenate(([0], np.cumsum(inside + 1)))
        rows = np.full(int(place[-1]) + 1, -1, np.int64)
        rows[place] = np.arange(start, end + 1)
        report.rows_put_back += int(inside.sum())
        yield rows
        start = end + 1
