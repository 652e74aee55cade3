"""A virtual ESP32-C3 starts by itself: which application runs, what happens when it does badly, what remains of cuts.

Two applications lie on it: `old` in slot a, confirmed, and `new` in slot b, which is on probation. Their labels tell
them apart. What the board says at its console is what is judged, and its journal.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import socket
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import tiny_bundle
from sensewell_host import board_slots, run, runtime
from sensewell_host.board import Board, BoardError, connect, virtual
from sensewell_host.deploy import deploy
from sensewell_host.device_path import DEVICE
from sensewell_host.errors import SensewellError

pytestmark = pytest.mark.skipif(not virtual.is_built("virt_c3"), reason="virt_c3 is not built: make board-virt_c3")

SOAK = bool(os.environ.get("SENSEWELL_SOAK"))
PROBATION = {"windows": 4, "seconds": 3, "lost_pct": 40}  # a busy computer loses samples, too

# A sensor of noise whose ticks are the board's; what {more} does is each test's
SETUP = """
import machine, sys, time
BOARD = "virt_c3"
new = sys.path[0] == "/slot/b"
class Sensor:
    n_channels = 2
    value = 1
    def read(self, row):
        for c in (0, 1):
            self.value = (self.value * 1103 + 12345) & 0xFFFFF
            row[c] = (self.value >> 4) % 4000 - 2000
        return time.ticks_ms() & 0x3FFFFFFF
def sensor():
    return Sensor()
{more}
"""

# The grace time is tested once; else it would be most of what is waited for
HASTE = """
try:
    from sensewell import start
    start.GRACE_MS = 300
except Exception:
    pass
"""


class Field:
    """A board on its own: its power, its flash, and somebody who reads along at its console."""

    def __init__(self, flash: Path) -> None:
        self.flash = flash
        self.said = ""
        self.running: virtual.VirtualBoard | None = None
        self._socket: socket.socket | None = None

    def power_on(self) -> None:
        self.running = virtual.start("virt_c3", flash=self.flash)
        self._socket = socket.create_connection(("127.0.0.1", self.running.port))
        self.said = ""

    def cut(self) -> None:
        if self._socket:
            self._socket.close()
        if self.running:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.running.pid, 9)
            virtual.stop(self.running)
        self.running = self._socket = None

    def type(self, text: bytes) -> None:
        assert self._socket
        self._socket.sendall(text)

    def hears(self, pattern: str, timeout_s: float = 20.0) -> re.Match[str]:
        """The first match in what the board has said since it was last asked; what comes behind it is for the next."""
        assert self._socket
        end = time.monotonic() + timeout_s
        while not (found := re.search(pattern, self.said)):
            self._socket.settimeout(max(0.01, end - time.monotonic()))
            try:
                data = self._socket.recv(4096)
            except TimeoutError:
                data = b""
            assert data, f"expected {pattern!r}, the board said {self.said!r}"
            self.said += data.decode(errors="replace").replace("\r", "")
        self.said = self.said[found.end() :]
        return found

    @contextlib.contextmanager
    def wire(self) -> Iterator[Board]:
        """The board at its prompt, as a host gets hold of it; off afterwards."""
        if self._socket:
            self._socket.close()
            self._socket = None
        if not self.running:
            self.running = virtual.start("virt_c3", flash=self.flash)
        try:
            with connect(self.running.address) as wire:
                yield wire
        finally:
            self.cut()

    def status(self) -> dict[str, Any]:
        with self.wire() as wire:
            return board_slots.status(wire)


def setup(more: str = "") -> bytes:
    return SETUP.format(more=more).encode()


def write(path: Path, name: str, **options: object) -> Path:
    labels = [f"{name}0", f"{name}1", "unknown", "alarm", "still"]
    path.write_bytes(tiny_bundle.build(**{"labels": labels, "name": name, "probation": PROBATION, **options}))
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """old.swb, new.swb; flashes: `confirmed` has old alone, `probation` new besides, which has not started yet."""
    folder = tmp_path_factory.mktemp("start")
    write(folder / "old.swb", "old")
    write(folder / "new.swb", "new", version=2, trees=5)
    (folder / "setup.py").write_bytes(setup())
    board = Field(folder / "confirmed")
    with board.wire() as wire:
        deploy(wire, folder / "old.swb", setup=folder / "setup.py", unsigned=True)
        wire.put("/boot.py", HASTE.encode(), append=True)
        board_slots.command(wire, "pin")
        assert board_slots.command(wire, "unpin")["slots"]["a"]["state"] == "confirmed"
        listed(wire, "a")
    shutil.copyfile(folder / "confirmed", folder / "probation")
    board = Field(folder / "probation")
    with board.wire() as wire:
        deploy(wire, folder / "new.swb", with_main=False)
        listed(wire, "b")
    return folder


def listed(wire: Board, slot: str) -> None:
    """The list by which the loader (device/loader.py) checks the code."""
    if wire.exists(f"/slot/{slot}/code.crc"):
        return
    lines = []

    def walk(folder: str) -> None:
        for name in wire.listdir(f"/slot/{slot}/{folder}"):
            if name.endswith("/"):
                walk(folder + name)
            else:
                lines.append(f"{zlib.crc32(wire.get(f'/slot/{slot}/{folder}{name}'))} {folder}{name}\n")

    walk("")
    wire.put(f"/slot/{slot}/code.crc", "".join(lines).encode())


@pytest.fixture
def board(folder: Path, tmp_path: Path) -> Iterator[Callable[..., Field]]:
    """A call (flash, what goes into setup.py, what else is done to it) makes a board that is off."""
    made: list[Field] = []

    def make(flash: str, more: str = "", edit: Callable[[Board], None] | None = None) -> Field:
        shutil.copyfile(folder / flash, tmp_path / f"{flash}{len(made)}")
        made.append(Field(tmp_path / f"{flash}{len(made)}"))
        if more or edit:
            with made[-1].wire() as wire:
                if more:
                    wire.put("/setup.py", setup(more))
                if edit:
                    edit(wire)
        return made[-1]

    yield make
    for one in made:
        one.cut()


# --- what is started ------------------------------------------------------------------------------------------------


def test_a_bundle_is_confirmed_by_itself_and_stays_so(board: Callable[..., Field]) -> None:
    field = board("probation")
    field.power_on()
    field.hears(r"/slot/b.swb, probation; features \w+, model (native|viper)\n")
    for _ in range(6):
        field.hears(r"  new\d  \d+%  .* model  ok unsigned")
    field.cut()
    field.power_on()
    field.hears("/slot/b.swb, confirmed")
    field.hears(r"  new\d ")
    status = field.status()
    assert [status["slots"][slot]["state"] for slot in "ab"] == ["confirmed", "confirmed"]
    assert (status["active"], status["starts"], status["failed"]) == ("b", 0, [])


def test_ctrl_c_reaches_the_prompt_and_uses_no_try_up(board: Callable[..., Field]) -> None:
    field = board("probation", edit=lambda wire: wire.put("/boot.py", b"# no haste\n"))
    field.power_on()
    time.sleep(0.8)
    field.type(b"\x03\x03")  # as hosts do
    field.hears("stopped\n(.*\n)+>>> ")
    field.type(b"\x04")
    field.hears("starting in 2000 ms, Ctrl-C for the prompt")
    field.hears(r"  new\d ")
    field.type(b"\x03\x03")
    field.hears("stopped\n(.*\n)+>>> ")
    field.type(b"1+1\r")
    field.hears("\n2\n>>> ")
    status = field.status()
    assert (status["active"], status["slots"]["b"]["state"], status["slots"]["b"]["tries"]) == ("b", "probation", 3)


def test_what_is_missing_is_named_and_the_prompt_is_there(board: Callable[..., Field]) -> None:
    field = board("probation", edit=lambda wire: wire.remove("/setup.py"))
    field.power_on()
    field.hears("setup.missing: no /setup.py")
    field.hears(">>> ")
    assert field.status()["active"] == "b"  # no application can run without one: this one is not at fault
    with field.wire() as wire:
        wire.put("/safe", b"")
        wire.put("/setup.py", setup())
    field.power_on()
    field.hears("safe mode, nothing started")
    field.hears(">>> ")
    with field.wire() as wire:
        wire.remove("/safe")
    field.power_on()
    field.hears(r"/slot/b.swb, probation(.*\n)+.*  new\d ")


def flip(path: str, at: int) -> Callable[[Board], None]:
    def edit(wire: Board) -> None:
        data = bytearray(wire.get(path))
        data[at] ^= 1
        wire.put(path, data)

    return edit


def cut_short(path: str) -> Callable[[Board], None]:
    return lambda wire: wire.put(path, wire.get(path)[: len(wire.get(path)) // 2])


def no_code_for(path: str) -> Callable[[Board], None]:
    def edit(wire: Board) -> None:
        wire.put(path, b"M\x05\x00\x1f")  # of another MicroPython
        wire.remove("/slot/b/code.crc")

    return edit


def without(path: str) -> Callable[[Board], None]:
    def edit(wire: Board) -> None:
        wire.exec(
            "import os\ndef remove(path):\n try:\n  names = os.listdir(path)\n except OSError:\n"
            "  return os.remove(path)\n"
            f" for name in names:\n  remove(path + '/' + name)\n os.rmdir(path)\nremove({path!r})"
        )

    return edit


@pytest.mark.parametrize(
    ("reason", "more", "edit"),
    [
        pytest.param("slots.hash", "", flip("/slot/b.swb", -9), id="one bit of the bundle"),
        pytest.param("node.channels", "Sensor.n_channels = 3 if new else 2", None, id="another sensor"),
        pytest.param("slots.code", "", without("/slot/b"), id="no code"),
        pytest.param("slots.code", "", cut_short("/slot/b/sensewell/guard.mpy"), id="half of the code of a station"),
        pytest.param("slots.code", "", flip("/slot/b/sensewell_trees.mpy", 99), id="one bit of native code"),
        pytest.param("slots.code", "", no_code_for("/slot/b/sensewell/slots.mpy"), id="code that does not load"),
        pytest.param("slots.code", "", no_code_for("/slot/b/sensewell/window.mpy"), id="a station that does not load"),
    ],
)
def test_what_is_not_fit_to_run_gives_way_to_the_other_application(
    board: Callable[..., Field], reason: str, more: str, edit: Callable[[Board], None] | None
) -> None:
    field = board("probation", more, edit)
    field.power_on()
    field.hears(r"/slot/a.swb, confirmed")
    field.hears(r"  old\d  .* model  ok")
    status = field.status()
    assert (status["active"], status["refused"], status["refused_slot"]) == ("a", reason, "b")
    assert (status["slots"]["b"]["state"], status["failed"]) == ("refused", [])


def test_the_board_restarts_into_the_code_of_the_other_application(board: Callable[..., Field]) -> None:
    field = board("probation", "print('setup in', sys.path[0])", flip("/slot/b.swb", -9))
    field.power_on()
    field.hears("slots.hash, restarting into /slot/a.swb\n(.*\n)*.*starting in")
    assert field.hears("setup in (.*)\n")[1] == "/slot/a"  # before that not a line of it was run


def test_with_nothing_sound_the_reason_is_named_and_the_prompt_is_there(board: Callable[..., Field]) -> None:
    field = board("probation", edit=lambda wire: wire.remove("/unsigned"))
    field.power_on()
    field.hears("refused: trust.missing: (.*\n)*.*trust.missing, restarting into /slot/a.swb")
    field.hears("refused: trust.missing: (.*\n)*.*trust.missing: nothing to run")
    field.hears(">>> ")
    with field.wire() as wire:
        assert board_slots.status(wire)["refused"] == "trust.missing"
        wire.put("/unsigned", b"")
    field.power_on()
    field.hears(r"  old\d  .* model  ok")


def test_without_any_whole_code_the_prompt_is_there_and_a_deploy_helps(
    board: Callable[..., Field], folder: Path
) -> None:
    field = board("confirmed", edit=cut_short("/slot/a/sensewell/guard.mpy"))
    field.power_on()
    field.hears(r"code that does not load:.*no whole code in /slot.*\n(.*\n)*>>> ")
    with field.wire() as wire:
        deploy(wire, folder / "new.swb", with_main=False)
    field.power_on()
    field.hears(r"/slot/b.swb, probation(.*\n)+.*  new\d ")


# --- whose fault it is ----------------------------------------------------------------------------------------------


def test_a_setup_that_raises_is_not_the_bundles_fault(board: Callable[..., Field]) -> None:
    field = board("probation", "def sensor():\n    if new:\n        raise OSError(5)\n    return Sensor()")
    field.power_on()
    field.hears(r"Traceback(.*\n)+OSError: .*EIO\n(.*\n)*.*setup.exception: .*\n.*restarting into /slot/a.swb")
    field.hears(r"  old\d ")
    status = field.status()
    assert (status["refused"], status["failed"]) == ("setup.exception", [])

    field = board("confirmed", "import no_such_driver")
    for _ in range(2):
        field.power_on()
        field.hears("ImportError: no module named 'no_such_driver'\n(.*\n)*.*setup.exception")
        field.hears(">>> ")
        field.cut()
    status = field.status()
    assert (status["why"], status["starts"], status["refused"]) == ("confirmed", 0, "slots.adopted")


def test_what_sensors_and_outputs_raise_while_it_runs_is_survived(board: Callable[..., Field]) -> None:
    more = "seen = 0\ndef shout(decision):\n    global seen\n    seen += 1\n    raise OSError(seen)\n"
    more += "def outputs():\n    return shout, print\n"
    more += "read = Sensor.read\ndef now_and_then(self, row):\n    if self.value & 15 == 3:\n        raise OSError(5)\n"
    more += "    return read(self, row)\nSensor.read = now_and_then"
    field = board("probation", more)
    field.power_on()
    for _ in range(6):
        field.hears(r"  new\d ")
    assert field.status()["slots"]["b"]["state"] == "confirmed"


def rewritten(tmp_path: Path, old: str, new: str) -> Callable[[Board], None]:
    """Other code of the pipeline in slot b. Its proof needs no windows, and so does not show it."""

    def edit(wire: Board) -> None:
        source = (DEVICE / "sensewell" / "pipeline.py").read_text()
        assert source.count(old) == 1
        path = tmp_path / "pipeline.py"
        path.write_text(source.replace(old, new))
        wire.put("/slot/b/sensewell/pipeline.mpy", runtime.compile_file(path, "rv32imc"))
        wire.remove("/slot/b/code.crc")

    return edit


def test_code_that_raises_is_given_up(board: Callable[..., Field], tmp_path: Path) -> None:
    field = board("probation", edit=rewritten(tmp_path, "self.windows += 1\n", "self.windows += self.nothing\n"))
    field.power_on()
    field.hears("AttributeError: .*nothing.*\n(.*\n)*.*probation.exception, restarting into /slot/a.swb")
    field.hears(r"/slot/a.swb, confirmed(.*\n)+.*  old\d ")
    assert len(field.status()["failed"]) == 1


# --- boards that start over and over --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cause", "more"),
    [
        ("probation.crash", "if new:\n    machine.reset()"),
        (
            "probation.watchdog",
            "WATCHDOG_MS = 1000\nread = Sensor.read\ndef hang(self, row):\n    while new:\n        pass\n"
            "    return read(self, row)\nSensor.read = hang",
        ),
    ],
)
def test_a_loop_on_probation_ends_with_the_other_application(
    board: Callable[..., Field], cause: str, more: str
) -> None:
    field = board("probation", more)
    field.power_on()
    field.hears(cause + ", restarting into /slot/a.swb")
    field.hears(r"/slot/a.swb, confirmed(.*\n)+.*  old\d ")
    status = field.status()
    assert (status["active"], status["refused"], len(status["failed"])) == ("a", cause, 1)


def test_a_loop_of_the_only_application_ends_in_safe_mode(board: Callable[..., Field]) -> None:
    field = board("confirmed", "def mind(decision):\n    print(decision)\n    if decision.source == 'model':\n"
                  "        machine.reset()\ndef outputs():\n    return (mind,)")  # fmt: skip
    field.power_on()
    field.hears("/slot/a.swb, slots.starts; features .*, model none\n.*rules only: slots.starts", 60)
    for _ in range(3):
        field.hears(r"  (unknown|alarm)  .*(refused|rule:\w+|interlock:\w+) unsigned safe")
    with field.wire() as wire:  # main.py runs: it is reached all the same
        status = board_slots.status(wire)
        assert status["safe"] and status["refused"] == "slots.starts"
        wire.put("/setup.py", setup())
        assert not board_slots.command(wire, "retry")["safe"]
    field.power_on()
    field.hears(r"/slot/a.swb, confirmed(.*\n)+.*  old\d ")


def test_a_setup_that_resets_the_board_at_once_leaves_time_to_reach_it(board: Callable[..., Field]) -> None:
    field = board("confirmed", "machine.reset()", lambda wire: wire.put("/boot.py", b"# no haste\n"))
    field.power_on()
    time.sleep(1)
    with field.wire() as wire:
        wire.put("/setup.py", setup())
    field.power_on()
    field.hears(r"/slot/a.swb, confirmed(.*\n)+.*  old\d ")


def test_a_board_with_a_watchdog_is_let_go_by_it(board: Callable[..., Field]) -> None:
    field = board("probation", "WATCHDOG_MS = 1000")
    field.power_on()
    field.hears(r"  new\d ")
    field.type(b"\x03\x03")
    field.hears("stopped\n.*restarting, as the watchdog")
    field.hears(r"starting in(.*\n)+.*  new\d ")
    with field.wire() as wire:
        wire.exec("import time\ntime.sleep(1.8)")  # no watchdog bites
        found = board_slots.status(wire)["slots"]["b"]
        assert (found["state"], found["tries"]) in (("probation", 3), ("confirmed", 2))


def test_a_watchdog_has_a_sensor_that_was_not_ready_asked_again(board: Callable[..., Field]) -> None:
    more = "import os\nWATCHDOG_MS = 1000\ndef sensor():\n    if '2' in os.listdir():\n        return Sensor()\n"
    more += "    mark = '2' if '1' in os.listdir() else '1'\n    open(mark, 'w').close()\n"
    more += "    while mark == '1':\n        pass\n    raise OSError(5)\n"  # hangs once, raises once
    field = board("confirmed", more)
    field.power_on()
    field.hears(r"EIO(.*\n)+.*starting in(.*\n)+.*/slot/a.swb, confirmed(.*\n)+.*  old\d ")


# --- probation ------------------------------------------------------------------------------------------------------

BAD = """
read = Sensor.read
def bad(self, row):
    t_ms = read(self, row)
    {}
    return t_ms
if new:
    Sensor.read = bad
"""


@pytest.mark.parametrize(
    ("cause", "what"),
    [
        ("probation.quality", "if row[0] & 16: row[1] = -32768"),
        ("probation.silent", "t_ms = 1000  # a clock that stands still"),
        ("probation.lost", "time.sleep_ms(45)"),
    ],
)
def test_a_bundle_that_does_badly_gives_way(board: Callable[..., Field], cause: str, what: str) -> None:
    field = board("probation", BAD.format(what))
    field.power_on()
    field.hears(r"/slot/b.swb, probation")
    field.hears(f"{cause}, restarting")
    field.hears(r"/slot/a.swb, confirmed(.*\n)+.*  old\d ")
    status = field.status()
    assert (status["refused"], status["refused_slot"], len(status["failed"])) == (cause, "b", 1)


def test_code_that_is_too_slow_gives_way(board: Callable[..., Field], tmp_path: Path) -> None:
    old = "self.window_us = (clock() - start) & _T_MASK"
    field = board("probation", edit=rewritten(tmp_path, old, "self.window_us = 1000001"))
    field.power_on()
    field.hears("probation.deadline, restarting")
    field.hears(r"/slot/a.swb, confirmed(.*\n)+.*  old\d ")
    assert field.status()["refused"] == "probation.deadline"


def test_what_failed_is_not_taken_again_unasked(board: Callable[..., Field], tmp_path: Path) -> None:
    unsure = {**tiny_bundle.manifest()["arbiter"], "min_confidence_pct": 100}
    bundle = write(tmp_path / "bad.swb", "bad", version=3, arbiter=unsure, probation={**PROBATION, "unsure_pct": 0})
    field = board("confirmed")
    with field.wire() as wire:
        deploy(wire, bundle, with_main=False)
    field.power_on()
    field.hears("probation.confidence, restarting")
    field.hears(r"/slot/a.swb, confirmed(.*\n)+.*  old\d ")
    with field.wire() as wire:
        assert board_slots.status(wire)["refused"] == "probation.confidence"
        with pytest.raises(SensewellError, match=r"slots.failed_before.*--again"):
            deploy(wire, bundle, with_main=False)
        assert board_slots.status(wire)["active"] == "a"
        deploy(wire, bundle, with_main=False, again=True)
        assert board_slots.status(wire)["slots"]["b"]["state"] == "probation"


# --- what it takes ---------------------------------------------------------------------------------------------------


def test_a_node_that_started_by_itself_takes_little_more_ram(board: Callable[..., Field]) -> None:
    """Than one that was composed alone: its slots, journal and probation are dropped once it is confirmed."""
    more = "import gc\ndef weigh(decision):\n    gc.collect()\n    print('RAM', gc.mem_alloc())\n"
    field = board("probation", more + "def outputs():\n    return (weigh,)")
    with field.wire() as wire:
        alone = run.ram_of_node(wire)
        wire.soft_reset()
        weigh = "gc.collect()\nprint(gc.mem_alloc())\n"
        before, after = map(int, wire.exec(f"import gc\n{weigh}import setup\n{weigh}").split())
    field.power_on()
    found = [int(field.hears(r"RAM (\d+)\n")[1]) - before for _ in range(8)]
    own = after - before  # of setup.py
    print(f"RAM: {alone} alone; by main.py {found[0] - own} on probation, {found[-1] - own} confirmed; setup.py {own}")
    assert found[-1] - own < alone + 4096 and found[-1] < found[0] - 8192


# --- power cuts -----------------------------------------------------------------------------------------------------


def decides(field: Field) -> str:
    """old or new: which application decides after the power came back."""
    field.power_on()
    found = field.hears(r"/slot/(.).swb, (probation|confirmed);")[1]
    label = field.hears(r"  (old|new)\d ")[1]
    assert (found, label) in (("a", "old"), ("b", "new"))
    return label


def test_the_plug_is_pulled_while_deploying(board: Callable[..., Field], folder: Path) -> None:
    found: dict[str, int] = {"old": 0, "new": 0}
    cuts = 40 if SOAK else 6
    took = 0.0
    for number in range(-1, cuts):
        field = board("confirmed")
        doing: list[str] = []
        field.power_on()
        timer = None
        with contextlib.suppress(BoardError), field.wire() as wire:
            wire.info()
            began = time.monotonic()
            if number >= 0:  # the first part of it stages code and decides nothing: less of that
                assert field.running
                at = took * (0.4 + 0.7 * (number + 0.5) / cuts)
                timer = threading.Timer(at, os.kill, (field.running.pid, 9))
                timer.start()
            tell = lambda done, total, what, doing=doing: doing.append(what)  # noqa: E731
            deploy(wire, folder / "new.swb", with_main=False, progress=tell)
            doing.append("done")
            took = took or time.monotonic() - began
            if timer:
                timer.join()
        label = decides(field)
        field.cut()
        print(f"cut {number} after {time.monotonic() - began:.2f} of {took:.2f} s, in {doing[-1]!r}: {label} decides")
        found[label] += 1
    assert found["old"] and found["new"], found


def test_the_plug_is_pulled_while_starting_on_probation(board: Callable[..., Field]) -> None:
    cuts = 40 if SOAK else 6
    for number in range(cuts):
        field = board("probation")  # it has three tries: one is lost, at most
        field.power_on()
        time.sleep(2.2 * number / cuts)
        field.cut()
        assert decides(field) == "new"
        field.cut()
