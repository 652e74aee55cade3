"""The unix board: MicroPython as a process of this computer, with a folder for its flash. The fast way for bulk work.

Every exec is a new process: nothing is left in memory from one to the next, as if the board were reset in between.
Inside, / is the folder, so that code sees the same paths as on a board.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from sensewell_host.board import catalog
from sensewell_host.board.base import Board, Progress
from sensewell_host.board.errors import BoardError, BoardScriptError

DEFAULT_HEAP = "16m"

# The script is handed over as a file outside of the flash; it runs with the flash as /. A traceback goes to stderr.
_PRELUDE = """
import sys, vfs, os
_f = open({script!r})
_s = _f.read()
_f.close()
class _Flash:
    # VfsPosix of MicroPython 1.25 renames a file to itself, because both names share one buffer. Not a subclass:
    # that would inherit the C protocol, and import would take it for the real thing.
    def __init__(self, root):
        self._root = root
        self._flash = vfs.VfsPosix(root)
    def rename(self, old, new, plain=vfs.VfsPosix()):
        plain.rename(*(self._root + name if name[0] == '/' else name for name in (old, new)))
    def __getattr__(self, name):
        return getattr(self._flash, name)
vfs.umount('/')
vfs.mount(_Flash({folder!r}), '/')
os.chdir('/')
sys.path[:] = ['', '.frozen', '/lib']
sys.argv[:] = ['']
del os, _f, sys, _Flash
exec(_s, {{'__name__': '__main__'}})
"""


class UnixBoard(Board):
    """MicroPython's unix port over a folder. Many may run at once, even over one folder."""

    def __init__(self, folder: Path, heap: str = DEFAULT_HEAP, temporary: bool = False) -> None:
        self.folder = folder
        self.address = f"unix:{folder}"
        self._heap = heap
        self._temporary = temporary
        self._program = catalog.load("unix").firmware
        if not self._program.is_file():
            raise BoardError("the unix board is not built yet: run `make board-unix`")

    @classmethod
    def connect(cls, address: str = "unix", heap: str = DEFAULT_HEAP) -> UnixBoard:
        """Open `unix:FOLDER` (made where it is missing), or `unix`, whose flash is gone afterwards.

        `heap` is the size of the heap as MicroPython takes it: 160k makes it as tight as on a small board.
        """
        name = address.partition(":")[2]
        if not name:
            return cls(Path(tempfile.mkdtemp(prefix="sensewell-unix-")), heap, temporary=True)
        folder = Path(name).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        return cls(folder, heap)

    def close(self) -> None:
        if self._temporary:
            shutil.rmtree(self.folder, ignore_errors=True)

    # ---- running code ----

    def exec(self, code: str | bytes, timeout_s: float = 30.0) -> str:
        end = time.monotonic() + timeout_s
        pieces: list[bytes] = []
        try:
            self._run(code, lambda: end, pieces.append, timeout_s)
        except BoardScriptError as error:
            error.output = b"".join(pieces).decode(errors="replace")
            raise
        return b"".join(pieces).decode(errors="replace")

    def stream(self, code: str, on_line: Callable[[str], None], timeout_s: float = 30.0) -> None:
        rest = bytearray()

        def on_data(piece: bytes) -> None:
            rest.extend(piece)
            while (newline := rest.find(b"\n")) >= 0:
                line = bytes(rest[:newline])
                del rest[: newline + 1]
                on_line(line.decode(errors="replace"))

        self._run(code, lambda: time.monotonic() + timeout_s, on_data, timeout_s)
        if rest:
            on_line(rest.decode(errors="replace"))

    def _run(
        self, code: str | bytes, end: Callable[[], float], on_data: Callable[[bytes], None], limit_s: float
    ) -> None:
        with tempfile.TemporaryDirectory(prefix="sensewell-exec-") as work:
            script = Path(work) / "script.py"
            script.write_bytes(code.encode() if isinstance(code, str) else code)
            prelude = _PRELUDE.format(script=str(script), folder=str(self.folder))
            with (Path(work) / "errors").open("w+b") as errors:
                process = subprocess.Popen(
                    [str(self._program), "-X", f"heapsize={self._heap}", "-c", prelude],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=errors,
                    start_new_session=True,
                )
                try:
                    _follow(process, end, on_data)
                except TimeoutError:
                    raise BoardError(
                        f"the board at {self.address} took longer than {limit_s:g} s and was stopped; allow more time"
                    ) from None
                finally:
                    with contextlib.suppress(ProcessLookupError):
                        os.killpg(process.pid, signal.SIGKILL)
                    process.wait()
                errors.seek(0)
                complaint = _as_on_a_board(errors.read().decode(errors="replace"))
        if process.returncode != 0:
            raise BoardScriptError(complaint or f"the process ended with status {process.returncode}")

    # ---- files: the folder itself ----

    def _path(self, path: str) -> Path:
        target = (self.folder / path.lstrip("/")).resolve()
        if not target.is_relative_to(self.folder.resolve()):
            raise BoardError(f"the path {path} leads out of the flash of {self.address}")
        return target

    def put(self, path: str, data: bytes, progress: Progress | None = None, append: bool = False) -> None:
        try:
            with self._path(path).open("ab" if append else "wb") as file:
                file.write(data)
        except OSError as error:
            raise BoardError(f"cannot write {path} on {self.address}: {error.strerror}") from error
        if progress:
            progress(len(data), len(data))

    def get(self, path: str, progress: Progress | None = None) -> bytes:
        try:
            data = self._path(path).read_bytes()
        except OSError as error:
            raise BoardScriptError(f"OSError: [Errno {error.errno}] {error.strerror}: {path}") from error
        if progress:
            progress(len(data), len(data))
        return data

    # ---- resets: every exec starts afresh anyway ----

    def soft_reset(self) -> None:
        """Nothing to do: each exec is a new process."""

    def hard_reset(self) -> None:
        """Nothing to do: each exec is a new process."""

    def reset(self) -> None:
        """Nothing to do: a unix board runs main.py only where it is told to."""


def _as_on_a_board(traceback: str) -> str:
    """A traceback without the frame of our own prelude."""
    lines = [line for line in traceback.splitlines() if not line.startswith('  File "<stdin>"')]
    return "\n".join(lines).replace('File "<string>"', 'File "<stdin>"')


def _follow(process: subprocess.Popen[bytes], end: Callable[[], float], on_data: Callable[[bytes], None]) -> None:
    """Hand over what the process prints until it ends; TimeoutError at the time `end()`."""
    assert process.stdout is not None
    with process.stdout as pipe, selectors.DefaultSelector() as selector:
        selector.register(pipe, selectors.EVENT_READ)
        while True:
            limit = end()
            if not selector.select(max(0.0, limit - time.monotonic())):
                raise TimeoutError
            if not (data := os.read(pipe.fileno(), 65536)):
                break
            on_data(data)
    try:
        process.wait(timeout=max(0.1, end() - time.monotonic()))
    except subprocess.TimeoutExpired:
        raise TimeoutError from None
