"""The virtual boards as a user meets them: real firmware in QEMU, the real mpremote, and what goes wrong with both.

Needs `make boards`; what is not built is skipped. Nothing here may leave a process behind.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sensewell_host.board import Board, BoardError, BoardScriptError, catalog, connect, virtual
from sensewell_host.board.commands import app
from typer.testing import CliRunner

VIRTUAL = ("virt_c3", "virt_m4")
ARCHES = {"unix": "x64", "virt_c3": "rv32imc", "virt_m4": "armv7emsp"}


def need(name: str) -> None:
    if not virtual.is_built(name):
        pytest.skip(f"{name} is not built: run `make board-{name}`")


def our_boards() -> list[virtual.VirtualBoard]:
    """The running boards that this process started; others may run tests or demos of their own meanwhile."""

    def parent(pid: int) -> int:
        return int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])

    found = []
    for board in virtual.running():
        with contextlib.suppress(FileNotFoundError):
            if parent(board.pid) == os.getpid():
                found.append(board)
    return found


@pytest.fixture(autouse=True)
def no_process_left() -> Iterator[None]:
    before = our_boards()
    yield
    left = [board for board in our_boards() if board not in before]
    for board in left:
        virtual.stop(board)
    assert not left


@pytest.fixture(params=VIRTUAL)
def machine(request: pytest.FixtureRequest) -> Iterator[virtual.VirtualBoard]:
    """A virtual board of each kind, started for this test: it is up in a tenth of a second."""
    need(request.param)
    with virtual.session(request.param) as running:
        yield running


@pytest.fixture
def wire(machine: virtual.VirtualBoard) -> Iterator[Board]:
    with connect(machine.address) as board:
        yield board


@pytest.fixture(scope="module")
def c3() -> Iterator[virtual.VirtualBoard]:
    need("virt_c3")
    with virtual.session("virt_c3") as running:
        yield running


def mpremote(board: virtual.VirtualBoard, *words: str, cwd: Path | None = None) -> str:
    """Run the mpremote program as a user would, and return what it prints."""
    command = [sys.executable, "-m", "mpremote", "connect", board.address, *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, cwd=cwd)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def is_alive(pid: int) -> bool:
    with contextlib.suppress(ProcessLookupError, ChildProcessError):
        return os.waitpid(pid, os.WNOHANG) == (0, 0)
    return Path(f"/proc/{pid}").exists()


# ---- every board, the same methods ----


@pytest.fixture(scope="module", params=("unix", *VIRTUAL))
def any_board(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Board]:
    need(request.param)
    with contextlib.ExitStack() as stack:
        address = f"unix:{tmp_path_factory.mktemp('flash')}"
        if request.param != "unix":
            address = stack.enter_context(virtual.session(request.param)).address
        yield stack.enter_context(connect(address))


def test_a_board_says_what_it_is(any_board: Board) -> None:
    info = any_board.info()
    assert info.mpy_arch == ARCHES[info.name] == catalog.load(info.name).arch
    assert (info.version, info.mpy_version) == ("1.25.0", 6)
    if info.name != "unix":
        assert 150_000 < info.heap_free < 163_840
        assert info.flash_total == 1_048_576


def test_any_bytes_survive_the_way_to_a_board_and_back(any_board: Board) -> None:
    data = bytes(range(256)) * 8 + random.Random(1).randbytes(3_333)
    seen: list[int] = []
    any_board.put("/any.bin", data, progress=lambda done, total: seen.append(done))
    assert any_board.get("/any.bin") == data
    assert any_board.sha256("/any.bin") == hashlib.sha256(data).hexdigest()
    assert seen == sorted(seen) and seen[-1] == len(data)
    any_board.put("/empty", b"")
    assert any_board.get("/empty") == b""
    any_board.remove("/any.bin")
    any_board.remove("/empty")


def test_files_can_be_listed_renamed_and_removed(any_board: Board) -> None:
    any_board.mkdirs("/a/b")
    any_board.mkdirs("/a/b")
    any_board.put("/a/b/it's", b"old")
    any_board.put("/a/b/new", b"new")
    any_board.rename("/a/b/new", "/a/b/it's")
    assert any_board.get("/a/b/it's") == b"new"
    assert any_board.listdir("/a") == ["b/"]
    assert any_board.listdir("/a/b") == ["it's"]
    any_board.remove("/a/b/it's")
    any_board.remove("/a/b/it's")
    any_board.remove("/a/b")
    assert not any_board.exists("/a/b")
    assert any_board.exists("/a")
    any_board.remove("/a")


def test_an_exception_on_a_board_comes_back_with_its_traceback_and_the_board_goes_on(any_board: Board) -> None:
    with pytest.raises(BoardScriptError, match="ZeroDivisionError") as caught:
        any_board.exec("print('before')\n1/0")
    assert caught.value.output == "before\n"
    assert 'File "<stdin>", line 2' in caught.value.traceback
    assert any_board.exec("print('after')") == "after\n"


def test_code_that_takes_too_long_is_interrupted_and_the_board_goes_on(any_board: Board) -> None:
    started = time.monotonic()
    with pytest.raises(BoardError, match=r"longer than 0\.3 s"):
        any_board.exec("while True: pass", timeout_s=0.3)
    assert time.monotonic() - started < 3
    assert any_board.exec("print(6 * 7)") == "42\n"


def test_lines_arrive_while_the_code_still_runs(any_board: Board) -> None:
    arrivals: list[tuple[str, float]] = []
    code = "import time\nfor i in range(3):\n print('line', i)\n time.sleep_ms(150)\nprint('end', end='')"
    any_board.stream(code, lambda line: arrivals.append((line, time.monotonic())))
    assert [line for line, _ in arrivals] == ["line 0", "line 1", "line 2", "end"]
    assert arrivals[2][1] - arrivals[0][1] > 0.2


def test_a_soft_reset_empties_the_heap_and_keeps_the_files(any_board: Board) -> None:
    any_board.exec("x = 1")
    any_board.put("/kept", b"kept")
    any_board.soft_reset()
    assert any_board.exec("print('x' in globals())") == "False\n"
    assert any_board.get("/kept") == b"kept"
    any_board.remove("/kept")


def test_the_modules_of_a_stock_firmware_are_there_and_lib_is_on_the_path(any_board: Board) -> None:
    any_board.exec(
        "import array, asyncio, binascii, deflate, gc, hashlib, io, json, machine, math, micropython, os, random, re,"
        " select, struct, sys, time, uctypes\n"
        "assert '/lib' in sys.path\n"
        "assert hashlib.sha256(b'abc').digest()[:4] == b'\\xbax\\x16\\xbf'\n"
        "assert len(os.urandom(5)) == 5\n"
        "async def nap():\n await asyncio.sleep_ms(20)\n"
        "start = time.ticks_ms()\nasyncio.run(nap())\nassert time.ticks_diff(time.ticks_ms(), start) >= 19\n"
    )


def test_viper_and_native_code_run(any_board: Board) -> None:
    said = any_board.exec(
        "@micropython.viper\ndef add(a: int, n: int) -> int:\n for i in range(n):\n  a += i\n return a\n"
        "@micropython.native\ndef twice(a):\n return 2 * a\n"
        "print(add(5, 100), twice(21))"
    )
    assert said == "4955 42\n"


def test_unix_has_tls() -> None:
    need("unix")
    with connect("unix") as unix:
        unix.exec("import tls\ntls.SSLContext(tls.PROTOCOL_TLS_CLIENT)")


# ---- the mpremote program ----


def test_mpremote_copies_files_both_ways(c3: virtual.VirtualBoard, tmp_path: Path) -> None:
    data = random.Random(2).randbytes(5_000)
    (tmp_path / "up.bin").write_bytes(data)
    mpremote(c3, "fs", "cp", str(tmp_path / "up.bin"), ":up.bin")
    mpremote(c3, "fs", "cp", ":up.bin", str(tmp_path / "down.bin"))
    assert (tmp_path / "down.bin").read_bytes() == data
    assert "up.bin" in mpremote(c3, "fs", "ls")


def test_mpremote_runs_a_script_and_single_lines(machine: virtual.VirtualBoard, tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text("import sys\nprint(sys.implementation._machine)\n")
    said = mpremote(machine, "run", str(tmp_path / "script.py"), "exec", "print(6 * 7)")
    assert said.split() == [machine.name, "with", *said.split()[2:3], "42"]


def test_mpremote_mounts_a_folder_of_the_host(c3: virtual.VirtualBoard, tmp_path: Path) -> None:
    (tmp_path / "on_host.py").write_text("print('imported from the host')\nopen('made', 'w').write('by the board')\n")
    assert "imported from the host" in mpremote(c3, "mount", str(tmp_path), "exec", "import on_host")
    assert (tmp_path / "made").read_text() == "by the board"


def test_mpremote_gets_in_while_main_py_loops_for_ever(c3: virtual.VirtualBoard) -> None:
    wire = connect(c3.address)
    wire.put("/main.py", b"n = 0\nwhile True:\n    n += 1\n")
    wire.reset()
    wire.close()
    time.sleep(0.3)
    assert mpremote(c3, "exec", "print('in')") == "in\n"
    with connect(c3.address) as again:
        again.remove("/main.py")


# ---- resets, power, time ----


def test_ctrl_c_stops_an_endless_loop_at_the_prompt(machine: virtual.VirtualBoard) -> None:
    with socket.create_connection(("127.0.0.1", machine.port), timeout=5) as raw:

        def until(mark: bytes) -> bytes:
            data = b""
            while not data.endswith(mark):
                data += raw.recv(1024)
            return data

        raw.sendall(b"\r\x03\x02")
        until(b">>> ")
        raw.sendall(b"while True: pass\r\r\r")
        time.sleep(0.3)
        raw.sendall(b"\x03")
        assert b"KeyboardInterrupt" in until(b">>> ")


def test_a_reset_by_command_keeps_the_files_and_says_so(wire: Board) -> None:
    wire.put("/kept", b"kept")
    wire.hard_reset()
    assert wire.get("/kept") == b"kept"
    assert wire.eval("__import__('machine').reset_cause()") == 2  # HARD_RESET
    wire.remove("/kept")


def test_main_py_runs_after_a_reset_and_after_its_end_the_prompt_answers(wire: Board) -> None:
    wire.put("/main.py", b"open('/ran', 'a').write('x')\n")
    wire.reset()
    time.sleep(0.3)
    assert wire.get("/ran") == b"x"
    wire.remove("/main.py")
    wire.remove("/ran")


def test_the_watchdog_resets_a_board_that_hangs(wire: Board) -> None:
    with pytest.raises(BoardError):
        wire.exec("import machine\nmachine.WDT(timeout=200)\nwhile True: pass", timeout_s=1.5)
    assert wire.eval("__import__('machine').reset_cause()") == 3  # WDT_RESET


def test_the_clock_outlives_resets_and_deep_sleep_ends_in_one(wire: Board) -> None:
    wire.exec("import machine\nmachine.RTC().datetime((2024, 5, 6, 0, 7, 8, 9, 0))")
    wire.put("/main.py", b"import machine, os\nos.remove('/main.py')\nmachine.deepsleep(100)\n")
    wire.reset()
    time.sleep(0.4)
    now = wire.eval("(__import__('time').localtime()[:5], __import__('machine').reset_cause())")
    assert now == ((2024, 5, 6, 7, 8), 4)  # DEEPSLEEP_RESET


def test_files_in_a_kept_flash_survive_a_power_cut(tmp_path: Path) -> None:
    need("virt_c3")
    flash = tmp_path / "flash.bin"
    with virtual.session("virt_c3", flash=flash) as first, connect(first.address) as board:
        board.put("/kept", b"kept")
        os.kill(first.pid, signal.SIGKILL)
    with virtual.session("virt_c3", flash=flash) as second, connect(second.address) as board:
        assert board.get("/kept") == b"kept"
        assert board.eval("__import__('machine').reset_cause()") == 1  # PWRON_RESET
        with pytest.raises(BoardError, match="in use by a board that runs"):
            virtual.start("virt_c3", flash=flash)


def test_a_board_can_start_with_a_file_system_made_beforehand(tmp_path: Path) -> None:
    need("virt_c3")
    need("unix")
    with connect(f"unix:{tmp_path}") as unix:
        unix.exec(
            "import vfs\n"
            "class Image:\n"
            " def __init__(self): self.data = bytearray(1 << 20)\n"
            " def readblocks(self, n, b, o=0): b[:] = self.data[n * 4096 + o:n * 4096 + o + len(b)]\n"
            " def writeblocks(self, n, b, o=0): self.data[n * 4096 + o:n * 4096 + o + len(b)] = b\n"
            " def ioctl(self, op, arg): return {4: 256, 5: 4096}.get(op, 0)\n"
            "image = Image()\nvfs.VfsLfs2.mkfs(image)\nvfs.mount(image, '/disk')\n"
            "with open('/disk/there', 'w') as f: f.write('before the first start')\n"
            "vfs.umount('/disk')\nopen('/image', 'wb').write(image.data)\n"
        )
    with virtual.session("virt_c3", image=tmp_path / "image") as running, connect(running.address) as board:
        assert board.get("/there") == b"before the first start"


# ---- the processor ----

_COUNT = """
import array, micropython, virt
@micropython.viper
def dot(a: ptr16, n: int) -> int:
    s = 0
    for i in range(n):
        s += a[i] * a[i]
    return s
a = array.array('h', range(256))
def cost():
    micropython.heap_lock()
    virt.mark()
    dot(a, 256)
    n = virt.since()
    micropython.heap_unlock()
    return n
print(virt.counting(), min(cost() for _ in range(5)))
"""


@pytest.mark.parametrize("name", VIRTUAL)
def test_instruction_counts_repeat_from_start_to_start(name: str) -> None:
    need(name)
    counts = []
    for _ in range(3):
        with virtual.session(name, icount=True) as running, connect(running.address) as board:
            counting, count = board.exec(_COUNT).split()
            assert counting == "True"
            counts.append(int(count))
    # the timer of virt_m4 ticks once in three instructions
    assert max(counts) - min(counts) <= (0 if name == "virt_c3" else 3)
    assert 2_000 < counts[0] < 30_000


@pytest.mark.parametrize(
    ("instruction", "word"), [("amoadd.w a0, a0, (sp)", 0x00A1252F), ("fadd.s fa0, fa0, fa0", 0x00A57553)]
)
def test_virt_c3_refuses_what_an_esp32c3_has_not(c3: virtual.VirtualBoard, instruction: str, word: int) -> None:
    with connect(c3.address) as board:
        with pytest.raises(BoardError):
            board.exec(f"@micropython.asm_rv32\ndef f():\n data(4, {word})\nf()", timeout_s=1.0)
        assert board.eval("__import__('machine').reset_cause()") == 3, instruction


def test_an_idle_board_costs_its_host_nothing(machine: virtual.VirtualBoard) -> None:
    def seconds() -> float:
        fields = Path(f"/proc/{machine.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK")

    before = seconds()
    time.sleep(0.5)
    assert seconds() - before < 0.1


# ---- starting, stopping, and what goes wrong ----


def test_several_boards_run_at_once_and_each_has_its_own_flash() -> None:
    need("virt_c3")
    need("virt_m4")
    with contextlib.ExitStack() as stack:
        boards = [stack.enter_context(virtual.session(name)) for name in ("virt_c3", "virt_c3", "virt_m4")]
        assert len({board.port for board in boards}) == 3
        assert set(boards) <= set(virtual.running())
        wires = [stack.enter_context(connect(board.address)) for board in boards]
        for number, wire in enumerate(wires):
            wire.put("/number", str(number).encode())
        assert [wire.get("/number") for wire in wires] == [b"0", b"1", b"2"]
        assert len({wire.eval("__import__('machine').unique_id()") for wire in wires}) == 3
    assert not set(boards) & set(virtual.running())
    assert not any(is_alive(board.pid) for board in boards)
    assert not any(Path(board.flash).exists() for board in boards)


def test_a_taken_port_is_named(c3: virtual.VirtualBoard) -> None:
    with pytest.raises(BoardError, match=f"port {c3.port} is taken"):
        virtual.start("virt_c3", port=c3.port)


def test_missing_firmware_is_named_with_the_command_that_makes_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(catalog, "BUILD", tmp_path)
    assert not virtual.is_built("virt_c3")
    with pytest.raises(BoardError, match="make board-virt_c3"):
        virtual.start("virt_c3")
    with pytest.raises(BoardError, match="make board-unix"):
        connect("unix")


def test_missing_qemu_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    need("virt_c3")
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(BoardError, match="QEMU is missing"):
        virtual.start("virt_c3")


def test_a_board_that_does_not_come_up_says_why_and_leaves_nothing_behind(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    need("virt_c3")
    (tmp_path / "virt_c3").mkdir()
    (tmp_path / "virt_c3" / "firmware.elf").write_bytes(b"no firmware")
    monkeypatch.setattr(catalog, "BUILD", tmp_path)
    started: list[int] = []
    popen = subprocess.Popen

    def note(*args: object, **options: object) -> subprocess.Popen[bytes]:
        process = popen(*args, **options)  # type: ignore[call-overload]
        started.append(process.pid)
        return process  # type: ignore[no-any-return]

    monkeypatch.setattr(virtual.subprocess, "Popen", note)
    monkeypatch.setattr(virtual, "_START_S", 1.0)
    with pytest.raises(BoardError, match="did not come up"):
        virtual.start("virt_c3")
    assert started and not any(is_alive(pid) for pid in started)


def test_an_image_that_is_too_large_is_refused(tmp_path: Path) -> None:
    need("virt_c3")
    (tmp_path / "image").write_bytes(bytes(1_048_577))
    with pytest.raises(BoardError, match="the flash of virt_c3 only 1048576"):
        virtual.start("virt_c3", image=tmp_path / "image")


def test_unknown_boards_and_boards_that_do_not_run_are_named() -> None:
    with pytest.raises(BoardError, match="no board called 'virt_x'"):
        virtual.start("virt_x")
    with pytest.raises(BoardError, match="not a board that can be started"):
        virtual.start("esp32c3")
    with pytest.raises(BoardError, match="no virtual board 1 runs"):
        virtual.stop(1)


def test_nothing_at_the_address_is_a_clear_error() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(BoardError, match="no board answers"):
        connect(f"socket://127.0.0.1:{port}")
    with pytest.raises(BoardError, match="there is no port /dev/ttyNOTHING"):
        connect("/dev/ttyNOTHING")


def test_a_busy_board_says_that_it_is_busy(machine: virtual.VirtualBoard, wire: Board) -> None:
    assert wire.exec("print('here')") == "here\n"
    with pytest.raises(BoardError, match="is busy"):
        connect(machine.address, timeout_s=0.5)


def test_a_program_runs_on_when_its_reader_goes_away(c3: virtual.VirtualBoard) -> None:
    with connect(c3.address) as board:
        board.put("/main.py", b"for i in range(2000): print('x' * 100)\nopen('/done', 'w').close()\n")
        board.reset()
        board._wire.close()  # type: ignore[attr-defined]
    time.sleep(1.5)
    with connect(c3.address) as board:
        assert board.exists("/done")
        board.remove("/done")
        board.remove("/main.py")


@pytest.mark.parametrize("code", ["while True: pass", "import time\nwhile True:\n print('x' * 100)"])
def test_a_wire_that_breaks_is_noticed_at_once(code: str) -> None:
    need("virt_c3")
    with virtual.session("virt_c3") as running, connect(running.address) as board:
        threading.Timer(0.3, os.kill, (running.pid, signal.SIGKILL)).start()
        started = time.monotonic()
        with pytest.raises(BoardError, match="broke"):
            board.exec(code, timeout_s=30)
        assert time.monotonic() - started < 2


def test_a_wire_that_breaks_while_a_file_is_sent_is_noticed_at_once() -> None:
    need("virt_c3")
    with virtual.session("virt_c3") as running, connect(running.address) as board:

        def cut(done: int, total: int) -> None:
            if done > 20_000:
                os.kill(running.pid, signal.SIGKILL)

        with pytest.raises(BoardError, match="broke"):
            board.put("/big", bytes(500_000), progress=cut)


def test_a_new_connection_finds_the_board_ready_after_one_that_died_in_the_middle(
    c3: virtual.VirtualBoard,
) -> None:
    for last_words in (b"\r\x03\x03\r\x01\x05A\x01print('half a com", b"\r\x03\x03\r\x01while True: pass\x04"):
        with socket.create_connection(("127.0.0.1", c3.port)) as raw:
            raw.sendall(last_words)
            time.sleep(0.1)
        with connect(c3.address) as board:
            assert board.exec("print('ready')") == "ready\n"


# ---- the commands ----


def test_the_commands_start_list_ask_reset_and_stop_a_board() -> None:
    need("virt_c3")
    run = CliRunner()
    started = run.invoke(app, ["start", "virt_c3"])
    assert started.exit_code == 0, started.output
    address = started.output.split()[3]
    port = address.rpartition(":")[2]
    try:
        assert f"mpremote connect {address}" in started.output
        assert "rv32imc" in run.invoke(app, ["info", port]).output
        assert run.invoke(app, ["reset", port]).exit_code == 0
        listed = run.invoke(app, ["list"], env={"COLUMNS": "200"}).output
        assert all(name in listed for name in catalog.names())
    finally:
        assert f"port {port}" in run.invoke(app, ["stop", port]).output
