"""The Wycheproof vectors for ECDSA, P-256, SHA-256: theirs and ours agree on each, wherever device code runs.

In plain integers and in C; on this PC (C with sanitizers), on the unix port and on virt_c3, where all verdicts must
be the same by name. Needs ../shared/data/wycheproof; without it only the comparisons of C with plain integers run.
"""

from __future__ import annotations

import hashlib
import json
import random
import shutil
import struct
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils
from sensewell import signature
from sensewell.kernel import p256_plain
from sensewell.refusal import Refused
from sensewell_host import board as boards
from sensewell_host import runtime
from sensewell_host.board import virtual

ROOT = Path(__file__).resolve().parents[2]
VECTORS = ROOT.parent / "shared" / "data" / "wycheproof" / "ecdsa_secp256r1_sha256.json"
SANITIZERS = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer")
MODULES = ("sensewell", "sensewell.refusal", "sensewell.signature", "sensewell.kernel", "sensewell.kernel.p256_plain")
NAMES = signature.REASONS.split(" ")

# Prints the verdict of each vector as a digit, "." for valid, and which engine computed it
ON_BOARD = """
import hashlib, struct, sys
sys.path.insert(0, "/native")
from sensewell import signature
from sensewell.refusal import Refused
names = signature.REASONS.split(" ")
verdicts = ""
with open("/vectors.bin", "rb") as f:
    while True:
        head = f.read(68)
        if not head:
            break
        message, der = struct.unpack_from("<HH", head, 64)
        digest = hashlib.sha256(f.read(message)).digest()
        try:
            signature.verify(head[:64], digest, f.read(der))
            verdicts += "."
        except Refused as refused:
            verdicts += str(names.index(refused.reason.split(".")[1]))
print(signature.engine, verdicts)
"""

Ask = Callable[[bytes], bytes]


@dataclass(frozen=True)
class Vector:
    number: int
    key: bytes
    message: bytes
    der: bytes
    valid: bool


@cache
def vectors() -> list[Vector]:
    if not VECTORS.is_file():
        pytest.skip("../shared/data/wycheproof is not here")
    found = []
    for group in json.loads(VECTORS.read_text())["testGroups"]:
        key = bytes.fromhex(group["publicKey"]["uncompressed"])
        assert len(key) == 65 and key[0] == 4 and group["sha"] == "SHA-256"
        for test in group["tests"]:
            assert test["result"] in ("valid", "invalid")
            message, der = bytes.fromhex(test["msg"]), bytes.fromhex(test["sig"])
            found.append(Vector(test["tcId"], key[1:], message, der, test["result"] == "valid"))
    return found


def plain_verdict(key: bytes, digest: bytes, der: bytes) -> int:
    rs = bytearray(64)
    return int(p256_plain.parse(der, rs) or p256_plain.verify(key, digest, rs))


@cache
def expected() -> str:
    """The verdicts in plain integers on this PC, as ON_BOARD prints them."""
    verdicts = [plain_verdict(one.key, hashlib.sha256(one.message).digest(), one.der) for one in vectors()]
    return "".join(str(verdict) if verdict else "." for verdict in verdicts)


@pytest.fixture(scope="module")
def ask(tmp_path_factory: pytest.TempPathFactory) -> Ask:
    """Send requests to the driver (tests/host/native/p256_driver.c says which), return its verdicts."""
    if shutil.which("gcc") is None:
        pytest.skip("gcc is not installed")
    program = tmp_path_factory.mktemp("p256") / "driver"
    command = ["gcc", "-std=c99", "-O1", "-g", "-Wall", "-Wextra", "-Werror", f"-I{ROOT / 'device/native/p256'}"]
    command += [str(Path(__file__).parent / "native" / "p256_driver.c"), "-o", str(program)]
    if subprocess.run([*command, *SANITIZERS], capture_output=True).returncode:
        print("no sanitizers here: memory errors may go unseen")
        subprocess.run(command, check=True)

    def send(requests: bytes) -> bytes:
        ran = subprocess.run([str(program)], input=requests, capture_output=True)
        assert ran.returncode == 0, ran.stderr.decode()
        return ran.stdout

    return send


def request(key: bytes, digest: bytes, der: bytes) -> bytes:
    return key + digest + struct.pack("<i", len(der)) + der


# ---- the vectors ----


def test_plain_integers_agree_with_every_vector() -> None:
    assert len(vectors()) == 484
    for one in vectors():
        try:
            signature.verify(one.key, hashlib.sha256(one.message).digest(), one.der)
            valid = True
        except Refused:
            valid = False
        assert valid == one.valid, one.number
    assert Counter(expected()).keys() == {".", "2", "3", "4", "6"}  # of these vectors each key is a point


def test_c_agrees_with_every_vector(ask: Ask) -> None:
    requests = [request(one.key, hashlib.sha256(one.message).digest(), one.der) for one in vectors()]
    answer = ask(b"".join(requests))
    assert "".join(str(verdict) if verdict else "." for verdict in answer) == expected()


@pytest.fixture(scope="module", params=["unix", "virt_c3"])
def board(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[boards.Board]:
    name = request.param
    if not virtual.is_built(name):
        pytest.skip(f"{name} is not built: make board-{name}")
    vectors()
    if name == "unix":
        with boards.connect(f"unix:{tmp_path_factory.mktemp('flash')}") as unix:
            yield unix
    else:
        with virtual.session(name) as running, boards.connect(running.address) as wire:
            yield wire


@pytest.mark.parametrize("engine", ["plain", "native"])
def test_boards_agree_with_every_vector(board: boards.Board, engine: str) -> None:
    arch = board.info().mpy_arch
    name = "sensewell_p256"
    native = runtime.native_modules(arch)
    if engine == "native" and name not in native:
        pytest.skip(f"{name} is not built for {arch}: make native")
    for target, content in runtime.files(arch, MODULES).items():
        board.mkdirs(target.rpartition("/")[0])
        board.put(target, content)
    board.mkdirs("/native")
    board.remove(f"/native/{name}.mpy")
    if engine == "native":
        board.put(f"/native/{name}.mpy", native[name])
    packed = [one.key + struct.pack("<HH", len(one.message), len(one.der)) + one.message + one.der for one in vectors()]
    board.put("/vectors.bin", b"".join(packed))
    board.soft_reset()
    said = board.exec(ON_BOARD, timeout_s=240).split()
    assert said == [engine, expected()]


# ---- more than the vectors ----


def test_c_and_plain_integers_give_the_same_verdict_on_thousands_of_damaged_signatures(ask: Ask) -> None:
    dice = random.Random(3)
    private = ec.generate_private_key(ec.SECP256R1())
    numbers = private.public_key().public_numbers()
    key = numbers.x.to_bytes(32, "big") + numbers.y.to_bytes(32, "big")
    digest = bytes(dice.randrange(256) for _ in range(32))
    good = private.sign(digest, ec.ECDSA(utils.Prehashed(hashes.SHA256())))
    requests, verdicts = [], []
    for _ in range(20000):
        der = bytearray(good)
        for _ in range(dice.randrange(1, 4)):
            der[dice.choice([dice.randrange(len(der)), dice.randrange(6), len(good) - 33])] = dice.choice(
                [0, 1, 2, 0x7F, 0x80, 0xFF, dice.randrange(256)]
            )
        if dice.random() < 0.2:
            der = der[: dice.randrange(len(der) + 1)] + bytes(dice.randrange(80))
        if dice.random() < 0.5 and len(der) > 1:
            der[1] = (len(der) - 2) & 0xFF
        verdict = p256_plain.parse(der, bytearray(64))
        if verdict == 0 and len(requests) % 20:
            continue  # the curve's arithmetic has the next test
        requests.append(request(key, digest, bytes(der)))
        verdicts.append(verdict or plain_verdict(key, digest, bytes(der)))
    assert list(ask(b"".join(requests))) == verdicts
    assert set(verdicts) >= {2, 3, 4, 6} and len(verdicts) > 10000, Counter(verdicts)


def test_c_and_plain_integers_agree_with_openssl_on_random_keys_and_digests(ask: Ask) -> None:
    dice = random.Random(5)
    requests, verdicts = [], []
    for turn in range(150):
        private = ec.derive_private_key(dice.choice([1, 2, 3, dice.getrandbits(200) + 1]), ec.SECP256R1())
        numbers = private.public_key().public_numbers()
        key = numbers.x.to_bytes(32, "big") + numbers.y.to_bytes(32, "big")
        digest = dice.choice([bytes(32), b"\xff" * 32, dice.randbytes(32), dice.randbytes(32)])
        der = private.sign(digest, ec.ECDSA(utils.Prehashed(hashes.SHA256())))
        if turn % 3 == 2:
            r, s = utils.decode_dss_signature(der)
            der = utils.encode_dss_signature(r, (s + 1) % p256_plain.CURVE[1] or 1)
        requests.append(request(key, digest, der))
        verdicts.append(6 if turn % 3 == 2 else 0)
        assert plain_verdict(key, digest, der) == verdicts[-1]
    assert list(ask(b"".join(requests))) == verdicts


def test_verdicts_have_the_same_numbers_in_c_and_in_python() -> None:
    header = (ROOT / "device/native/p256/sw_p256.h").read_text()
    words = header[header.index("enum {") : header.index("};")].replace(",", "").split()[2:]
    assert [word.removeprefix("SW_P256_") for word in words] == [
        "VALID", "LENGTH", "DER", "R", "S", "POINT", "WRONG"
    ]  # fmt: skip
    assert [getattr(p256_plain, word.removeprefix("SW_P256")) for word in words] == list(range(7))
    assert NAMES == ["", "length", "der", "r", "s", "point", "wrong"]
