"""What can be done with any board, said once: everything here is Python code run on the board through `exec`.

The ways to a board (a wire, a process) are its subclasses. Paths are absolute paths on the board's flash.
"""

from __future__ import annotations

import ast
import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Protocol

from sensewell_host.board import catalog
from sensewell_host.board.errors import BoardError, BoardScriptError

ARCHITECTURES = (
    "", "x86", "x64", "armv6", "armv6m", "armv7m", "armv7em", "armv7emsp", "armv7emdp", "xtensa", "xtensawin",
    "rv32imc",
)  # fmt: skip
"""By number, as sys.implementation._mpy holds it above bit 10; names as mpy-cross -march wants them."""

Progress = Callable[[int, int], None]
"""Called with (bytes done, bytes in all)."""

_INFO = """
import gc, os, sys
s = sys.implementation
try:
    v = os.statvfs('/')
except Exception:
    v = (0,) * 10
gc.collect()
print((s._machine, '.'.join(str(n) for n in s.version[:3]), s._mpy, gc.mem_free(), v[1] * v[3], v[1] * v[2]))
"""

_SHA256 = """
import hashlib
h = hashlib.sha256()
b = memoryview(bytearray(1024))
with open({path!r}, 'rb') as f:
    while True:
        n = f.readinto(b)
        if not n:
            break
        h.update(b[:n])
print(h.digest())
"""

_MKDIRS = """
import os
p = ''
for n in {path!r}.strip('/').split('/'):
    p += '/' + n
    try:
        os.mkdir(p)
    except OSError as e:
        if e.errno != 17:
            raise
"""


@dataclass(frozen=True)
class BoardInfo:
    """What a board says of itself. Sizes in bytes."""

    name: str
    """Its name in the catalogue of boards; what it calls itself where it is not in there."""
    machine: str
    version: str
    """Of MicroPython, for instance 1.25.0."""
    mpy: int
    """sys.implementation._mpy: what .mpy files it takes, in MicroPython's own packing."""
    heap_free: int
    flash_free: int
    flash_total: int

    @property
    def mpy_version(self) -> int:
        """The format version of .mpy files it takes, for instance 6."""
        return self.mpy & 0xFF

    @property
    def mpy_arch(self) -> str:
        """The architecture of native code it takes, as mpy-cross -march wants it; empty for none."""
        number = self.mpy >> 10 & 0xF
        return ARCHITECTURES[number] if number < len(ARCHITECTURES) else ""


class Wire(Protocol):
    """A stream of bytes. All raise BoardError where it breaks."""

    def write(self, data: bytes) -> int: ...

    def read_to(self, mark: bytes, end: float) -> bytes | None:
        """Everything up to and with the mark; None where it has not come by the time `end` (time.monotonic)."""

    def has(self, mark: bytes) -> bool:
        """Is the mark in what has come and was not read?"""


class Board(ABC):
    """A MicroPython board that code can be run on. Use it as a context manager; one user at a time."""

    address: str

    # ---- what each way to a board does in its own manner ----

    @abstractmethod
    def exec(self, code: str | bytes, timeout_s: float = 30.0) -> str:
        """Run code and return what it printed. `timeout_s` limits the whole run.

        Raises BoardScriptError with the board's traceback where the code raises, BoardError for all else. After a
        timeout the code has been interrupted and the board can be used on.
        """

    @abstractmethod
    def stream(self, code: str, on_line: Callable[[str], None], timeout_s: float = 30.0) -> None:
        """Run code and hand over each line it prints when it arrives. `timeout_s` limits the silence between bytes."""

    @abstractmethod
    def put(self, path: str, data: bytes, progress: Progress | None = None, append: bool = False) -> None:
        """Write a file, or append to it. Its folder must exist. A broken wire leaves it cut short: write beside, check,
        then rename."""

    @abstractmethod
    def get(self, path: str, progress: Progress | None = None) -> bytes:
        """Read a file."""

    @abstractmethod
    def soft_reset(self) -> None:
        """Start the interpreter afresh: an empty heap, no imported modules, the same files. main.py does not run."""

    @abstractmethod
    def hard_reset(self) -> None:
        """Reset the chip and take hold of it again; main.py has been interrupted."""

    @abstractmethod
    def reset(self) -> None:
        """Reset the chip and let it run its own boot.py and main.py. The next call takes hold of it again."""

    @abstractmethod
    def close(self) -> None:
        """Let go of the board. It stays at its prompt; `reset` first where main.py is to run."""

    # ---- what is the same for all ----

    def take_hold(self) -> None:
        """Stop what runs there and start the interpreter afresh, unless that was done. BoardError as `connect`."""
        return

    def wire(self) -> Wire | None:
        """The bytes from and to a program that may run there; None once it was stopped, or where there is no wire."""
        return None

    def eval(self, expression: str, timeout_s: float = 30.0) -> Any:
        """Return the value of an expression; it must be made of Python literals."""
        said = self.exec(f"print(repr({expression}))", timeout_s).strip()
        try:
            return ast.literal_eval(said)
        except (SyntaxError, ValueError):
            raise BoardError(f"{self.address}: expected the value of {expression}, the board said {said!r}") from None

    def info(self) -> BoardInfo:
        """Ask the board what it is and what room it has."""
        machine, version, mpy, heap, flash_free, flash_total = ast.literal_eval(self.exec(_INFO).strip())
        return BoardInfo(catalog.identify(machine), machine, version, mpy, heap, flash_free, flash_total)

    def free_flash(self) -> int:
        """Bytes left on the flash."""
        return self.info().flash_free

    def exists(self, path: str) -> bool:
        """Is there a file or folder of this name?"""
        return self._succeeds(f"import os\nos.stat({path!r})")

    def listdir(self, path: str = "/") -> list[str]:
        """The names in a folder, sorted; those of folders end in a slash."""
        entries = self.exec(f"import os\nfor e in os.ilistdir({path!r}):\n print(repr(e[:2]))").splitlines()
        return sorted(name + "/" * (kind == 0x4000) for name, kind in map(ast.literal_eval, entries))

    def sha256(self, path: str) -> str:
        """The SHA-256 of a file in hexadecimal, computed on the board: proof of what landed."""
        digest: bytes = ast.literal_eval(self.exec(_SHA256.format(path=path), timeout_s=60).strip())
        return digest.hex()

    def mkdirs(self, path: str) -> None:
        """Make a folder and those above it; no error where they exist."""
        if path.strip("/"):
            self.exec(_MKDIRS.format(path=path))

    def rename(self, old: str, new: str) -> None:
        """Rename a file; on littlefs atomically, and over an existing file."""
        self.exec(f"import os\nos.rename({old!r}, {new!r})")

    def remove(self, path: str) -> None:
        """Remove a file or an empty folder; no error where there is none."""
        if self.exists(path):
            self.exec(f"import os\ntry:\n os.remove({path!r})\nexcept OSError:\n os.rmdir({path!r})")

    def _succeeds(self, code: str) -> bool:
        try:
            self.exec(code)
        except BoardScriptError as error:
            if "OSError" not in str(error):
                raise
            return False
        return True

    def __enter__(self) -> Board:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.close()


def verify(board: Board, path: str, data: bytes) -> None:
    """Raise BoardError unless the file on the board is exactly `data`."""
    if board.sha256(path) != hashlib.sha256(data).hexdigest():
        raise BoardError(f"{path} did not arrive whole on {board.address} (its SHA-256 differs): send it again")
