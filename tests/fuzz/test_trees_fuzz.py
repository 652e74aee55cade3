"""Mutated forests against the C kernel under sanitizers: refused with a reason or harmless, never anything else.

A short slice by default; `make fuzz` runs millions: FUZZ_RUNS and FUZZ_SEED say how many, and which.
"""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from forests import SMALL, corpus, forest, grow, sums
from lcg import Lcg
from sensewell.build.trees import prove
from sensewell.refusal import Refused

HERE = Path(__file__).parent
TREES = HERE.parents[1] / "device" / "native" / "trees"
SANITIZERS = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer"]
RUNS = int(os.environ.get("FUZZ_RUNS", "30000"))
SEED = int(os.environ.get("FUZZ_SEED", "1"))
COMPARED = 6000  # mutants whose verdict is asked of the Python proof, too
# as sw_trees.h numbers them
VERDICTS = "sound truncated magic version extended schema kind header alignment trees leaf feature_index jump overflow"


@pytest.fixture(scope="module")
def fuzzer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program of fuzz_trees.c."""
    if shutil.which("gcc") is None:
        pytest.skip("gcc is not installed")
    folder = tmp_path_factory.mktemp("fuzz")
    empty = folder / "empty.c"
    empty.write_text("int main(void) { return 0; }\n")
    if subprocess.run(["gcc", *SANITIZERS, str(empty), "-o", str(folder / "empty")], capture_output=True).returncode:
        pytest.skip("this gcc has no sanitizers: install libasan and libubsan")
    program = folder / "fuzz_trees"
    command = ["gcc", "-std=c99", "-O2", "-g", "-Wall", "-Wextra", "-Werror", f"-I{TREES}", *SANITIZERS]
    subprocess.run([*command, str(HERE / "fuzz_trees.c"), "-o", str(program)], check=True)
    return program


def seeds() -> bytes:
    """What mutations start from: small forests of all kinds, and some as wide or as deep as they can be."""
    random = Lcg(41)
    blobs = [blob for _ in range(4) for blob in corpus(random)]
    blobs.append(forest([grow(random, 7) for _ in range(6)], features=64, classes=255, bits=7))
    blobs.append(sums([SMALL] * 255, 1, 10, [0] * 255, kind=4, features=64))
    blobs.append(sums([grow(random, 7, random.int16) for _ in range(4)], 3, base=(-5,), kind=4, features=64))
    return b"".join(struct.pack("<i", len(blob)) + blob for blob in blobs)


def run(fuzzer: Path, first: int, runs: int, sample: Path | None = None) -> Counter[str]:
    """How many mutants got which verdict."""
    command = [str(fuzzer), str(SEED), str(first), str(runs), str(max(1, runs // COMPARED))]
    command += [str(sample)] if sample else []
    ran = subprocess.run(command, input=seeds(), capture_output=True, timeout=120 + runs / 2000)
    assert ran.returncode == 0, ran.stderr.decode(errors="replace")
    return Counter(dict(zip(VERDICTS.split(), map(int, ran.stdout.split()), strict=True)))


def mutants(sample: Path) -> Iterator[tuple[str, int, int, bytes]]:
    """(verdict, features, outputs, forest) of what the fuzzer has written."""
    data, at = sample.read_bytes(), 0
    while at < len(data):
        size, verdict, features, outputs = struct.unpack_from("<4i", data, at)
        at += 16 + size
        yield VERDICTS.split()[verdict], features, outputs, data[at - size : at]


def test_every_mutant_is_refused_or_harmless(fuzzer: Path) -> None:
    share = -(-RUNS // 8)
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        parts = list(pool.map(lambda k: run(fuzzer, k * share, share), range(8)))
    counted = sum(parts, Counter())
    print(f"\n{counted.total():,} mutants of seed {SEED}: none harmful")
    for verdict in VERDICTS.split():
        print(f"  {verdict:14}{counted[verdict]:>12,}")
    assert counted.total() >= RUNS
    assert 10 * counted["sound"] > counted.total()  # or the walker would hardly be tried
    assert all(counted[verdict] for verdict in VERDICTS.split())


def test_the_python_proof_gives_the_verdicts_of_the_c_one(fuzzer: Path, tmp_path: Path) -> None:
    sample = tmp_path / "sample"
    run(fuzzer, 0, COMPARED, sample)
    seen: Counter[str] = Counter()
    for verdict, features, outputs, blob in mutants(sample):
        said = "sound"
        try:
            prove(blob, features, outputs)
        except Refused as refused:
            said = refused.reason.removeprefix("model.")
        assert said == verdict, (features, outputs, blob.hex())
        seen[verdict] += 1
    assert seen.total() > 0.9 * COMPARED
    assert set(seen) == set(VERDICTS.split()) - {"alignment"}
