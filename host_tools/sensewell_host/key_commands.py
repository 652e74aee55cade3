"""`sensewell key ...`: make keys, look at them, and say by trust roots which of them boards believe.

Thin: key files are keys.py's, trust roots trust_root.py's. The only place that asks for passphrases.
"""

from __future__ import annotations

import getpass
import os
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer
from cryptography.hazmat.primitives.asymmetric import ec
from rich.console import Console
from rich.table import Table

from sensewell_host import keys, sign, trust_root
from sensewell_host.errors import SensewellError

app = typer.Typer(no_args_is_help=True, help="Keys that sign bundles, and the trust roots that tell boards so.")
console = Console()
PASSPHRASE = "SENSEWELL_PASSPHRASE"

Folder = Annotated[
    Path | None,
    typer.Option("--folder", "-f", help="Where keys and trust roots lie: $SENSEWELL_KEYS, ~/.config/sensewell/keys."),
]
Add = Annotated[
    list[str] | None,
    typer.Option("--add", help="NAME:root, NAME:release or NAME:root,release: this key gets the roles. Repeatable."),
]
RootThreshold = Annotated[
    int | None, typer.Option("--root-threshold", help="So many root keys must sign the next trust root.")
]
ReleaseThreshold = Annotated[
    int | None, typer.Option("--release-threshold", help="So many release keys must sign a bundle.")
]


@app.command("new")
def new(
    name: Annotated[str, typer.Argument(help="What to call it: a-z, 0-9, - and _.")], folder: Folder = None
) -> None:
    """Make a key pair: NAME.key, encrypted with a passphrase, and NAME.pub."""
    folder = folder or keys.default_folder()
    passphrase = os.environ.get(PASSPHRASE)
    if passphrase is None:
        keys.check_name(name)
        passphrase = _ask(f"Passphrase for {name}", confirm=True)
    key = keys.new(folder, name, passphrase)
    console.print(f"key {name}, id {key.id.hex()}, in {key.private_path}", highlight=False)
    console.print(f"next: sensewell key rotate --add {name}:release (or root, or root,release)", highlight=False)


@app.command("show")
def show(folder: Folder = None) -> None:
    """Show the keys and the trust roots of a folder: who may do what, and what waits for signatures."""
    folder = folder or keys.default_folder()
    known = keys.load_all(folder)
    chain = trust_root.load_all(folder)
    last = chain[-1].root if chain else None
    table = Table("key", "id", "private key", "roles", box=None, header_style="bold")
    for key in known:
        table.add_row(key.name, key.id.hex(), "here, encrypted" if key.private_path else "-", _roles(last, key.id))
    names = {key.id: key.name for key in known}
    for name in [*last.ids, *sorted(last.revoked)] if last else ():
        if name not in names:
            table.add_row("-", name.hex(), "-", _roles(last, name))
    if table.row_count:
        console.print(table)
    else:
        console.print(f"there are no keys in {folder}: sensewell key new NAME", highlight=False)
    for one in chain:
        need = ", ".join(f"{count} {role}" for role, count in one.root.thresholds.items())
        by = ", ".join(names.get(name, name.hex()) for name, _ in sign.split(one.root.signatures)) or "nobody yet"
        state = f"[yellow]not complete: {one.missing}[/]" if one.missing else "[green]complete[/]"
        console.print(f"{one.path.name}: thresholds {need}; signed by {by}; {state}", highlight=False)
    if not chain:
        console.print("no trust root yet: sensewell key rotate --add NAME:root,release", highlight=False)


@app.command("rotate")
def rotate(
    add: Add = None,
    drop: Annotated[list[str] | None, typer.Option("--drop", help="A key that may sign no more. Repeatable.")] = None,
    root_threshold: RootThreshold = None,
    release_threshold: ReleaseThreshold = None,
    folder: Folder = None,
) -> None:
    """Make the next trust root (or the first), signed by the private keys that are here.

    It needs the signatures of enough root keys of the trust root before it and of its own.
    """
    folder = folder or keys.default_folder()
    _next(folder, add, drop or (), (), root_threshold, release_threshold)


@app.command("revoke")
def revoke(
    key: Annotated[list[str], typer.Argument(help="Names of keys, or their ids: boards never believe them again.")],
    add: Add = None,
    root_threshold: RootThreshold = None,
    release_threshold: ReleaseThreshold = None,
    folder: Folder = None,
) -> None:
    """Make the next trust root, which remembers that these keys are revoked; --add names what takes their place."""
    folder = folder or keys.default_folder()
    _next(folder, add, (), key, root_threshold, release_threshold)


@app.command("sign")
def sign_file(
    path: Annotated[Path, typer.Argument(help="A trust root that waits for signatures (trust-....swt).")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask whether these changes are meant.")] = False,
    folder: Folder = None,
) -> None:
    """Show what a trust root made elsewhere changes, and add the signatures of the root keys that are here."""
    folder = folder or keys.default_folder()
    try:
        root = trust_root.parse(path.read_bytes())
    except OSError as error:
        raise SensewellError(f"cannot read {path}: {error.strerror}") from error
    chain = [one for one in trust_root.load_all(folder) if one.root.version != root.version]
    if chain and chain[-1].root.version > root.version:
        raise SensewellError(f"{path} is version {root.version}, there is version {chain[-1].root.version} already")
    same = folder / trust_root.file_name(root.version)
    if same.is_file() and trust_root.parse(same.read_bytes()) != root:
        raise SensewellError(f"{path} says something else than {same}: find out who made which, and delete one")
    if root.version > 1 and not chain:
        raise SensewellError(f"there is no trust root in {folder} to compare version {root.version} with: put it there")
    old = chain[-1].root if chain else None
    names = {key.id.hex(): key.name for key in keys.load_all(folder)}
    for line in trust_root.changes(root, old):
        name, _, rest = line.partition(":")
        console.print(f"  {names.get(name, name)}:{rest}", highlight=False)
    if not yes and not typer.confirm(f"Sign version {root.version} with these changes?"):
        raise SensewellError("not signed")
    _finish(folder, root, old)


def unlocked(chosen: Iterable[keys.Key]) -> list[ec.EllipticCurvePrivateKey]:
    """The private keys of `chosen`: their passphrases are in $SENSEWELL_PASSPHRASE, one for all, or asked for."""
    found = []
    for key in chosen:
        passphrase = os.environ.get(PASSPHRASE)
        if passphrase is None:
            passphrase = _ask(f"Passphrase of {key.name}")
        found.append(keys.unlock(key, passphrase))
    return found


def _ask(what: str, confirm: bool = False) -> str:
    """A passphrase from the terminal, which does not show it; SensewellError where there is no terminal."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", getpass.GetPassWarning)
        try:
            return str(typer.prompt(what, hide_input=True, confirmation_prompt=confirm))
        except getpass.GetPassWarning as error:
            console.print()
            raise SensewellError(f"there is no terminal to ask for a passphrase: set {PASSPHRASE}") from error


def _next(
    folder: Path,
    add: Iterable[str] | None,
    drop: Iterable[str],
    revoke: Iterable[str],
    root_threshold: int | None,
    release_threshold: int | None,
) -> None:
    added = {}
    for one in add or ():
        name, colon, roles = one.partition(":")
        if not colon:
            raise SensewellError(f"--add {one}: say the roles, too, for instance {one}:release")
        added[keys.load(folder, name).public] = roles.split(",")
    asked = {"root": root_threshold, "release": release_threshold}
    thresholds = {role: count for role, count in asked.items() if count is not None}
    old = trust_root.current(folder)
    dropped, revoked = ([_id(folder, one) for one in some] for some in (drop, revoke))
    _finish(folder, trust_root.following(old, added, dropped, revoked, thresholds), old)


def _finish(folder: Path, root: trust_root.TrustRoot, old: trust_root.TrustRoot | None) -> None:
    counting = trust_root.signers(root, old)
    here = [key for key in keys.load_all(folder) if key.private_path and key.id in counting]
    root = root.signed(unlocked(here))
    path = trust_root.save(root, folder)
    if missing := trust_root.refusal(root, old):
        console.print(f"{path} waits for more signatures ({missing}): send it to the others for", highlight=False)
        console.print(f"  sensewell key sign {path.name}", highlight=False)
    else:
        console.print(f"{path} is complete: boards accept it", highlight=False)


def _id(folder: Path, name: str) -> bytes:
    if len(name) == 2 * sign.ID_BYTES and not set(name) - set("0123456789abcdef"):
        return bytes.fromhex(name)
    return keys.load(folder, name).id


def _roles(root: trust_root.TrustRoot | None, name: bytes) -> str:
    if root is None:
        return "-"
    if name in root.revoked:
        return "[red]revoked[/]"
    return ", ".join(sorted(root.ids.get(name, ()))) or "-"
