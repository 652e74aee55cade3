"""Deploying to a virtual ESP32-C3: whatever goes wrong, and whenever, the board keeps running what it ran before.

With SENSEWELL_SOAK=1 the wire is cut at every single write of a deploy, else at some.
"""

from __future__ import annotations

import contextlib
import os
import random
import re
import shutil
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_bundle
from sensewell_host import believe, board_slots, delta, deploy_commands, run, runtime
from sensewell_host import deploy as deploying
from sensewell_host.board import Board, BoardError, connect, transport, virtual
from sensewell_host.dataset import Recording
from sensewell_host.deploy import deploy
from sensewell_host.errors import SensewellError

pytestmark = pytest.mark.skipif(not virtual.is_built("virt_c3"), reason="virt_c3 is not built: make board-virt_c3")

SOAK = bool(os.environ.get("SENSEWELL_SOAK"))
ROWS = np.random.default_rng(5).integers(-3000, 3000, (300, 2)).astype(np.int16)
RECORDING = Recording("r", ROWS, 50, "class0", "1")
SETUP = """
from time import ticks_ms
BOARD = "virt_c3"
class Sensor:
    n_channels = 2
    step = 0
    def read(self, row):
        self.step += 1
        row[0] = self.step * 37 % 4000 - 2000
        row[1] = self.step * 53 % 4000 - 2000
        return ticks_ms()
def sensor():
    return Sensor()
def outputs():
    return (lambda decision: None,)
"""


def bundle_of(trees: int = 3, depth: int = 3, seed: int = 1, golden_seed: int = 5, **changes: object) -> bytes:
    """A small bundle; with another `seed` hardly a byte of its model is the same."""
    manifest = tiny_bundle.manifest(**changes)
    model = tiny_bundle.forest(5, 2, trees, depth, seed)
    golden = tiny_bundle.golden(manifest, model, 2, 1, golden_seed)
    return bytes(tiny_bundle.write(manifest, {"model": model, "golden": golden}))


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Bundles that decide differently: `old`, `new`, and `big` with a large model; `near`: big with other vectors."""
    folder = tmp_path_factory.mktemp("bundles")
    made = {
        "old": bundle_of(),
        "new": bundle_of(trees=5, version=2),
        "big": bundle_of(trees=24, depth=7, version=3),
        "near": bundle_of(trees=24, depth=7, version=4, golden_seed=6),
    }
    return {name: write(folder / f"{name}.swb", content) for name, content in made.items()}


@pytest.fixture(scope="module")
def flash_of_old(bundles: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The flash of a board that `old` was deployed to."""
    flash = tmp_path_factory.mktemp("board") / "flash"
    with virtual.session("virt_c3", flash=flash) as running, connect(running.address) as wire:
        deploy(wire, bundles["old"], unsigned=True)
        wire.soft_reset()
    return flash


@pytest.fixture
def running(flash_of_old: Path, tmp_path: Path) -> Iterator[virtual.VirtualBoard]:
    """A board that runs `old`."""
    flash = shutil.copyfile(flash_of_old, tmp_path / "flash")
    with virtual.session("virt_c3", flash=flash) as board:
        yield board


@pytest.fixture
def board(running: virtual.VirtualBoard) -> Iterator[Board]:
    """The wire to it."""
    with connect(running.address) as wire:
        yield wire


def active(wire: Board) -> bytes:
    """The bundle in the active slot."""
    path = believe.active_path(wire)
    assert path
    return wire.get(path)


def code(wire: Board) -> str:
    """The folder of the code in the active slot."""
    path = believe.active_path(wire)
    assert path
    return path.removesuffix(".swb")


def decisions(wire: Board) -> list[bytes]:
    """What the board decides by its active bundle; the host must decide the same with the same file."""
    played = run.play([wire], [RECORDING], [run.Way("clean")])["clean"]
    host = run.play_on_host(active(wire), [RECORDING], [run.Way("clean")])["clean"]
    assert played[0].same(host[0]) and len(played[0].decisions)
    return [one.tobytes() for one in played[0].decisions]


def confirm(wire: Board) -> None:
    """Vouch for the active bundle, as its probation would."""
    board_slots.command(wire, "pin")
    assert board_slots.command(wire, "unpin")["why"] == "confirmed"


FILES = """
import os, hashlib
def walk(folder):
    for name, kind, *_ in os.ilistdir(folder or "/"):
        path = folder + "/" + name
        if kind == 0x4000:
            walk(path)
        else:
            state = hashlib.sha256()
            with open(path, "rb") as file:
                while {hashed} and (block := file.read(2048)):
                    state.update(block)
            print(path, state.digest().hex())
walk("")
"""


def files(wire: Board, hashed: bool = True) -> dict[str, str]:
    """Every file on the board with its SHA-256."""
    lines = wire.exec(FILES.format(hashed=hashed), timeout_s=60).splitlines()
    return {path: digest for path, digest in map(str.split, lines)}


def leftovers(wire: Board) -> list[str]:
    return [path for path in files(wire, False) if ".part" in path or path.startswith(("/slot/new", "/slot/packed"))]


def console(port: int, until: str, timeout_s: float = 25.0) -> str:
    """What the board prints by itself, up to `until`."""
    end = time.monotonic() + timeout_s
    said = b""
    with socket.create_connection(("127.0.0.1", port)) as wire:
        while until.encode() not in said and time.monotonic() < end:
            wire.settimeout(max(0.1, end - time.monotonic()))
            try:
                said += wire.recv(4096)
            except TimeoutError:
                break
    assert until.encode() in said, said.decode(errors="replace")
    return said.decode(errors="replace")


# --- what travels -----------------------------------------------------------------------------------------------------


def test_what_is_there_already_is_not_sent_again(board: Board, bundles: dict[str, Path]) -> None:
    there = files(board)
    again = deploy(board, bundles["old"])  # development mode was chosen already
    assert (again.files_sent, again.bytes_sent, again.unsigned) == (0, 0, True) and files(board) == there
    before = decisions(board)
    again = deploy(board, bundles["old"])
    assert again.files_sent == 0 and again.slot == "a"  # what playing recordings takes is no reason to send anything
    changed = deploy(board, bundles["new"])
    assert changed.files_sent == 1 and 0 < changed.bytes_sent < bundles["new"].stat().st_size and changed.slot == "b"
    assert active(board) == bundles["new"].read_bytes()
    assert decisions(board) != before
    assert not leftovers(board)


def test_of_a_bundle_only_changed_sections_travel(board: Board, bundles: dict[str, Path], tmp_path: Path) -> None:
    whole = deploy(board, bundles["big"]).bytes_sent
    near = deploy(board, bundles["near"]).bytes_sent
    assert near < 2000 < 8000 < whole
    assert active(board) == bundles["near"].read_bytes()
    damaged = bytearray(active(board))
    damaged[-900] ^= 1
    board.put(f"{code(board)}.swb", bytes(damaged))  # what is damaged is no source
    other = write(tmp_path / "other.swb", bundle_of(trees=24, depth=7, version=5, golden_seed=7))
    assert deploy(board, other).bytes_sent > 0.9 * whole
    assert active(board) == other.read_bytes() and decisions(board)


def test_a_bundle_of_100_kib_is_proven_and_decides(board: Board, tmp_path: Path) -> None:
    """Half of it model, which stays in RAM, half golden vectors, which do not; and 2 KiB that only travel."""
    manifest = tiny_bundle.manifest(n_channels=6, length=256, hop=128, n_features=8)
    model = tiny_bundle.forest(8, 2, 60, 7)
    golden = tiny_bundle.golden(manifest, model, 256, 16)
    paths = []
    for number in range(2):
        manifest["version"] = number + 1
        sections = {"model": model, "golden": golden, "card": random.Random(number).randbytes(2048)}
        paths.append(write(tmp_path / f"{number}.swb", tiny_bundle.write(manifest, sections)))
    assert min(path.stat().st_size for path in paths) >= 100 * 1024
    whole = deploy(board, paths[0])
    confirm(board)
    near = deploy(board, paths[1])
    again = deploy(board, paths[1])
    for what, done in (("whole", whole), ("one section of 2 KiB changed", near), ("unchanged", again)):
        print(f"100 KiB, {what}: {done.bytes_sent} bytes, {done.seconds:.1f} s")
    assert 2048 < near.bytes_sent < 4096 < whole.bytes_sent and again.bytes_sent == 0
    assert active(board) == paths[1].read_bytes()
    rows = np.random.default_rng(6).integers(-3000, 3000, (600, 6)).astype(np.int16)
    recording = Recording("six", rows, 50, "class0", "1")
    played = run.play([board], [recording], [run.Way("clean")])["clean"]
    host = run.play_on_host(paths[1].read_bytes(), [recording], [run.Way("clean")])["clean"]
    assert played[0].same(host[0]) and 0 in [one["source"] for one in played[0].decisions]  # of the model, too


def test_only_what_the_bundle_needs_is_sent(board: Board) -> None:
    modules = {name for name in files(board) if name.startswith("/slot/a/sensewell/")}
    assert "/slot/a/sensewell/pipeline.mpy" in modules and "/slot/a/sensewell/model/trees.mpy" in modules
    assert not modules & {"/slot/a/sensewell/_port.mpy", "/slot/a/sensewell/player.mpy"}
    assert "/slot/a/sensewell/sensor/replay.mpy" in modules  # a recording is the first sensor anybody tries
    assert files(board).keys() - modules >= {"/boot.py", "/main.py", "/lib/sensewell/__init__.py", "/slot/a.swb"}


def test_native_code_and_what_stands_in_for_it_take_turns(
    bundles: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    engines = "from sensewell.features import Features\nfrom sensewell.model.trees import Forest\n"
    engines += "print(Features.engine, Forest.engine)"
    if not runtime.native_modules("rv32imc"):
        pytest.skip("the native modules are not built: make native")
    found = []
    with virtual.session("virt_c3") as running, connect(running.address) as wire:
        for built in (True, False, True):
            with monkeypatch.context() as patch:
                if not built:
                    patch.setattr(runtime, "native_modules", lambda arch: {})
                done = deploy(wire, bundles["old"], unsigned=True)
                assert done.native == (("features", "trees") if built else ())
                assert done.files_sent > 0 or len(found) == 2  # then it still lies in the other slot
                again = deploy(wire, bundles["old"])
                assert again.files_sent == 0
            wire.soft_reset()
            assert wire.exec(engines).split() == ["native" if built else "viper"] * 2
            there, folder = files(wire), code(wire)
            assert (f"{folder}/sensewell_trees.mpy" in there) is built
            assert (f"{folder}/sensewell/kernel/features_viper.mpy" in there) is not built
            assert (f"{folder}/sensewell/kernel/features_native.mpy" in there) is built
            found.append(decisions(wire))
    assert found[0] == found[1] == found[2]


@pytest.mark.parametrize("damage", ["code", "hidden", "bundle", "journal"])
def test_what_is_damaged_on_the_board_is_mended(board: Board, bundles: dict[str, Path], damage: str) -> None:
    before = decisions(board)
    if damage == "code":
        board.put("/slot/a/sensewell/window.mpy", b"not this one")
    elif damage == "hidden":
        board.put("/slot/a/sensewell/guard.py", b"raise SystemExit  # a source would hide the .mpy")
    elif damage == "bundle":
        content = bytearray(bundles["old"].read_bytes())
        content[-200] ^= 1
        board.put("/slot/a.swb", bytes(content))
    else:
        for number in range(2):
            board.put(f"/slot/journal.{number}", bytes(128))
    done = deploy(board, bundles["old"])
    assert done.files_sent == {"code": 2, "hidden": 1, "bundle": 1, "journal": 1}[damage]
    assert active(board) == bundles["old"].read_bytes() and decisions(board) == before
    assert f"{code(board)}/sensewell/guard.py" not in files(board)
    assert deploy(board, bundles["old"]).files_sent == 0


def test_a_main_of_the_user_is_left_alone_and_said(board: Board, bundles: dict[str, Path]) -> None:
    board.put("/main.py", b"print('mine')\n")
    assert deploy(board, bundles["new"]).kept == ("/main.py",)
    assert board.get("/main.py") == b"print('mine')\n"


def test_a_main_of_ours_is_brought_up_to_date(board: Board, bundles: dict[str, Path]) -> None:
    ours = board.get("/main.py")
    board.put("/main.py", ours.splitlines(True)[0] + b"# of an older version\n")
    assert deploy(board, bundles["old"]).kept == () and board.get("/main.py") == ours


def test_a_setup_travels_along_and_must_be_python(board: Board, bundles: dict[str, Path], tmp_path: Path) -> None:
    before = files(board)
    setup = tmp_path / "setup.py"
    setup.write_text("def sensor(:\n")
    with pytest.raises(SensewellError, match="is not Python"):
        deploy(board, bundles["old"], setup=setup)
    assert files(board) == before
    setup.write_text("BOARD = 'virt_c3'\n")
    deploy(board, bundles["old"], setup=setup)
    assert board.get("/setup.py") == b"BOARD = 'virt_c3'\n" and not leftovers(board)


# --- what is refused --------------------------------------------------------------------------------------------------


def test_a_bundle_for_another_board_is_refused_before_anything_is_written(
    board: Board, bundles: dict[str, Path], tmp_path: Path
) -> None:
    before = files(board)
    other = write(tmp_path / "other.swb", bundle_of(boards=["esp32s3"]))
    with pytest.raises(SensewellError, match=r"would refuse the bundle: bundle\.board.*esp32s3.*nothing was written"):
        deploy(board, other)
    assert files(board) == before and decisions(board)


def test_a_board_with_other_bytecode_is_refused(board: Board) -> None:
    with pytest.raises(SensewellError, match=r"version 5\.0, Sensewell compiles 6\.3"):
        runtime.check_mpy(5, "esp8266")
    assert runtime.check_mpy(board.info().mpy, "virt_c3") == "rv32imc"


class Unjudged:
    """Stands in for Bundle where the host would refuse what the board is to refuse."""

    @staticmethod
    def open(*_: Any) -> None: ...


def unsound(place: str) -> bytes:
    """A bundle with one bit changed; `vectors`: with right hashes, so that only running it can tell."""
    manifest = tiny_bundle.manifest(version=2)
    model = tiny_bundle.forest(5, 2, 5)
    golden = bytearray(tiny_bundle.golden(manifest, model))
    golden[-1] ^= place == "vectors"
    content = bytearray(tiny_bundle.write(manifest, {"model": model, "golden": bytes(golden)}))
    if place != "vectors":
        found = {"manifest": content.index(b"a test"), "golden": content.index(bytes(golden[:16]))}
        content[{"header": 5, "model": len(content) - 40, **found}[place]] ^= 1
    return bytes(content)


REFUSALS = {
    "header": r"bundle\.version",
    "manifest": r"bundle\.hash\.manifest",
    "model": r"bundle\.hash\.model",
    "golden": r"bundle\.hash\.golden",
    "vectors": r"golden\.features",
}


def test_what_is_unsound_is_refused_by_the_board_itself(
    board: Board, bundles: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, ran = decisions(board), files(board)
    for place, reason in REFUSALS.items():
        broken = write(tmp_path / "broken.swb", unsound(place))
        with monkeypatch.context() as patch:
            manifest = tiny_bundle.manifest()
            patch.setattr(deploying, "read_bundle", lambda path, known=manifest: (known, path.read_bytes()))
            patch.setattr(believe, "Bundle", Unjudged)
            with pytest.raises(SensewellError, match=rf"virt_c3 refuses the bundle: {reason}.*keeps what it had"):
                deploy(board, broken)
        found = files(board)
        for path in ran:
            assert path.startswith("/slot/journal") or found[path] == ran[path]
        assert active(board) == bundles["old"].read_bytes() and not leftovers(board)
        assert "/slot/b.swb" not in found
    assert decisions(board) == before
    assert re.match(REFUSALS["vectors"], board_slots.status(board)["refused"])
    deploy(board, bundles["new"])
    assert active(board) == bundles["new"].read_bytes()


def test_what_arrives_otherwise_than_it_was_sent_is_refused(
    board: Board, bundles: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = decisions(board)
    for what in ("bundle", "code"):
        with monkeypatch.context() as patch:
            send = deploying._Sender._send

            def flip(self: Any, path: str, data: bytes, mode: str, what: str = what, send: Any = send) -> None:
                if (mode == "ab") == (what == "bundle"):
                    data = bytes([data[0] ^ 1]) + data[1:]
                send(self, path, data, mode)

            patch.setattr(deploying._Sender, "_send", flip)
            if what == "code":
                patch.setattr(runtime, "native_modules", lambda arch: {})
            with pytest.raises(SensewellError, match=r"slots\.hash" if what == "bundle" else "did not arrive whole"):
                deploy(board, bundles["new"])
        assert active(board) == bundles["old"].read_bytes() and decisions(board) == before and not leftovers(board)
    deploy(board, bundles["new"])
    assert active(board) == bundles["new"].read_bytes() and decisions(board)


def test_what_lies_proven_in_the_idle_slot_is_only_switched_to(board: Board, bundles: dict[str, Path]) -> None:
    deploy(board, bundles["new"])
    back = deploy(board, bundles["old"])
    assert (back.files_sent, back.bytes_sent, back.slot) == (0, 0, "a")
    assert active(board) == bundles["old"].read_bytes()
    board.put("/main.py", board.get("/main.py") + b"# older")
    assert (deploy(board, bundles["new"]).files_sent, active(board)) == (1, bundles["new"].read_bytes())
    damaged = bytearray(bundles["old"].read_bytes())
    damaged[-200] ^= 1
    board.put("/slot/a.swb", bytes(damaged))
    assert deploy(board, bundles["old"]).files_sent == 1 and active(board) == bundles["old"].read_bytes()


def test_a_pinned_bundle_stays(board: Board, bundles: dict[str, Path]) -> None:
    board_slots.command(board, "pin")
    before = files(board)
    with pytest.raises(SensewellError, match="pinned: `sensewell slots unpin` first"):
        deploy(board, bundles["new"])
    assert files(board) == before
    board_slots.command(board, "unpin")
    assert deploy(board, bundles["new"]).slot == "b"


def test_status_says_that_the_active_bundle_is_damaged(board: Board, bundles: dict[str, Path]) -> None:
    confirm(board)
    found = board_slots.status(board)
    assert found["sound"] and deploy_commands._health(found) == "good at the last start"
    damaged = bytearray(bundles["old"].read_bytes())
    damaged[-200] ^= 1
    board.put("/slot/a.swb", bytes(damaged))
    found = board_slots.status(board)
    assert not found["sound"] and "nothing runs: the file of the active bundle is damaged" in deploy_commands._health(
        found
    )


def test_a_bundle_that_failed_on_probation_comes_again_only_when_asked_for(
    board: Board, bundles: dict[str, Path]
) -> None:
    confirm(board)
    deploy(board, bundles["new"])
    board.soft_reset()
    board.exec("from sensewell.slots import Slots\nSlots(None).give_up('probation.test')")
    assert active(board) == bundles["old"].read_bytes()
    with pytest.raises(SensewellError, match=r"slots\.failed_before.*say --again"):
        deploy(board, bundles["new"])
    assert active(board) == bundles["old"].read_bytes()
    assert deploy(board, bundles["new"], again=True).slot == "b"
    assert active(board) == bundles["new"].read_bytes()


# --- a full flash -----------------------------------------------------------------------------------------------------

FILL = """
import os
block = bytes(4096)
try:
    os.mkdir("/ballast")
except OSError:
    pass
number = 0
while True:
    path = "/ballast/%d" % number
    try:
        with open(path, "wb") as file:
            for _ in range(32 if number < 24 else 2):
                file.write(block)
    except OSError:
        os.remove(path)
        if number >= 24:
            break
        number = 24
    number += 1
"""


def fill(wire: Board) -> None:
    """Fill the flash until nothing of 8 KiB goes onto it any more. (What statvfs says of littlefs is only near.)"""
    wire.exec(FILL, timeout_s=120)


def empty(wire: Board) -> None:
    wire.exec("import os\nfor name in os.listdir('/ballast'):\n os.remove('/ballast/' + name)")


def test_what_captures_have_brought_gives_way_to_a_deploy(board: Board, bundles: dict[str, Path]) -> None:
    for path in ("/capture/sensewell", "/capture/sensewell_sim"):
        board.mkdirs(path)
    board.put("/capture/sensewell/drivers.mpy", bytes(450_000))
    board.put("/capture/mine", b"a user's")
    fill(board)
    deploy(board, bundles["big"])
    assert active(board) == bundles["big"].read_bytes()
    assert board.get("/capture/mine") == b"a user's" and not board.exists("/capture/sensewell")
    empty(board)


def test_a_full_flash_is_seen_before_anything_is_written(board: Board, bundles: dict[str, Path]) -> None:
    decided = decisions(board)
    fill(board)
    before = files(board)
    with pytest.raises(SensewellError, match=r"flash of virt_c3 is too full: .* KiB are needed"):
        deploy(board, bundles["big"])
    assert files(board) == before
    empty(board)  # playing recordings needs room on the flash; running a node does not
    assert decisions(board) == decided


@pytest.mark.parametrize("when", ["code", "bundle"])
def test_a_flash_that_fills_up_while_writing_leaves_nothing_behind(
    board: Board, bundles: dict[str, Path], monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    decided = decisions(board)
    filled = []

    def progress(done: int, total: int, what: str) -> None:
        if what == "bundle" and not filled:
            filled.append(what)
            fill(board)

    if when == "code":
        fill(board)
    with monkeypatch.context() as patch:
        patch.setattr(deploying._Deploy, "_check_space", lambda *_: None)
        with pytest.raises(SensewellError, match="flash of virt_c3 is full: what had been sent was removed"):
            deploy(board, bundles["big"], progress=progress)
    assert bool(filled) == (when == "bundle")
    assert active(board) == bundles["old"].read_bytes() and not leftovers(board)
    empty(board)
    assert decisions(board) == decided
    deploy(board, bundles["big"])
    assert active(board) == bundles["big"].read_bytes()


# --- a wire that breaks -----------------------------------------------------------------------------------------------


class Scissors:
    """Counts what is written to a board, and cuts the wire in the middle of the write number `cut`."""

    def __init__(self, patch: pytest.MonkeyPatch, cut: int | None = None) -> None:
        self.writes = 0
        self.sender: Any = None
        write, init = transport._Wire.write, deploying._Sender.__init__

        def cutting(wire: Any, data: bytes) -> int:
            self.writes += 1
            if cut is not None and self.writes >= cut:
                if self.writes == cut:
                    write(wire, data[: len(data) // 2])
                    wire.close()
                raise wire.broken("cut")
            return write(wire, data)

        def remember(sender: Any, *args: Any) -> None:
            self.sender = sender
            init(sender, *args)

        patch.setattr(transport._Wire, "write", cutting)
        patch.setattr(deploying._Sender, "__init__", remember)


class Versions:
    """Applications, no two of which share a file of code that changes, nor much of their bundles."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files_for = runtime.files_for

    def bundle(self, number: int) -> Path:
        path = self._folder / f"{number}.swb"
        return path if path.is_file() else write(path, bundle_of(trees=24, depth=7, seed=number, version=number))

    def deploy(self, wire: Board, number: int) -> deploying.DeployResult:
        noise = random.Random(number).randbytes

        def with_more(*args: Any) -> Any:
            targets, either = self._files_for(*args)
            return targets | {f"/lib/more_{n}.bin": noise(3000) for n in range(2)}, either

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(runtime, "files_for", with_more)
            return deploy(wire, self.bundle(number), unsigned=True)


def test_the_wire_is_cut_at_any_write_and_the_next_deploy_completes(tmp_path: Path) -> None:
    versions = Versions(tmp_path)
    with virtual.session("virt_c3") as running:
        with connect(running.address) as wire:
            versions.deploy(wire, 1)
            confirm(wire)
            with pytest.MonkeyPatch.context() as patch:
                whole = Scissors(patch)
                result = versions.deploy(wire, 2)
                writes, sent = whole.writes, result.bytes_sent
            confirm(wire)
        number, resumed, unfinished = 2, 0, set[str]()
        cuts = range(1, writes + 1) if SOAK else np.linspace(1, writes, 11).astype(int).tolist()
        print(f"{writes} writes, {sent} bytes, {len(cuts)} cuts")
        for count, cut in enumerate(cuts):
            cut += 3  # those with which `connect` takes hold come first
            is_confirmed = count % 3 < 2
            number += 1
            with pytest.MonkeyPatch.context() as patch:
                scissors = Scissors(patch, cut)
                with contextlib.suppress(BoardError), connect(running.address) as wire:
                    versions.deploy(wire, number)
                # a board that is slow to answer is written to once more: the last one may lie behind the end
                assert scissors.writes >= cut or cut > 0.95 * writes
            got = scissors.sender.bytes if scissors.sender else 0
            with connect(running.address) as wire:
                there = active(wire)
                switched = there == versions.bundle(number).read_bytes()
                if not switched:
                    # one on probation may have given way to the confirmed one that it replaced
                    allowed = [number - 1] if is_confirmed else [number - 1, number - 2]
                    assert there in [versions.bundle(one).read_bytes() for one in allowed]
                    unfinished.add(board_slots.status(wire)["slots"]["b" if code(wire)[-1] == "a" else "a"]["state"])
                assert switched or count % 4 or decisions(wire)
                result = versions.deploy(wire, number)
                assert active(wire) == versions.bundle(number).read_bytes()
                assert got + result.bytes_sent <= 1.03 * sent  # nothing that had arrived was sent again
                resumed += got > 0
                assert not leftovers(wire)
                if (count + 1) % 3 < 2:
                    confirm(wire)
        with connect(running.address) as wire:
            assert decisions(wire)
    assert resumed >= len(cuts) // 2 and "writing" in unfinished


def test_a_bundle_goes_on_where_the_wire_broke(board: Board, bundles: dict[str, Path]) -> None:
    whole = bundles["big"].stat().st_size
    for pieces in (1, 2):

        def stop(done: int, total: int, what: str, least: int = whole - pieces * delta.PIECE) -> None:
            if what == "bundle" and done >= least:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            deploy(board, bundles["big"], progress=stop)
        assert active(board) == bundles["old"].read_bytes()
    done = deploy(board, bundles["big"])
    assert done.files_sent == 1 and done.bytes_sent < delta.PIECE  # the last piece
    assert active(board) == bundles["big"].read_bytes()


def test_a_power_cut_while_deploying_leaves_the_old_bundle(
    bundles: dict[str, Path], flash_of_old: Path, tmp_path: Path
) -> None:
    flash = shutil.copyfile(flash_of_old, tmp_path / "flash")
    running = virtual.start("virt_c3", flash=flash)
    with connect(running.address) as wire:

        def cut(done: int, total: int, what: str) -> None:
            if done > total // 2:
                virtual.stop(running)

        with pytest.raises(BoardError):
            deploy(wire, bundles["big"], progress=cut)
    with virtual.session("virt_c3", flash=flash) as again, connect(again.address) as wire:
        assert active(wire) == bundles["old"].read_bytes()
        assert decisions(wire)
        deploy(wire, bundles["big"])
        assert active(wire) == bundles["big"].read_bytes()


def test_a_busy_board_says_so(board: Board, bundles: dict[str, Path]) -> None:
    with pytest.raises(BoardError, match="busy"), connect(board.address, timeout_s=2) as second:
        deploy(second, bundles["new"])
    assert active(board) == bundles["old"].read_bytes()


# --- back to work -----------------------------------------------------------------------------------------------------

CAUSE = "import machine\nprint(machine.reset_cause() == machine.WDT_RESET)"


@pytest.fixture
def working(running: virtual.VirtualBoard) -> virtual.VirtualBoard:
    """A board that runs `old`, confirmed, with a sensor of its own."""
    with connect(running.address) as wire:
        wire.put("/setup.py", SETUP.encode())
        confirm(wire)
    return running


def test_a_board_whose_host_goes_away_resets_and_runs_the_old_bundle(
    working: virtual.VirtualBoard, bundles: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deploying, "WATCHDOG_MS", 2500)
    monkeypatch.setattr(deploying, "_FEED_S", 0.1)

    def vanish(done: int, total: int, what: str) -> None:
        if what == "bundle" and done > total // 2:
            wire._wire.close()  # type: ignore[attr-defined]

    with pytest.raises(BoardError), connect(working.address) as wire:
        deploy(wire, bundles["big"], progress=vanish)
    said = console(working.port, "model ")
    assert "sensewell: starting" in said and "sensewell: /slot/a.swb, confirmed" in said
    time.sleep(0.5)  # so that Ctrl-C meets a node that runs
    with connect(working.address) as wire:
        assert wire.exec(CAUSE).strip() == "True"
        assert active(wire) == bundles["old"].read_bytes()
        assert board_slots.status(wire)["why"] == "confirmed"
        done = deploy(wire, bundles["big"])
        assert done.files_sent == 1 and active(wire) == bundles["big"].read_bytes()


def test_the_watchdog_does_not_disturb_what_goes_well(
    working: virtual.VirtualBoard, bundles: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deploying, "WATCHDOG_MS", 2000)
    with connect(working.address) as wire:
        waited = []

        def slowly(done: int, total: int, what: str) -> None:
            waited.append(what)
            if len(waited) < 5:
                time.sleep(0.8)  # longer than the watchdog waits, all in all

        deploy(wire, bundles["big"], progress=slowly)
    said = console(working.port, "model ")
    assert "/slot/b.swb, probation" in said
    time.sleep(2.5)
    with connect(working.address) as wire:
        assert wire.exec(CAUSE).strip() == "False"
        assert active(wire) == bundles["big"].read_bytes()


def test_a_refusal_lets_the_board_go_on_at_once(working: virtual.VirtualBoard, tmp_path: Path) -> None:
    other = write(tmp_path / "other.swb", bundle_of(boards=["esp32s3"]))
    with connect(working.address) as wire, pytest.raises(SensewellError, match=r"bundle\.board"):
        deploy(wire, other)
    assert "sensewell: /slot/a.swb, confirmed" in console(working.port, "model ")
