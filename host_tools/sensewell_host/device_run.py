"""Features of recordings, computed by the device's own code: the host never has a look-alike of it.

Recordings go through device/sensewell/pipeline.py (guard, bad-sample policy, conditioning, window, features) in bulk:
in the unix board where it is built (`make board-unix`), with the native kernels where they are (`make native`), else in
CPython; same source, same numbers, but far slower.
Results are kept under build/features by a hash of the device's source, the settings and the data.
"""

from __future__ import annotations

import hashlib
import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from sensewell_host import runtime
from sensewell_host.dataset.rate import rate_said
from sensewell_host.errors import SensewellError

ROOT = Path(__file__).resolve().parents[2]
DEVICE = ROOT / "device"
UNIX = ROOT / "build" / "boards" / "unix" / "micropython"
CACHE = ROOT / "build" / "features"
WORKER = Path(__file__).with_name("on_device") / "feature_worker.py"
NATIVE_MODULES = Path(__file__).with_name("native_modules")

Progress = Callable[[str, int, int], None]  # what is being done, how much of it is done, of how much

Calibrations = Sequence[Sequence[Mapping[str, Any]]]  # of each recording, of each channel

_KEPT = 24  # results in the cache; the oldest go
_CHUNK_ROWS = 20_000  # how finely the work is dealt out


@dataclass(frozen=True)
class DataPath:
    """Everything of a bundle that decides what features come out, in the words of its manifest."""

    rate_hz: float
    n_channels: int
    length: int
    hop: int
    features: tuple[Mapping[str, Any], ...]
    derived: tuple[Mapping[str, Any], ...] = ()
    guard: Mapping[str, Any] = field(default_factory=dict)
    bad_samples: Mapping[str, Any] = field(default_factory=dict)
    condition: Mapping[str, Any] = field(default_factory=dict)
    raw: bool = False  # also the windows themselves, as a network reads them

    def manifest(self) -> dict[str, Any]:
        """A manifest without a model for the device's pipeline. Features are computed for every window, however bad
        (its quality comes along), because a rule asks for them."""
        return {
            **rate_said(self.rate_hz),
            "channels": [{"name": str(i), "unit": "", "scale": 1, "offset": 0} for i in range(self.n_channels)],
            "guard": dict(self.guard),
            "bad_samples": dict(self.bad_samples),
            "condition": dict(self.condition),
            "window": {"length": self.length, "hop": self.hop, "min_quality_pct": 0},
            "derived": [dict(entry) for entry in self.derived],
            "features": [dict(entry) for entry in self.features],
            "labels": ["none"],
            "model": {"family": "none"},
            "rules": [{"name": "ask", "on": {"feature": 0}, "when": "above", "limit": 32767, "label": 0}],
            "arbiter": {
                "min_confidence_pct": 0,
                "smooth_n": 1,
                "smooth_m": 1,
                "hold_ms": 0,
                "return_n": 1,
                "deadline_ms": 0,
                "fallback_label": 0,
            },
        }


@dataclass(frozen=True)
class Windows:
    """`X`: int16 (windows, features). One entry a window: `source`, index of its recording; `end`, rows of the
    recording up to its end; `quality_pct`. `samples`, `bad`, `reasons`: what the guard made of all rows."""

    X: NDArray[np.int16]
    source: NDArray[np.int32]
    end: NDArray[np.int32]
    quality_pct: NDArray[np.int16]
    samples: int
    bad: int
    reasons: dict[str, int]
    engine: str  # "unix" or "cpython"
    cached: bool
    seconds: float
    rows: NDArray[np.int16] | None = None  # (windows, length, channels) where asked for: after guard and conditioning

    def __len__(self) -> int:
        return len(self.X)


def features_of(
    recordings: Sequence[NDArray[np.int16]],
    path: DataPath,
    *,
    progress: Progress | None = None,
    workers: int | None = None,
    engine: str = "auto",
    cache: Path | None = CACHE,
    calibrations: Calibrations | None = None,
) -> Windows:
    """Feature vectors of all windows of `recordings`, each int16 counts (rows, channels), in their order.

    calibrations: of the board that made each recording, a dict a channel as device/sensewell/condition.py has them.
    engine: "unix", "cpython" or "auto" (unix where it is built). cache None: always compute.
    Raises SensewellError where the device refuses the settings.
    """
    if not path.features:
        raise SensewellError("there are no features to compute: name some in the recipe")
    for samples in recordings:
        if samples.ndim != 2 or samples.shape[1] != path.n_channels or samples.dtype != np.int16:
            raise SensewellError(
                f"expected int16 recordings of {path.n_channels} channels, got {samples.dtype} {samples.shape}"
            )
    if engine == "auto":
        engine = "unix" if UNIX.is_file() else "cpython"
    if engine == "unix" and not UNIX.is_file():
        raise SensewellError("the unix board is not built: make board-unix")
    started = time.monotonic()
    manifest = path.manifest()
    if calibrations is not None and len(calibrations) != len(recordings):
        raise SensewellError(
            f"expected a calibration for each of {len(recordings)} recordings, got {len(calibrations)}"
        )
    kept = cache / f"{_key(recordings, manifest, path.raw, calibrations)}.npz" if cache else None
    if kept and kept.is_file():
        found = _load(kept, time.monotonic() - started)
        if found is not None:
            return found
    what = "features (unix board)"
    if engine == "cpython":
        what = "features (CPython: slow, `make board-unix` makes it fast)"
    with tempfile.TemporaryDirectory(prefix="sensewell-") as folder:
        records, said = _compute(
            recordings, manifest, path.raw, engine, Path(folder), progress, what, workers or os.cpu_count() or 1,
            calibrations,
        )  # fmt: skip
    windows = Windows(
        X=np.ascontiguousarray(records["x"]),
        source=records["segment"].astype(np.int32),
        end=records["end"].astype(np.int32),
        quality_pct=records["quality"].astype(np.int16),
        samples=sum(part["samples"] for part in said),
        bad=sum(part["bad"] for part in said),
        reasons={name: sum(part["reasons"][name] for part in said) for name in said[0]["reasons"]},
        engine=engine,
        cached=False,
        seconds=time.monotonic() - started,
        rows=np.ascontiguousarray(records["rows"].transpose(0, 2, 1)) if path.raw else None,
    )
    if kept:
        _keep(kept, windows)
    return windows


def device_source_hash() -> str:
    """A hash over everything in the device package that could change a feature."""
    digest = hashlib.sha256()
    for source in sorted((DEVICE / "sensewell").rglob("*.py")):
        if source.name not in ("node.py", "player.py", "bundle.py", "slots.py", "signature.py"):
            digest.update(source.name.encode() + b"\0" + source.read_bytes())
    digest.update(WORKER.read_bytes())
    return digest.hexdigest()


def _key(
    recordings: Sequence[NDArray[np.int16]],
    manifest: Mapping[str, Any],
    raw: bool,
    calibrations: Calibrations | None,
) -> str:
    digest = hashlib.sha256(device_source_hash().encode() + b"raw" * raw)
    if calibrations is not None:
        digest.update(json.dumps(calibrations, sort_keys=True).encode())
    digest.update(json.dumps(manifest, sort_keys=True).encode())
    for samples in recordings:
        digest.update(b"%d " % len(samples))
        digest.update(np.ascontiguousarray(samples, "<i2").data)
    return digest.hexdigest()[:32]


def _load(path: Path, seconds: float) -> Windows | None:
    try:
        with np.load(path, allow_pickle=False) as file:
            said = json.loads(str(file["said"]))
            return Windows(
                X=file["X"], source=file["source"], end=file["end"], quality_pct=file["quality_pct"],
                samples=said["samples"], bad=said["bad"], reasons=said["reasons"], engine=said["engine"],
                cached=True, seconds=seconds, rows=file.get("rows"),
            )  # fmt: skip
    except (OSError, ValueError, KeyError, EOFError):
        return None  # damaged: compute it again


def _keep(path: Path, windows: Windows) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    said = {key: getattr(windows, key) for key in ("samples", "bad", "reasons", "engine")}
    part = path.with_suffix(f".{os.getpid()}.part")
    more: dict[str, Any] = {} if windows.rows is None else {"rows": windows.rows}
    with part.open("wb") as file:
        np.savez(
            file, X=windows.X, source=windows.source, end=windows.end, quality_pct=windows.quality_pct,
            said=np.array(json.dumps(said)), **more,
        )  # fmt: skip
    os.replace(part, path)
    newest = sorted(path.parent.glob("*.npz"), key=lambda file: file.stat().st_mtime, reverse=True)
    for old in newest[_KEPT:]:
        old.unlink(missing_ok=True)


def _compute(
    recordings: Sequence[NDArray[np.int16]],
    manifest: dict[str, Any],
    raw: bool,
    engine: str,
    folder: Path,
    progress: Progress | None,
    what: str,
    workers: int,
    calibrations: Calibrations | None,
) -> tuple[NDArray[np.void], list[dict[str, Any]]]:
    """Deal the recordings out to `workers` processes; records of all windows in the order of the recordings."""
    with (folder / "rows.i16").open("wb") as file:
        for samples in recordings:
            file.write(np.ascontiguousarray(samples, "<i2").data)
    dealt = [jobs for jobs in _deal([len(samples) for samples in recordings], workers) if jobs]
    running: list[subprocess.Popen[str]] = []
    lines: queue.Queue[tuple[int, str | None]] = queue.Queue()
    try:
        for number, jobs in enumerate(dealt):
            job = {
                "manifest": manifest,
                "source": str(folder / "rows.i16"),
                "out": str(folder / f"{number}.out"),
                "jobs": jobs,
                "raw": raw,
                "calibrations": calibrations,
            }
            (folder / f"{number}.json").write_text(json.dumps(job))
            process = _start(engine, folder / f"{number}.json", folder / f"{number}.err")
            running.append(process)
            assert process.stdout is not None
            threading.Thread(target=_listen, args=(number, process.stdout, lines), daemon=True).start()
        said = _follow(lines, len(dealt), len(recordings), progress, what)
        for number, process in enumerate(running):
            if process.wait() or number not in said:
                raise SensewellError(f"the device code does not take these settings: {_reason(folder, number)}")
    finally:
        for process in running:
            if process.poll() is None:
                process.kill()
                process.wait()
    n_features = len(manifest["features"])
    fields: list[Any] = [("segment", "<u4"), ("end", "<u4"), ("quality", "<i2"), ("x", "<i2", (n_features,))]
    if raw:
        fields.append(("rows", "<i2", (len(manifest["channels"]), manifest["window"]["length"])))
    record = np.dtype(fields)
    found = np.concatenate([np.fromfile(folder / f"{number}.out", record) for number in range(len(dealt))])
    return found[np.lexsort((found["end"], found["segment"]))], [said[number] for number in range(len(dealt))]


def _deal(lengths: Sequence[int], workers: int) -> list[list[dict[str, Any]]]:
    """Runs of recordings in chunks of about equal work, dealt out in turn."""
    dealt: list[list[dict[str, Any]]] = [[] for _ in range(max(workers, 1))]
    load = [0] * len(dealt)
    first = number = 0
    rows: list[int] = []
    for index, length in enumerate(lengths):
        rows.append(length)
        if sum(rows) >= _CHUNK_ROWS or index == len(lengths) - 1:
            lightest = load.index(min(load))
            dealt[lightest].append({"number": number, "first": first, "rows": rows})
            load[lightest] += sum(rows)
            first += sum(rows)
            number, rows = index + 1, []
    return dealt


def _start(engine: str, job: Path, errors: Path) -> subprocess.Popen[str]:
    environment = dict(os.environ)
    if engine == "unix":
        command = [str(UNIX), "-X", "heapsize=64m", str(WORKER), str(job)]
        environment["MICROPYPATH"] = str(DEVICE)
        if "sensewell_features" in runtime.native_modules("x64"):
            environment["MICROPYPATH"] += f":{runtime.NATIVE / 'x64'}"
    else:
        command = [sys.executable, str(WORKER), str(job)]
        environment["PYTHONPATH"] = os.pathsep.join([str(DEVICE), str(NATIVE_MODULES)])
    with errors.open("w") as file:
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=file, text=True, env=environment)


def _listen(number: int, stream: IO[str], lines: queue.Queue[tuple[int, str | None]]) -> None:
    with stream:
        for line in stream:
            lines.put((number, line))
    lines.put((number, None))


def _follow(
    lines: queue.Queue[tuple[int, str | None]], workers: int, total: int, progress: Progress | None, what: str
) -> dict[int, dict[str, Any]]:
    """Listen until all workers are quiet; what each said at its end."""
    done = [0] * workers
    said: dict[int, dict[str, Any]] = {}
    quiet = 0
    while quiet < workers:
        number, line = lines.get()
        if line is None:
            quiet += 1
        elif line.startswith("P "):
            done[number] = int(line[2:])
            if progress:
                progress(what, sum(done), total)
        elif line.startswith("E "):
            said[number] = json.loads(line[2:])
    if progress:
        progress(what, total, total)
    return said


def _reason(folder: Path, number: int) -> str:
    """The last line that a worker wrote to its standard error (MicroPython writes its tracebacks there too)."""
    lines = (folder / f"{number}.err").read_text(errors="replace").strip().splitlines()
    return lines[-1] if lines else "it stopped without a word"
