"""Key pairs in a folder of this computer: NAME.key, the private key, encrypted; NAME.pub, the public one. PEM both.

A private key leaves its file only decrypted in memory, and never for a board. Knows no roles and no trust root.
"""

from __future__ import annotations

import base64
import os
import re
import secrets
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, padding, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.kdf.pbkdf2 import PBKDF2HMAC

from sensewell_host.errors import SensewellError
from sensewell_host.sign import key_id, public_bytes

SHORTEST_PASSPHRASE = 8
ROUNDS = 600_000  # of PBKDF2 with SHA-256: what OWASP asks for. `cryptography` by itself would take 2,048
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")


@dataclass(frozen=True)
class Key:
    """A key pair, or its public half."""

    name: str
    public: bytes
    """x and y, 64 bytes, big-endian."""
    private_path: Path | None
    """Where the encrypted private key lies; None: it is in other hands."""

    @property
    def id(self) -> bytes:
        """Its id, 16 bytes."""
        return key_id(self.public)


def default_folder() -> Path:
    """Where keys are kept unless something else is said: $SENSEWELL_KEYS, or .config/sensewell/keys at home."""
    return Path(os.environ.get("SENSEWELL_KEYS") or Path.home() / ".config" / "sensewell" / "keys")


def check_name(name: str) -> None:
    """SensewellError if a new key cannot be called so."""
    if not _NAME.fullmatch(name):
        raise SensewellError(f"{name!r} is no name for a key: take up to 32 of a-z, 0-9, - and _")


def new(folder: Path, name: str, passphrase: str) -> Key:
    """Make a key pair `name` in `folder`. SensewellError if there is one, or the passphrase is too short."""
    check_name(name)
    if len(passphrase) < SHORTEST_PASSPHRASE:
        raise SensewellError(f"the passphrase has {len(passphrase)} characters: take {SHORTEST_PASSPHRASE} or more")
    private_path, public_path = folder / f"{name}.key", folder / f"{name}.pub"
    for path in (private_path, public_path):
        if path.exists():
            raise SensewellError(f"there is a key {name} already ({path}): take another name")
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    private = ec.generate_private_key(ec.SECP256R1())
    _write_new(private_path, _encrypted(private, passphrase), 0o600)
    public = private.public_key()
    pem = public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    _write_new(public_path, pem, 0o644)
    return Key(name, public_bytes(public), private_path)


def load(folder: Path, name: str) -> Key:
    """The key `name`; SensewellError if there is none. Put another person's NAME.pub into the folder to know it."""
    path = folder / f"{name}.pub"
    try:
        public = serialization.load_pem_public_key(path.read_bytes())
    except OSError as error:
        known = ", ".join(key.name for key in load_all(folder)) or "none"
        raise SensewellError(f"there is no key {name} in {folder} (there are: {known})") from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise SensewellError(f"{path} is not a public key in PEM: {error}") from error
    private_path = folder / f"{name}.key"
    return Key(name, public_bytes(public), private_path if private_path.is_file() else None)  # type: ignore[arg-type]


def load_all(folder: Path) -> list[Key]:
    """All keys in `folder`, by name."""
    return [load(folder, path.stem) for path in sorted(folder.glob("*.pub"))]


def unlock(key: Key, passphrase: str) -> ec.EllipticCurvePrivateKey:
    """The private key, decrypted. SensewellError: not here, not encrypted, another passphrase, not this key's."""
    path = key.private_path
    if path is None:
        raise SensewellError(f"the private key of {key.name} is not on this computer: its owner must sign")
    try:
        pem = path.read_bytes()
        if b"ENCRYPTED PRIVATE KEY" not in pem:
            raise SensewellError(f"{path} is not encrypted: openssl pkcs8 -topk8 -iter {ROUNDS} -in ... -out {path}")
        private = serialization.load_pem_private_key(pem, passphrase.encode())
    except OSError as error:
        raise SensewellError(f"cannot read {path}: {error.strerror}") from error
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise SensewellError(f"the key {key.name} does not open: another passphrase, or {path} is damaged") from error
    if not isinstance(private, ec.EllipticCurvePrivateKey) or public_bytes(private.public_key()) != key.public:
        raise SensewellError(f"{path} is not the private key of {path.with_suffix('.pub').name}")
    return private


def _write_new(path: Path, data: bytes, mode: int) -> None:
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _encrypted(private: ec.EllipticCurvePrivateKey, passphrase: str) -> bytes:
    # PKCS #8 with PBES2 (RFC 8018, A.4): PBKDF2 with HMAC-SHA-256, AES-256-CBC. Written by hand for the sake of ROUNDS
    plain = private.private_bytes(
        serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    salt, iv = secrets.token_bytes(16), secrets.token_bytes(16)
    derived = PBKDF2HMAC(hashes.SHA256(), 32, salt, ROUNDS).derive(passphrase.encode())
    padder = padding.PKCS7(128).padder()
    padded = padder.update(plain) + padder.finalize()
    encryptor = Cipher(algorithms.AES(derived), modes.CBC(iv)).encryptor()
    hmac_sha256 = _der(0x30, _oid("2a864886f70d0209"), _der(0x05))
    rounds = _der(0x02, ROUNDS.to_bytes(3, "big"))
    pbkdf2 = _der(0x30, _oid("2a864886f70d01050c"), _der(0x30, _der(0x04, salt), rounds, hmac_sha256))
    aes256_cbc = _der(0x30, _oid("60864801650304012a"), _der(0x04, iv))
    pbes2 = _der(0x30, _oid("2a864886f70d01050d"), _der(0x30, pbkdf2, aes256_cbc))
    info = _der(0x30, pbes2, _der(0x04, encryptor.update(padded) + encryptor.finalize()))
    text = base64.b64encode(info)
    lines = [text[at : at + 64] for at in range(0, len(text), 64)]
    return b"\n".join([b"-----BEGIN ENCRYPTED PRIVATE KEY-----", *lines, b"-----END ENCRYPTED PRIVATE KEY-----", b""])


def _oid(encoded: str) -> bytes:
    return _der(0x06, bytes.fromhex(encoded))


def _der(tag: int, *parts: bytes) -> bytes:
    content = b"".join(parts)
    size = len(content)
    return bytes([tag, size] if size < 128 else [tag, 0x81, size]) + content  # nothing here is longer than 255
