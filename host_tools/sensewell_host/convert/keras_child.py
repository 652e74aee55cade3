"""Starts the program that converts Keras nets to int8, and says what became of it: it may fail, crash or hang.

Knows processes and files; must not import TensorFlow.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sensewell_host.errors import SensewellError

PROGRAM = (sys.executable, "-m", "sensewell_host.convert.keras_int8")
SECONDS = 300  # for a job; a net takes about 3


@dataclass(frozen=True)
class FloatNet:
    """A trained net: how it is built (see train/keras_nets.build), its weights, and float windows to set ranges by."""

    name: str
    layers: Mapping[str, Any]
    length: int
    width: int
    n_out: int
    answer: str
    weights: Sequence[NDArray[Any]]
    inputs: NDArray[np.float32]


def convert(nets: Sequence[FloatNet], program: Sequence[str] = PROGRAM) -> list[bytes]:
    """int8 .tflite files of all nets; SensewellError names the net, and the layer where that can be found."""
    with tempfile.TemporaryDirectory(prefix="sensewell-int8-") as folder:
        entries = [_entry(net, Path(folder), f"{k}") for k, net in enumerate(nets)]
        code, said, stderr = _run({"nets": entries}, Path(folder), program)
        done = sum(bool(line.get("done")) for line in said)
        if code == 0 and done == len(nets):
            return [Path(entry["out"]).read_bytes() for entry in entries]
        net, entry = nets[min(done, len(nets) - 1)], entries[min(done, len(nets) - 1)]
        what = next((line["error"] for line in said if "error" in line), "")
        if "SensewellError: " in what:
            raise SensewellError(what.partition("SensewellError: ")[2])
        layer = ""
        if not what:
            what = _ending(code, stderr)
            layer = _first_bad_layer(entry, Path(folder), program, str(net.layers["kind"]))
    raise SensewellError(
        f"TensorFlow's converter did not convert the net {net.name!r} to int8: {what}. {layer}"
        "Take another kind of net or other sizes in [[model.candidate]], and train again"
    )


def _entry(net: FloatNet, folder: Path, stem: str) -> dict[str, Any]:
    np.savez(folder / f"{stem}.npz", *net.weights)
    np.save(folder / f"{stem}.npy", net.inputs)
    said = {key: getattr(net, key) for key in ("name", "layers", "length", "width", "n_out", "answer")}
    files = {"weights": f"{stem}.npz", "inputs": f"{stem}.npy", "out": f"{stem}.tflite"}
    return {**said, **{key: str(folder / name) for key, name in files.items()}}


def _run(job: dict[str, Any], folder: Path, program: Sequence[str]) -> tuple[int | None, list[dict[str, Any]], str]:
    """Exit code (None: it took too long), the lines it printed, what it said on stderr."""
    path = folder / "job.json"
    path.write_text(json.dumps(job))
    try:
        ran = subprocess.run([*program, str(path)], capture_output=True, text=True, errors="replace", timeout=SECONDS)
    except subprocess.TimeoutExpired:
        return None, [], ""
    said = []
    for line in ran.stdout.splitlines():
        try:
            found = json.loads(line)
        except ValueError:
            continue
        if isinstance(found, dict) and "name" in found:
            said.append(found)
    return ran.returncode, said, ran.stderr


def _ending(code: int | None, stderr: str) -> str:
    if code is None:
        return f"it was stopped after {SECONDS} s"
    if code < 0:
        return f"it crashed ({signal.Signals(-code).name})"
    lines = [line for line in stderr.strip().splitlines() if line.strip()]
    return f"it ended with code {code}: {lines[-1][:300] if lines else 'without a word'}"


def _first_bad_layer(entry: dict[str, Any], folder: Path, program: Sequence[str], kind: str) -> str:
    """A sentence that names the first layer up to which the net cannot be converted, "" where that is not to be had."""
    try:
        from sensewell_host.train import keras_nets

        model = keras_nets.build(
            entry["layers"], entry["length"], entry["width"], entry["n_out"], entry["answer"], board=True
        )
        names = [(layer.name, type(layer).__name__) for layer in model.layers[1:]]
    except Exception:
        return f"It has the layers of a {kind}. "
    for name, layer_kind in names:
        code, said, _ = _run({"nets": [{**entry, "until": name}]}, folder, program)
        if code != 0 or not said or "error" in said[-1]:
            return f"The first layer that cannot be converted is {name!r} ({layer_kind}). "
    return ""
