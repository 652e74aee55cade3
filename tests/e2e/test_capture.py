"""Capture from a virtual ESP32-C3: all that came is kept, through a wire that is cut and a process that is killed."""

from __future__ import annotations

import contextlib
import csv
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sensewell_host.board import connect, virtual
from sensewell_host.capture.session import Capture, Plan
from sensewell_host.capture.store import Stated
from sensewell_host.cli import app
from sensewell_host.dataset import ChannelInfo, Dataset
from sensewell_host.dataset.csv_import import import_csv
from sensewell_host.dataset.recording import MISSING
from sensewell_host.errors import SensewellError
from typer.testing import CliRunner

pytestmark = pytest.mark.skipif(not virtual.is_built("virt_c3"), reason="virt_c3 is not built: make board-virt_c3")

ROWS = np.random.default_rng(5).integers(-3000, 3000, (900, 6)).astype("<i2")
REPLAY = "sensewell.sensor.replay.Replay('/rows', 6, 10)"
SETUP = """
from time import ticks_ms
CHANNELS = [("a", "g"), ("b", "deg")]
CALIBRATION = [{"offset_raw": 3}, {}]
class Sensor:
    n = 0
    def channels(self):
        return [{"name": "a", "unit": "g", "scale": 0.5, "offset": 1.0}, {"name": "b", "unit": "deg"}]
    def read(self, row):
        self.n += 1
        if self.n == 50:
            raise OSError(19)
        row[0] = self.n
        row[1] = -self.n
        return ticks_ms()
def sensor():
    return Sensor()
"""


class Wire:
    """A TCP relay to a board that can be cut, and works again for whoever connects next."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"socket://127.0.0.1:{self._listener.getsockname()[1]}"
        self._ends: list[socket.socket] = []
        self.down = False
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                here, _ = self._listener.accept()
                if self.down:
                    here.close()
                    continue
                there = socket.create_connection(("127.0.0.1", self._port))
                self._ends = [here, there]
                for one, two in ((here, there), (there, here)):
                    threading.Thread(target=self._relay, args=(one, two), daemon=True).start()

    def _relay(self, one: socket.socket, two: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := one.recv(4096):
                two.sendall(data)
        self.cut()

    def cut(self) -> None:
        for end in self._ends:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def close(self) -> None:
        self._listener.close()
        self.cut()


@pytest.fixture(scope="module")
def running() -> Iterator[virtual.VirtualBoard]:
    """A board with a recording on its flash and nothing else."""
    with virtual.session("virt_c3") as board:
        with connect(board.address) as wire:
            wire.put("/rows", ROWS.tobytes())
        yield board


@pytest.fixture
def wire(running: virtual.VirtualBoard) -> Iterator[Wire]:
    made = Wire(running.port)
    yield made
    made.close()


def plan(folder: Path, **changes: Any) -> Plan:
    channels = tuple(ChannelInfo(f"c{n}", "m/s2", 0.01) for n in range(6))
    given = {"seconds": 2.0, "rate_hz": 100, "sensor": REPLAY, "channels": channels, **changes}
    return Plan(folder, Stated("walking", "p1", "wrist", "today"), **given)


def table(folder: Path) -> list[dict[str, str]]:
    with (folder / "capture.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def counts(rows: list[dict[str, str]]) -> np.ndarray:
    return np.array([[int(row[f"c{n}"]) for n in range(6)] for row in rows], np.int16)


def test_no_sample_is_late_on_a_board_that_counts_its_time(tmp_path: Path) -> None:
    with virtual.session("virt_c3", icount=True) as board:  # its own clock: no load of this PC makes it late
        with connect(board.address) as wire:
            wire.put("/rows", ROWS.tobytes())
        result = Capture(plan(tmp_path)).run(board.address)
    print(f"100 Hz, 6 channels: {result.late} of {result.rows} late by more than 1 ms, at most {result.late_max_us} us")
    assert (result.rows, result.lost, result.on_wire, result.late) == (200, 0, 0, 0) and result.late_max_us < 1000


def test_what_a_board_reads_is_what_is_imported(running: virtual.VirtualBoard, tmp_path: Path) -> None:
    result = Capture(plan(tmp_path / "one")).run(running.address)
    assert (result.rows + result.lost, result.on_wire, result.damaged, result.how) == (200, 0, 0, "whole"), result
    rows = table(tmp_path / "one")
    numbers = [int(row["number"]) for row in rows]
    assert len(rows) == result.rows and numbers == sorted(set(numbers)) and numbers[-1] < 200
    assert np.array_equal(counts(rows), ROWS[: len(rows)])
    assert {(row["label"], row["who"], row["place"]) for row in rows} == {("walking", "p1", "wrist")}
    dataset, _ = import_csv(tmp_path / "one" / "capture.csv")
    saved = Dataset.load(dataset.save(tmp_path / "dataset").folder or tmp_path)
    assert saved.rate_hz == 100 and saved.channels[0].scale == 0.01 and saved.recordings[0].group == "p1"
    whole = saved.recordings[0].samples
    assert np.array_equal(whole[(whole != MISSING).all(1)], ROWS[: len(rows)])
    session = saved.notes["about"]["sessions"][0]
    assert session["when"] == "today" and session["board"] and session["lost"] == result.lost
    # another capture goes into the same folder, one at another rate does not
    again = Capture(plan(tmp_path / "one", seconds=0.2)).run(running.address)
    assert again.name == "walking-2" and len(table(tmp_path / "one")) == result.rows + again.rows
    with pytest.raises(SensewellError, match="captured with rate_hz 100, now it is 50"):
        Capture(plan(tmp_path / "one", rate_hz=50)).run(running.address)


def test_a_cut_wire_is_a_gap_and_nothing_that_came_is_lost(wire: Wire, tmp_path: Path) -> None:
    came: list[np.ndarray] = []

    def watch(rows: Any, result: Any, kept: bool) -> None:
        came.append(rows.counts)
        if not result.gaps and result.rows >= 100 and not wire.down:
            wire.down = True
            wire.cut()
            threading.Timer(2.2, lambda: setattr(wire, "down", False)).start()  # a hole ends a recording

    result = Capture(plan(tmp_path, patience_s=20), watch=watch).run(wire.address)
    assert len(result.gaps) == 1 and result.gaps[0] > 1 and result.how == "whole"
    rows = table(tmp_path)
    assert np.array_equal(counts(rows), np.concatenate(came)) and len(rows) == result.rows
    assert result.rows + result.lost + result.on_wire >= 200
    at = next(n for n in range(1, len(rows)) if int(rows[n]["number"]) - int(rows[n - 1]["number"]) > 90)
    assert at >= 100 and int(rows[at]["t_us"]) - int(rows[at - 1]["t_us"]) > 1_000_000
    said = json.loads((tmp_path / "capture.json").read_text())["about"]["sessions"][0]
    assert said["gaps"][0]["why"] == "wire" and said["gaps"][0]["seconds"] == result.gaps[0]
    dataset, report = import_csv(tmp_path / "capture.csv")
    assert report.split_at_holes == 1 and [one.name for one in dataset.recordings] == ["walking-1", "walking-1-2"]


def test_a_wire_that_stays_broken_ends_the_capture_with_what_came(wire: Wire, tmp_path: Path) -> None:
    def watch(rows: Any, result: Any, kept: bool) -> None:
        if result.rows >= 50:
            wire.down = True
            wire.cut()

    result = Capture(plan(tmp_path, patience_s=0.1), watch=watch).run(wire.address)
    assert result.how == "broken" and len(table(tmp_path)) == result.rows >= 50


def test_a_trigger_keeps_what_was_before_it(running: virtual.VirtualBoard, tmp_path: Path) -> None:
    at = next(n for n in range(60, 500) if ROWS[n, 2] > ROWS[:n, 2].max())
    ring = plan(tmp_path, before_s=0.3, seconds=0.5, trigger=f"c2 > {ROWS[:at, 2].max() / 100}")
    result = Capture(ring).run(running.address)
    kept = counts(table(tmp_path))
    place = next(n for n in range(len(ROWS)) if np.array_equal(ROWS[n], kept[0]))
    assert np.array_equal(kept, ROWS[place : place + len(kept)])
    assert max(0, at - 33) <= place <= max(0, at - 27) and place + len(kept) + result.lost >= at + 45, (
        at,
        place,
        result,
    )
    few = plan(
        tmp_path / "few",
        before_s=0.3,
        seconds=60,
        trigger="|c0| < -1",
        sensor="sensewell.sensor.replay.Replay(bytes(600), 6, 10)",
    )
    result = Capture(few).run(running.address)
    assert result.how == "untriggered" and 28 <= len(table(tmp_path / "few")) <= 34  # what was held is kept
    for wrong in ("c2", "|c2 > 3", "c2 > x"):
        with pytest.raises(SensewellError, match="expected a trigger"):
            Capture(plan(tmp_path, before_s=1, trigger=wrong))
    with pytest.raises(SensewellError, match="channel c9 is none of c0, c1"):
        Capture(plan(tmp_path / "none", before_s=1, trigger="c9 > 1")).run(running.address)
    assert not (tmp_path / "none").exists()


def test_ctrl_c_saves_what_there_is(running: virtual.VirtualBoard, tmp_path: Path) -> None:
    def watch(rows: Any, result: Any, kept: bool) -> None:
        if result.rows >= 60:
            raise KeyboardInterrupt

    result = Capture(plan(tmp_path), watch=watch).run(running.address)
    assert result.how == "interrupted" and len(table(tmp_path)) == result.rows >= 60
    assert json.loads((tmp_path / "capture.json").read_text())["about"]["sessions"][0]["how"] == "interrupted"


def test_a_capture_that_is_ended_from_outside_does_not_call_itself_whole(
    running: virtual.VirtualBoard, tmp_path: Path
) -> None:
    def watch(rows: Any, result: Any, kept: bool) -> None:
        if result.rows >= 50:
            sys.exit(143)  # as on SIGTERM

    with pytest.raises(SystemExit):
        Capture(plan(tmp_path, seconds=60), watch=watch).run(running.address)
    session = json.loads((tmp_path / "capture.json").read_text())["about"]["sessions"][0]
    assert session["how"] == "interrupted" and session["rows"] == len(table(tmp_path)) >= 50


def test_a_killed_capture_has_its_rows_and_goes_on(running: virtual.VirtualBoard, tmp_path: Path) -> None:
    command = [str(Path(sys.executable).with_name("sensewell")), "capture", "--board", running.address, "-l", "a"]
    command += ["--rate", "100", "--sensor", REPLAY, "--out", str(tmp_path / "killed"), "--seconds", "30"]
    command += ["--channels", ",".join(f"c{n}:m/s2:0.01" for n in range(6))]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
    try:
        file = tmp_path / "killed" / "capture.csv"
        end = time.monotonic() + 20
        while time.monotonic() < end and not (file.exists() and file.stat().st_size > 8000):
            time.sleep(0.05)
        os.kill(process.pid, signal.SIGKILL)
    finally:
        process.wait()
    with file.open("ab") as torn:
        torn.write(b"a-1,a,xx,12")  # as a power cut would leave it
    dataset, _ = import_csv(file)
    before = len(dataset.recordings[0].samples)
    assert before >= 100
    result = Capture(plan(tmp_path / "killed", seconds=0.2)).run(running.address)
    assert result.torn == 11 and result.name == "walking-1"
    dataset, _ = import_csv(file)
    assert [one.label for one in dataset.recordings] == ["a", "walking"]
    assert len(dataset.recordings[0].samples) == before


def test_the_command_reads_setup_py_and_says_what_it_could_not_read(
    running: virtual.VirtualBoard, tmp_path: Path
) -> None:
    with connect(running.address) as wire:
        wire.put("/setup.py", SETUP.encode())
        wire.put("/calibration.json", b'{"sensewell_calibration": 1, "channels": {}}')
    try:
        words = ["capture", "--board", running.address, "--label", "x", "--seconds", "3", "--out", str(tmp_path)]
        said = CliRunner().invoke(app, words)
    finally:
        with connect(running.address) as wire:
            wire.remove("/setup.py")
            wire.remove("/calibration.json")
    assert said.exit_code == 0, said.output
    said_plainly = " ".join(said.output.split())
    assert "1 that the sensor did not read" in said_plainly and "OSError" in said_plainly
    rows = table(tmp_path)
    assert rows[0]["a"] == "1" and rows[0]["b"] == "-1" and rows[49]["a"] == ""
    schema = json.loads((tmp_path / "capture.json").read_text())
    assert schema["channels"][0] == {"name": "a", "unit": "g", "scale": 0.5, "offset": 1.0, "raw": True}
    session = schema["about"]["sessions"][0]  # setup.py's own calibration counts, as for a node, whatever there is else
    assert session["calibration"] == [{"offset_raw": 3}, {}] and session["errors"] == 1
    assert len({row["who"] for row in rows}) == 1 and rows[0]["who"] == session["board"]
    dataset, _ = import_csv(tmp_path / "capture.csv")
    assert [49, -49] in dataset.recordings[0].samples.tolist()


def test_a_board_that_cannot_say_its_sensor_is_told_what_to_do(running: virtual.VirtualBoard, tmp_path: Path) -> None:
    with pytest.raises(SensewellError, match=r"no /setup.py.*--sensor"):
        Capture(plan(tmp_path, sensor=None)).run(running.address)
    with pytest.raises(SensewellError, match="--channels names 2 channels, the sensor has 6"):
        Capture(plan(tmp_path, channels=(ChannelInfo("a", "", 1), ChannelInfo("b", "", 1)))).run(running.address)
    with pytest.raises(SensewellError, match=r"could not be read.*NameError"):
        Capture(plan(tmp_path, sensor="nothing()")).run(running.address)
    assert not (tmp_path / "capture.csv").exists()


@pytest.mark.skipif(not virtual.is_built("unix"), reason="the unix board is not built: make board-unix")
def test_a_slow_sensor_is_timed_in_ms_and_may_end(tmp_path: Path) -> None:
    (tmp_path / "flash").mkdir()
    (tmp_path / "flash" / "rows").write_bytes(ROWS[:3].tobytes())
    result = Capture(plan(tmp_path / "slow", rate_hz=1000 / 1000, seconds=60)).run(f"unix:{tmp_path / 'flash'}")
    assert (result.rows, result.how, result.lost) == (3, "ended", 0)
    rows = table(tmp_path / "slow")
    assert np.array_equal(counts(rows), ROWS[:3])
    assert [round(int(row["t_us"]) / 1e6) for row in rows] == [0, 1, 2] and all(
        int(row["t_us"]) % 1000 == 0 for row in rows
    )
    assert json.loads((tmp_path / "slow" / "capture.json").read_text())["period_ms"] == 1000


def test_a_driver_that_setup_py_names_is_brought_and_says_its_channels(
    running: virtual.VirtualBoard, tmp_path: Path
) -> None:
    setup = "from sensewell.sensor.adc import Adc\nclass Pin:\n    at = 30000\n    def read_u16(self):\n"
    setup += "        self.at += 16\n        return self.at\ndef sensor():\n    return Adc((Pin(), Pin()), times=1)\n"
    with connect(running.address) as wire:
        wire.put("/setup.py", setup.encode())
    try:
        result = Capture(plan(tmp_path, sensor=None, channels=(), seconds=0.5)).run(running.address)
    finally:
        with connect(running.address) as wire:
            wire.remove("/setup.py")
    assert result.errors == 0 and result.rows + result.lost + result.stale >= 50
    channels = json.loads((tmp_path / "capture.json").read_text())["channels"]
    assert [(one["name"], one["unit"]) for one in channels] == [("v0", "V"), ("v1", "V")]
    dataset, _ = import_csv(tmp_path / "capture.csv")
    info = dataset.channels[0]
    first = int(table(tmp_path)[0]["v0"]) * info.scale + info.offset
    assert abs(first - 30016 / 65535 * 3.3) < 0.01


def test_simulated_parts_are_brought_too_however_they_are_named(
    running: virtual.VirtualBoard, tmp_path: Path
) -> None:
    given: dict[str, Any] = {"channels": (), "seconds": 0.2}
    at = "sensewell.sensor.adxl345.Adxl345(sensewell_sim.bus.Bus(sensewell_sim.adxl345.Adxl345()))"
    assert Capture(plan(tmp_path / "one", sensor=at, **given)).run(running.address).errors == 0
    setup = "from sensewell.sensor import mpu6050\nfrom sensewell_sim import bus, mpu6886\n"
    setup += "def sensor():\n    return mpu6050.Mpu6050(bus.Bus(mpu6886.Mpu6886()))\n"
    with connect(running.address) as wire:
        wire.put("/setup.py", setup.encode())
    try:
        result = Capture(plan(tmp_path / "two", sensor=None, **given)).run(running.address)
    finally:
        with connect(running.address) as wire:
            wire.remove("/setup.py")
    assert result.errors == 0 and [one.name for one in import_csv(tmp_path / "two" / "capture.csv")[0].channels] == [
        "ax", "ay", "az", "gx", "gy", "gz",
    ]  # fmt: skip


def test_what_an_earlier_capture_has_left_does_not_hide_the_boards_own_modules(
    running: virtual.VirtualBoard, tmp_path: Path
) -> None:
    own = "class Sensor:\n    n = 0\n    def read(self, row):\n        self.n += 1\n        row[0] = self.n\n"
    files = {
        "/capture/sensewell/__init__.py": b"", "/lib/sensewell/__init__.py": b"",
        "/lib/sensewell/own.py": (own + "        return self.n\n").encode(),
        "/setup.py": b"def sensor():\n    from sensewell.own import Sensor\n    return Sensor()\n",
    }  # fmt: skip
    with connect(running.address) as wire:
        for path, content in files.items():
            wire.mkdirs(path.rpartition("/")[0] or "/")
            wire.put(path, content)
    try:
        given = plan(tmp_path, sensor=None, channels=(ChannelInfo("n", "", 1.0),), seconds=0.2)
        result = Capture(given).run(running.address)
    finally:
        with connect(running.address) as wire:
            for path in files:
                wire.remove(path)
    assert result.errors == 0 and result.rows + result.lost == 20
