"""Every file of tests/device again, on each MicroPython board that is built: unix, virt_c3, virt_m4.

The package and the tests travel as .mpy for the board's architecture, as `sensewell deploy` would send them. All files
run on viper code; those whose subject has a native module run on that once more, where `make native` has built it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import flash_image
import pytest
from sensewell_host import board as boards
from sensewell_host import runtime
from sensewell_host.board import catalog, virtual

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "tests" / "device").glob("test_*.py"))
HELPERS = [path for path in (ROOT / "tests" / "device").glob("*.py") if path not in FILES and path.stem != "conftest"]
RUNNER = Path(__file__).with_name("runner.py")
ON_NATIVE = {"test_native", "test_features", "test_features_everywhere", "test_trees", "test_trees_fuzz"}
ON_NATIVE |= {"test_pipeline", "test_node", "test_signature", "test_trust"}
ON_NATIVE |= {"test_neural", "test_net", "test_net_scores", "test_net_proof"}
RUNS = [(path, "viper") for path in FILES if path.stem != "test_native"]
RUNS += [(path, "native") for path in FILES if path.stem in ON_NATIVE]
NATIVE = "/native"  # not on the path: the viper runs must not see it


# A board is started once, by the one worker that all of its tests go to
PARAMS = [pytest.param(name, marks=pytest.mark.xdist_group(name)) for name in ("unix", "virt_c3", "virt_m4")]


@pytest.fixture(scope="module", params=["unix", "virt_c3", "virt_m4"])
def board(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[boards.Board]:
    name = request.param
    files = files_for(catalog.load(name).arch)
    if not virtual.is_built(name):
        pytest.skip(f"{name} is not built: make board-{name}")
    if name == "unix":
        with boards.connect(f"unix:{tmp_path_factory.mktemp('flash')}") as unix:
            flash_image.put(unix, files)
            yield unix
    else:
        image = flash_image.make(name, files, tmp_path_factory.mktemp("image"))
        with virtual.session(name, image=image) as running, boards.connect(running.address) as wire:
            if image is None:
                flash_image.put(wire, files)
            yield wire


def files_for(arch: str) -> dict[str, bytes]:
    """The runtime and the simulated parts, apart from them the native modules, the test helpers and the runner."""
    files = runtime.files(arch, [*runtime.all_modules(), *runtime.simulated_parts()])
    files |= {f"{NATIVE}/{name}.mpy": content for name, content in runtime.native_modules(arch).items()}
    for path in [*HELPERS, *(ROOT / "device" / "examples").glob("*.py"), RUNNER]:
        files[f"/lib/{path.stem}.mpy"] = runtime.compile_file(path, arch, optimise="-O0")
    return files


@pytest.mark.parametrize(("path", "engine"), RUNS, ids=lambda one: getattr(one, "stem", one))
def test_device_file(board: boards.Board, path: Path, engine: str) -> None:
    arch = board.info().mpy_arch
    if engine == "native" and not runtime.native_modules(arch):
        pytest.skip(f"no native modules for {arch} are built: make native")
    board.put(f"/lib/{path.stem}.mpy", runtime.compile_file(path, arch, optimise="-O0"))
    board.soft_reset()
    ready = f"import sys\nsys.path.insert(0, {NATIVE!r})\n" if engine == "native" else ""
    said = board.exec(f"{ready}import runner\nrunner.run({path.stem!r})", timeout_s=240)
    board.remove(f"/lib/{path.stem}.mpy")
    done = [line.split() for line in said.splitlines() if line.startswith("DONE ")]
    assert done, f"the test file did not finish:\n{said}"
    passed, failed = int(done[0][1]), int(done[0][2])
    assert failed == 0, said
    assert passed > 0, "no test function was found"
