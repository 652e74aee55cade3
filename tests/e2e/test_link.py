"""The link on a virtual ESP32-C3 that runs by itself: bundles come while it decides, and it tells how it does.

The board plays a recording at the rate of the bundle, 50 Hz, on an instruction clock: what a busy host does to it is
not counted as its own lateness. Decisions are told apart and timed by what the board prints.
"""

from __future__ import annotations

import itertools
import re
import shutil
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_bundle
from sensewell_host import board_slots, deploy_commands, live
from sensewell_host import link as links
from sensewell_host.board import Board, BoardError, connect, virtual
from sensewell_host.deploy import deploy
from sensewell_host.errors import SensewellError

pytestmark = pytest.mark.skipif(not virtual.is_built("virt_c3"), reason="virt_c3 is not built: make board-virt_c3")

HOP_MS = 160  # of tiny_bundle's manifest: 8 samples at 50 Hz
LATE_MS = 120  # a decision left out would make it 160
LOST = 10  # samples at most, over a deploy: loading the code for it takes longer than a sample
PROBATION = {"windows": 4, "seconds": 3}
SETUP = """
from time import ticks_ms
from sensewell import start
from sensewell.sensor.replay import Replay
BOARD = "virt_c3"
start.GRACE_MS = 300
class Sensor(Replay):
    def read(self, row):
        t_ms = Replay.read(self, row)
        return t_ms if t_ms < 0 else ticks_ms()
def sensor():
    return Sensor("/recording", 2, 20)
"""


def write(path: Path, name: str, trees: int = 3, depth: int = 3, seed: int = 1, **more: Any) -> Path:
    labels = [f"{name}0", f"{name}1", "unknown", "alarm", "still"]
    manifest = tiny_bundle.manifest(labels=labels, name=name, probation=PROBATION, **{"release": 5, **more})
    model = tiny_bundle.forest(5, 2, trees, depth, seed)
    golden = tiny_bundle.golden(manifest, model, 2)
    path.write_bytes(tiny_bundle.write(manifest, {"model": model, "golden": golden}))
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """old.swb, which `flash` has and runs, confirmed; new.swb, of 6 KiB."""
    folder = tmp_path_factory.mktemp("link")
    write(folder / "old.swb", "old")
    write(folder / "new.swb", "new", 14, 6, version=2)
    (folder / "setup.py").write_text(SETUP)
    rows = np.random.default_rng(3).integers(-2000, 2000, (6000, 2)).astype("<i2")
    with virtual.session("virt_c3", flash=folder / "flash") as running, connect(running.address) as wire:
        wire.put("/recording", rows.tobytes())
        deploy(wire, folder / "old.swb", setup=folder / "setup.py", unsigned=True)
        board_slots.command(wire, "pin")
        board_slots.command(wire, "unpin")
    return folder


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """The computer that plays the board may be busy."""
    monkeypatch.setattr(links, "PROBE_S", 3.0)


@pytest.fixture(scope="module")
def running(folder: Path) -> Iterator[virtual.VirtualBoard]:
    """A board that decides by `old`, and is never stopped."""
    flash = shutil.copyfile(folder / "flash", folder / "running")
    with virtual.session("virt_c3", icount=True, flash=flash) as board:
        hears(board, rb"  old\d ")
        yield board


def hears(board: virtual.VirtualBoard, pattern: bytes, timeout_s: float = 60.0) -> None:
    """Waits for that at the board's console."""
    end = time.monotonic() + timeout_s
    said = b""
    with socket.create_connection(("127.0.0.1", board.port)) as wire:
        while not re.search(pattern, said):
            wire.settimeout(max(0.01, end - time.monotonic()))
            said += wire.recv(4096)


def decided(said: bytes) -> list[int]:
    """When the board decided, in ms of its own, up to where it was stopped."""
    lines = bytes(said).partition(b"sensewell: stopped")[0]
    return [int(found) for found in re.findall(rb"(\d+) ms  (?:old|unknown|alarm|still)", lines)]


def longest(times: list[int]) -> int:
    return max(later - earlier for earlier, later in itertools.pairwise(times))


def health(wire: Board) -> dict[str, Any]:
    found = live.status(wire)
    assert found is not None
    return dict(found["live"])


def test_a_bundle_comes_while_the_node_decides(folder: Path, tmp_path: Path, tap: Callable[..., Any]) -> None:
    flash = shutil.copyfile(folder / "flash", tmp_path / "flash")
    with virtual.session("virt_c3", icount=True, flash=flash) as board:
        hears(board, rb"  old\d ")
        deployed_while_it_decides(board, folder, tap)


def deployed_while_it_decides(running: virtual.VirtualBoard, folder: Path, tap: Callable[..., Any]) -> None:
    content = (folder / "new.swb").read_bytes()
    with connect(tap(running.port).address, hold=False) as wire:
        before = health(wire)
    ear = tap(running.port)
    with connect(ear.address, hold=False) as wire:
        brought = live.bring(wire, content, unsigned=True)
        assert brought is not None and brought.bytes_sent > 0.9 * len(content)
        times = decided(ear.heard)
        after = health(wire)
        assert (after["bundle"], after["probation"]) == ("old", False)
        board_s = (times[-1] - times[0]) / 1000
        print(f"{brought.bytes_sent} bytes in {board_s:.1f} s of the board")
        print(f"longest gap between decisions {longest(times)} ms, a hop is {HOP_MS} ms")
        print(f"lost {before['lost']} samples before, {after['lost']} then; latest {after['late_us']} us")
        assert len(times) > 4 and longest(times) <= HOP_MS + LATE_MS
        assert after["lost"] - before["lost"] <= LOST and after["misses"] == before["misses"]
        assert after["samples"] > before["samples"] and after["windows"] - before["windows"] >= len(times)
        assert live.bring(wire, content, unsigned=True).bytes_sent == 0  # type: ignore[union-attr]
        done = deploy(wire, folder / "new.swb")
        assert done.live and done.live.bytes_there == len(content) and done.files_sent == 1
        print(f"stopped for {done.stopped_s:.1f} s of {done.seconds:.1f} s")
    assert longest(decided(ear.heard)) <= HOP_MS + LATE_MS
    hears(running, rb"/slot/b.swb, probation(.*\n)+.*  new\d ")
    with connect(running.address, hold=False) as wire:
        found = live.status(wire)
        assert found and found["active"] == "b" and found["slots"]["b"]["version"] == 2
        if found["live"]["probation"]:  # it must show itself before its slot, or the other one, is given up
            assert live.bring(wire, b"anything", unsigned=True) is None


def test_sections_that_run_already_do_not_travel(running: virtual.VirtualBoard, tmp_path: Path) -> None:
    with connect(running.address, hold=False) as wire:
        near = write(tmp_path / "near.swb", "near", version=3).read_bytes()
        brought = live.bring(wire, near, unsigned=True)
        assert brought and brought.bytes_there >= len(tiny_bundle.forest(5, 2)) > 0


def test_what_a_broken_wire_has_brought_is_gone_on_with(
    running: virtual.VirtualBoard, tmp_path: Path, tap: Callable[..., Any]
) -> None:
    content = write(tmp_path / "long.swb", "long", 14, 6, seed=2).read_bytes()
    ear = tap(running.port, 5000)
    with pytest.raises(BoardError), connect(ear.address, hold=False) as wire:
        live.bring(wire, content, unsigned=True)
    assert b"stopped" not in ear.heard
    with connect(running.address, hold=False) as wire:
        first = health(wire)
        brought = live.bring(wire, content, unsigned=True)
        assert brought and brought.bytes_there > 1000 and brought.bytes_sent + brought.bytes_there == len(content)
        print(f"{brought.bytes_there} of {len(content)} bytes were there")
        then = health(wire)
        assert then["samples"] > first["samples"] > 0 and then["decisions"] > first["decisions"]


def test_what_is_damaged_on_its_way_is_refused_and_comes_again(
    running: virtual.VirtualBoard, tmp_path: Path, tap: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    content = write(tmp_path / "other.swb", "other", 8, 5, seed=3).read_bytes()
    sound, count = links.frame, [0]

    def damaged(body: str) -> bytes:
        count[0] += 1
        data = sound(body)
        return data[:30] + b"~" + data[31:] if count[0] % 7 == 0 and len(data) > 40 else data

    ear = tap(running.port)
    with connect(ear.address, hold=False) as wire:
        with monkeypatch.context() as patch:
            patch.setattr(links, "frame", damaged)
            brought = live.bring(wire, content, unsigned=True)
        assert brought and brought.bytes_sent > 0.9 * len(content)
        assert ear.heard.count(b"- no link.frame") >= 5
        noise = np.random.default_rng(1).integers(4, 256, 2000).astype(np.uint8).tobytes()
        bare = wire.wire()
        assert bare is not None
        bare.write(noise.replace(b"\x03", b"") + b"\r")
        first = health(wire)
        assert health(wire)["samples"] > first["samples"]
    assert b"stopped" not in ear.heard and longest(decided(ear.heard)) <= HOP_MS + LATE_MS


def test_status_is_live_and_stops_nothing(
    running: virtual.VirtualBoard, tap: Callable[..., Any], capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(2):
        deploy_commands.status(board=[running.address])
    said = capsys.readouterr().out
    counts = [int(count) for count in re.findall(r"(\d+) samples", said)]
    assert counts[1] > counts[0] > 0 and "live: old version 1, confirmed" in said and "last refusal: none" in said
    ear = tap(running.port)
    with connect(ear.address, hold=False) as wire:
        assert health(wire)["samples"] > counts[1]
    assert b"stopped" not in ear.heard


def test_a_bundle_that_the_board_would_refuse_does_not_stop_it(
    running: virtual.VirtualBoard, tmp_path: Path, tap: Callable[..., Any]
) -> None:
    ear = tap(running.port)
    with connect(ear.address, hold=False) as wire:
        for changes, reason in (({"boards": ["esp32s3"]}, "bundle.board"), ({"release": 4}, "slots.rollback")):
            other = write(tmp_path / "other.swb", "other", **changes)
            with pytest.raises(SensewellError, match=re.escape(reason) + ".*nothing was written"):
                deploy(wire, other)
        assert health(wire)["samples"] > 0
    assert b"stopped" not in ear.heard


def test_prompts_and_programs_without_a_link_take_it_for_a_comment() -> None:
    with virtual.session("virt_c3") as board:
        with connect(board.address, hold=False) as wire:  # at its prompt
            assert links.to(wire) is None and live.status(wire) is None
            assert wire.exec("print(6 * 7)") == "42\n"
            assert links.to(wire) is None  # now it is held
            wire.put("/main.py", b"n = 0\nwhile True:\n    n += 1\n    if n % 20000 == 0:\n        print(n)\n")
            wire.reset()
        with connect(board.address, hold=False) as wire:  # in a program of its own
            assert links.to(wire) is None
            assert wire.exec("print(6 * 7)") == "42\n"
