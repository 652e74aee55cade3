"""Replays recordings through the bundle deployed on a board and collects the decisions made there.

The same on every board and, as "host", in this process. What comes back are arrays, ready to be compared bit for bit;
judging them is report.py's work.
"""

from __future__ import annotations

import binascii
import hashlib
import json
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from sensewell_host import believe, runtime
from sensewell_host.board import Board, BoardScriptError
from sensewell_host.board.base import verify
from sensewell_host.c_kernels import use_neural
from sensewell_host.dataset import Dataset
from sensewell_host.dataset.faults import Fault
from sensewell_host.dataset.rate import rate_of, rate_text
from sensewell_host.device_path import use_device_path
from sensewell_host.errors import SensewellError

ROWS = "/replay.i16"  # where the recording being played lies on the board

# The packed records of device/sensewell/player.py
DECISION = np.dtype(
    [
        ("t_ms", "<i4"),
        ("sample", "<u4"),
        ("check", "<u4"),
        ("label", "u1"),
        ("confidence_pct", "u1"),
        ("quality_pct", "u1"),
        ("source", "u1"),
        ("cause", "u1"),
        ("best", "i1"),
        ("window", "u1"),
        ("rule", "u1"),
        ("verdict", "<u2"),
        ("value", "<i2"),  # NO_VALUE: none
    ]
)
NO_VALUE = -32768
REJECTION = np.dtype([("start", "<u4"), ("length", "<u4"), ("verdict", "<u2"), ("channels", "<u2")])

_SILENCE_S = 60.0  # longest time between two lines of a board that works

_PLAY = """
try:
    _player
except NameError:
    import gc
    gc.threshold(4096)  # a large model needs its room in one piece
    from sensewell.player import Player
    _player = Player({bundle!r}, {board!r}, safe={safe!r})
for _way in {ways!r}:
    _player.play({rows!r}, *_way)
"""

_MEASURE = """
from sensewell.player import Player
Player({bundle!r}, {board!r}).measure({rows!r}, {limit})
"""

# As main.py composes it, with a sensor that weighs next to nothing
_RAM = """
import gc
gc.collect()
before = gc.mem_alloc()
class Sensor:
    def read(self, row):
        return -1
from sensewell.node import compose
node = compose(Sensor(), {bundle!r}, {board!r})
def deep(n):
    return n and deep(n - 1)
deep(9)  # what lay on the stack before is overwritten
gc.collect()
print(gc.mem_alloc() - before, node.pipeline.refusal or "-")
"""


class Rows(Protocol):
    """What is needed of a recording."""

    @property
    def name(self) -> str: ...
    @property
    def samples(self) -> NDArray[np.int16]: ...


@dataclass(frozen=True)
class Way:
    """A way to play recordings: `faults` by recording name, the `turn` of the mounting (see sensor/replay.py), and by
    recording name the `calibration` of the board that made it (by channel name)."""

    name: str
    faults: Mapping[str, Sequence[Fault]] | None = None
    turn: Mapping[str, Any] | None = None
    calibration: Mapping[str, Mapping[str, Mapping[str, int]]] | None = None

    def of(self, recording: str) -> tuple[list[tuple[Any, ...]], dict[str, Any] | None]:
        """Faults and turn for one recording, as the replay sensor takes them."""
        faults = [(f.kind, f.channel, f.start, f.length, f.value) for f in (self.faults or {}).get(recording, ())]
        return faults, dict(self.turn) if self.turn else None

    def played(self, recording: str) -> tuple[Any, ...]:
        """What the player takes beside the rows."""
        if self.calibration is None:
            return self.of(recording)
        entries = {name: dict(entry) for name, entry in self.calibration[recording].items()}
        return (*self.of(recording), entries)


@dataclass
class Replayed:
    """What a board made of one recording."""

    recording: str
    decisions: NDArray[np.void]  # DECISION, in order of time
    rejections: NDArray[np.void]  # REJECTION; a run that is unmasked late (stuck) comes twice, its beginning last
    samples: int  # that were read: rows lost in a gap do not count, stale ones do

    def verdicts(self) -> NDArray[np.uint16]:
        """The verdict of every sample, with what became known of it later."""
        out = np.zeros(self.samples, np.uint16)
        for run in self.rejections:
            out[int(run["start"]) : int(run["start"]) + int(run["length"])] |= run["verdict"]
        return out

    def same(self, other: Replayed) -> bool:
        """Bit for bit the same decisions and rejections?"""
        return (
            self.samples == other.samples
            and self.decisions.tobytes() == other.decisions.tobytes()
            and self.rejections.tobytes() == other.rejections.tobytes()
        )


@dataclass(frozen=True)
class Cost:
    """Instructions and heap of Pipeline.feed() on a virtual board: mean and dearest, without and with a window due."""

    samples: int
    instructions_per_sample: float
    instructions_per_sample_max: int
    windows: int
    instructions_per_window: float
    instructions_per_window_max: int
    heap_bytes: int


@dataclass
class Record:
    """A whole run, as it is kept in a folder: what was played, how, and what came of it on which board."""

    board: str
    manifest: dict[str, Any]
    dataset: str  # folder of the recordings
    recordings: list[str]
    ways: list[Way]
    played: dict[str, list[Replayed]]

    def save(self, folder: Path) -> None:
        """run.json with everything but the arrays, decisions.npz with these."""
        folder.mkdir(parents=True, exist_ok=True)
        arrays: dict[str, NDArray[Any]] = {}
        for way, runs in self.played.items():
            for number, run in enumerate(runs):
                arrays[f"{way}/{number}/decisions"] = run.decisions
                arrays[f"{way}/{number}/rejections"] = run.rejections
        np.savez(folder / "decisions.npz", **arrays)  # type: ignore[arg-type]  # numpy's stub takes them for flags
        index = {
            "board": self.board,
            "dataset": self.dataset,
            "recordings": self.recordings,
            "ways": [
                {
                    "name": way.name,
                    "turn": way.turn,
                    "faults": {name: [fault.as_dict() for fault in some] for name, some in way.faults.items()}
                    if way.faults
                    else None,
                    "samples": [run.samples for run in self.played[way.name]],
                }
                for way in self.ways
            ],
            "manifest": self.manifest,
        }
        (folder / "run.json").write_text(json.dumps(index, indent=1) + "\n")

    @staticmethod
    def load(folder: Path) -> Record:
        """What `save` wrote; SensewellError where there is no such thing."""
        try:
            index = json.loads((folder / "run.json").read_text())
            names = index["recordings"]
            ways, played = [], {}
            with np.load(folder / "decisions.npz", allow_pickle=False) as arrays:
                for way in index["ways"]:
                    planted = way["faults"]
                    if planted is not None:
                        planted = {name: [Fault.of(fault) for fault in some] for name, some in planted.items()}
                    ways.append(Way(way["name"], planted, way["turn"]))
                    played[way["name"]] = [
                        Replayed(name, arrays[f"{at}/decisions"], arrays[f"{at}/rejections"], read)
                        for at, name, read in zip(
                            (f"{way['name']}/{n}" for n in range(len(names))), names, way["samples"], strict=True
                        )
                    ]
            return Record(index["board"], index["manifest"], index["dataset"], names, ways, played)
        except FileNotFoundError:
            raise SensewellError(f"there is no run in {folder}: make one with `sensewell run`") from None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise SensewellError(f"the run in {folder} cannot be read ({error}): run it again") from error


def mismatches(one: Replayed, other: Replayed) -> int:
    """How many decisions differ in any field, a missing one counting as different."""
    n = min(len(one.decisions), len(other.decisions))
    differ = int((one.decisions[:n] != other.decisions[:n]).sum())
    return differ + max(len(one.decisions), len(other.decisions)) - n


def parse(lines: Iterable[str], recording: str) -> Replayed:
    """The player's lines as arrays. SensewellError if one is lost or damaged, or if the board stopped with an error."""
    decisions: list[bytes] = []
    rejections: list[bytes] = []
    other: list[str] = []
    crc = 0
    end: list[int] | None = None
    for line in lines:
        letter, _, rest = line.strip().partition(" ")
        if letter in ("D", "V") and rest:
            try:
                record = binascii.a2b_base64(rest)
            except binascii.Error:
                record = b""
            (decisions if letter == "D" else rejections).append(record)
            crc = binascii.crc32(record, crc)
        elif letter == "A":
            raise SensewellError(f"memory was allocated between sample and decision, at sample {rest} of {recording}")
        elif letter == "E" and end is None:
            end = [int(word) for word in rest.split()]
        elif letter:
            other.append(line.strip())
    if end is None:
        said = other[-1] if other else "nothing"
        raise SensewellError(f"the board did not finish playing {recording}; it said last: {said}")
    if end[1:] != [len(decisions), len(rejections), crc]:
        raise SensewellError(
            f"lines were lost while playing {recording}: the board sent {end[1]} decisions and {end[2]} rejections, "
            f"{len(decisions)} and {len(rejections)} arrived whole; play it again"
        )
    return Replayed(
        recording,
        np.frombuffer(b"".join(decisions), DECISION),
        np.frombuffer(b"".join(rejections), REJECTION),
        end[0],
    )


def play_on_host(
    bundle: bytes,
    recordings: Sequence[Rows],
    ways: Sequence[Way],
    step: Callable[[], None] = lambda: None,
    safe: str = "",
) -> dict[str, list[Replayed]]:
    """The decisions of this PC: the device code, word by word, on CPython. Slow (about 0.1 s a window).

    safe: a reason why only the bundle's rules shall decide.
    """
    use_device_path()
    from sensewell.bundle import Bundle
    from sensewell.player import Player

    use_neural(Bundle.open(bundle).manifest)
    lines: list[str] = []
    player = Player(bundle, None, lines.append, safe)
    done: dict[str, list[Replayed]] = {way.name: [] for way in ways}
    for recording in recordings:
        for way in ways:
            lines.clear()
            player.play(_raw(recording), *way.played(recording.name))
            done[way.name].append(parse(lines, recording.name))
            step()
    return done


def read_file(bundle: Path) -> bytes:
    """The bytes of a bundle file."""
    try:
        return bundle.read_bytes()
    except FileNotFoundError as error:
        raise SensewellError(f"there is no bundle {bundle}: make one with `sensewell pack`") from error
    except OSError as error:
        raise SensewellError(f"cannot read the bundle {bundle}: {error.strerror}") from error


def deployed(board: Board, bundle: Path) -> tuple[str, bytes]:
    """The board's name and the bytes of the bundle on it; `bundle` saves the transfer where it is that very file."""
    name = board.info().name
    path = _active(board, name)
    if bundle.is_file() and hashlib.sha256(bundle.read_bytes()).hexdigest() == board.sha256(path):
        return name, bundle.read_bytes()
    return name, board.get(path)


def _active(board: Board, name: str) -> str:
    path = believe.active_path(board)
    if path is None:
        raise SensewellError(f"there is no bundle on {name}: bring one with `sensewell deploy`")
    return path


def manifest_of(bundle: bytes, dataset: Dataset) -> dict[str, Any]:
    """The manifest of a bundle, if it is for recordings like these: SensewellError where channels or rate differ."""
    use_device_path()
    from sensewell.bundle import Bundle
    from sensewell.refusal import Refused

    try:
        manifest: dict[str, Any] = Bundle.open(bundle).manifest
    except Refused as error:
        raise SensewellError(f"this is not a bundle that a board would run: {error}") from error
    expected = [channel["name"] for channel in manifest["channels"]]
    got = [channel.name for channel in dataset.channels]
    if expected != got:
        raise SensewellError(
            f"the bundle {manifest['name']} is for the channels {' '.join(expected)}; the recordings of "
            f"{dataset.name} have {' '.join(got)}"
        )
    rate_hz = rate_of(manifest, manifest["name"])
    if rate_hz != dataset.rate_hz:
        raise SensewellError(
            f"the bundle {manifest['name']} is for {rate_text(rate_hz)}, the recordings have "
            f"{rate_text(dataset.rate_hz)}"
        )
    for channel, info in zip(manifest["channels"], dataset.channels, strict=True):
        if channel["unit"] != info.unit or abs(channel["scale"] / info.scale - 1) > 1e-6:
            raise SensewellError(
                f"channel {info.name}: the bundle {manifest['name']} expects counts of {channel['scale']:g} "
                f"{channel['unit']}, the recordings have counts of {info.scale:g} {info.unit}"
            )
    return manifest


def prepare(board: Board) -> tuple[str, str]:
    """Bring the player to the board where it is not there yet; the board's name, and where the active bundle lies."""
    info = board.info()
    arch = runtime.check_mpy(info.mpy, info.name)
    bundle = _active(board, info.name)
    code = bundle.removesuffix(".swb")
    for target, content in runtime.files(arch, runtime.PLAYER).items():
        path = code + target.removeprefix("/lib")
        if not board.exists(path) or board.sha256(path) != hashlib.sha256(content).hexdigest():
            board.mkdirs(path.rpartition("/")[0])
            board.put(path, content)
            verify(board, path, content)
    board.soft_reset()
    return info.name, bundle


def play(
    boards: Sequence[Board],
    recordings: Sequence[Rows],
    ways: Sequence[Way],
    step: Callable[[], None] = lambda: None,
    safe: str = "",
) -> dict[str, list[Replayed]]:
    """{way: what came of each recording, in their order}, played through the bundle deployed on the boards.

    All boards must run the same bundle; they share the work. `step` is called, from any thread, after each recording
    has been played in each way. safe: a reason why only the bundle's rules shall decide. Raises SensewellError;
    BoardError where a wire breaks.
    """
    found: dict[tuple[str, str], Replayed] = {}
    todo = sorted(recordings, key=lambda recording: len(recording.samples))
    lock, stop = threading.Lock(), threading.Event()

    def work(board: Board) -> None:
        name, bundle = prepare(board)
        try:
            while not stop.is_set():
                with lock:
                    if not todo:
                        break
                    recording = todo.pop()
                board.put(ROWS, _raw(recording))
                for way, played in zip(ways, _play(board, name, bundle, recording, ways, safe), strict=True):
                    found[way.name, recording.name] = played
                    step()
        finally:
            if not stop.is_set():
                board.remove(ROWS)

    with ThreadPoolExecutor(len(boards)) as pool:
        jobs = [pool.submit(work, board) for board in boards]
        try:
            wait(jobs, return_when=FIRST_EXCEPTION)
        finally:
            if not all(job.done() and not job.exception() for job in jobs):
                stop.set()  # after a failure or Ctrl-C the others finish the recording in hand and stop
        for job in jobs:
            job.result()
    return {way.name: [found[way.name, recording.name] for recording in recordings] for way in ways}


def measure(board: Board, recording: Rows, limit: int = 3000) -> Cost:
    """What Pipeline.feed() costs with the deployed bundle, on a virtual board that counts instructions."""
    name, bundle = prepare(board)
    if not board.eval("__import__('virt').counting()"):
        raise SensewellError(f"{name} does not count instructions: start it with --icount")
    board.put(ROWS, _raw(recording))
    said = board.exec(_MEASURE.format(bundle=bundle, board=name, rows=ROWS, limit=limit), timeout_s=120).split()
    board.remove(ROWS)
    if len(said) != 8 or said[0] != "C":
        raise SensewellError(f"{name} did not answer with its costs, it said: {' '.join(said)}")
    samples, all_samples, max_sample, windows, all_windows, max_window, heap = map(int, said[1:])
    return Cost(
        samples=samples,
        instructions_per_sample=all_samples / max(samples, 1),
        instructions_per_sample_max=max_sample,
        windows=windows,
        instructions_per_window=all_windows / max(windows, 1),
        instructions_per_window_max=max_window,
        heap_bytes=heap,
    )


def ram_of_node(board: Board) -> int:
    """Bytes of heap that a node with the deployed bundle takes, its code included, beyond a board just started.

    The least of three tries: MicroPython's collector takes any stale word on the stack for a reference, so that now and
    then something stays that nobody holds.
    """
    name = board.info().name
    bundle = _active(board, name)
    found = []
    for _ in range(3):
        board.soft_reset()
        said = board.exec(_RAM.format(bundle=bundle, board=name), timeout_s=60).split()
        if len(said) != 2 or said[1] != "-":
            raise SensewellError(f"{name} could not compose a node from its bundle: {' '.join(said[1:])}")
        found.append(int(said[0]))
    return min(found)


def _play(board: Board, name: str, bundle: str, recording: Rows, ways: Sequence[Way], safe: str) -> list[Replayed]:
    """One recording, which lies on the board, in every way."""
    lines: list[str] = []
    done = [way.played(recording.name) for way in ways]
    code = _PLAY.format(bundle=bundle, board=name, rows=ROWS, ways=done, safe=safe)
    try:
        board.stream(code, lines.append, timeout_s=_SILENCE_S)
    except BoardScriptError as error:
        if "MemoryError" in str(error):
            raise SensewellError(f"the RAM of {name} does not suffice to play {recording.name}") from error
        raise
    played = []
    for way in ways:
        end = next((n for n, line in enumerate(lines) if line.startswith("E ")), len(lines)) + 1
        played.append(parse(lines[:end], f"{recording.name} ({way.name})"))
        played[-1].recording = recording.name
        del lines[:end]
    return played


def _raw(recording: Rows) -> bytes:
    return np.ascontiguousarray(recording.samples, "<i2").tobytes()
