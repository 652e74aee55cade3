"""The C kernels, compiled for this PC with sanitizers: equal to the device code bit for bit, or refusing alike."""

from __future__ import annotations

import math
import random
import shutil
import struct
import subprocess
from array import array
from collections.abc import Callable
from pathlib import Path

import pytest
from forests import corpus, forest, grow, sums
from lcg import Lcg
from sensewell.build.features import FEATURES
from sensewell.features import Features
from sensewell.kernel.trees_viper import Forest

NATIVE = Path(__file__).parents[2] / "device" / "native"
SANITIZERS = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer")
Ask = Callable[[bytes], bytes]


@pytest.fixture(scope="module")
def ask(tmp_path_factory: pytest.TempPathFactory) -> Ask:
    """Send requests to the driver (tests/host/native/driver.c says which), return its answers."""
    if shutil.which("gcc") is None:
        pytest.skip("gcc is not installed")
    program = tmp_path_factory.mktemp("native") / "driver"
    command = ["gcc", "-std=c99", "-O1", "-g", "-Wall", "-Wextra", "-Werror"]
    command += [f"-I{NATIVE / name}" for name in ("features", "trees")]
    command += [str(Path(__file__).parent / "native" / "driver.c"), "-o", str(program)]
    if subprocess.run([*command, *SANITIZERS], capture_output=True).returncode:
        print("no sanitizers here: memory errors may go unseen")
        subprocess.run(command, check=True)

    def send(requests: bytes) -> bytes:
        ran = subprocess.run([str(program)], input=requests, capture_output=True)
        assert ran.returncode == 0, ran.stderr.decode()
        return ran.stdout

    return send


# ---- features ----


class Rows:
    """A window over rows of samples."""

    def __init__(self, rows: list[list[int]]) -> None:
        self.columns = [array("h", column) for column in zip(*rows, strict=True)]

    def read(self, channel: int, out: array[int]) -> None:
        out[:] = self.columns[channel]


def spec_of(name: str, channel: int, channels: int, length: int, dice: random.Random) -> dict[str, int | str]:
    """A feature with random parameters."""
    half = 4
    while 2 * half < length:
        half *= 2
    spec: dict[str, int | str] = {"f": name, "c": channel}
    others = dice.sample([c for c in range(channels) if c != channel], 2)
    if name in ("mcross", "zcross"):
        spec["h"] = dice.choice([0, 1, 5, 300, 32767])
    elif name == "acorr":
        spec["lag"] = dice.randrange(1, length)
    elif name in ("acpeak", "aclag", "band", "share"):
        top = half + 1 if name in ("band", "share") else length
        spec["lo"] = dice.randrange(1, top)
        spec["hi"] = dice.randrange(int(spec["lo"]) + 1, top + 1)
    elif name in ("corr", "angle", "tilt"):
        spec["d"] = others[0]
        if name == "tilt":
            spec["e"] = others[1]
    return spec


def signal(kind: int, n: int, dice: random.Random) -> list[int]:
    """A channel of a window, of one of many kinds: noise at all scales, tones, steps, extremes."""
    scale = dice.choice([1, 3, 20, 500, 4000, 20000, 32767])
    level = dice.choice([0, 0, 1, -5, 4096, -30000, 32767, -32768])
    phase, turn = dice.uniform(0, 6), dice.uniform(0, 3.2)
    values = {
        0: lambda i: dice.randint(-scale, scale) + level,
        1: lambda i: 32767 if i & 1 else -32768,
        2: lambda i: round(scale * math.sin(turn * i + phase)) + level,
        3: lambda i: level,
        4: lambda i: 32767 if i == n // 3 else -32768,
        5: lambda i: i * 120 - scale + dice.randrange(9),
        6: lambda i: dice.choice([32767, -32768]),
        7: lambda i: level + (scale if i > n // 2 else -scale),
        8: lambda i: round(scale * math.sin(turn * i) * math.sin(phase * i) + dice.gauss(0, 30)) + level,
    }[kind]
    return [max(-32768, min(32767, values(i))) for i in range(n)]


def request(features: Features, channels: int, length: int, n_derived: int, windows: list[list[list[int]]]) -> bytes:
    """Each window through the ring from a place of its own, or through the read function."""
    run, derived = features.run, features.derived
    parts = []
    for k, rows in enumerate(windows):
        oldest = k * 37 % length if k % 3 else -1
        ring = rows if oldest < 0 else rows[length - oldest :] + rows[: length - oldest]
        numbers = (len(run), n_derived, len(features.vector), channels, length, 1, oldest)
        parts.append(b"F" + struct.pack("<7i", *numbers) + run.tobytes() + derived.tobytes()[: 4 * n_derived])
        parts.append(array("h", [v for row in ring for v in row]).tobytes())
    return b"".join(parts)


def test_every_feature_of_thousands_of_windows_equals_the_device_code(ask: Ask) -> None:
    dice = random.Random(3)
    compared = 0
    for turn in range(120):
        length = dice.choice([2, 3, 5, 7, 8, 9, 16, 17, 31, 32, 64, 100, 100, 127, 128, 129, 200, 255, 256])
        channels = 4
        derived = [{"norm": [0, 1, 2]}, {"norm": [1, 3], "shift": 1}, {"norm": [3, 0]}][: dice.randrange(4)]
        total = channels + len(derived)
        names = list(FEATURES) if turn % 4 == 0 else dice.choices(FEATURES, k=12)
        specs = [spec_of(name, dice.randrange(total), total, length, dice) for name in names]
        features = Features(specs, channels, length, derived)
        windows = []
        for _ in range(20):
            columns = [signal(dice.randrange(9), length, dice) for _ in range(channels)]
            windows.append([list(row) for row in zip(*columns, strict=True)])
        answer = ask(request(features, channels, length, len(derived), windows))
        size = 4 + 2 * len(specs)
        assert len(answer) == size * len(windows)
        for k, rows in enumerate(windows):
            features.compute(Rows(rows))
            got = array("h", answer[k * size + 4 : (k + 1) * size])
            if got != features.vector:
                wrong = [(specs[i], got[i], v) for i, v in enumerate(features.vector) if got[i] != v]
                raise AssertionError(f"length {length}, window {k}: (spec, C, Python) {wrong}")
            compared += len(specs)
    assert compared > 30000


def test_a_mutated_program_is_refused_or_keeps_inside_its_buffers(ask: Ask) -> None:
    dice = random.Random(5)
    derived = [{"norm": [0, 1, 2]}, {"norm": [1, 2], "shift": 1}]
    rows = [[dice.randint(-32768, 32767) for _ in range(3)] for _ in range(32)]
    samples = array("h", [v for row in rows for v in row]).tobytes()
    outcomes = [0, 0]
    requests, vectors = [], []
    for turn in range(8000):
        if turn % 100 == 0:
            names = dice.choices(FEATURES, k=8)
            features = Features([spec_of(name, dice.randrange(5), 5, 32, dice) for name in names], 3, 32, derived)
        run = array("h", features.run)
        signs = bytearray(features.derived.tobytes())
        for _ in range(dice.randrange(1, 4)):
            if dice.random() < 0.1:
                signs[dice.randrange(len(signs))] = dice.randrange(256)
            elif dice.random() < 0.1:
                run = run[: dice.randrange(len(run))] or run
            else:
                run[dice.randrange(len(run))] = dice.choice([dice.randrange(-2, 40), dice.randint(-32768, 32767)])
        numbers = struct.pack("<7i", len(run), 2, 8, 3, 32, 1, dice.choice([-1, 5]))
        requests.append(b"F" + numbers + run.tobytes() + signs + samples)
        vectors.append(8)
    answer = ask(b"".join(requests))
    at = 0
    for n in vectors:
        accepted = answer[at : at + 4] != b"\0\0\0\0"
        outcomes[accepted] += 1
        at += 4 + 2 * n * accepted
    assert at == len(answer)
    assert outcomes[0] > 2000 and outcomes[1] > 500, outcomes


# ---- trees: tests/fuzz asks for more ----


def test_forests_are_walked_to_the_same_scores(ask: Ask) -> None:
    dice = random.Random(7)
    lcg = Lcg(7)
    blobs = [forest([grow(lcg, depth) for _ in range(n)]) for depth, n in ((2, 1), (6, 4), (8, 2))]
    blobs += [sums([grow(lcg, 7, lcg.int16) for _ in range(4)], link, 11, (-70000,)) for link in (2, 3, 4)]
    for blob in [*blobs, *corpus(lcg)]:
        n = blob[7]
        model = Forest(blob, 3, n)
        rows = [array("h", [dice.randint(-32768, 32767) >> dice.randrange(14) for _ in range(3)]) for _ in range(300)]
        answer = ask(b"V" + struct.pack("<4i", len(blob), 3, n, len(rows)) + blob + b"".join(r.tobytes() for r in rows))
        numbers = struct.unpack(f"<{1 + (1 + n) * len(rows)}i", answer)
        assert numbers[0] == 0
        scores = array("i", [0] * n)
        for k, row in enumerate(rows):
            best = model.predict(row, scores)
            assert (best, *scores) == numbers[1 + (1 + n) * k : 1 + (1 + n) * (k + 1)]
