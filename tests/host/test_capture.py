"""What a board streams, line by line; the folder it goes to; what is drawn of it. No board is needed."""

from __future__ import annotations

import binascii
import csv
import json
import os
import struct
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console
from rich.live import Live
from sensewell_host import capture_commands
from sensewell_host.capture import wire
from sensewell_host.capture.screen import Screen, sparkline
from sensewell_host.capture.session import Plan, Result, channels_of
from sensewell_host.capture.store import Stated, Store
from sensewell_host.capture.wire import Head, Lines, Rows
from sensewell_host.cli import app
from sensewell_host.dataset import ChannelInfo
from sensewell_host.dataset.csv_import import import_csv
from sensewell_host.dataset.schema import Schema
from sensewell_host.errors import SensewellError
from typer.testing import CliRunner

CHANNELS = (ChannelInfo("a", "g", 0.5, 1.0), ChannelInfo("b", "", 1.0))
T_MASK = (1 << 30) - 1


def said(letter: str, record: bytes) -> str:
    text = record.decode() if letter == "H" else binascii.b2a_base64(record, newline=False).decode()
    return f"{letter} {text} {binascii.crc32(record):#x}"


def head(start: int, ms: bool = False, n: int = 2) -> str:
    facts = {"channels": None, "n": n, "start": start, "ms": ms, "id": "01", "machine": "m", "version": "v"}
    return said("H", json.dumps({**facts, "calibration": None}).encode())


def samples(first: int, ticks: list[int], lost: int = 0, flag: int = 0) -> str:
    rows = [
        struct.pack("<HHhh", t & 0xFFFF, (t & T_MASK) >> 16 | flag << 14, first + i, -i) for i, t in enumerate(ticks)
    ]
    return said("S", struct.pack("<II", first, lost) + b"".join(rows))


def listen(period_us: int) -> tuple[Lines, list[Head], list[Rows]]:
    heads: list[Head] = []
    rows: list[Rows] = []
    return Lines(period_us, heads.append, rows.append), heads, rows


@pytest.mark.parametrize(("ms", "period"), [(False, 10_000), (True, 3_600_000)])
def test_times_go_on_where_the_ticks_of_a_board_wrap(ms: bool, period: int) -> None:
    unit_us = 1000 if ms else 1
    start = T_MASK - 2 * period
    lines, heads, rows = listen(period * unit_us)
    lines(head(start, ms))
    lines(samples(0, [start, start + period + 3]))
    lines(samples(2, [(start + 2 * period) & T_MASK, (start + 3 * period + 7) & T_MASK]))
    lines(samples(200, [(start + 200 * period - 1) & T_MASK]) if not ms else "")
    assert heads[0].n_channels == 2 and heads[0].board_id == "01"
    assert np.concatenate([one.late_us for one in rows]).tolist()[:4] == [0, 3 * unit_us, 0, 7 * unit_us]
    assert rows[1].number.tolist() == [2, 3] and rows[1].t_us[0] == 2 * period * unit_us
    assert rows[0].counts.tolist() == [[0, 0], [1, -1]] and not rows[0].flags.any()
    if not ms:
        assert rows[2].t_us.tolist() == [200 * period - 1]


def test_what_does_not_arrive_whole_is_counted_and_dropped() -> None:
    lines, _, rows = listen(10_000)
    lines(samples(0, [5]))  # before the head
    lines(head(0))
    whole = samples(0, [0, 10_000], flag=wire.STALE)
    for torn in (
        whole[:-3],
        whole[:9] + "A" + whole[9:],
        whole.replace("S ", "S  "),
        "S",
        "noise",
        whole[5:],
        "E AAAA 12",
    ):
        lines(torn)
    assert lines.damaged == 8 and not rows and lines.ended is None
    lines(whole)
    assert rows[0].flags.tolist() == [wire.STALE] * 2
    lines("")
    lines("X OSError(19,)")
    lines(said("E", struct.pack("<IIII", 2, 5, 1, 2)))
    assert lines.ended == (2, 5, 1, 2) and lines.lost == 5 and lines.errors == ["OSError(19,)"] and lines.damaged == 8


def store(folder: Path, **changes: Any) -> Store:
    given: dict[str, Any] = {"channels": CHANNELS, "rate_hz": 100, "stated": Stated("run, fast", "p1"), "session": {}}
    return Store(folder, **{**given, "group": "p1", **changes})


def test_a_torn_line_is_cut_off_and_other_recordings_are_untouched(tmp_path: Path) -> None:
    one = store(tmp_path)
    one.add(np.arange(3), np.arange(3) * 10_000, np.array([[1, 2], [-32768, 3], [32767, -4]], np.int16))
    one.close(how="whole")
    table = tmp_path / "capture.csv"
    before = table.read_bytes()
    for torn in (b"run-fast-1,walk", b"x" * 200_000, b""):
        table.write_bytes(before + torn)
        two = store(tmp_path)
        assert two.torn == len(torn) and table.read_bytes() == before
        two.close()
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["a"] for row in rows] == ["1", "", "32767"] and rows[0]["label"] == "run, fast"
    names = [one["recording"] for one in json.loads((tmp_path / "capture.json").read_text())["about"]["sessions"]]
    assert names == ["run-fast-1", "run-fast-2", "run-fast-3", "run-fast-4"]
    table.write_bytes(b"recording,lab")  # not even the header was finished
    again = store(tmp_path)
    again.add(np.arange(2), np.arange(2) * 10_000, np.ones((2, 2), np.int16))
    again.close()
    dataset, _ = import_csv(table)
    assert dataset.recordings[0].samples.tolist() == [[1, 1], [1, 1]] and dataset.notes["about"]["captured"]


def test_a_folder_that_is_no_capture_or_another_one_is_refused(tmp_path: Path) -> None:
    store(tmp_path / "a").close()
    for changes in ({"rate_hz": 50}, {"rate_hz": 10.0}, {"channels": CHANNELS[:1]}):
        with pytest.raises(SensewellError, match="capture into another folder"):
            store(tmp_path / "a", **changes)
    (tmp_path / "a" / "capture.json").write_text("{")
    with pytest.raises(SensewellError, match="is no schema of a capture"):
        store(tmp_path / "a")
    (tmp_path / "a" / "capture.json").unlink()
    with pytest.raises(SensewellError, match=r"without its capture\.json"):
        store(tmp_path / "a")


@pytest.mark.parametrize("line", ["\ufeffrecording,label,who,place,number,t_us,a,b", "label;who;a;b", "label,a,b", ""])
def test_a_table_that_another_program_has_saved_is_not_added_to(tmp_path: Path, line: str) -> None:
    store(tmp_path).close()
    table = tmp_path / "capture.csv"
    table.write_text(line + "\n" + "x\n", encoding="utf-8")
    before = table.read_bytes()
    with pytest.raises(SensewellError, match="expected recording, label, who, place, number, t_us, a, b: has another"):
        store(tmp_path)
    assert table.read_bytes() == before
    table.write_bytes(b"recording,lab")  # all that a crash has left
    store(tmp_path).close()
    assert table.read_text() == "recording,label,who,place,number,t_us,a,b\n"


def test_raw_columns_are_counts_and_have_no_factor() -> None:
    channel = {"name": "a", "scale": 0.5, "raw": True}
    assert Schema.parse({"rate_hz": 5, "channels": [channel], "about": {"x": 1}}).factors == (0.0,)
    for wrong in ({**channel, "factor": 2}, {**channel, "raw": 1}):
        with pytest.raises(SensewellError, match="raw as true or false, and no factor"):
            Schema.parse({"rate_hz": 5, "channels": [wrong]})
    with pytest.raises(SensewellError, match="about as an object"):
        Schema.parse({"rate_hz": 5, "channels": [channel], "about": 3})


def test_channels_are_those_of_the_user_the_sensor_or_numbered() -> None:
    def of(channels: Any, n: int) -> Head:
        return Head(channels, n, "", "", "", None)

    assert channels_of(of(None, 2)) == (ChannelInfo("c0", "", 1.0), ChannelInfo("c1", "", 1.0))
    assert channels_of(of([{"name": "t", "unit": "degC", "scale": 0.01, "offset": 3}], 1))[0].offset == 3.0
    assert channels_of(of(None, 2), CHANNELS) == CHANNELS
    with pytest.raises(SensewellError, match="names 1 channels, its sensor has 2"):
        channels_of(of([{"name": "t"}], 2))
    for names in (["a", "a"], ["a", "t_us"], ["a", ""], ["a ", "b"], ["a\n", "b"]):  # no CSV of theirs could be read
        with pytest.raises(SensewellError, match="names that differ from one another and from recording, label"):
            channels_of(of([{"name": name} for name in names], 2))
    with pytest.raises(SensewellError, match="at most 16 channels, this one has 17"):
        channels_of(of(None, 17))


def test_rows_are_in_the_file_before_any_more_come(tmp_path: Path) -> None:
    one = store(tmp_path)
    for k in range(1, 4):  # whoever kills the program now
        one.add(np.array([k]), np.array([k * 10_000]), np.array([[k, -k]], np.int16))
        assert len((tmp_path / "capture.csv").read_text().splitlines()) == 1 + k
    one.close()


def test_two_captures_at_a_time_do_not_go_into_one_folder(tmp_path: Path) -> None:
    first = store(tmp_path)
    with pytest.raises(SensewellError, match="another capture is writing into"):
        store(tmp_path)
    first.close()
    second = store(tmp_path)
    second.close()
    assert (first.name, second.name) == ("run-fast-1", "run-fast-2")


def test_what_is_stated_is_in_one_line() -> None:
    for words in ({"label": "a\nb"}, {"label": "a", "who": "\0"}, {"label": "a", "place": "b\r"}):
        with pytest.raises(SensewellError, match="printable text in one line"):
            Stated(**words)
    assert Stated("Läuft, schnell", "Анна", "Küche 2").label == "Läuft, schnell"


def test_a_capture_here_has_the_name_of_this_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "walks").mkdir()
    monkeypatch.chdir(tmp_path / "walks")
    store(Path(".")).close()
    assert Schema.load(Path("capture.json")).name == "walks"


class Clock:
    """MicroPython's `time` where it only goes on while somebody sleeps or a sensor takes its time."""

    us = 1000

    def ticks_us(self) -> int:
        return self.us

    def sleep_us(self, us: int) -> None:
        self.us += us


@pytest.mark.parametrize("stalls", [{}, {3: 25_000}, {3: 25_000, 7: 58_000}, {9: 31_000}])
def test_a_board_counts_each_period_that_was_asked_for_as_read_or_lost(
    stalls: dict[int, int], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = Clock()

    class Sensor:
        n_channels = 2
        reads = 0

        def read(self, row: Any) -> int:
            clock.us += stalls.get(self.reads, 0)
            self.reads += 1
            return self.reads

    monkeypatch.setitem(sys.modules, "time", clock)  # type: ignore[arg-type]
    monkeypatch.setattr(sys.implementation, "_machine", "m", raising=False)
    board: dict[str, Any] = {}
    exec(wire.SCRIPT.read_text(), board)
    board["stream"](Sensor(), None, 2, 10_000, 10, 4, False)
    monkeypatch.undo()
    lines, _, rows = listen(10_000)
    for line in capsys.readouterr().out.splitlines():
        lines(line)
    assert lines.ended is not None and lines.damaged == 0
    assert sum(len(one.number) for one in rows) == lines.ended[0] and sum(lines.ended[:2]) == 10
    assert (lines.ended[1] > 0) == any(at < 9 for at in stalls)


def test_a_sparkline_is_as_wide_as_it_may_be_and_shows_what_is_missing() -> None:
    assert sparkline([0, 1, 2, 3, 4, 5, 6, 7]) == "▁▂▃▄▅▆▇█"
    assert sparkline([1, float("nan"), 1]) == "▄ ▄" and sparkline([float("nan")] * 3) == "   " and sparkline([]) == ""
    wave = sparkline(np.sin(np.arange(600) / 30).tolist())
    assert len(wave) == 60 and {"▁", "█"} <= set(wave)


@pytest.mark.parametrize("columns", [50, 80, 200])
def test_the_newest_values_are_to_be_seen_however_narrow_the_terminal_is(columns: int) -> None:
    with Path(os.devnull).open("w") as nowhere:
        console = Console(width=columns, file=nowhere, record=True)
        live = Live(console=console, auto_refresh=False)
        screen = Screen(live, CHANNELS, 100, 500)
        still = [[0, 0]] * 299
        counts = np.array([*still, [100, 100]], np.int16)
        zeros = np.zeros(300, np.int64)
        screen(Rows(np.arange(300), zeros, zeros, zeros.astype(np.uint8), counts), Result(rows=300), True)
        console.print(screen.picture(Result(rows=300), True))
        shown = [line.rstrip() for line in console.export_text().splitlines() if "\u2581" in line]
    assert len(shown) >= 2 and all(line[-1] == "\u2588" and len(line) <= columns for line in shown), shown


def test_the_screen_says_what_is_lost() -> None:
    console = Console(width=140, record=True, force_terminal=True)
    with Live(console=console, auto_refresh=False) as live:
        screen = Screen(live, CHANNELS, 100, 500)
        counts = np.array([[4, 7], [6, -32768], [0, 0]], np.int16)
        screen(
            Rows(np.arange(3), np.arange(3), np.zeros(3, np.int64), np.array([0, 0, 1], np.uint8), counts),
            Result(),
            True,
        )
        console.print(screen.picture(Result(rows=3, lost=2, gaps=[1.0]), True))
    shown = console.export_text()
    assert "3 of 500 samples; 2 lost, 1 broken wires" in shown and "4" in shown  # a: 6 * 0.5 + 1


def test_enter_is_noticed_once_and_the_end_of_input_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    out, into = os.pipe()
    with os.fdopen(out) as keys:
        monkeypatch.setattr("sys.stdin", keys)
        assert not capture_commands._enter()
        os.write(into, b"\n")
        assert capture_commands._enter() and not capture_commands._enter()
        os.close(into)
        assert not capture_commands._enter()
    monkeypatch.setattr("sys.stdin", None)
    assert not capture_commands._enter()


def test_channels_are_named_on_the_command_line() -> None:
    made = capture_commands._channels("ax:m/s2:0.01, t:degC:0.5:-40,n")
    assert made == (ChannelInfo("ax", "m/s2", 0.01), ChannelInfo("t", "degC", 0.5, -40.0), ChannelInfo("n", "", 1.0))
    for wrong in ("ax:m/s2:x", "ax:g:1:2:3"):
        with pytest.raises(SensewellError, match="name:unit:scale"):
            capture_commands._channels(wrong)


@pytest.mark.parametrize("words", [["--seconds", "inf"], ["--before", "inf"], ["--patience", "nan"]])
def test_times_without_an_end_are_refused(words: list[str]) -> None:
    said = CliRunner().invoke(app, ["capture", "--label", "x", "--board", "nosuch", *words])
    assert said.exit_code == 2 and words[0] in said.output


def test_a_sensor_that_is_slower_than_it_is_read_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    plan = Plan(Path("x"), Stated("a"), 50, 5)
    capture_commands._show(plan, Result("a-1", rows=44, stale=203))
    assert "measures more slowly than 50 Hz: capture anew with --period-ms" in " ".join(capsys.readouterr().out.split())
    capture_commands._show(plan, Result("a-1", rows=200, stale=50))
    assert "more slowly" not in capsys.readouterr().out
