"""Whom a virtual ESP32-C3 believes, from its first trust root to the last; what it refuses by name, and goes on after.

Keys are made for each run and never touch a disk, but for those that the command line makes, encrypted.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import tiny_bundle
from cryptography.hazmat.primitives.asymmetric import ec
from sensewell_host import believe, board_slots, cli, deploy_commands, key_commands, keys, pack, sign, trust_root
from sensewell_host.board import Board, connect, virtual
from sensewell_host.deploy import deploy
from sensewell_host.errors import SensewellError

pytestmark = pytest.mark.skipif(not virtual.is_built("virt_c3"), reason="virt_c3 is not built: make board-virt_c3")

Key = ec.EllipticCurvePrivateKey
ROOT, FIRST, SECOND, STRANGER = (ec.generate_private_key(ec.SECP256R1()) for _ in range(4))


def public(key: Key) -> bytes:
    return sign.public_bytes(key.public_key())


def key_id(key: Key) -> bytes:
    return sign.key_id(public(key))


def chain_of(*roots: trust_root.TrustRoot) -> list[bytes]:
    return [root.file() for root in roots]


ONE = trust_root.following(None, {public(ROOT): ["root"], public(FIRST): ["release"]}).signed([ROOT])
BOTH = trust_root.following(ONE, {public(SECOND): ["release"]}).signed([ROOT])
"""FIRST and SECOND may sign."""
OTHER = trust_root.following(ONE, {public(SECOND): ["release"]}, revoke=[key_id(FIRST)]).signed([ROOT])
"""SECOND may sign, FIRST never again."""


SETUP = """
from time import ticks_ms
class Sensor:
    def read(self, row):
        row[0] = row[1] = ticks_ms() * 7 % 2000
        return ticks_ms()
def sensor():
    return Sensor()
def outputs():
    return ()
"""
"""For boards that are left alone for more than two seconds: what cannot run gives way."""


class Make:
    """Makes bundles in a folder, each a little different."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._version = 10

    def __call__(self, *by: Key, **manifest: Any) -> Path:
        self._version += 1
        content = tiny_bundle.build(n_channels=2, version=self._version, **manifest)
        if by:
            content = pack.with_signatures(content, sign.add(b"", pack.digest_of(content), by))
        path = self._folder / f"{self._version}.swb"
        path.write_bytes(content)
        return path


@pytest.fixture
def make(tmp_path: Path) -> Make:
    return Make(tmp_path)


@pytest.fixture
def blank() -> Iterator[Board]:
    with virtual.session("virt_c3") as running, connect(running.address) as wire:
        yield wire


@pytest.fixture(scope="module")
def flash_with_one(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The flash of a board that believes ONE and runs a bundle signed by FIRST."""
    folder = tmp_path_factory.mktemp("board")
    with virtual.session("virt_c3", flash=folder / "flash") as running, connect(running.address) as wire:
        deploy(wire, Make(folder)(FIRST), trust=chain_of(ONE))
        wire.soft_reset()
    return folder / "flash"


@pytest.fixture
def board(flash_with_one: Path, tmp_path: Path) -> Iterator[Board]:
    flash = shutil.copyfile(flash_with_one, tmp_path / "flash")
    with virtual.session("virt_c3", flash=flash) as running, connect(running.address) as wire:
        yield wire


FILES = """
import os, hashlib
def walk(folder):
    for name, kind, *_ in os.ilistdir(folder or "/"):
        if kind == 0x4000:
            walk(folder + "/" + name)
        else:
            with open(folder + "/" + name, "rb") as file:
                print(folder + "/" + name, hashlib.sha256(file.read()).digest().hex())
walk("")
"""


def files(wire: Board) -> dict[str, str]:
    return dict(line.split() for line in wire.exec(FILES, timeout_s=60).splitlines())


def runs(wire: Board) -> tuple[bytes, str]:
    """The active bundle, and the reason of its first decision, by the code beside it as a node composes it."""
    path = believe.active_path(wire)
    assert path
    wire.soft_reset()
    said = wire.exec(
        "from sensewell.node import compose\nfrom sensewell.sensor.replay import Replay\n"
        "reasons = []\n"
        "node = compose(Replay(bytes(96), 2, 20), board='virt_c3', outputs=(lambda d: reasons.append(d.reason),))\n"
        "node.run()\nprint(node.pipeline.refusal or '-', '|', reasons[0])",
        timeout_s=60,
    )
    refusal, _, reason = said.strip().partition(" | ")
    assert refusal == "-"
    return wire.get(path), reason


def confirm(wire: Board) -> None:
    board_slots.command(wire, "pin")
    assert board_slots.command(wire, "unpin")["why"] == "confirmed"


def root_version(wire: Board) -> int:
    root = believe.look(wire).root
    return root.version if root else 0


def assert_refused(wire: Board, bundle: Path, reason: str, **how: Any) -> None:
    """Refused for `reason` before anything is written."""
    before = files(wire)
    with pytest.raises(SensewellError, match=reason):
        deploy(wire, bundle, **how)
    assert files(wire) == before


def test_from_the_first_trust_root_to_the_next(blank: Board, make: Make) -> None:
    board = blank
    one = chain_of(ONE)
    assert_refused(board, make(), "believes nobody yet: give it a trust root with --trust.*or choose --unsigned")
    good = make(FIRST)
    done = deploy(board, good, trust=one)
    assert not done.unsigned and root_version(board) == 1
    content, reason = runs(board)
    assert content == good.read_bytes() and "unsigned" not in reason
    confirm(board)

    for bundle, name in (
        (make(), "signature.none"),
        (make(STRANGER), "signature.unknown_key"),
        (make(ROOT), "signature.role"),
    ):
        assert_refused(board, bundle, rf"would refuse the bundle: {re.escape(name)}.*nothing was written")
    mended = make(STRANGER, FIRST)  # a signature of a stranger does no harm
    deploy(board, mended)
    confirm(board)

    # the next trust root revokes FIRST: what runs would not be believed by it, nor the new one by the old
    both = chain_of(ONE, OTHER)
    assert_refused(board, make(SECOND), "neither does the new trust root.*sign the new bundle with an old key, too",
                   trust=both)  # fmt: skip
    assert_refused(board, make(FIRST), r"signature\.revoked_key.*nothing was written", trust=both)
    assert root_version(board) == 1
    new = make(FIRST, SECOND)
    deploy(board, new, trust=both)
    assert root_version(board) == 2 and runs(board)[0] == new.read_bytes()
    assert_refused(board, make(FIRST), r"signature\.revoked_key")
    assert_refused(board, make(FIRST), r"signature\.revoked_key", trust=chain_of(ONE))  # no way back
    deploy(board, new)
    assert root_version(board) == 2 and runs(board)[0] == new.read_bytes()


def order(patch: pytest.MonkeyPatch) -> list[str]:
    """What is done to a board, in order: stores of trust roots, switches."""
    from sensewell_host import deploy as deploying

    done: list[str] = []
    store, told = believe._store, deploying._Deploy._told

    def noting_store(board: Board, code: str, roots: Sequence[bytes]) -> None:
        done.extend(["store"] * bool(roots))
        store(board, code, roots)

    def noting_told(self: Any, script: str, wanted: str) -> str:
        done.append(wanted.lower())
        return told(self, script, wanted)

    patch.setattr(believe, "_store", noting_store)
    patch.setattr(deploying._Deploy, "_told", noting_told)
    return done


def test_a_rotation_comes_first_where_the_new_root_believes_what_runs(
    board: Board, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = order(monkeypatch)
    new = make(SECOND)
    deploy(board, new, trust=chain_of(ONE, BOTH))
    assert done == ["store", "begun", "proven", "switched"]
    assert root_version(board) == 2 and runs(board)[0] == new.read_bytes()


def test_a_rotation_comes_last_where_the_old_root_believes_what_comes(
    board: Board, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    new = make(FIRST, SECOND)

    def cut(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:  # between the switch and the new trust root
        patch.setattr(believe.Plan, "after", cut)
        with pytest.raises(KeyboardInterrupt):
            deploy(board, new, trust=chain_of(ONE, OTHER))
    assert root_version(board) == 1 and runs(board)[0] == new.read_bytes()
    done = order(monkeypatch)
    deploy(board, new, trust=chain_of(ONE, OTHER))
    assert done == ["store"] and root_version(board) == 2 and runs(board)[0] == new.read_bytes()


def test_the_last_order_without_a_cut(board: Board, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    done = order(monkeypatch)
    deploy(board, make(FIRST, SECOND), trust=chain_of(ONE, OTHER))
    assert done == ["begun", "proven", "switched", "store"] and root_version(board) == 2


def test_trust_roots_that_may_not_follow_are_refused(board: Board, make: Make) -> None:
    ran = runs(board)
    unsigned = trust_root.following(ONE, {public(SECOND): ["release"]})
    taken_over = trust_root.following(None, {public(STRANGER): ["root", "release"]})
    taken_over = trust_root.following(taken_over, {public(FIRST): ["release"]}).signed([STRANGER])
    for root, reason in ((unsigned, "signature.none"), (taken_over, "trust.too_few_old")):
        said = f"would not accept this trust root: {re.escape(reason)}"
        assert_refused(board, make(FIRST), said, trust=chain_of(ONE, root))
    assert root_version(board) == 1 and runs(board) == ran


def test_development_mode_is_chosen_said_and_left_again(board: Board, make: Make) -> None:
    assert_refused(board, make(), r"signature\.none")
    done = deploy(board, make(), unsigned=True)
    assert done.unsigned and runs(board)[1].endswith("unsigned") and board_slots.status(board)["unsigned"]
    again = deploy(board, make())  # it stays chosen
    assert again.unsigned and "unsigned" in runs(board)[1]
    assert_refused(board, make(), r"signature\.none", trust=chain_of(ONE))  # --trust asks for more
    new = make(FIRST)
    done = deploy(board, new, trust=chain_of(ONE))
    assert not done.unsigned and runs(board)[0] == new.read_bytes() and "unsigned" not in runs(board)[1]
    assert not board_slots.status(board)["unsigned"] and root_version(board) == 1
    assert_refused(board, make(), r"signature\.none")


def test_the_board_asks_for_itself(board: Board, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """A host that lets everything pass gets nothing onto it."""
    ran = runs(board)

    class Unjudged:
        @staticmethod
        def open(*_: Any) -> None: ...

    content = bytearray(make(FIRST).read_bytes())
    content[content.index(b"a test")] ^= 1
    changed = make()
    changed.write_bytes(content[:20] + hashlib.sha256(_manifest(content)).digest() + content[52:])
    with monkeypatch.context() as patch:
        patch.setattr(believe, "Bundle", Unjudged)
        patch.setattr("sensewell_host.deploy.read_bundle", lambda path: (tiny_bundle.manifest(), path.read_bytes()))
        for bundle, reason in (
            (make(), "signature.none"),
            (make(STRANGER), "signature.unknown_key"),
            (changed, "signature.wrong"),
            (make(FIRST, boards=["esp32s3"]), "bundle.board"),
            (make(FIRST, devices=["00" * 8]), "bundle.device"),
            (make(FIRST, expires={"at": 1}), "bundle.clock"),
        ):
            with pytest.raises(SensewellError, match=rf"refuses the bundle: {re.escape(reason)}.*keeps what it had"):
                deploy(board, bundle)
            assert board_slots.status(board)["refused"] == reason
    assert runs(board) == ran
    assert deploy(board, make(FIRST)).slot == "b"


def _manifest(content: bytes) -> bytes:
    return bytes(content[56 : 56 + int.from_bytes(content[8:12], "little")])


def test_a_bundle_for_another_board_architecture_or_device_is_named(board: Board, make: Make) -> None:
    here = believe.look(board).device
    assert here
    for changes, reason in (
        ({"boards": ["esp32s3"]}, "bundle.board"),
        ({"arch": ["xtensawin"]}, "bundle.arch"),
        ({"devices": ["00" * 8]}, "bundle.device"),
    ):
        assert_refused(board, make(FIRST, **changes), rf"would refuse the bundle: {re.escape(reason)}")
    good = make(FIRST, boards=["virt_c3"], arch=["rv32imc"], devices=[here])
    deploy(board, good)
    assert runs(board)[0] == good.read_bytes()


def test_development_mode_is_chosen_only_by_a_deploy_that_is_not_refused(board: Board, make: Make) -> None:
    ran = runs(board)
    with pytest.raises(SensewellError, match=r"bundle\.clock.*keeps what it had; give the board a clock"):
        deploy(board, make(expires={"at": 2000}), unsigned=True)
    assert not board_slots.status(board)["unsigned"] and runs(board) == ran
    deploy(board, make(), unsigned=True)
    with pytest.raises(SensewellError, match=r"bundle\.clock"):
        deploy(board, make(expires={"at": 2000}), unsigned=True)
    assert board_slots.status(board)["unsigned"]  # another deploy chose it


def test_an_expiry_is_judged_by_the_clock_of_the_setup_that_comes_or_is_there(
    board: Board, make: Make, tmp_path: Path
) -> None:
    soon, late = make(FIRST, expires={"at": 2000}), make(FIRST, expires={"at": 1000})
    with pytest.raises(SensewellError, match=r"bundle\.clock.*keeps what it had; give the board a clock"):
        deploy(board, soon)
    setup = tmp_path / "setup.py"
    setup.write_text(SETUP + "def now_s():\n    return 1000\n")
    deploy(board, soon, setup=setup)
    assert board.get(believe.active_path(board) or "") == soon.read_bytes()
    with pytest.raises(SensewellError, match=r"bundle\.expired.*now it is 1000.*pack it with a later --expires"):
        deploy(board, late)
    assert board.get(believe.active_path(board) or "") == soon.read_bytes()


def test_an_older_release_is_refused_and_the_board_goes_on(board: Board, make: Make) -> None:
    five = make(FIRST, release=5)
    deploy(board, five, trust=chain_of(ONE))
    confirm(board)
    assert_refused(board, make(FIRST, release=4), r"slots\.rollback.* 4, the floor is 5; nothing .*higher --release")
    assert runs(board)[0] == five.read_bytes()
    six = make(FIRST, release=6)
    deploy(board, six)
    confirm(board)
    assert runs(board)[0] == six.read_bytes() and board_slots.status(board)["floor"] == 6


# --- the command line -------------------------------------------------------------------------------------------------

Call = Callable[..., str]


@pytest.fixture
def sensewell(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Call:
    """The command as a shell would call it: what it says on stdout and stderr; `code`: the status it must end with."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SENSEWELL_KEYS", str(tmp_path / "keys"))
    monkeypatch.setenv(key_commands.PASSPHRASE, "four words make one")
    monkeypatch.setattr(keys, "ROUNDS", 70_000)
    monkeypatch.setattr(deploy_commands.console, "_width", 300)
    (tmp_path / "setup.py").write_text(SETUP)

    def call(*arguments: object, code: int = 0) -> str:
        monkeypatch.setattr(sys, "argv", ["sensewell", *map(str, arguments)])
        ended = 0
        try:
            cli.main()
        except SystemExit as exit:
            ended = int(exit.code or 0)
        said = capsys.readouterr()
        assert ended == code, said
        return said.out + said.err

    return call


def state(wire: Board) -> dict[str, Any]:
    return board_slots.status(wire)


def test_by_the_command_line_from_keys_to_a_pin(sensewell: Call, make: Make) -> None:
    one, two, three = (make() for _ in range(3))
    with virtual.session("virt_c3") as running:
        port = ("--board", running.port)
        assert "there is no Sensewell on virt_c3" in sensewell("status", *port, code=1)
        assert "believes nobody yet" in sensewell("deploy", one, *port, code=1)
        assert "there is no release key" in sensewell("sign", one, code=1)
        sensewell("key", "new", "mine")
        sensewell("key", "rotate", "--add", "mine:root,release")
        assert "is signed by mine" in sensewell("sign", one)
        said = sensewell("deploy", one, *port, "--setup", "setup.py")
        assert "virt_c3 runs 11.swb in slot a" in said and "development" not in said
        said = sensewell("status", *port)
        assert "slot a is active, probation" in said and "signed bundles only" in said
        assert "signature.none" in sensewell("deploy", two, *port, code=1)

        said = sensewell("slots", "pin", *port)
        assert "pinned" in said and "confirmed" in said
        sensewell("sign", two)
        assert "pinned: `sensewell slots unpin` first" in sensewell("deploy", two, *port, code=1)
        sensewell("slots", "unpin", *port)
        assert "in slot b" in sensewell("deploy", two, *port)
        assert "slot a is active" in sensewell("slots", "back", *port)
        with connect(running.address) as wire:
            assert runs(wire)[0] == one.read_bytes()

        # the same roots, given as a file
        sensewell("key", "new", "other")
        sensewell("key", "rotate", "--add", "other:release")
        sensewell("sign", three, "--key", "other")
        trust = [f"keys/trust-000{number}.swt" for number in (1, 2)]
        assert "signature.unknown_key" in sensewell("deploy", three, *port, "--trust", trust[0], code=1)
        assert "runs 13.swb" in sensewell("deploy", three, *port, "--trust", trust[0], "--trust", trust[1])

        # a bundle that fails while there is nothing to go back to: safe mode, and out of it
        with connect(running.address) as wire:
            wire.remove("/slot/a.swb")
            wire.exec("from sensewell.slots import Slots\ns = Slots(None)\ns.journal.slots[0].state = 0\ns.store()")
            wire.exec("s.give_up('probation.test')")
        said = sensewell("status", *port)
        assert "safe mode, rules only" in said and "probation.test" in said
        assert "slots.safe" in sensewell("slots", "pin", *port, code=1)
        assert "slot b is active, probation" in sensewell("slots", "retry", *port)
        said = sensewell("deploy", make(), *port, "--unsigned")
        assert "development mode" in said and "development mode" in sensewell("status", *port)


def test_all_boards_side_by_side(sensewell: Call, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = make(), make(boards=["virt_c3"], devices=["00" * 8])
    with virtual.session("virt_c3") as first, virtual.session("virt_c3") as second:
        monkeypatch.setattr(virtual, "running", lambda: [first, second])  # and no others that may run here
        monkeypatch.setattr("serial.tools.list_ports.comports", lambda: [])
        said = sensewell("deploy", one, "--all", "--unsigned", "--setup", "setup.py")
        assert said.count("virt_c3 runs 11.swb in slot a") == 2
        refused = sensewell("deploy", two, "--all", code=1)
        for one_of_them in (first, second):
            assert f"{one_of_them.address}: virt_c3 would refuse the bundle: bundle.device" in refused
            with connect(one_of_them.address) as wire:
                assert runs(wire)[0] == one.read_bytes()
                device = believe.look(wire).device
        # one of the two takes it: the other is no reason not to
        only = make(devices=[device])
        refused = sensewell("deploy", only, "--all", code=1)
        assert "virt_c3 runs 13.swb in slot b" in refused and f"{first.address}: " in refused
        with connect(first.address) as wire:
            assert runs(wire)[0] == one.read_bytes()
        with connect(second.address) as wire:
            assert state(wire)["active"] == "b"
            assert runs(wire)[0] == only.read_bytes()


def test_signatures_of_others_stay(sensewell: Call, make: Make, tmp_path: Path) -> None:
    bundle = make(STRANGER)
    sensewell("key", "new", "mine")
    sensewell("key", "rotate", "--add", "mine:root,release")
    sensewell("sign", bundle)
    names = {name for name, _ in sign.split(pack.signatures_of(bundle.read_bytes()))}
    assert names == {key_id(STRANGER), keys.load(tmp_path / "keys", "mine").id}
    assert json.loads(_manifest(bundle.read_bytes()))["version"] == 11
