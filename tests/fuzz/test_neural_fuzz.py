"""Mutated .tflite files against the C engine under sanitizers: refused by name or harmless, never anything else.

A bounded part by default; `make fuzz` runs more: FUZZ_NETS and FUZZ_SEED say how many, and which. The program,
tests/host/neural/driver.c, mutates; what it starts from are random nets of every operator.
"""

from __future__ import annotations

import os
import random
import shutil
import struct
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
NEURAL = ROOT / "tests" / "host" / "neural"
SANITIZERS = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer")
RUNS = int(os.environ.get("FUZZ_NETS", "110000"))
SEED = int(os.environ.get("FUZZ_SEED", "21"))
EACH = 12  # nets of a kind
PARTS = 4
sys.path.insert(0, str(NEURAL))

import cases  # noqa: E402


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if shutil.which("gcc") is None:
        pytest.skip("gcc is not installed")
    program = tmp_path_factory.mktemp("fuzz") / "driver"
    core = ROOT / "device" / "native" / "neural"
    command = ["gcc", "-std=c99", "-O1", "-g", "-Wall", "-Wextra", "-Werror", f"-I{core}", str(NEURAL / "driver.c")]
    command += ["-o", str(program)]
    if subprocess.run([*command, *SANITIZERS], capture_output=True).returncode:
        print("no sanitizers here: memory errors may go unseen")
        subprocess.run(command, check=True)
    return program


def requests(part: int, runs: int) -> bytes:
    """What one process of the driver reads: nets of every kind, how many mutants of each, and from which seed."""
    dice = random.Random(f"{SEED} {part}" if part else SEED)
    share = -(-runs // (EACH * len(cases.KINDS)))
    asked = b""
    for kind in cases.KINDS.values():
        for _ in range(EACH):
            _, data = kind(dice)
            asked += struct.pack("<3i", len(data), share, dice.randrange(1 << 30)) + data
    return asked


def test_every_mutant_is_refused_or_harmless(driver: Path) -> None:
    def run(part: int) -> tuple[int, str, bytes]:
        ran = subprocess.run(
            [str(driver)], input=requests(part, RUNS // PARTS), capture_output=True, timeout=120 + RUNS / 500
        )
        return ran.returncode, ran.stderr.decode(errors="replace")[-3000:], ran.stdout

    with ThreadPoolExecutor(min(PARTS, os.cpu_count() or 1)) as pool:
        parts = list(pool.map(run, range(PARTS)))
    for code, said, _ in parts:
        assert code == 0, said
    outcomes = sum(np.frombuffer(out, "<i4").reshape(-1, 3).sum(axis=0, dtype=np.int64) for _, _, out in parts)
    refused, harmless, large = (int(count) for count in outcomes)
    print(f"\n{refused + harmless + large:,} mutants of seed {SEED}: none harmful")
    print(f"  refused {refused:,}, run {harmless:,}, sound but too large to run here {large:,}")
    assert refused + harmless + large >= RUNS
    assert refused > RUNS // 6 and harmless > RUNS // 20
