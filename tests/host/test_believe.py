"""Whom a board shall believe and in which order it comes to: plans made from what a board believes now, without one."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
import tiny_bundle
from cryptography.hazmat.primitives.asymmetric import ec
from sensewell import trust
from sensewell_host import believe, pack, sign, trust_root
from sensewell_host.board import Board, catalog, connect
from sensewell_host.board.base import BoardInfo
from sensewell_host.errors import SensewellError

ROOT, FIRST, SECOND = (ec.generate_private_key(ec.SECP256R1()) for _ in range(3))
INFO = BoardInfo("virt_c3", "virt_c3 with RV32IMC", "1.25.0", 12038, 0, 0, 0)  # 12038: rv32imc


def public(key: ec.EllipticCurvePrivateKey) -> bytes:
    return sign.public_bytes(key.public_key())


ONE = trust_root.following(None, {public(ROOT): ["root"], public(FIRST): ["release"]}).signed([ROOT])
BOTH = trust_root.following(ONE, {public(SECOND): ["release"]}).signed([ROOT])
OTHER = trust_root.following(
    ONE, {public(SECOND): ["release"]}, revoke=[sign.key_id(public(FIRST))]
).signed([ROOT])  # fmt: skip
CHAIN = [ONE.file(), OTHER.file()]


def bundle(*by: ec.EllipticCurvePrivateKey, **manifest: Any) -> bytes:
    content = tiny_bundle.build(**manifest)
    return pack.with_signatures(content, sign.add(b"", pack.digest_of(content), by)) if by else content


def head(content: bytes) -> bytes:
    at = content.index(pack.signatures_of(content)) if pack.signatures_of(content) else len(content)
    return content[: at + len(pack.signatures_of(content))]


def beliefs(
    root: trust_root.TrustRoot | None = ONE,
    active: bytes | None = None,
    unsigned: bool = False,
) -> believe.Beliefs:
    parsed = trust.Trust(root.file()) if root else None
    return believe.Beliefs(parsed, unsigned, head(active) if active else None, "0011223344556677")


def plan(now: believe.Beliefs, content: bytes, *chain: bytes, unsigned: bool = False) -> believe.Plan:
    return now.plan(content, INFO, chain, unsigned)


NOTHING = believe.Plan((), (), False, False)


def test_a_board_without_beliefs_asks_for_one() -> None:
    blank = beliefs(None)
    with pytest.raises(SensewellError, match=r"believes nobody yet.*--trust.*--unsigned"):
        plan(blank, bundle(FIRST))
    assert plan(blank, bundle(FIRST), ONE.file()) == believe.Plan((ONE.file(),), (), False, False)
    assert plan(blank, bundle(), unsigned=True) == believe.Plan((), (), True, False)
    # a new board follows the chain from its beginning
    assert plan(blank, bundle(SECOND), *CHAIN).first == tuple(CHAIN)


def test_what_a_board_would_refuse_is_named() -> None:
    for content, reason in (
        (bundle(), "signature.none"),
        (bundle(SECOND), "signature.unknown_key"),
        (bundle(ROOT), "signature.role"),
        (bundle(FIRST, boards=["esp32s3"]), "bundle.board"),
        (bundle(FIRST, arch=["xtensawin"]), "bundle.arch"),
        (bundle(FIRST, devices=["ffffffffffffffff"]), "bundle.device"),
        (bundle(FIRST)[:-1], "bundle.truncated"),
    ):
        with pytest.raises(SensewellError, match=f"would refuse the bundle: {reason}.*nothing was written"):
            plan(beliefs(), content)
    fits = bundle(FIRST, boards=["virt_c3"], arch=["rv32imc"], devices=["0011223344556677"])
    assert plan(beliefs(), fits) == NOTHING


def test_an_expiry_is_for_the_board_to_judge() -> None:
    assert plan(beliefs(), bundle(FIRST, expires={"at": 1})) == NOTHING


def test_a_trust_root_that_may_not_follow_is_refused() -> None:
    unsigned = trust_root.following(ONE, {public(SECOND): ["release"]})
    with pytest.raises(SensewellError, match=r"would not accept this trust root: signature\.none"):
        plan(beliefs(), bundle(FIRST), unsigned.file())
    # one that it has already is passed over
    assert plan(beliefs(OTHER), bundle(SECOND), *CHAIN) == NOTHING


def test_the_order_of_a_rotation() -> None:
    # the new root believes what runs: first the root
    assert plan(beliefs(active=bundle(FIRST)), bundle(SECOND), ONE.file(), BOTH.file()).first == (BOTH.file(),)
    # it does not, but the old root believes what comes: last the root
    last = plan(beliefs(active=bundle(FIRST)), bundle(FIRST, SECOND), *CHAIN)
    assert last == believe.Plan((), (OTHER.file(),), False, False)
    # neither
    with pytest.raises(SensewellError, match=r"neither does the new trust root.*sign the new bundle with an old key"):
        plan(beliefs(active=bundle(FIRST)), bundle(SECOND), *CHAIN)
    # nothing runs: nothing is lost
    assert plan(beliefs(), bundle(SECOND), *CHAIN).first == (OTHER.file(),)


def test_development_mode_is_chosen_kept_and_left() -> None:
    assert plan(beliefs(active=bundle(FIRST)), bundle(), unsigned=True) == believe.Plan((), (), True, False)
    assert plan(beliefs(unsigned=True), bundle()) == believe.Plan((), (), True, False)
    with pytest.raises(SensewellError, match=r"signature\.none"):
        plan(beliefs(unsigned=True), bundle(), ONE.file())
    assert plan(beliefs(unsigned=True), bundle(FIRST), ONE.file()) == believe.Plan((), (), False, True)


@pytest.fixture
def unix() -> Board:
    if not catalog.load("unix").firmware.is_file():
        pytest.skip("the unix board is not built: make board-unix")
    return connect("unix")


def test_the_beginning_of_a_bundle_is_read_from_the_board(unix: Board) -> None:
    content = bundle(FIRST)
    with unix as board:
        for data, expected in (
            (content, head(content)),
            (content[:-1], head(content)),  # what is signed is there
            (content[:300], None),
            (b"SWB0" + content[4:], None),
            (content[:100] + b"?" + content[101:], None),
            (b"", None),
        ):
            board.put("/x.swb", data)
            assert believe.head(board, "/x.swb") == expected
        assert believe.head(board, "/missing.swb") is None


def test_a_board_is_looked_at(unix: Board) -> None:
    with unix as board:
        assert believe.look(board) == believe.Beliefs(None, False, None, None)
        board.mkdirs("/trust")
        whole = ONE.file() + hashlib.sha256(ONE.file()).digest()
        board.put("/trust/a", whole)
        board.put("/trust/b", whole[:-1])  # torn
        board.put("/unsigned", b"")
        found = believe.look(board)
        assert found.root.version == 1 and found.unsigned
        board.put("/trust/a", b"SWT0" + hashlib.sha256(b"SWT0").digest())  # whole, and not a trust root
        with pytest.raises(SensewellError, match=r"trust root is lost.*remove /trust there"):
            believe.look(board)
