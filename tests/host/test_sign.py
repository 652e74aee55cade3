"""Keys, signatures and trust roots made on the host: judged by the device code, by OpenSSL, and by what files hold."""

from __future__ import annotations

import hashlib
import shutil
import stat
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from sensewell import signature, trust
from sensewell.refusal import Refused
from sensewell_host import key_commands, keys, sign, trust_root
from sensewell_host.errors import SensewellError
from typer.testing import CliRunner, Result

PASSPHRASE = "four words make one"
DIGEST = hashlib.sha256(b"a bundle").digest()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(keys, "ROUNDS", 70_000)  # the true number takes its time
    monkeypatch.setenv(key_commands.PASSPHRASE, PASSPHRASE)
    monkeypatch.setenv("SENSEWELL_KEYS", str(tmp_path / "keys"))
    return tmp_path / "keys"


@pytest.fixture(scope="module")
def privates() -> list[ec.EllipticCurvePrivateKey]:
    return [ec.generate_private_key(ec.SECP256R1()) for _ in range(6)]


def public(private: ec.EllipticCurvePrivateKey) -> bytes:
    return sign.public_bytes(private.public_key())


# ---- signatures ----


def test_the_board_believes_what_the_host_signs(privates: list[ec.EllipticCurvePrivateKey]) -> None:
    for number, private in enumerate(privates * 10):
        digest = hashlib.sha256(bytes([number])).digest()
        name, der = sign.sign(private, digest)
        assert name == sign.key_id(public(private))
        signature.verify(public(private), digest, der)
        with pytest.raises(Refused, match=r"signature\.wrong"):
            signature.verify(public(private), DIGEST, der)
        private.public_key().verify(der, digest, ec.ECDSA(Prehashed(hashes.SHA256())))


def test_openssl_believes_the_keys_and_nonces_of_the_device_tests() -> None:
    import signer

    for number in (1, 2, 250):
        numbers = ec.EllipticCurvePublicNumbers(
            int.from_bytes(signer.key(number)[:32], "big"),
            int.from_bytes(signer.key(number)[32:], "big"),
            ec.SECP256R1(),
        )
        assert ec.derive_private_key(number, ec.SECP256R1()).public_key().public_numbers() == numbers
        numbers.public_key().verify(signer.sign(number, DIGEST), DIGEST, ec.ECDSA(Prehashed(hashes.SHA256())))


def test_signing_twice_gives_the_same_bytes(privates: list[ec.EllipticCurvePrivateKey]) -> None:
    assert sign.add(b"", DIGEST, privates[:2]) == sign.add(b"", DIGEST, privates[1::-1])


def test_blocks_are_what_the_board_splits(privates: list[ec.EllipticCurvePrivateKey]) -> None:
    one = sign.add(b"", DIGEST, privates[:1])
    both = sign.add(one, DIGEST, privates[1:2])
    again = sign.add(both, DIGEST, privates[:2])
    assert len(one) % 8 == len(both) % 8 == 0
    assert again == both and len(sign.split(both)) == 2
    assert sign.split(b"") == [] and sign.split(one) == [sign.sign(privates[0], DIGEST)]
    assert sorted(signature.split(both)) == signature.split(both)
    with pytest.raises(SensewellError, match=r"signature\.block"):
        sign.split(one + bytes(8))
    with pytest.raises(SensewellError, match="9 keys have signed"):
        sign.join((bytes([number]) * 16, b"") for number in range(9))
    with pytest.raises(SensewellError, match="expected a SHA-256 digest"):
        sign.sign(privates[0], b"short")


def test_keys_of_other_curves_are_refused() -> None:
    with pytest.raises(SensewellError, match="P-256"):
        sign.public_bytes(ec.generate_private_key(ec.SECP384R1()).public_key())


# ---- key files ----


def test_a_private_key_is_encrypted_and_opens_with_its_passphrase_only(folder: Path) -> None:
    key = keys.new(folder, "anna", PASSPHRASE)
    assert key.private_path == folder / "anna.key"
    pem = key.private_path.read_bytes()
    assert pem.startswith(b"-----BEGIN ENCRYPTED PRIVATE KEY-----\n")
    assert stat.S_IMODE(key.private_path.stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    private = keys.unlock(key, PASSPHRASE)
    assert public(private) == key.public == keys.load(folder, "anna").public
    secret = private.private_numbers().private_value.to_bytes(32, "big")
    for path in folder.iterdir():
        raw = path.read_bytes()
        assert secret not in raw and secret.hex().encode() not in raw
    with pytest.raises(SensewellError, match="another passphrase"):
        keys.unlock(key, PASSPHRASE + "s")


def test_the_rounds_that_a_guesser_must_compute_are_in_the_file(tmp_path: Path) -> None:
    key = keys.new(tmp_path, "anna", PASSPHRASE)
    assert key.private_path
    assert keys.ROUNDS == 600_000
    import base64

    der = base64.b64decode(b"".join(key.private_path.read_bytes().splitlines()[1:-1]))
    assert b"\x02\x03" + (600_000).to_bytes(3, "big") in der
    if shutil.which("openssl"):
        command = ["openssl", "pkey", "-in", str(key.private_path), "-passin", f"pass:{PASSPHRASE}", "-pubout"]
        assert subprocess.run(command, capture_output=True).stdout == (tmp_path / "anna.pub").read_bytes()


def test_keys_are_not_overwritten_and_need_names_and_passphrases(folder: Path) -> None:
    keys.new(folder, "anna", PASSPHRASE)
    with pytest.raises(SensewellError, match="already"):
        keys.new(folder, "anna", PASSPHRASE)
    with pytest.raises(SensewellError, match="no name"):
        keys.new(folder, "../anna", PASSPHRASE)
    with pytest.raises(SensewellError, match="8 or more"):
        keys.new(folder, "bert", "short")
    assert [key.name for key in keys.load_all(folder)] == ["anna"]


def test_what_is_no_key_is_said_so(folder: Path) -> None:
    anna = keys.new(folder, "anna", PASSPHRASE)
    bert = keys.new(folder, "bert", PASSPHRASE)
    with pytest.raises(SensewellError, match=r"no key carl .*anna, bert"):
        keys.load(folder, "carl")
    with pytest.raises(SensewellError, match="not the private key"):
        keys.unlock(keys.Key("anna", anna.public, bert.private_path), PASSPHRASE)
    assert anna.private_path
    anna.private_path.write_bytes(
        keys.unlock(anna, PASSPHRASE).private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    with pytest.raises(SensewellError, match="not encrypted"):
        keys.unlock(anna, PASSPHRASE)
    anna.private_path.unlink()
    with pytest.raises(SensewellError, match="its owner must sign"):
        keys.unlock(keys.load(folder, "anna"), PASSPHRASE)
    (folder / "anna.pub").write_text("hello")
    with pytest.raises(SensewellError, match="not a public key"):
        keys.load(folder, "anna")


# ---- trust roots ----


def test_trust_roots_are_what_the_board_reads(privates: list[ec.EllipticCurvePrivateKey]) -> None:
    a, b, c = privates[:3]
    first = trust_root.following(
        None,
        {public(a): ["root"], public(b): ["root", "release"], public(c): ["release"]},
        thresholds={"root": 2},
        revoke=[bytes(15) + b"\1"],
    )
    assert trust_root.refusal(first, None) == "signature.none"
    assert "trust.too_few_new" in str(trust_root.refusal(first.signed([a]), None))
    whole = first.signed([a]).signed([b])
    assert trust_root.refusal(whole, None) is None
    board = trust.accept(whole.file())
    assert board.version == 1 and board.revoked == {bytes(15) + b"\1"}
    assert {roles for roles, _ in board.keys.values()} == {1, 2, 3} and board.need == (0, 2, 1)
    assert board.check(trust.RELEASE, DIGEST, sign.add(b"", DIGEST, [b, c])) == 2
    read = trust_root.parse(whole.file())
    assert read == whole and read.file() == whole.file() and read.signatures == whole.signatures
    with pytest.raises(SensewellError, match=r"trust\.magic"):
        trust_root.parse(b"SWB1" + whole.file()[4:])


def test_the_next_trust_root_follows_the_rules_of_the_board(privates: list[ec.EllipticCurvePrivateKey]) -> None:
    a, b, c = privates[:3]
    first = trust_root.following(None, {public(a): ["root"], public(b): ["release"]}).signed([a])
    second = trust_root.following(first, {public(c): ["root", "release"]}, revoke=[sign.key_id(public(a))])
    assert second.version == 2
    assert trust_root.signers(second, first) == {sign.key_id(public(a)), sign.key_id(public(c))}
    assert "trust.too_few_old" in str(trust_root.refusal(second.signed([c]), first))
    assert "trust.too_few_new" in str(trust_root.refusal(second.signed([a]), first))
    assert trust_root.refusal(second.signed([a, c]), first) is None
    assert trust_root.changes(second, first) == sorted(
        [
            f"{sign.key_id(public(a)).hex()}: was root, is revoked",
            f"{sign.key_id(public(c)).hex()}: new, is release, root",
        ]
    )
    third = trust_root.following(second, drop=[sign.key_id(public(b))], thresholds={"release": 1})
    assert third.revoked == second.revoked and public(b) not in third.keys
    for wrong, what in (
        (lambda: trust_root.following(second, {public(a): ["root"]}), "never come back"),
        (lambda: trust_root.following(second), "nothing would change"),
        (lambda: trust_root.following(second, {public(b): ["boss"]}), "no role boss"),
        (lambda: trust_root.following(second, drop=[bytes(16)]), "nothing to drop"),
        (lambda: trust_root.following(second, thresholds={"root": 2}), "2 signatures by root keys"),
        (lambda: trust_root.following(first, drop=[sign.key_id(public(a))]), "1 signatures by root keys"),
        (lambda: trust_root.following(None), "1 signatures by root keys"),
    ):
        with pytest.raises(SensewellError, match=what):
            wrong()
    assert "trust.rollback" in str(trust_root.refusal(first, second))


# ---- the command ----


def run(*words: str, answers: str | None = None, fails: str | None = None) -> Result:
    result = CliRunner().invoke(key_commands.app, list(words), input=answers)
    if fails is None:
        assert result.exit_code == 0, (result.output, result.exception)
    else:
        assert isinstance(result.exception, SensewellError) and fails in str(result.exception), result.exception
    return result


def test_one_person_makes_keys_and_trust_roots(folder: Path) -> None:
    assert "no trust root yet" in run("show").output
    for name in ("anna", "fab", "fab2"):
        assert f"key {name}, id " in run("new", name).output
    run("rotate", fails="0 such keys")
    run("rotate", "--add", "anna", fails="anna:release")
    run("rotate", "--add", "carl:root", fails="no key carl")
    assert "is complete" in run("rotate", "--add", "anna:root", "--add", "fab:release").output
    run("rotate", fails="nothing would change")
    old = trust.accept((folder / "trust-0001.swt").read_bytes())
    run("revoke", "fab", "--add", "fab2:release")
    new = trust.accept((folder / "trust-0002.swt").read_bytes(), old)
    assert new.revoked == {keys.load(folder, "fab").id}
    run("rotate", "--add", "fab:release", fails="never come back")
    run("revoke", keys.load(folder, "anna").id.hex(), fails="with 0 such keys")
    said = run("show").output
    assert "trust-0001.swt: thresholds 1 root, 1 release; signed by anna; complete" in said
    assert "revoked" in said and "here, encrypted" in said


def test_several_people_sign_one_after_the_other(folder: Path, tmp_path: Path) -> None:
    # Bert's computer: he has Anna's public key only, as she has his
    berts = tmp_path / "berts"
    run("new", "anna")
    run("new", "bert", "--folder", str(berts))
    shutil.copy(folder / "anna.pub", berts)
    shutil.copy(berts / "bert.pub", folder)
    asked = ("rotate", "--add", "anna:root,release", "--add", "bert:root", "--root-threshold", "2")
    assert "waits for more signatures" in " ".join(run(*asked).output.split())
    first = folder / "trust-0001.swt"
    with pytest.raises(Refused, match=r"trust\.too_few_new"):
        trust.accept(first.read_bytes())
    assert "not complete" in run("show").output
    run("rotate", "--drop", "bert", "--root-threshold", "1", fails="waits for signatures")
    run("sign", str(first), "--folder", str(berts), answers="n\n", fails="not signed")
    said = run("sign", str(first), "--folder", str(berts), answers="y\n").output
    assert "bert: new, is root" in said and "threshold of root: 2" in said and "is complete" in said
    old = trust.accept((berts / "trust-0001.swt").read_bytes())
    shutil.copy(berts / "trust-0001.swt", folder)
    run("rotate", "--drop", "bert", "--root-threshold", "1")
    second = folder / "trust-0002.swt"
    with pytest.raises(Refused, match=r"trust\.too_few_old"):
        trust.accept(second.read_bytes(), old)
    run("sign", "--yes", str(second), "--folder", str(berts))
    assert trust.accept((berts / "trust-0002.swt").read_bytes(), old).version == 2
    run("sign", "--yes", str(first), "--folder", str(berts), fails="version 2 already")
    # somebody's other version 2 is not signed in passing
    third = trust_root.following(trust_root.parse(first.read_bytes()), drop=[keys.load(folder, "bert").id],
                                 thresholds={"root": 1}, revoke=[bytes(16)])  # fmt: skip
    second.write_bytes(third.file())
    run("sign", "--yes", str(second), "--folder", str(berts), fails="says something else")


def test_a_trust_root_is_not_signed_without_the_one_before_it(folder: Path, tmp_path: Path) -> None:
    run("new", "anna")
    run("rotate", "--add", "anna:root,release")
    run("new", "bert")
    run("rotate", "--add", "bert:root")
    other = tmp_path / "other"
    shutil.copytree(folder, other)
    (other / "trust-0001.swt").unlink()
    (other / "trust-0002.swt").unlink()
    run("sign", "--yes", str(folder / "trust-0002.swt"), "--folder", str(other), fails="to compare version 2 with")


def test_passphrases_are_asked_for_and_damaged_files_are_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(key_commands.PASSPHRASE)
    run("new", "anna", answers=f"{PASSPHRASE}\n{PASSPHRASE}\n")
    run("rotate", "--add", "anna:root,release", answers="something else\n", fails="another passphrase")
    said = run("rotate", "--add", "anna:root,release", answers=f"{PASSPHRASE}\n").output
    assert PASSPHRASE not in said
    path = folder / "trust-0001.swt"
    path.rename(folder / "trust-0007.swt")
    run("show", fails="name it trust-0001.swt")
    (folder / "trust-0007.swt").rename(path)
    path.write_bytes(path.read_bytes()[:-1])
    run("show", fails="signatures are damaged")
    path.write_bytes(b"")
    run("show", fails="trust.truncated")
    run("sign", str(folder / "none.swt"), fails="cannot read")
