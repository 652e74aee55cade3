"""The module sensewell_tflm in a real MicroPython: built by boards/custom.py over a stand-in of TensorFlow Lite Micro.

`make test-tflm`; not in CI, since it compiles MicroPython's unix port. stand_in/README.md says what this does not show.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from sensewell_host.convert import tflm_ops
from tflites import Model

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent
NATIVE = ROOT / "device" / "native"
OUTPUT = ROOT / "build" / "firmware" / "stand_in"
FLAGS = ["-O1", "-Wall", "-Wextra", "-Werror", f"-I{NATIVE / 'tflm'}", f"-I{NATIVE / 'neural'}"]


def model(name: str = "in") -> bytes:
    """A net of one RESHAPE; the same bytes as identity() of on_unix.py."""
    m = Model()
    x = m.tensor([1, 6], scale=0.5, zero=-1, name=name)
    y = m.tensor([6], scale=0.25, zero=3, name="out0")
    m.op("RESHAPE", [x], [y])
    return m.bytes([x], [y])


def relu() -> bytes:
    m = Model()
    x, y = m.tensor([2]), m.tensor([2])
    m.op("RELU", [x], [y])
    return m.bytes([x], [y])


@pytest.fixture(scope="session")
def firmware() -> Path:
    """MicroPython with the module, and with the operators RESHAPE and RELU."""
    if shutil.which("g++") is None:
        pytest.skip("g++ is not installed")
    OUTPUT.mkdir(parents=True, exist_ok=True)
    library = OUTPUT / "libstand_in.a"
    include = HERE / "stand_in"
    compile_it = ["g++", "-std=c++17", "-fno-exceptions", "-fno-rtti", *FLAGS, f"-I{include}"]
    objects = [OUTPUT / f"{name}.o" for name in ("stand_in", "debug_log")]
    for made in objects:
        subprocess.run([*compile_it, "-c", str(include / f"{made.stem}.cpp"), "-o", str(made)], check=True)
    library.unlink(missing_ok=True)
    subprocess.run(["ar", "rcsD", str(library), *map(str, objects)], check=True)
    models = []
    for name, data in (("identity", model()), ("relu", relu())):
        models.append(OUTPUT / f"{name}.tflite")
        models[-1].write_bytes(data)
    settings = {"MODELS": " ".join(map(str, models)), "TFLM_INCLUDE": str(include), "TFLM_LIB": str(library)}
    command = [sys.executable, str(ROOT / "boards" / "custom.py"), "unix", "--output", str(OUTPUT)]
    subprocess.run(command, check=True, env={**os.environ, **settings})
    return OUTPUT / "micropython"


def names_on_unix() -> list[str]:
    return re.findall(r"^def (test_\w+)", (HERE / "on_unix.py").read_text(), re.MULTILINE)


@pytest.mark.parametrize("name", names_on_unix())
def test_on_unix(name: str, firmware: Path) -> None:
    """One test of on_unix.py, in a process of its own."""
    path = f"{ROOT / 'device'}:{ROOT / 'tests' / 'device'}:{HERE}:.frozen"
    need = tflm_ops.need(model())
    code = f"import on_unix as t; t.KNOWN = {need.arena_bytes}; t.LEAST = {need.least}; t.{name}(); print('passed')"
    ran = subprocess.run(
        [str(firmware), "-X", "heapsize=4m", "-c", code],
        env={**os.environ, "MICROPYPATH": path},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ran.returncode == 0 and ran.stdout.endswith("passed\n"), (ran.returncode, ran.stdout, ran.stderr)
