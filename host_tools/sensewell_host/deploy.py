"""Brings the runtime and a bundle onto a board so that a failure at any point leaves the board as it was.

Order: look at the board and refuse before a byte is written; send what is new beside what is there, each file checked
by SHA-256 on the board; open and prove the bundle there with the code that will run it; only then switch by renames.
Knows the layout of a board, nothing of what is inside a bundle beyond what pack.inspect says.
"""

from __future__ import annotations

import ast
import errno
import hashlib
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sensewell_host import runtime
from sensewell_host.board import Board
from sensewell_host.device_path import DEVICE
from sensewell_host.errors import SensewellError

BUNDLE = "/bundle.swb"
PART = BUNDLE + ".part"
STAGE = "/stage"  # the new runtime, complete, until it is switched to
LIB = "/lib"
_FULL = re.compile(r"OSError: (\[Errno )?28\b")
_BLOCK = 4096  # flash is given out in blocks of this size
_SPARE = 4 * _BLOCK  # what the file system needs for itself while it writes

Progress = Callable[[int, int, str], None]  # bytes sent, bytes in all, what is being done


@dataclass(frozen=True)
class DeployResult:
    """What a deploy did. `skipped`: files that were on the board already; `native`: what runs as native code there."""

    board: str
    seconds: float
    bytes_sent: int
    files_sent: int
    skipped: int
    kept: tuple[str, ...]  # files of the user's own that were left alone
    native: tuple[str, ...]
    bundle_sha256: str


_SURVEY = """
import os, hashlib
def digest(path):
    try:
        with open(path, "rb") as file:
            state = hashlib.sha256()
            block = bytearray(1024)
            view = memoryview(block)
            while True:
                n = file.readinto(block)
                if not n:
                    return state.digest()
                state.update(view[:n])
    except OSError:
        return None
def first_line(path):
    try:
        with open(path, "rb") as file:
            return file.readline()
    except OSError:
        return None
try:
    stat = os.statvfs("/")
    free = stat[0] * stat[3]
except (OSError, AttributeError):
    free = None
for path in {paths!r}:
    print("F", repr((path, digest(path))))
for path in ("/boot.py", "/main.py"):
    print("M", repr((path, first_line(path))))
print("Z", free)
"""

# Everything in a folder tree, files first, and the folder itself
_REMOVE = """
import os
def remove(path):
    try:
        if os.stat(path)[0] & 0x4000:
            for name in os.listdir(path):
                remove(path + "/" + name)
            os.rmdir(path)
        else:
            os.remove(path)
    except OSError:
        pass
for path in {paths!r}:
    remove(path)
"""

_COPY = """
for source, target in {pairs!r}:
    with open(source, "rb") as file, open(target, "wb") as copy:
        while True:
            block = file.read(1024)
            if not block:
                break
            copy.write(block)
"""

# What is to be removed must not take part in the proof: None in sys.modules is what `import` then finds
_PROVE = """
import sys, gc
sys.path.insert(0, {path!r})
for name in {hidden!r}:
    sys.modules[name] = None
try:
    from sensewell.bundle import Bundle
    from sensewell.pipeline import Pipeline
    bundle = Bundle.open({bundle!r}, {board!r})
    bundle.prove(Pipeline(bundle))
    print("PROVEN")
except MemoryError as error:
    print("MEMORY", gc.mem_free())
except Exception as error:
    print("REFUSED", getattr(error, "reason", type(error).__name__), "|", error)
"""

# Once the board has this text it needs no wire any more: the switch is the renames, the bundle's last
_SWITCH = """
import os
for path in {remove!r}:
    try:
        os.remove(path)
    except OSError:
        pass
for folder in {folders!r}:
    try:
        os.mkdir(folder)
    except OSError:
        pass
os.chdir("/")
for source, target in {renames!r}:
    os.rename(source[1:], target[1:])  # relative: VfsPosix of the unix port renames no absolute paths
if hasattr(os, "sync"):
    os.sync()
print("SWITCHED")
"""


def deploy(
    board: Board,
    bundle: Path,
    *,
    progress: Progress = lambda done, total, what: None,
    with_main: bool = True,
    setup: Path | None = None,
    extra_modules: tuple[str, ...] = (runtime.REPLAY,),
) -> DeployResult:
    """Put the bundle file on `board`, with the runtime it needs, and start it there. `setup`: the user's setup.py.

    Raises SensewellError where bundle and board do not fit (nothing was written), where the board refuses the bundle,
    or where its flash is full; BoardError where the wire breaks. In each case the board keeps what it had.
    """
    started = time.monotonic()
    manifest, content = read_bundle(bundle)
    info = board.info()
    arch = runtime.check_mpy(info.mpy, info.name)
    check_board(manifest, info.name)
    family = manifest["model"]["family"]
    wanted, stale = runtime.files_for(arch, [] if family == "none" else [family], extra_modules)
    mains = {f"/{name}": (DEVICE / name).read_bytes() for name in ("boot.py", "main.py")} if with_main else {}
    own = {"/setup.py": _read_setup(setup)} if setup else {}

    progress(0, 1, "looking at the board")
    there, first_lines, free = _survey(board, [*wanted, *stale, *mains, *own, BUNDLE])
    stale = [path for path in stale if there[path] is not None]
    changed = {path: data for path, data in wanted.items() if there[path] != _digest(data)}
    # a boot.py or main.py that begins as ours does is ours, and may be replaced
    kept = tuple(path for path, data in mains.items() if first_lines[path] not in (None, data.splitlines(True)[0]))
    tops = {path: data for path, data in (mains | own).items() if path not in kept and there[path] != _digest(data)}
    send = {STAGE + path[len(LIB) :]: data for path, data in changed.items()}
    send |= {path + ".part": data for path, data in tops.items()}
    if there[BUNDLE] != _digest(content):
        send[PART] = content
    result = DeployResult(
        board=info.name,
        seconds=0.0,
        bytes_sent=sum(map(len, send.values())),
        files_sent=len(send),
        skipped=len(wanted) + len(mains) + len(own) + 1 - len(send) - len(kept),
        kept=kept,
        native=runtime.native_names(wanted),
        bundle_sha256=_digest(content).hex(),
    )
    leftovers = [STAGE, PART, *(path + ".part" for path in [*mains, *own])]
    board.exec(_REMOVE.format(paths=leftovers))
    if send or stale:
        same = [path for path in wanted if path not in changed] if changed else []
        _check_space(info.name, free, list(send.values()), sum(-(-len(wanted[path]) // _BLOCK) for path in same))
        try:
            _send(board, send, [(path, STAGE + path[len(LIB) :]) for path in same], progress)
            _prove(board, info.name, STAGE if changed else LIB, PART if PART in send else BUNDLE, stale)
            progress(result.bytes_sent, result.bytes_sent, "switching over")
            _switch(board, list(send), changed, stale)
        except SensewellError:
            _clean_up(board, leftovers)
            raise
        board.exec(_REMOVE.format(paths=[STAGE]))
    progress(1, 1, "starting")
    board.reset()
    return DeployResult(**{**result.__dict__, "seconds": time.monotonic() - started})


def read_bundle(path: Path) -> tuple[dict[str, Any], bytes]:
    """Manifest and bytes of a bundle file, verified here with the device code before any board is bothered."""
    from sensewell_host import pack

    if not path.is_file():
        raise SensewellError(f"there is no bundle {path}: make one with `sensewell pack`")
    return pack.inspect(path)["manifest"], path.read_bytes()


def check_board(manifest: dict[str, Any], name: str) -> None:
    """Refuse a bundle that is not for the board called `name`."""
    boards = manifest["boards"]
    if "*" not in boards and name not in boards:
        raise SensewellError(f"the bundle {manifest['name']} is for {', '.join(boards)}; this board is {name}")


def _read_setup(path: Path) -> bytes:
    try:
        content = path.read_bytes()
        compile(content, str(path), "exec")
    except OSError as error:
        raise SensewellError(f"cannot read {path}: {error.strerror}") from error
    except (SyntaxError, ValueError) as error:
        raise SensewellError(f"{path} is not Python: {error}") from error
    return content


def _survey(board: Board, paths: list[str]) -> tuple[dict[str, bytes | None], dict[str, bytes | None], int | None]:
    digests: dict[str, bytes | None] = {}
    lines: dict[str, bytes | None] = {}
    free = answered = None
    for line in board.exec(_SURVEY.format(paths=paths), timeout_s=60).splitlines():
        letter, _, rest = line.partition(" ")
        if letter in ("F", "M"):
            path, value = ast.literal_eval(rest)
            (digests if letter == "F" else lines)[path] = value
        elif letter == "Z":
            answered = True
            free = ast.literal_eval(rest)  # of littlefs it may be a little below 0
    if not answered or len(digests) != len(set(paths)):
        raise SensewellError("the board did not answer when asked for its files; reset it and try again")
    return digests, lines, free


def _check_space(name: str, free: int | None, sending: list[bytes], copied_blocks: int) -> None:
    """Refuse before anything is written; `free` is None where the board cannot tell."""
    need = (sum(-(-len(data) // _BLOCK) for data in sending) + copied_blocks) * _BLOCK + _SPARE
    if free is not None and free < need:
        raise SensewellError(
            f"the flash of {name} is too full: {need // 1024} KiB are needed while deploying, "
            f"{max(free, 0) // 1024} KiB are free; remove files from the board and try again"
        )


def _send(board: Board, files: dict[str, bytes], copies: list[tuple[str, str]], progress: Progress) -> None:
    total = sum(map(len, files.values()))
    done = 0
    staged = [path for path in [*files, *(target for _, target in copies)] if path.startswith(STAGE)]
    for folder in sorted({parent for path in staged for parent in _parents(path)}):
        board.mkdirs(folder)
    try:
        for path, data in files.items():
            what = path.removeprefix(STAGE + "/").removesuffix(".part").removeprefix("/")
            progress(done, total, what)
            board.put(path, data)
            done += len(data)
            progress(done, total, what)
        if copies:
            board.exec(_COPY.format(pairs=copies), timeout_s=60)
    except SensewellError as error:
        if _is_full(error):
            raise SensewellError(
                "the board's flash is full: what had been sent was removed, and the board keeps what it had; "
                "remove files from the board and try again"
            ) from error
        raise
    digests, _, _ = _survey(board, list(files))
    for path, data in files.items():
        if digests[path] != _digest(data):
            raise SensewellError(f"{path} did not arrive whole on the board (its SHA-256 differs): deploy again")


def _prove(board: Board, name: str, path: str, bundle: str, stale: list[str]) -> None:
    board.soft_reset()  # a clean heap, and no module of the runtime that is being replaced
    hidden = [file.removeprefix(LIB + "/").removesuffix(".mpy").replace("/", ".") for file in stale]
    script = _PROVE.format(path=path, bundle=bundle, board=name, hidden=hidden)
    said = board.exec(script, timeout_s=120).strip().splitlines()
    verdict, _, rest = (said[-1] if said else "").partition(" ")
    if verdict == "PROVEN":
        return
    if verdict == "MEMORY":
        raise SensewellError(f"the bundle does not fit into the RAM of {name}; the board keeps what it had")
    reason = rest.partition(" | ")[2] or rest or "it gave no reason"
    raise SensewellError(f"{name} refuses the bundle: {reason}; the board keeps what it had")


def _switch(board: Board, sent: list[str], changed: dict[str, bytes], stale: list[str]) -> None:
    renames = [(STAGE + path[len(LIB) :], path) for path in changed]
    renames += [(path, path.removesuffix(".part")) for path in sent if path.endswith(".part") and path != PART]
    if PART in sent:
        renames.append((PART, BUNDLE))
    # MicroPython prefers x.py to x.mpy: an old source would hide what was just deployed
    hiding = [path.removesuffix(".mpy") + ".py" for path in changed]
    folders = sorted({parent for path in changed for parent in _parents(path)})
    said = board.exec(_SWITCH.format(remove=stale + hiding, folders=folders, renames=renames), timeout_s=60)
    if "SWITCHED" not in said:
        raise SensewellError("the board did not confirm the switch: deploy again")


def _clean_up(board: Board, leftovers: list[str]) -> None:
    """Remove what was sent and let the board run again what it ran; a dead wire leaves that to the next deploy."""
    try:
        board.exec(_REMOVE.format(paths=leftovers))
        board.reset()
    except SensewellError:
        pass


def _parents(path: str) -> list[str]:
    parts = path.strip("/").split("/")[:-1]
    return ["/" + "/".join(parts[: n + 1]) for n in range(len(parts))]


def _digest(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def _is_full(error: BaseException | None) -> bool:
    while error is not None:
        if getattr(error, "errno", None) == errno.ENOSPC or "ENOSPC" in str(error) or _FULL.search(str(error)):
            return True
        error = error.__cause__
    return False
