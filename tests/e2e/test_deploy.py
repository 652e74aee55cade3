"""Deploying to a virtual ESP32-C3: whatever goes wrong, and whenever, the board keeps running what it ran before."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import tiny_bundle
from sensewell_host import deploy as deploying
from sensewell_host import run, runtime
from sensewell_host.board import Board, BoardError, connect, virtual
from sensewell_host.dataset import Recording
from sensewell_host.deploy import BUNDLE, deploy
from sensewell_host.errors import SensewellError

pytestmark = pytest.mark.skipif(not virtual.is_built("virt_c3"), reason="virt_c3 is not built: make board-virt_c3")

ROWS = np.random.default_rng(5).integers(-3000, 3000, (400, 2)).astype(np.int16)
RECORDING = Recording("r", ROWS, 50, "class0", "1")


def write(path: Path, **options: object) -> Path:
    path.write_bytes(tiny_bundle.build(n_channels=2, **options))
    return path


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Two bundles that decide differently, `old` and `new`; `big` is new with a large model."""
    folder = tmp_path_factory.mktemp("bundles")
    return {
        "old": write(folder / "old.swb"),
        "new": write(folder / "new.swb", trees=5, version=2),
        "big": write(folder / "big.swb", trees=12, depth=7, version=3),
    }


@pytest.fixture
def board(bundles: dict[str, Path]) -> Iterator[Board]:
    """A board that runs `old`."""
    with virtual.session("virt_c3") as running, connect(running.address) as wire:
        deploy(wire, bundles["old"])
        yield wire


def decisions(wire: Board) -> list[bytes]:
    """What the board decides on its own flash's bundle; the host must decide the same with the same file."""
    played = run.play([wire], [RECORDING], [run.Way("clean")])["clean"]
    host = run.play_on_host(wire.get(BUNDLE), [RECORDING], [run.Way("clean")])["clean"]
    assert played[0].same(host[0])
    return [one.tobytes() for one in played[0].decisions]


def files(wire: Board, folder: str = "/") -> set[str]:
    """Every file on the board."""
    found = set()
    for name in wire.listdir(folder):
        found |= files(wire, folder + name) if name.endswith("/") else {folder + name}
    return found


def assert_untouched(wire: Board, bundle: Path, before: set[str]) -> None:
    assert wire.get(BUNDLE) == bundle.read_bytes()
    assert files(wire) == before
    if any(name.startswith("/ballast") for name in before):
        wire.exec("import os\nfor name in os.listdir('/ballast'):\n os.remove('/ballast/' + name)")
    assert decisions(wire)  # playing recordings needs room on the flash; running a node does not


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
                done = deploy(wire, bundles["old"])
                assert done.native == (("features", "trees") if built else ())
                assert done.files_sent > 0
                again = deploy(wire, bundles["old"])
                assert again.files_sent == 0
            wire.soft_reset()
            assert wire.exec(engines).split() == ["native" if built else "viper"] * 2
            there = files(wire)
            assert ("/lib/sensewell_trees.mpy" in there) is built
            assert ("/lib/sensewell/kernel/features_viper.mpy" in there) is not built
            assert ("/lib/sensewell/kernel/features_native.mpy" in there) is built
            found.append(decisions(wire))
    assert found[0] == found[1] == found[2] and len(found[0]) > 0


def test_what_is_there_already_is_not_sent_again(board: Board, bundles: dict[str, Path]) -> None:
    again = deploy(board, bundles["old"])
    assert (again.files_sent, again.bytes_sent) == (0, 0)
    before = decisions(board)
    changed = deploy(board, bundles["new"])
    assert changed.files_sent == 1 and changed.bytes_sent == bundles["new"].stat().st_size
    assert decisions(board) != before
    assert not any("part" in name or "stage" in name for name in files(board))


def test_only_what_the_bundle_needs_is_sent(board: Board) -> None:
    modules = {name for name in files(board) if name.startswith("/lib/sensewell/")}
    assert "/lib/sensewell/pipeline.mpy" in modules and "/lib/sensewell/model/trees.mpy" in modules
    assert not modules & {"/lib/sensewell/_port.mpy", "/lib/sensewell/player.mpy"}
    assert "/lib/sensewell/sensor/replay.mpy" in modules  # a recording is the first sensor anybody tries


def test_a_changed_runtime_is_replaced_as_a_whole(board: Board, bundles: dict[str, Path]) -> None:
    board.put("/lib/sensewell/window.mpy", b"not this one")
    board.put("/lib/sensewell/guard.py", b"raise SystemExit  # a source would hide the .mpy")
    assert deploy(board, bundles["old"]).files_sent == 1
    assert "/lib/sensewell/guard.py" in files(board)  # guard.mpy was right, so guard was left alone ...
    board.put("/lib/sensewell/guard.mpy", b"nor this one")
    deploy(board, bundles["old"])
    assert "/lib/sensewell/guard.py" not in files(board)  # ... until it was sent
    assert decisions(board)


def test_a_bundle_for_another_board_is_refused_before_anything_is_written(
    board: Board, bundles: dict[str, Path], tmp_path: Path
) -> None:
    before = files(board)
    with pytest.raises(SensewellError, match="is for esp32s3; this board is virt_c3"):
        deploy(board, write(tmp_path / "other.swb", boards=["esp32s3"]))
    assert_untouched(board, bundles["old"], before)


def test_a_board_with_other_bytecode_is_refused(board: Board) -> None:
    with pytest.raises(SensewellError, match=r"version 5\.0, Sensewell compiles 6\.3"):
        runtime.check_mpy(5, "esp8266")
    assert runtime.check_mpy(board.info().mpy, "virt_c3") == "rv32imc"


@pytest.mark.parametrize("place", ["header", "manifest", "model", "golden"])
def test_what_arrives_unsound_is_refused_by_the_board_itself(
    board: Board, bundles: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    before = files(board)
    content = bytearray(bundles["new"].read_bytes())
    at = {"header": 5, "manifest": 200, "model": len(content) - 1200, "golden": len(content) - 2}[place]
    content[at] ^= 1
    broken = tmp_path / "broken.swb"
    broken.write_bytes(content)
    manifest, _ = deploying.read_bundle(bundles["new"])
    monkeypatch.setattr(deploying, "read_bundle", lambda path: (manifest, path.read_bytes()))
    with pytest.raises(SensewellError, match=r"virt_c3 refuses the bundle: bundle.*keeps what it had"):
        deploy(board, broken)
    assert_untouched(board, bundles["old"], before)


def test_golden_vectors_that_do_not_come_out_are_refused(
    board: Board, bundles: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = files(board)
    manifest = tiny_bundle.manifest(n_channels=2)
    model = tiny_bundle.forest(5, 2)
    golden = bytearray(tiny_bundle.golden(manifest, model))
    golden[-1] ^= 1  # hashes are right: only running it can tell
    broken = tmp_path / "broken.swb"
    broken.write_bytes(tiny_bundle.write(manifest, {"model": model, "golden": bytes(golden)}))
    monkeypatch.setattr(deploying, "read_bundle", lambda path: (manifest, path.read_bytes()))
    with pytest.raises(SensewellError, match=r"virt_c3 refuses the bundle: golden\.features"):
        deploy(board, broken)
    assert_untouched(board, bundles["old"], before)


def test_a_main_of_the_user_is_left_alone_and_said(board: Board, bundles: dict[str, Path]) -> None:
    board.put("/main.py", b"print('mine')\n")
    assert deploy(board, bundles["new"]).kept == ("/main.py",)
    assert board.get("/main.py") == b"print('mine')\n"


def test_a_setup_travels_along_and_must_be_python(board: Board, bundles: dict[str, Path], tmp_path: Path) -> None:
    setup = tmp_path / "setup.py"
    setup.write_text("def sensor(:\n")
    with pytest.raises(SensewellError, match="is not Python"):
        deploy(board, bundles["old"], setup=setup)
    setup.write_text("BOARD = 'virt_c3'\n")
    deploy(board, bundles["old"], setup=setup)
    assert board.get("/setup.py") == b"BOARD = 'virt_c3'\n"


# --- a full flash ---------------------------------------------------------------------------------------------------


def fill(wire: Board) -> None:
    """Fill the flash until nothing of 8 KiB goes onto it any more. (What statvfs says of littlefs is only near.)"""
    wire.exec(
        """
import os
block = bytes(4096)
os.mkdir("/ballast")
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
""",
        timeout_s=120,
    )


def test_a_full_flash_is_seen_before_anything_is_written(board: Board, bundles: dict[str, Path]) -> None:
    fill(board)
    before = files(board)
    with pytest.raises(SensewellError, match=r"flash of virt_c3 is too full: .* KiB are needed"):
        deploy(board, bundles["big"])
    assert_untouched(board, bundles["old"], before)


def test_a_flash_that_fills_up_while_writing_leaves_nothing_behind(
    board: Board, bundles: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(board)
    before = files(board)
    monkeypatch.setattr(deploying, "_check_space", lambda *_: None)
    huge = write(tmp_path / "huge.swb", trees=40, depth=7)
    with pytest.raises(SensewellError, match="flash is full: what had been sent was removed"):
        deploy(board, huge)
    assert_untouched(board, bundles["old"], before)
    monkeypatch.undo()
    deploy(board, bundles["big"])
    assert board.get(BUNDLE) == bundles["big"].read_bytes()


# --- a wire that breaks ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cut_after", [4_000, 9_000, 14_000, 40_000])
def test_a_wire_cut_at_any_byte_leaves_the_old_bundle_running(
    bundles: dict[str, Path], cut_after: int, relay: Callable[[int, int], str]
) -> None:
    with virtual.session("virt_c3") as running:
        with connect(running.address) as wire:
            deploy(wire, bundles["old"])
            board_decided = decisions(wire)
            # a part of the runtime must be sent again too
            wire.put("/lib/sensewell/rules.mpy", wire.get("/lib/sensewell/rules.mpy") + b"\0")
        finished = False
        with contextlib.suppress(BoardError), connect(relay(running.port, cut_after)) as wire:
            deploy(wire, bundles["big"])
            finished = True
        with connect(running.address) as wire:
            there = wire.get(BUNDLE)
            assert there == bundles["big" if finished else "old"].read_bytes()
            if not finished:
                assert decisions(wire) == board_decided
            deploy(wire, bundles["big"])
            assert wire.get(BUNDLE) == bundles["big"].read_bytes()
            assert decisions(wire)
            assert not any("part" in name or "stage" in name for name in files(wire))


def test_a_power_cut_while_deploying_leaves_the_old_bundle(bundles: dict[str, Path], tmp_path: Path) -> None:
    flash = tmp_path / "flash"
    running = virtual.start("virt_c3", flash=flash)
    with connect(running.address) as wire:
        deploy(wire, bundles["old"])

        def cut(done: int, total: int, what: str) -> None:
            if done > total // 2:
                virtual.stop(running)

        with pytest.raises(BoardError):
            deploy(wire, bundles["big"], progress=cut)
    with virtual.session("virt_c3", flash=flash) as again, connect(again.address) as wire:
        assert wire.get(BUNDLE) == bundles["old"].read_bytes()
        assert decisions(wire)
        deploy(wire, bundles["big"])
        assert wire.get(BUNDLE) == bundles["big"].read_bytes()


def test_a_busy_board_says_so(board: Board, bundles: dict[str, Path]) -> None:
    with pytest.raises(BoardError, match="busy"), connect(board.address, timeout_s=2) as second:
        deploy(second, bundles["new"])
    assert board.get(BUNDLE) == bundles["old"].read_bytes()
