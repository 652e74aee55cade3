"""Real ulab for tests: MicroPython with ulab as npm ships it, in node; our package there as plain bytecode."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from sensewell_host import runtime

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent
NPM = ROOT / "build" / "ulab"
PACKAGE = "@micropython/micropython-webassembly-pyscript"
VERSION = "1.29.0-6"
HELPERS = [
    *(path for path in (ROOT / "tests" / "device").glob("*.py") if path.stem != "conftest"),
    *HERE.glob("on_node_*.py"),
    *(ROOT / "device" / "examples").glob("*.py"),
    ROOT / "tests" / "on_boards" / "runner.py",
]


@pytest.fixture(scope="session")
def package() -> Path:
    """The installed npm package; installed once into build/ulab. Skips where that is not possible."""
    for tool in ("node", "npm"):
        if not shutil.which(tool):
            pytest.skip(f"{tool} is not installed: ulab is tested in node (apt-get install nodejs npm)")
    found = NPM / "node_modules" / PACKAGE
    kept = found / "package.json"
    if not kept.is_file() or f'"{VERSION}"' not in kept.read_text():
        NPM.mkdir(parents=True, exist_ok=True)
        command = ["npm", "install", "--prefix", str(NPM), "--no-audit", "--no-fund", "--ignore-scripts"]
        patience = ["--fetch-retries=1", "--fetch-retry-mintimeout=1000", "--fetch-timeout=30000"]
        ran = subprocess.run([*command, *patience, f"{PACKAGE}@{VERSION}"], capture_output=True, text=True)
        if ran.returncode:
            pytest.skip(f"npm cannot install {PACKAGE} {VERSION}: {ran.stderr.strip()[-300:]}")
    return found


@pytest.fixture(scope="session")
def lib(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """/lib of the board: the whole device package and the test files, as bytecode without native code."""
    lib = tmp_path_factory.mktemp("ulab") / "lib"
    files = runtime.files("", [*runtime.all_modules(), *runtime.simulated_parts()])
    files |= {f"/lib/{path.stem}.mpy": runtime.compile_file(path, "", optimise="-O0") for path in HELPERS}
    for target, content in files.items():
        path = lib / target.removeprefix("/lib/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return lib


@pytest.fixture(scope="session")
def node(package: Path, lib: Path) -> Callable[[str], str]:
    """node(program): what the program prints on MicroPython with ulab."""

    def run(program: str) -> str:
        command = ["node", str(HERE / "runner.mjs"), str(package), str(lib), program]
        ran = subprocess.run(command, capture_output=True, text=True, timeout=120)
        assert ran.returncode == 0, ran.stdout + ran.stderr
        return ran.stdout

    return run


@pytest.fixture(scope="session")
def run_file(node: Callable[[str], str]) -> Callable[..., str]:
    """run_file(module, *without): the test functions of a module in node, those excepted; what failed, fails here."""

    def run(module: str, *without: str) -> str:
        dropped = "".join(f"del {module}.{name}\n" for name in without)
        said = node(f"import runner, {module}\n{dropped}runner.run({module!r})")
        done = re.search(r"^DONE (\d+) (\d+)$", said, re.MULTILINE)
        assert done, f"the test file did not finish:\n{said}"
        assert int(done[2]) == 0, said
        assert int(done[1]) > 0, "no test function was found"
        return said

    return run
