"""The plug is pulled on a virtual ESP32-C3 in the middle of updates: QEMU is killed, its flash stays, it starts again.

What runs on the board is on_board/cutting.py. With SENSEWELL_SOAK=1 at every write and erase, else at some.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from sensewell_host import board as boards
from sensewell_host import runtime
from sensewell_host.board import BoardError, catalog, virtual

CUTTING = Path(__file__).with_name("on_board") / "cutting.py"
SOAK = bool(os.environ.get("SENSEWELL_SOAK"))
SIZE = 3072
MODULES = ["", ".refusal", ".journal", ".slots", ".install", ".command", ".probation", ".build"]

pytestmark = pytest.mark.skipif(not virtual.is_built("virt_c3"), reason="virt_c3 is not built: make board-virt_c3")


class Plugged:
    """A virtual board with a flash that outlives it."""

    def __init__(self, flash: Path) -> None:
        self._flash = flash
        self.board: virtual.VirtualBoard | None = None

    def power_on(self) -> None:
        self.board = virtual.start("virt_c3", flash=self._flash)

    def pull(self) -> None:
        if self.board:
            os.kill(self.board.pid, 9)
            virtual.stop(self.board)
            self.board = None

    def exec(self, code: str, until: str = "", pull: bool = True) -> list[str]:
        """Lines that the code prints, up to one that begins with `until`; then the plug is pulled, or the wire is."""
        assert self.board
        lines: list[str] = []

        def on_line(line: str) -> None:
            lines.append(line)
            if until and line.startswith(until):
                raise EOFError

        with boards.connect(self.board.address) as wire:
            try:
                wire.stream("import cutting\n" + code, on_line, timeout_s=60)
            except EOFError:
                if pull:
                    self.pull()
        return lines

    def comes_up(self) -> tuple[int, str]:
        """Active version, 0 = none; what Slots says of it."""
        said = next(line for line in self.exec("cutting.up()") if line.startswith("UP")).split()
        assert said[2] == "0", said
        return int(said[1]), said[3]


@pytest.fixture(scope="module")
def plugged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plugged]:
    """With version 1 active and confirmed."""
    made = Plugged(tmp_path_factory.mktemp("flash") / "flash")
    made.power_on()
    assert made.board
    arch = catalog.load("virt_c3").arch
    with boards.connect(made.board.address) as wire:
        for target, content in runtime.files(arch, ["sensewell" + name for name in MODULES]).items():
            wire.mkdirs(target.rpartition("/")[0])
            wire.put(target, content)
        wire.put("/lib/cutting.mpy", runtime.compile_file(CUTTING, arch))
    assert made.exec(f"cutting.update(1, {SIZE})")[-1].startswith("WHOLE")
    yield made
    with contextlib.suppress(BoardError):
        made.pull()


@pytest.mark.parametrize("how", ["plug", "reset"])
def test_an_update_is_cut_at_its_writes_and_erases(plugged: Plugged, how: str, tally: Counter[str]) -> None:
    old, _ = plugged.comes_up()
    step = 1 if SOAK else 7
    at = step if how == "plug" else 10
    cuts = 0
    while True:
        new = old + 1
        said = plugged.exec(f"cutting.update({new}, {SIZE}, {at}, {how!r})", until="DARK", pull=how == "plug")
        if said[-1].startswith("WHOLE"):
            break
        assert said[-1] == "DARK", said
        cuts += 1
        if how == "plug":
            plugged.power_on()
        version, _ = plugged.comes_up()
        assert version in (old, new), (at, version)
        if cuts % 3 == 0:  # at times it is completed, else the next cut hits what is left of it
            assert plugged.exec(f"cutting.update({new + 1}, {SIZE})")[-1].startswith("WHOLE")
            new += 1
            version = new
        old = version
        at += step
    tally["power cuts on virt_c3"] += cuts
    assert cuts >= 5 and plugged.comes_up() == (new, "confirmed")


def test_the_plug_is_pulled_at_any_time_in_a_large_installation(plugged: Plugged, tally: Counter[str]) -> None:
    """Not at an operation but at a moment, in whatever the firmware is doing then."""
    old, _ = plugged.comes_up()
    started = time.monotonic()
    assert plugged.exec(f"cutting.update({old + 1}, 102400)")[-1].startswith("WHOLE")
    took = time.monotonic() - started
    old += 1
    cuts = 20 if SOAK else 4
    for number in range(cuts):
        assert plugged.board
        timer = threading.Timer(took * (number + 0.7) / cuts, os.kill, (plugged.board.pid, 9))
        timer.start()
        with contextlib.suppress(BoardError):
            plugged.exec(f"cutting.update({old + 1}, 102400)")
        timer.join()
        plugged.pull()
        plugged.power_on()
        version, _ = plugged.comes_up()
        assert version in (old, old + 1), (number, version)
        old = version
        tally["power cuts on virt_c3"] += 1
    assert plugged.exec(f"cutting.update({old + 1}, 102400)")[-1].startswith("WHOLE")
    assert plugged.comes_up() == (old + 1, "confirmed")


def test_installing_100_kib_takes_little_heap(plugged: Plugged) -> None:
    said = plugged.exec("cutting.heap(200, 102400)")
    grown = int(said[-1].split()[1])
    print(f"heap while installing 100 KiB: {grown} bytes beyond the code")
    assert grown <= 4096
