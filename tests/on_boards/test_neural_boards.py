"""Random networks over every operator, on each board, in viper and native: the same bytes as the C engine on this PC.

(That one is compared with TensorFlow Lite Micro in tests/host/test_neural.py.)
"""

from __future__ import annotations

import hashlib
import importlib
import random
import struct
import sys
from collections.abc import Iterator
from pathlib import Path

import flash_image
import numpy as np
import pytest
from sensewell_host import board as boards
from sensewell_host import runtime
from sensewell_host.board import catalog, virtual

MODELS = Path(__file__).parents[3] / "shared" / "data" / "tflite_models"
NEURAL = Path(__file__).parents[1] / "host" / "neural"
sys.path.insert(0, str(NEURAL))

import cases  # noqa: E402
import parity  # noqa: E402
from sensewell.build.neural import OPS  # noqa: E402

TURNS = 3
RESET = 2  # before this turn
MOST_BYTES = 3000  # of a file
MOST_WORK = 5000
EACH = 2  # nets of a kind at least

# reads net after net: how long it is, how many turns; the file; the inputs. A line each: what came out, hashed
SCRIPT = """
import gc, hashlib, micropython, struct
from array import array
def run(path):
    from sensewell.model import neural
    file = open(path, "rb")
    while True:
        head = file.read(8)
        if not head:
            break
        n, turns = struct.unpack("<2I", head)
        gc.collect()
        model = bytearray(n)
        file.readinto(model)
        net = neural.open(model)
        made = [[array(port.dtype, [0] * port.n) for port in ports] for ports in (net.inputs, net.outputs)]
        said = hashlib.sha256()
        for turn in range(turns):
            for one in made[0]:
                file.readinto(one)
            if turn == RESET:
                net.reset()
            if turn:
                micropython.heap_lock()
            net.predict(made[0], made[1])
            if turn:
                micropython.heap_unlock()
            for one in made[1]:
                said.update(one)
        print("NET", net.engine, "".join(["%02x" % byte for byte in said.digest()[:8]]), " ".join(net.ops))
    print("END")
run("/nets")
"""


@pytest.fixture(scope="module")
def nets(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[bytes, list[str], list[str]]]:
    """(what the board reads, the hashes that it should print, what each net is)"""
    path = tmp_path_factory.mktemp("neural") / "sw_neural.so"
    try:
        parity.compile_core(path)
    except FileNotFoundError:
        pytest.skip("gcc is not installed")
    kept = sys.modules.pop("sensewell_neural", None)  # another file may have left the host's own
    sys.path.insert(0, str(NEURAL / "engine"))
    importlib.import_module("sensewell_neural").library(str(path))
    dice, rng = random.Random(8), np.random.default_rng(8)
    packed, hashes, names = b"", [], []
    seen: set[bytes] = set()
    missing = set(OPS.split()[1::2])
    for kind in cases.KINDS.values():
        taken = 0
        for _ in range(60):
            what, data = kind(dice)
            net = parity.Ours(data)
            ops = {name_of(net, k) for k in range(net.n_ops)}
            if len(data) > MOST_BYTES or net.work > MOST_WORK or (taken >= EACH and not ops & missing):
                continue
            missing -= ops
            taken += 1
            more, hashed = predicted(net, data, rng, seen)
            packed += more
            hashes.append(hashed)
            names.append(what)
    assert not missing, missing
    assert len(seen) > 2 * len(names), "most outputs should differ"
    yield packed, hashes, names
    sys.path.remove(str(NEURAL / "engine"))
    sys.modules.pop("sensewell_neural", None)
    if kept:
        sys.modules["sensewell_neural"] = kept


def predicted(net: parity.Ours, data: bytes, rng: np.random.Generator, seen: set[bytes]) -> tuple[bytes, str]:
    """(what the board reads of this net, the hash that it should print); adds to the outputs `seen`."""
    packed, said = struct.pack("<2I", len(data), TURNS) + data, hashlib.sha256()
    for turn in range(TURNS):
        inputs = [parity.numbers(rng, *port, turn) for port in net.inputs]
        packed += b"".join(one.tobytes() for one in inputs)
        if turn == RESET:
            net.reset()
        outputs = b"".join(one.tobytes() for one in net.run(inputs))
        said.update(outputs)
        seen.add(outputs)
    return packed, said.digest()[:8].hex()


def name_of(net: parity.Ours, k: int) -> str:
    words = OPS.split()
    return words[words.index(str(net.engine.op(net.net, k))) + 1]


@pytest.mark.parametrize("engine", ["viper", "native"])
@pytest.mark.parametrize("name", ["unix", "virt_c3", "virt_m4"])
def test_every_operator_computes_the_same_on_every_board(
    nets: tuple[bytes, list[str], list[str]], name: str, engine: str, tmp_path: Path
) -> None:
    arch = catalog.load(name).arch
    if not virtual.is_built(name):
        pytest.skip(f"{name} is not built: make board-{name}")
    native = runtime.native_modules(arch).get("sensewell_neural") if engine == "native" else None
    if engine == "native" and native is None:
        pytest.skip(f"no native module for {arch} is built: make native")
    if name == "unix":
        with boards.connect(f"unix:{tmp_path}") as unix:
            said = on_board(unix, arch, nets[0], native)
    else:
        image = flash_image.make(name, files_for(arch, nets[0], native), tmp_path)
        with virtual.session(name, image=image) as running, boards.connect(running.address) as wire:
            said = on_board(wire, arch, nets[0], native, image is not None)
    lines = [line.split() for line in said.splitlines()]
    assert lines and lines[-1] == ["END"], said
    assert {line[1] for line in lines[:-1]} == {engine}
    wrong = [what for line, hashed, what in zip(lines, nets[1], nets[2], strict=False) if line[2] != hashed]
    assert not wrong, wrong
    assert len(lines) - 1 == len(nets[1]) > 2 * 13


@pytest.mark.parametrize("model", sorted(MODELS.glob("*.tflite")) or ["none"], ids=lambda path: Path(path).stem)
def test_real_models_in_viper_compute_the_same(
    nets: tuple[bytes, list[str], list[str]], model: Path | str, tmp_path: Path
) -> None:
    if model == "none":
        pytest.skip("the real models are not in this workspace")
    if not virtual.is_built("unix"):
        pytest.skip("the unix board is not built: make board-unix")
    data = Path(model).read_bytes()
    packed, hashed = predicted(parity.Ours(data), data, np.random.default_rng(9), set())
    with boards.connect(f"unix:{tmp_path}") as unix:
        said = on_board(unix, catalog.load("unix").arch, packed, None).split()
    assert said[1:3] == ["viper", hashed], said


def files_for(arch: str, packed: bytes, native: bytes | None) -> dict[str, bytes]:
    used = ("sensewell_neural",) if native else ()
    files = runtime.files(arch, runtime.modules_for((), ("sensewell.model.neural",), used)) | {"/nets": packed}
    return files | ({"/lib/sensewell_neural.mpy": native} if native else {})


def on_board(board: boards.Board, arch: str, packed: bytes, native: bytes | None, has_files: bool = False) -> str:
    if not has_files:
        flash_image.put(board, files_for(arch, packed, native))
    board.soft_reset()
    return board.exec(SCRIPT.replace("RESET", str(RESET)), timeout_s=240)
