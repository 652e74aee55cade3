"""Starts, stops and lists virtual boards: real firmware in QEMU, each with its own flash and its own TCP port.

A board outlives the command that started it. What runs is noted in build/boards/run, one JSON file a port.
Knows QEMU and processes; what is said over the wire is transport's business.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import secrets
import shutil
import signal
import socket
import struct
import subprocess
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from sensewell_host.board import catalog
from sensewell_host.board.errors import BoardError

RUN = Path(os.environ.get("SENSEWELL_RUN") or catalog.BUILD / "run")  # which boards run is said here
FIRST_PORT = 4001
_START_S = 10.0

# chip_keep_t of boards/firmware/chip.h: cause of reset, ns per instruction, starts, reserved, id, entropy, clock
_KEEP = struct.Struct("<IIII8s16sq")
_KEEP_STARTS = struct.Struct("<8xI")


@dataclass(frozen=True)
class VirtualBoard:
    """A virtual board that runs. `flash` is the file behind its RAM, which holds the simulated flash."""

    name: str
    address: str
    """What mpremote and `connect` take."""
    port: int
    pid: int
    icount: bool
    """Does it count instructions (and keep its own time)?"""
    flash: str
    keeps_flash: bool
    """Does the flash file stay when the board is stopped?"""


def is_built(name: str) -> bool:
    """Is there firmware for this virtual board?"""
    return catalog.load(name).kind != "real" and catalog.load(name).firmware.is_file()


def check(name: str) -> tuple[catalog.BoardSpec, str]:
    """What the board is, and the program that emulates it; BoardError if it cannot be started, and what to do."""
    spec = catalog.load(name)
    if spec.qemu is None:
        hint = "its address is simply `unix`" if spec.kind == "unix" else "connect it and use its port"
        raise BoardError(f"{name} is not a board that can be started: {hint}")
    if not spec.firmware.is_file():
        raise BoardError(f"the firmware of {name} is not built yet: run `make board-{name}`")
    qemu = shutil.which(spec.qemu.program)
    if qemu is None:
        raise BoardError(f"QEMU is missing ({spec.qemu.program}): `make board-{name}` installs it or says how")
    return spec, qemu


def start(
    name: str,
    port: int | None = None,
    icount: bool = False,
    image: Path | None = None,
    flash: Path | None = None,
) -> VirtualBoard:
    """Start a virtual board and return when its firmware is up.

    port: the TCP port of its console; a free one where None.
    icount: run on an instruction clock. Counts of instructions and all times then repeat exactly.
    image: a littlefs image the flash holds at the start (of a board without kept flash, or with a new one).
    flash: a file to keep the flash in. Stop or kill the board and start it again with it: that is a power cut.

    Raises BoardError where QEMU or the firmware is missing, the port is taken, or the board does not come up; no
    process is left behind then.
    """
    spec, qemu = check(name)
    assert spec.qemu is not None
    RUN.mkdir(parents=True, exist_ok=True)
    with _listen(port) as listener:
        port = listener.getsockname()[1]
        ram = flash.resolve() if flash else RUN / f"{name}-{port}.ram"
        _prepare_ram(spec, ram, port, icount, image, keep=flash is not None)
        log = RUN / f"{name}-{port}.log"
        process = subprocess.Popen(
            [
                *(
                    qemu,
                    *spec.qemu.arguments,
                    *_cpu(qemu, spec.qemu.cpu),
                    "-display",
                    "none",
                    "-monitor",
                    "none",
                    "-nodefaults",
                ),
                *("-kernel", str(spec.firmware), "-m", str(spec.qemu.ram_bytes // 2**20)),
                *("-object", f"memory-backend-file,id=ram,size={spec.qemu.ram_bytes},mem-path={ram},share=on"),
                *("-machine", "memory-backend=ram"),
                *("-chardev", f"socket,id=console,fd={listener.fileno()},server=on,wait=off,nodelay=on"),
                *("-serial", "chardev:console"),
                *(("-icount", f"shift={spec.qemu.icount_shift},sleep=on") if icount else ()),
            ],
            stdin=subprocess.DEVNULL,
            stdout=log.open("wb"),
            stderr=subprocess.STDOUT,
            pass_fds=[listener.fileno()],
            start_new_session=True,
        )
    board = VirtualBoard(
        name, f"socket://127.0.0.1:{port}", port, process.pid, icount, str(ram), keeps_flash=flash is not None
    )
    try:
        _wait_until_up(board, process, log)
        _note(board)
    except BaseException:
        process.kill()
        process.wait()
        _forget(board)
        raise
    return board


def stop(which: VirtualBoard | str | int) -> VirtualBoard:
    """Stop a running board, given as such, by its name, its address or its port. BoardError where there is none."""
    if isinstance(which, VirtualBoard):
        board = which
    else:
        found = [board for board in running() if which in (board.name, board.port, str(board.port), board.address)]
        if not found:
            here = ", ".join(f"{board.name} ({board.port})" for board in running()) or "none"
            raise BoardError(f"no virtual board {which} runs here; running: {here}")
        if len(found) > 1:
            ports = ", ".join(str(board.port) for board in found)
            raise BoardError(f"{len(found)} boards called {which} run here: say which port ({ports})")
        board = found[0]
    _end(board.pid)
    _forget(board)
    return board


def running() -> list[VirtualBoard]:
    """The virtual boards that run now, by port. Notes of boards that died are tidied away."""
    boards = []
    for path in RUN.glob("*.json"):
        try:
            board = VirtualBoard(**json.loads(path.read_text()))
        except (OSError, ValueError, TypeError):
            continue  # being written, or of another version
        if _is_alive(board):
            boards.append(board)
        else:
            _forget(board)
    return sorted(boards, key=lambda board: board.port)


@contextlib.contextmanager
def session(
    name: str,
    port: int | None = None,
    icount: bool = False,
    image: Path | None = None,
    flash: Path | None = None,
) -> Iterator[VirtualBoard]:
    """A virtual board for the length of a with block, stopped whatever happens; arguments as for `start`."""
    board = start(name, port, icount, image, flash)
    try:
        yield board
    finally:
        stop(board)


# ---- the parts of a start ----


def _listen(port: int | None) -> socket.socket:
    """The listening socket QEMU inherits: bound here, a taken port is known before anything runs."""
    for candidate in [port] if port is not None else [*range(FIRST_PORT, FIRST_PORT + 200), 0]:
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Small segments make the kernel acknowledge at once what mpremote sends in two halves. Without this each
        # command of the mpremote program takes 40 ms longer (Nagle's algorithm meets delayed acknowledgements).
        with contextlib.suppress(OSError):
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 88)
        try:
            listener.bind(("127.0.0.1", candidate))
            listener.listen(1)
            return listener
        except OSError as error:
            listener.close()
            if port is None and error.errno == errno.EADDRINUSE:
                continue
            if error.errno == errno.EADDRINUSE:
                raise BoardError(
                    f"port {port} is taken by another program: choose another, or none for a free one"
                ) from error
            raise BoardError(f"cannot listen on port {port}: {error.strerror}") from error
    raise AssertionError("port 0 is always free")


def _cpu(qemu: str, models: tuple[str, ...]) -> list[str]:
    """The -cpu option with the first of the models that this QEMU knows."""
    if not models:
        return []
    known = subprocess.run([qemu, "-cpu", "help"], capture_output=True, text=True).stdout.split()
    for model in models:
        if model.partition(",")[0] in known:
            return ["-cpu", model]
    raise BoardError(f"{qemu} knows none of the processors {', '.join(models)}: another version of QEMU is needed")


def _prepare_ram(spec: catalog.BoardSpec, ram: Path, port: int, icount: bool, image: Path | None, keep: bool) -> None:
    """Make the file behind the board's RAM: blank, or with an image, or as the last run left it."""
    assert spec.qemu is not None
    content = image.read_bytes() if image else b""
    if len(content) > spec.flash_bytes:
        raise BoardError(f"{image} has {len(content)} bytes, the flash of {spec.name} only {spec.flash_bytes}")
    if any(board.flash == str(ram) for board in running()):
        raise BoardError(f"the flash file {ram} is in use by a board that runs: stop that first")
    if keep and ram.exists() and not (ram.is_file() and ram.stat().st_size == spec.qemu.ram_bytes):
        raise BoardError(f"{ram} is no flash that {spec.name} kept: name its file, or one that is not there yet")
    is_new = not (keep and ram.is_file())
    if is_new:
        ram.unlink(missing_ok=True)
        ram.parent.mkdir(parents=True, exist_ok=True)
    with ram.open("wb" if is_new else "r+b") as file:
        file.truncate(spec.qemu.ram_bytes)
        if is_new and content:
            file.seek(spec.qemu.flash_offset)
            file.write(content)
        identity = hashlib.sha256(f"{spec.name} {ram if keep else port}".encode()).digest()[:8]
        # Power-on. With an instruction clock nothing may differ from run to run, randomness included.
        entropy = bytes(16) if icount else secrets.token_bytes(16)
        file.seek(spec.qemu.keep_offset)
        file.write(_KEEP.pack(0, 1 << spec.qemu.icount_shift if icount else 0, 0, 0, identity, entropy, 0))


def _wait_until_up(board: VirtualBoard, process: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until the firmware has mounted its flash. Seen in the board's memory, so that the console stays untouched:
    a board that has a main.py is to run it."""
    qemu = catalog.load(board.name).qemu
    assert qemu is not None
    end = time.monotonic() + _START_S
    with open(board.flash, "rb", buffering=0) as ram:
        while True:
            ram.seek(qemu.keep_offset)
            if _KEEP_STARTS.unpack(ram.read(_KEEP_STARTS.size))[0] > 0:
                return
            if process.poll() is not None:
                said = log.read_text(errors="replace").strip().splitlines()
                reason = said[-1] if said else f"status {process.returncode}, and it said nothing"
                raise BoardError(f"{board.name} did not come up, QEMU ended: {reason}")
            if time.monotonic() >= end:
                raise BoardError(f"{board.name} did not come up within {_START_S:g} s: run `make board-{board.name}`")
            time.sleep(0.01)


# ---- notes and processes ----


def _note_path(board: VirtualBoard) -> Path:
    return RUN / f"{board.port}.json"


def _note(board: VirtualBoard) -> None:
    temporary = _note_path(board).with_suffix(".new")
    temporary.write_text(json.dumps(asdict(board), indent=1))
    temporary.replace(_note_path(board))


def _forget(board: VirtualBoard) -> None:
    _note_path(board).unlink(missing_ok=True)
    (RUN / f"{board.name}-{board.port}.log").unlink(missing_ok=True)
    if not board.keeps_flash:
        Path(board.flash).unlink(missing_ok=True)


def _is_alive(board: VirtualBoard) -> bool:
    """Does this very board run? A process id alone may have been given to another program since."""
    try:
        command = Path(f"/proc/{board.pid}/cmdline").read_bytes()
    except FileNotFoundError:
        return False
    except OSError:
        command = b""
    return board.flash.encode() in command


def _end(pid: int) -> None:
    for number, patience_s in ((signal.SIGTERM, 2.0), (signal.SIGKILL, 2.0)):
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            return
        end = time.monotonic() + patience_s
        while time.monotonic() < end:
            if _is_gone(pid):
                return
            time.sleep(0.01)


def _is_gone(pid: int) -> bool:
    """Has the process ended? Our own child is collected on the way."""
    with contextlib.suppress(ChildProcessError):
        if os.waitpid(pid, os.WNOHANG)[0] == pid:
            return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False
