"""The floor of release counters on a real board: it keeps older bundles out, and root keys can set it back."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import tiny_bundle
from cryptography.hazmat.primitives.asymmetric import ec
from sensewell import command
from sensewell_host import board_slots, deploy_commands, floor, key_commands, pack, sign, trust_root
from sensewell_host.board import Board, connect, virtual
from sensewell_host.deploy import deploy
from sensewell_host.errors import SensewellError

pytestmark = pytest.mark.skipif(not virtual.is_built("virt_c3"), reason="virt_c3 is not built: make board-virt_c3")

ROOT, RELEASE = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
CHAIN = [
    trust_root.following(
        None,
        {sign.public_bytes(ROOT.public_key()): {"root"}, sign.public_bytes(RELEASE.public_key()): {"release"}},
    )
    .signed([ROOT])
    .file()
]

# As a node does that ran well
CONFIRM = """
from sensewell.policy import of_board
from sensewell.slots import Slots
from sensewell.start import prover
slots = Slots(prover(of_board()))
slots.boot("power")
slots.confirm()
print(slots.why, slots.journal.floor)
"""


@pytest.fixture(scope="module")
def board() -> Iterator[Board]:
    with virtual.session("virt_c3") as running, connect(running.address) as wire:
        yield wire


def made(folder: Path, release: int) -> Path:
    content = tiny_bundle.build(n_channels=2, release=release, version=release)
    path = folder / f"{release}.swb"
    path.write_bytes(pack.with_signatures(content, sign.add(b"", pack.digest_of(content), [RELEASE])))
    return path


def test_an_older_release_stays_out_until_root_keys_set_the_floor_back(board: Board, tmp_path: Path) -> None:
    deploy(board, made(tmp_path, 5), trust=CHAIN)
    board.soft_reset()
    assert board.exec(CONFIRM, timeout_s=60).split() == ["confirmed", "5"]
    with pytest.raises(SensewellError, match=r"slots\.rollback"):
        deploy(board, made(tmp_path, 3), trust=CHAIN)
    found = board_slots.status(board)
    assert (found["floor"], found["slots"][found["active"]]["counter"]) == (5, 5)
    deploy(board, made(tmp_path, 6), trust=CHAIN)  # it is still updateable
    for key, reason in ((RELEASE, r"signature\.role"), (ec.generate_private_key(ec.SECP256R1()), "unknown_key")):
        with pytest.raises(SensewellError, match=reason):
            floor.reset(board, 2, lambda key=key: [key])
    floor.reset(board, 2, lambda: [ROOT])
    assert (board_slots.status(board)["floor"], board_slots.status(board)["floor_resets"]) == (2, 1)
    deploy(board, made(tmp_path, 3), trust=CHAIN)
    found = board_slots.status(board)
    assert found["slots"][found["active"]]["counter"] == 3


class Liar:
    """A board that would have root keys sign something else, or something more."""

    def __init__(self, said: str) -> None:
        self._said = said

    def soft_reset(self) -> None:
        pass

    def exec(self, code: str, timeout_s: float = 30.0) -> str:
        return self._said


def test_root_keys_sign_nothing_that_a_board_made_up() -> None:
    other_root = trust_root.following(None, {sign.public_bytes(RELEASE.public_key()): {"root", "release"}}).body().hex()
    for said in ("", "-", other_root, f"{other_root} 0 5", "535754 0 x", "- 0 5 more", "SWT1 0 5", "- 0 -5"):
        with pytest.raises(SensewellError, match=r"nothing was signed|refuses"):
            floor.reset(Liar("M " + said), 2, lambda: pytest.fail("asked for keys"))  # type: ignore[arg-type]


def test_what_is_signed_is_what_the_board_asks_for() -> None:
    slots = SimpleNamespace(journal=SimpleNamespace(resets=7, floor=300))
    assert floor.Request("0a1b", 7, 300, 2).message() == b"0a1b" + command.floor_message(slots, 2)
    assert floor.Request("", 7, 300, 2).message() == command.floor_message(slots, 2)


def test_holders_of_several_root_keys_sign_one_after_the_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SENSEWELL_PASSPHRASE", "not a secret")
    ann, bob, path = tmp_path / "ann", tmp_path / "bob", tmp_path / "floor.json"
    key_commands.new("ann", ann)
    key_commands.new("bob", bob)
    for here, there, name in ((ann, bob, "ann"), (bob, ann, "bob")):
        shutil.copy(here / f"{name}.pub", there)
    key_commands.rotate(add=["ann:root,release", "bob:root"], root_threshold=2, folder=ann)
    shutil.copy(ann / "trust-0001.swt", bob)
    key_commands.sign_file(bob / "trust-0001.swt", yes=True, folder=bob)
    shutil.copy(bob / "trust-0001.swt", ann)
    with virtual.session("virt_c3") as running:
        with connect(running.address) as wire:
            content = tiny_bundle.build(n_channels=2, release=300)
            (tmp_path / "300.swb").write_bytes(content)
            deploy_commands.sign(tmp_path / "300.swb", folder=ann)
            deploy(wire, tmp_path / "300.swb", trust=[(ann / "trust-0001.swt").read_bytes()])
            wire.soft_reset()
            assert wire.exec(CONFIRM, timeout_s=60).split() == ["confirmed", "300"]
        at = {"board": [running.address], "signatures": path}
        with pytest.raises(SensewellError, match=r"signature\.too_few: 1 of 2; send .*floor\.json to holders"):
            deploy_commands.set_floor(2, folder=ann, **at)
        with pytest.raises(SensewellError, match="is for a floor of 2, not of 1: nothing was signed"):
            deploy_commands.set_floor(1, signatures=path, folder=bob)
        deploy_commands.set_floor(2, signatures=path, folder=bob)
        deploy_commands.set_floor(2, folder=ann, **at)
        with connect(running.address) as wire:
            assert board_slots.status(wire)["floor"] == 2
        with pytest.raises(SensewellError, match=r"signature\.too_few"):  # they served once
            deploy_commands.set_floor(2, folder=ann, **at)
    path.write_text('{"device": "zz"}')
    with pytest.raises(SensewellError, match="holds no signatures for a floor"):
        deploy_commands.set_floor(2, signatures=path, folder=bob)
