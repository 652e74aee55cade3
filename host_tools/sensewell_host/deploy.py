"""Brings an application, code and bundle, into the idle slot of a board: a failure at any point leaves what runs.

The steps, each of which may be the last: look at the board and refuse before a byte is written; stage the code beside
both slots, of which only what changed travels, each file checked by SHA-256; have the board begin (install.py there),
which gives the idle slot up; move the code there, bring the bundle, going on where a broken wire left it; have the
board verify and prove the bundle with that very code; then switch, which is one record of the journal. Knows the layout
of a board, nothing of what is inside a bundle beyond what pack.inspect and delta.py say.

    /slot/a.swb /slot/b.swb         bundles           /slot/journal.0 .1    which one is active, and why
    /slot/a/ /slot/b/               their code        /slot/new/            code that is being staged
    /lib/sensewell/__init__.py      leads to the active slot's code (device/loader.py)
    /boot.py /main.py /setup.py     small; replaced by renames

While a deploy lasts, the board's watchdog waits for its next step: if host or wire are gone, the board resets and runs
what it ran.
"""

from __future__ import annotations

import ast
import contextlib
import errno
import hashlib
import re
import time
import zlib
from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from sensewell_host import believe, board_slots, delta, runtime
from sensewell_host import deploy_scripts as scripts
from sensewell_host.advice import with_advice
from sensewell_host.board import Board, BoardError, BoardScriptError
from sensewell_host.capture.wire import CODE
from sensewell_host.device_path import DEVICE
from sensewell_host.errors import SensewellError
from sensewell_host.live import Brought, bring

SLOTS = "/slot"
NEW = SLOTS + "/new"
LOADER = "/lib/sensewell/__init__.py"
WATCHDOG_MS = 120_000  # boards whose watchdog waits less are deployed to without it
_FEED_S = 1.0
_LIST = "code.crc"  # by which the loader knows that a slot's code is whole
_PACKED = SLOTS + "/packed"  # what is sent compressed, until it is undone
_CODE = (NEW, SLOTS + "/a", SLOTS + "/b")
_PROBATION = 3  # of sensewell.slots.STATES
_ARRIVED = (1, 2, 4)  # writing (all of it came, but nobody proved it yet), whole, confirmed
_FULL = re.compile(r"OSError: (\[Errno )?28\b")
_BLOCK = 4096  # flash is given out in blocks of this size
_CAPTURES = ("sensewell", "sensewell_sim")  # folders of ours in capture's CODE; others there are the user's
_SPARE = 4 * _BLOCK  # what the file system needs for itself while it writes

Progress = Callable[[int, int, str], None]  # bytes sent, bytes in all, what is being done


@dataclass(frozen=True)
class DeployResult:
    """What a deploy did. `skipped`: files that were on the board already; `native`: what runs as native code there.

    bytes_sent: over the wire, compressed where that is less; slot: where the bundle is now. stopped_s: how long the
    program that ran was stopped; live: what came while it still ran.
    """

    board: str
    seconds: float
    bytes_sent: int
    files_sent: int
    skipped: int
    kept: tuple[str, ...]  # files of the user's own that were left alone
    native: tuple[str, ...]
    bundle_sha256: str
    slot: str
    unsigned: bool
    stopped_s: float = 0.0
    live: Brought | None = None


@dataclass(frozen=True)
class _Look:
    """What is on the board. files: SHA-256 and bytes of every file under /slot and of the top files, (None, 0) where
    there is none; journal: a Journal, or None."""

    files: dict[str, tuple[bytes | None, int]]
    first_lines: dict[str, bytes | None]
    free: int | None
    inflates: bool
    journal: Any

    @property
    def active(self) -> str | None:
        """a or b."""
        return "ab"[self.journal.active] if self.journal and self.journal.active < 2 else None

    def state(self, slot: str) -> int:
        """One of sensewell.slots.STATES, by number."""
        return int(self.journal.slots["ab".index(slot)].state) if self.journal else 0

    def digest(self, path: str) -> bytes | None:
        return self.files.get(path, (None, 0))[0]

    def is_sound(self, path: str) -> bool:
        """Is this file, a slot's, what the journal says of it?"""
        digest = self.digest(path)
        known = self.journal.slots["ab".index(path[len(SLOTS) + 1])] if self.journal else None
        return digest is not None and known is not None and bytes(known.digest) == digest[:16]

    def idle(self) -> list[str]:
        """The slots of which one is given up for what comes."""
        return [slot for slot in "ab" if slot != self.active or self.state(slot) == _PROBATION]

    def code_bytes(self) -> int:
        """What the code in the slot that is given up takes of the flash at least."""
        folders = [f"{SLOTS}/{slot}/" for slot in self.idle()]
        sizes = [[size for path, (_, size) in self.files.items() if path.startswith(one)] for one in folders]
        return min(sum(map(_blocks, one)) for one in sizes) * _BLOCK

    def blocks(self, slot: str) -> int:
        """What the slot takes of the flash, its code included."""
        inside = [size for path, (_, size) in self.files.items() if path.startswith(f"{SLOTS}/{slot}")]
        return sum(_blocks(size) for size in inside)


def deploy(
    board: Board,
    bundle: Path,
    *,
    progress: Progress = lambda done, total, what: None,
    with_main: bool = True,
    setup: Path | None = None,
    extra_modules: tuple[str, ...] = (runtime.REPLAY,),
    trust: believe.Chain = (),
    unsigned: bool = False,
    again: bool = False,
    live: bool = True,
) -> DeployResult:
    """Put the bundle file on `board`, with the code it needs, and start it there on probation.

    setup: the user's setup.py, in place of the board's own; the drivers it imports come along. trust: trust root files,
    oldest first, that the board shall follow up to the newest. unsigned: choose development mode on the board. again:
    take even a bundle that failed there before.
    live: while a node runs on a board that nobody has taken hold of yet, the bundle comes over the link (live.py).
    Raises SensewellError where bundle and board do not fit (nothing was written), where the board refuses the bundle,
    or where its flash is full; BoardError where the wire breaks. In each case the board keeps what it runs.
    """
    started = time.monotonic()
    manifest, content = read_bundle(bundle)
    own = {"/setup.py": _read_setup(setup)} if setup else {}
    brought = None
    if live:
        brought = bring(board, content, chain=trust, unsigned=unsigned, again=again, progress=progress)
    todo = _Deploy(board, content, manifest, _Watchdog(board), progress, again)
    stopped = time.monotonic()
    board.take_hold()
    try:
        result = todo.run(with_main, own, extra_modules, trust, unsigned)
        progress(1, 1, "starting")
        board.reset()
    except BaseException as error:
        todo.let_go(error)
        if _is_full(error):
            raise SensewellError(
                f"the flash of {todo.name} is full: what had been sent was removed, and the board keeps what it had; "
                "remove files from the board and try again"
            ) from error
        raise
    ended = time.monotonic()
    return replace(
        result,
        bytes_sent=result.bytes_sent + (brought.bytes_sent if brought else 0),
        files_sent=result.files_sent + (brought is not None),
        seconds=ended - started,
        stopped_s=ended - stopped,
        live=brought,
    )


def read_bundle(path: Path) -> tuple[dict[str, Any], bytes]:
    """Manifest and bytes of a bundle file, verified here with the device code before any board is bothered."""
    from sensewell_host import pack

    if not path.is_file():
        raise SensewellError(f"there is no bundle {path}: make one with `sensewell pack`")
    return pack.inspect(path)["manifest"], path.read_bytes()


class _Watchdog:
    """The board's own, where it has one that waits long enough; the reset that ends a deploy ends it, too."""

    def __init__(self, board: Board) -> None:
        self._board = board
        self._armed = True
        self._fed_s = 0.0

    def feed(self) -> None:
        if self._armed and time.monotonic() - self._fed_s > _FEED_S:
            self._fed_s = time.monotonic()
            self._armed = "FED" in self._board.exec(scripts.FEED.format(timeout_ms=WATCHDOG_MS))


class _Sender:
    """Sends files, compressed where that is less, and tells how far it is."""

    def __init__(self, board: Board, inflates: bool, watchdog: _Watchdog, progress: Progress) -> None:
        self._board = board
        self._inflates = inflates
        self._watchdog = watchdog
        self._progress = progress
        self._done = self.bytes = self.files = self.total = 0

    def tell(self, what: str) -> None:
        self._watchdog.feed()
        self._progress(self._done, max(self.total, self._done, 1), what)

    def file(self, path: str, data: bytes) -> None:
        self.tell(path.removeprefix(NEW + "/").removesuffix(".part").removeprefix("/"))
        self._send(path, data, "wb")
        self.files += 1

    def bundle(self, path: str, content: bytes, at: int, other: str, head: bytes | None) -> None:
        """What is missing of the bundle behind `at`, in pieces that stay when the wire breaks.

        head: the beginning of the bundle `other` on the board, of which sections may be taken.
        """
        self._done += at
        self.files += at < len(content)
        for part in delta.parts(content, head, at):
            self.tell("bundle")
            if part.source is None:
                self._send(path, content[part.at : part.end], "ab")
            else:
                size = part.end - part.at
                self._board.exec(scripts.APPEND.format(source=other, path=path, at=part.source, size=size))
                self._done += size

    def _send(self, path: str, data: bytes, mode: str) -> None:
        small = delta.packed(data) if self._inflates else None
        if small is None:
            self._board.put(path, data, append=mode == "ab")
        else:
            self._board.put(_PACKED, small)
            self._board.exec(scripts.INFLATE.format(packed=_PACKED, path=path, mode=mode, bits=delta.WINDOW_BITS))
        self.bytes += len(data if small is None else small)
        self._done += len(data)


@dataclass
class _Deploy:
    """One deploy. `leftovers`: what is to be removed from the board if it fails, but for a broken wire."""

    board: Board
    content: bytes
    manifest: dict[str, Any]
    watchdog: _Watchdog
    progress: Progress
    again: bool
    name: str = "the board"
    arch: str = ""
    leftovers: list[str] = field(default_factory=list)
    chosen: tuple[str, ...] = ()  # development mode, if this deploy chooses it: a deploy that fails takes that back

    def run(
        self,
        with_main: bool,
        own: dict[str, bytes],
        extra_modules: tuple[str, ...],
        chain: believe.Chain,
        unsigned: bool,
    ) -> DeployResult:
        """All but the reset at the end. own: files of the user's."""
        board, content = self.board, self.content
        self.progress(0, 1, "looking at the board")
        board.soft_reset()  # whoever used the board before may have left little of its heap
        self.watchdog.feed()
        info = board.info()
        self.name = info.name
        self.arch = runtime.check_mpy(info.mpy, info.name)
        families = runtime.families_of(self.manifest)
        drivers = runtime.imported_by(own["/setup.py"]) if "/setup.py" in own else self._drivers()
        targets, _ = runtime.files_for(self.arch, families, (*extra_modules, *drivers, *runtime.SLOTS))
        wanted = {path.removeprefix("/lib/"): data for path, data in targets.items()}
        wanted[_LIST] = "".join(f"{zlib.crc32(data)} {path}\n" for path, data in sorted(wanted.items())).encode()
        tops = {f"/{name}": (DEVICE / name).read_bytes() for name in ("boot.py", "main.py")} if with_main else {}
        loader = {LOADER: (DEVICE / "loader.py").read_bytes()}

        beliefs = believe.look(board)
        plan = beliefs.plan(content, info, chain, unsigned)
        self.chosen = (believe.DEVELOPMENT,) if plan.unsigned and not beliefs.unsigned else ()
        look = _survey(board, SLOTS, [*tops, *own, LOADER], believe.journal(board))
        # a boot.py or main.py that begins as ours does is ours, and may be replaced
        kept = tuple(path for path, data in tops.items() if look.first_lines.get(path) not in (None, _first_line(data)))
        small = {path: data for path, data in (tops | own | loader).items() if path not in kept}
        small = {path: data for path, data in small.items() if look.digest(path) != _digest(data)}
        result = DeployResult(
            board=info.name,
            seconds=0.0,
            bytes_sent=0,
            files_sent=0,
            skipped=len(wanted) + len(tops) + len(own) + 2 - len(small) - len(kept),
            kept=kept,
            native=runtime.native_names(targets),
            bundle_sha256=_digest(content).hex(),
            slot=look.active or "",
            unsigned=plan.unsigned,
        )
        if small or not self._holds(look, look.active, wanted):
            result = self._bring(look, wanted, small, plan, result)
        else:
            plan.before(board, f"{SLOTS}/{look.active}")
        plan.after(board, f"{SLOTS}/{result.slot}")
        return result

    def _drivers(self) -> tuple[str, ...]:
        """What the setup.py on the board imports: a slot without it would be refused at its first start."""
        if not self.board.exists("/setup.py"):
            return ()
        try:
            return runtime.imported_by(self.board.get("/setup.py"))
        except (SyntaxError, ValueError):
            return ()  # the board says so itself when it starts

    def let_go(self, error: BaseException) -> None:
        """After a failure: remove what was sent, and let the board run again what it ran.

        What a broken wire or an impatient user leaves there serves the next deploy; the watchdog does the rest.
        """
        with contextlib.suppress(SensewellError):
            if isinstance(error, SensewellError) and (
                not isinstance(error, BoardError) or isinstance(error, BoardScriptError)
            ):
                self.board.exec(scripts.REMOVE.format(paths=self.leftovers), timeout_s=60)
            self.board.reset()

    def _bring(
        self,
        look: _Look,
        wanted: dict[str, bytes],
        small: dict[str, bytes],
        plan: believe.Plan,
        result: DeployResult,
    ) -> DeployResult:
        """Stage, begin, move, send, prove, switch."""
        board, content = self.board, self.content
        sender = _Sender(board, look.inflates, self.watchdog, self.progress)
        parts = {path + ".part": data for path, data in small.items()}
        asked = {
            "board": self.name,
            "size": len(content),
            "digest": _digest(content),
            "prefixes": delta.prefix(content, {digest for digest, _ in look.files.values()}),
            "again": self.again,
            "expires": "expires" in self.manifest,
        }
        idle = "b" if look.active == "a" else "a"
        arrived = look.state(idle) in _ARRIVED and self._holds(look, idle, wanted)
        if look.journal:
            board_slots.check(look.journal, self.name, content, self.again or arrived)
        if arrived:
            code = f"{SLOTS}/{idle}"  # it was here before, or the wire broke at the end
            self._stage(look, {}, parts, 0, sender)
            copied = len(wanted)
            plan.before(board, code)
        else:
            copied = self._stage(look, wanted, parts, len(content), sender)
            plan.before(board, NEW)
            begin = scripts.BEGIN.format(code=NEW, freed=look.code_bytes(), **asked)
            path, at = ast.literal_eval(self._told(begin, "BEGUN"))
            code = path.removesuffix(".swb")
            board.exec(scripts.REMOVE.format(paths=[code]), timeout_s=60)
            board.exec(scripts.MOVE.format(new=NEW, code=code))
            other = f"{SLOTS}/{'b' if code[-1] == 'a' else 'a'}.swb"
            sender.bundle(path, content, at, other, believe.head(board, other) if look.is_sound(other) else None)
        self._told(scripts.COMMIT.format(code=code, **asked), "PROVEN")
        sender.tell("switching over")
        renames = [(path + ".part", path) for path in small]
        self._told(scripts.SWITCH.format(code=code, renames=renames, **asked), "SWITCHED")
        self.leftovers = []  # what was brought is what runs
        return replace(
            result,
            bytes_sent=sender.bytes,
            files_sent=sender.files,
            skipped=result.skipped + copied - len(wanted),
            slot=code[-1],
        )

    def _stage(
        self, look: _Look, wanted: dict[str, bytes], parts: dict[str, bytes], bundle_bytes: int, sender: _Sender
    ) -> int:
        """Complete /slot/new, of files that are on the board somewhere and of new ones; how many needed not be sent."""
        board = self.board
        found: dict[str, str] = {}
        for path, data in wanted.items():
            for folder in _CODE:
                if look.digest(f"{folder}/{path}") == _digest(data):
                    found[path] = f"{folder}/{path}"
                    break
        copies = {source: path for path, source in found.items() if not source.startswith(NEW)}
        send = {f"{NEW}/{path}": data for path, data in wanted.items() if path not in found} | parts
        staged = [*send.values(), *(wanted[path] for path in copies.values())]
        self._check_space(look, sum(_blocks(len(data)) for data in staged), _blocks(bundle_bytes))
        sender.total = sum(map(len, send.values())) + bundle_bytes
        inside = len(NEW) + 1
        stray = [path for path in look.files if path.startswith(NEW + "/") and path[inside:] not in found]
        self.leftovers = [NEW, _PACKED, *parts, *self.chosen]
        board.exec(scripts.REMOVE.format(paths=[*stray, _PACKED]), timeout_s=60)
        if copies:
            pairs = [(source, f"{NEW}/{path}") for source, path in copies.items()]
            board.exec(scripts.COPY.format(pairs=pairs), timeout_s=100)
        for folder in sorted({parent for path in send for parent in _parents(path)} | {SLOTS}):
            board.mkdirs(folder)
        for path, data in send.items():
            sender.file(path, data)
        here = _survey(board, NEW, list(parts))
        for path, data in {**{f"{NEW}/{path}": data for path, data in wanted.items()}, **parts}.items():
            if here.digest(path) != _digest(data):
                raise SensewellError(f"{path} did not arrive whole on the board (its SHA-256 differs): deploy again")
        return len(found)

    def _holds(self, look: _Look, slot: str | None, wanted: dict[str, bytes]) -> bool:
        """Does the slot hold exactly this code and our bundle? What `sensewell run` brought along may stay."""
        if slot is None or look.digest(f"{SLOTS}/{slot}.swb") != _digest(self.content):
            return False
        folder = f"{SLOTS}/{slot}/"
        there = {path[len(folder) :]: digest for path, (digest, _) in look.files.items() if path.startswith(folder)}
        digests = {path: _digest(data) for path, data in wanted.items()}
        if digests.items() < there.items():
            player = runtime.files(self.arch, runtime.PLAYER)
            digests |= {path.removeprefix("/lib/"): _digest(data) for path, data in player.items()}
            return there.items() <= digests.items()
        return there == digests

    def _check_space(self, look: _Look, staged: int, bundle: int) -> None:
        """In blocks: is there room for the staged files, and then, in the slot that is given up, for the bundle?"""
        if look.free is None:
            return
        need = max(staged, staged + bundle - min(map(look.blocks, look.idle()))) * _BLOCK + _SPARE
        free = look.free
        if free < need and self.board.exists(CODE):  # what captures have brought, the next one brings again
            self.board.exec(scripts.REMOVE.format(paths=[f"{CODE}/{name}" for name in _CAPTURES]), timeout_s=60)
            free = self.board.free_flash()
        if free < need:
            raise SensewellError(
                f"the flash of {self.name} is too full: {need // 1024} KiB are needed while deploying, "
                f"{max(free, 0) // 1024} KiB are free; remove files from the board and try again"
            )

    def _told(self, script: str, wanted: str) -> str:
        """What the board said behind the word `wanted`; SensewellError with its refusal. On a clean heap."""
        self.board.soft_reset()
        self.watchdog.feed()
        said = self.board.exec(script, timeout_s=WATCHDOG_MS / 1000).strip().splitlines()
        word, _, rest = (said[-1] if said else "").partition(" ")
        if word == wanted:
            return rest
        if word == "MEMORY":
            full = with_advice("bundle.memory", "the board keeps what it had")
            raise SensewellError(f"the bundle does not fit into the RAM of {self.name}: {full}")
        reason = rest.partition(" | ")[2] or rest or "it gave no reason"
        raise SensewellError(f"{self.name} refuses the bundle: {with_advice(reason, 'the board keeps what it had')}")


def _survey(board: Board, folder: str, paths: Collection[str], journal: Any = None) -> _Look:
    files: dict[str, tuple[bytes | None, int]] = {}
    lines: dict[str, bytes | None] = {}
    said: dict[str, Any] = {}
    for line in board.exec(scripts.SURVEY.format(slots=folder, paths=list(paths)), timeout_s=100).splitlines():
        letter, _, rest = line.partition(" ")
        if letter == "F":
            path, value = ast.literal_eval(rest)
            files[path] = value
        elif letter == "M":
            path, value = ast.literal_eval(rest)
            lines[path] = value
        elif letter in ("D", "Z"):
            said[letter] = ast.literal_eval(rest)  # of littlefs the free bytes may be a little below 0
    if set(said) != {"D", "Z"} or not set(paths) <= set(files):
        raise SensewellError("the board did not answer when asked for its files; reset it and try again")
    return _Look(files, lines, said["Z"], bool(said["D"]), journal)


def _read_setup(path: Path) -> bytes:
    try:
        content = path.read_bytes()
        compile(content, str(path), "exec")
    except OSError as error:
        raise SensewellError(f"cannot read {path}: {error.strerror}") from error
    except (SyntaxError, ValueError) as error:
        raise SensewellError(f"{path} is not Python: {error}") from error
    return content


def _parents(path: str) -> list[str]:
    parts = path.strip("/").split("/")[:-1]
    return ["/" + "/".join(parts[: n + 1]) for n in range(len(parts))]


def _blocks(size: int) -> int:
    return -(-size // _BLOCK)


def _first_line(data: bytes) -> bytes:
    return data.splitlines(True)[0]


def _digest(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def _is_full(error: BaseException | None) -> bool:
    while error is not None:
        if getattr(error, "errno", None) == errno.ENOSPC or "ENOSPC" in str(error) or _FULL.search(str(error)):
            return True
        error = error.__cause__
    return False
