"""The whole way as a user types it: import, start a board, deploy, run, lose the wire, deploy again, stop the board."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tiny_bundle
from sensewell_host import board_slots
from sensewell_host.board import connect, virtual
from sensewell_host.run import Record

pytestmark = pytest.mark.skipif(not virtual.is_built("virt_c3"), reason="virt_c3 is not built: make board-virt_c3")

SETUP = """
from time import ticks_ms
class Sensor:
    def read(self, row):
        row[0] = row[1] = ticks_ms() * 7 % 2000
        return ticks_ms()
def sensor():
    return Sensor()
def outputs():
    return ()
"""
COMMAND = [sys.executable, "-c", "from sensewell_host.cli import main; main()"]


def start(folder: Path, *arguments: object) -> subprocess.Popen[str]:
    environment = {**os.environ, "COLUMNS": "200", "NO_COLOR": "1"}
    return subprocess.Popen(
        [*COMMAND, *map(str, arguments)],
        cwd=folder,
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def sensewell(folder: Path, *arguments: object) -> str:
    """What the command says; it must succeed."""
    process = start(folder, *arguments)
    said, complaint = process.communicate(timeout=120)
    assert process.returncode == 0, f"sensewell {' '.join(map(str, arguments))}: {complaint}"
    return said


def refused(folder: Path, *arguments: object) -> str:
    """The one sentence with which the command fails."""
    process = start(folder, *arguments)
    _, complaint = process.communicate(timeout=120)
    assert process.returncode == 1 and complaint.count("\n") == 1, complaint
    return complaint.strip()


def prepare(folder: Path) -> None:
    """Recordings as CSV with their schema, and two bundles."""
    rng = np.random.default_rng(9)
    rows = ["who,what,c0,c1"]
    for number in range(1200):
        a, b = rng.normal(0, 500, 2)
        rows.append(f"{1 + number // 600},class{number // 300 % 2},{a:.1f},{b:.1f}")
    (folder / "moves.csv").write_text("\n".join(rows) + "\n")
    channels = [{"name": name, "unit": "m/s2", "scale": 0.5} for name in ("c0", "c1")]
    schema = {"name": "moves", "rate_hz": 50, "channels": channels, "label": "what", "group": "who"}
    (folder / "moves.json").write_text(json.dumps(schema))
    (folder / "old.swb").write_bytes(tiny_bundle.build(n_channels=2))
    (folder / "new.swb").write_bytes(tiny_bundle.build(n_channels=2, trees=40, depth=7, version=2))
    (folder / "setup.py").write_text(SETUP)


def test_from_recordings_to_decisions_with_a_wire_lost_in_between(
    tmp_path: Path, relay: Callable[[int, int], str]
) -> None:
    prepare(tmp_path)
    assert "4 recordings of 2 groups" in sensewell(tmp_path, "data", "import", "moves.csv", "--out", "moves")
    address = re.search(r"socket://127\.0\.0\.1:(\d+)", sensewell(tmp_path, "board", "start", "virt_c3"))
    assert address
    port = address[1]
    try:
        assert "there is no bundle on virt_c3" in refused(tmp_path, "run", "--board", port, "--data", "moves")
        assert "believes nobody yet" in refused(tmp_path, "deploy", "old.swb", "--board", port)
        deploy = ("deploy", "old.swb", "--board", port, "--unsigned", "--setup", "setup.py")
        assert "virt_c3 runs old.swb in slot a" in sensewell(tmp_path, *deploy)
        sensewell(tmp_path, "slots", "pin", "--board", port)
        assert "slot a is active, confirmed" in sensewell(tmp_path, "slots", "unpin", "--board", port)
        run = ("run", "--board", port, "--data", "moves", "--bundle", "old.swb", "--faults")
        assert "clean" in sensewell(tmp_path, *run, "--out", "first")

        # the same decisions as on this PC
        sensewell(tmp_path, "run", "--data", "moves", "--bundle", "old.swb", "--faults", "--out", "here")
        board, here = Record.load(tmp_path / "first"), Record.load(tmp_path / "here")
        for way in board.played:
            assert all(a.same(b) for a, b in zip(board.played[way], here.played[way], strict=True))
            assert sum(len(one.decisions) for one in board.played[way]) > 100

        # the wire breaks in the middle of the bundle
        assert "broke" in refused(tmp_path, "deploy", "new.swb", "--port", relay(int(port), 22_000))
        with connect(address[0]) as wire:
            found = board_slots.status(wire)
            assert found["active"] == "a" and wire.get("/slot/a.swb") == (tmp_path / "old.swb").read_bytes()
            there = wire.get("/slot/b.swb")
            assert found["slots"]["b"]["state"] == "writing" and 0 < len(there) < found["slots"]["b"]["bytes"]
        sensewell(tmp_path, *run, "--out", "second")
        again = Record.load(tmp_path / "second")
        for way in board.played:
            assert all(a.same(b) for a, b in zip(board.played[way], again.played[way], strict=True))

        # and once more, to the end
        assert "virt_c3 runs new.swb in slot b" in sensewell(tmp_path, "deploy", "new.swb", "--board", port)
        with connect(address[0]) as wire:
            assert board_slots.status(wire)["active"] == "b"
            assert wire.get("/slot/b.swb") == (tmp_path / "new.swb").read_bytes()
            assert wire.listdir("/slot") == ["a.swb", "a/", "b.swb", "b/", "journal.0", "journal.1"]
            assert "busy" in refused(tmp_path, "deploy", "new.swb", "--board", port)
        sensewell(tmp_path, "report", "second")
        assert (tmp_path / "second" / "confusion.png").is_file()
    finally:
        sensewell(tmp_path, "board", "stop", port)
    assert "no running board" in refused(tmp_path, "deploy", "new.swb", "--board", port)
