"""The verbs that change what a board runs: sign, deploy, status, and `slots back|pin|unpin|retry`. Thin."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from sensewell_host.board import Board, BoardError, connect, virtual
from sensewell_host.board.commands import address_of
from sensewell_host.errors import SensewellError
from sensewell_host.places import built

console = Console()
slots_app = typer.Typer(no_args_is_help=True, help="The two slots of a board: go back, pin, unpin, try again.")
BUNDLE = built("models/watch/watch.swb")

Bundle = Annotated[Path, typer.Argument(help="A bundle (.swb).")]
Ports = Annotated[
    list[str] | None,
    typer.Option("--port", "-p", help="A real board's port, as mpremote takes it: /dev/ttyUSB0, COM3. Repeatable."),
]
Boards = Annotated[
    list[str] | None,
    typer.Option(
        "--board", "-b", help="A virtual board that runs (name or port number), an address, or unix:FOLDER. Repeatable."
    ),
]
Folder = Annotated[
    Path | None,
    typer.Option("--keys", help="Where keys and trust roots lie: $SENSEWELL_KEYS, ~/.config/sensewell/keys."),
]


def sign(
    bundle: Bundle = BUNDLE,
    key: Annotated[
        list[str] | None, typer.Option("--key", "-k", help="Sign with this key; default: all release keys here.")
    ] = None,
    folder: Folder = None,
) -> None:
    """Sign a bundle: boards that believe these keys will run it. Signatures of others stay."""
    from sensewell_host import key_commands, keys, pack, trust_root
    from sensewell_host import sign as signing
    from sensewell_host.deploy import read_bundle

    _, content = read_bundle(bundle)
    folder = folder or keys.default_folder()
    if key:
        chosen = [keys.load(folder, name) for name in key]
    else:
        root = trust_root.current(folder)
        roles = root.ids if root else {}
        chosen = [one for one in keys.load_all(folder) if one.private_path and "release" in roles.get(one.id, ())]
    if not chosen:
        raise SensewellError(f"there is no release key in {folder}: `sensewell key new`, then `sensewell key rotate`")
    block = signing.add(pack.signatures_of(content), pack.digest_of(content), key_commands.unlocked(chosen))
    part = bundle.with_suffix(".part")
    part.write_bytes(pack.with_signatures(content, block))
    part.replace(bundle)
    console.print(f"{bundle} is signed by {', '.join(one.name for one in chosen)}", highlight=False)


def deploy(
    bundle: Annotated[Path, typer.Argument(help="The bundle to run.")] = BUNDLE,
    port: Ports = None,
    board: Boards = None,
    everything: Annotated[
        bool, typer.Option("--all", help="All virtual boards that run and all MicroPython boards on serial ports.")
    ] = False,
    trust: Annotated[
        list[Path] | None,
        typer.Option("--trust", help="Trust root files (.swt) for the board; default: those of the keys' folder."),
    ] = None,
    unsigned: Annotated[
        bool, typer.Option("--unsigned", help="Development: the board runs everything, and every decision says so.")
    ] = False,
    setup: Annotated[
        Path | None, typer.Option("--setup", help="Your setup.py: which sensor the board reads (sensewell/start.py).")
    ] = None,
    main: Annotated[bool, typer.Option("--main/--no-main", help="Bring boot.py and main.py too.")] = True,
    again: Annotated[bool, typer.Option("--again", help="Even if this bundle failed on the board before.")] = False,
    live: Annotated[
        bool, typer.Option("--live/--no-live", help="Bring the bundle while the program on the board runs on.")
    ] = True,
    folder: Folder = None,
) -> None:
    """Bring code and bundle into the idle slot of a board; verified and proven there, then switched to on probation."""
    from sensewell_host import keys, trust_root
    from sensewell_host.demo import bar
    from sensewell_host.deploy import deploy as bring
    from sensewell_host.deploy import read_bundle

    read_bundle(bundle)  # what is wrong with it is said before any board is looked for
    if trust:
        chain = [_read(path) for path in trust]
    else:
        chain = [] if unsigned else [one.root.file() for one in trust_root.load_all(folder or keys.default_folder())]
    addresses = _addresses(port, board, everything)
    failures: list[str] = []
    stop = threading.Event()
    with bar(console) as progress:

        def one_board(address: str) -> None:
            task = progress.add_task(f"{address}: deploying", total=None)

            def show(sent: int, total: int, what: str) -> None:
                if stop.is_set():
                    raise KeyboardInterrupt
                progress.update(task, completed=sent, total=total, description=f"{address}: {what}")

            try:
                with connect(address, hold=False) as wire:
                    done = bring(
                        wire,
                        bundle,
                        with_main=main,
                        setup=setup,
                        trust=chain,
                        unsigned=unsigned,
                        again=again,
                        live=live,
                        progress=show,
                    )
            except SensewellError as error:
                failures.append(f"{address}: {error}" if len(addresses) > 1 else str(error))
                return
            with _lock:
                _say(done, bundle, address if len(addresses) > 1 else "")

        with ThreadPoolExecutor(len(addresses)) as pool:
            try:
                list(pool.map(one_board, addresses))
            finally:
                stop.set()  # Ctrl-C: the others stop at their next step, and their boards go on as before
    if failures:
        raise SensewellError("\n".join(failures))


_lock = threading.Lock()


def _say(done: Any, bundle: Path, address: str) -> None:
    console.print(
        (f"{address}: " if address else "")
        + f"{done.board} runs {bundle.name} in slot {done.slot}: {done.files_sent} files sent "
        f"({done.bytes_sent / 1024:.0f} KiB), {done.skipped} were there already, {done.seconds:.1f} s; "
        f"{'native code: ' + ', '.join(done.native) if done.native else 'viper code throughout'}"
    )
    if done.live:
        console.print(
            f"the bundle came within {done.live.seconds:.1f} s while the program ran on, which then stopped for "
            f"{done.stopped_s:.1f} s, for proof and switch"
        )
    if done.unsigned:
        console.print("[yellow]development mode: the board believes every bundle, and its decisions say so[/]")
    for path in done.kept:
        console.print(f"[yellow]{path} on the board is not Sensewell's and was left alone[/]")


def status(port: Ports = None, board: Boards = None) -> None:
    """Show a board's slots and health: what runs, what was refused last, and why. A node that runs is not stopped."""
    from sensewell_host import board_slots, live

    for address in _addresses(port, board, False):
        with connect(address, hold=False) as wire:
            found = live.status(wire)
            if found is None:
                wire.take_hold()
                with _working_again(wire):
                    found = board_slots.status(wire)
        _show(found)


@contextlib.contextmanager
def at_its_prompt(address: str) -> Iterator[Board]:
    """A board that goes back to work afterwards, whatever happens."""
    with connect(address) as wire, _working_again(wire):
        yield wire


@contextlib.contextmanager
def _working_again(wire: Board) -> Iterator[None]:
    try:
        yield
    finally:
        with contextlib.suppress(BoardError):
            wire.reset()


def _command(verb: str) -> Any:
    def run(port: Ports = None, board: Boards = None) -> None:
        from sensewell_host import board_slots

        for address in _addresses(port, board, False):
            with at_its_prompt(address) as wire:
                found = board_slots.command(wire, verb)
            _show(found)

    return run


for _verb, _help in {
    "back": "Go back to the bundle in the other slot.",
    "pin": "Keep the active bundle: nothing is installed or switched to until unpin.",
    "unpin": "Let bundles be installed again.",
    "retry": "Leave safe mode: try the active bundle again.",
}.items():
    slots_app.command(_verb, help=_help)(_command(_verb))


@slots_app.command("floor")
def set_floor(
    to: Annotated[int, typer.Argument(min=0, max=(1 << 30) - 1, help="Releases below it will be refused.")],
    port: Ports = None,
    board: Boards = None,
    signatures: Annotated[
        Path | None,
        typer.Option(help="A file for signatures, where several holders of root keys must sign. They need no board."),
    ] = None,
    folder: Folder = None,
) -> None:
    """Set back the floor of release counters, after a jump by mistake: root keys must sign it for each board."""
    from sensewell_host import board_slots, floor, key_commands, keys, trust_root

    folder = folder or keys.default_folder()
    root = trust_root.current(folder)
    roles = root.ids if root else {}
    chosen = [one for one in keys.load_all(folder) if one.private_path and "root" in roles.get(one.id, ())]
    if not chosen:
        raise SensewellError(f"there is no root key in {folder}: its owners must sign")
    if signatures and not port and not board:
        request = floor.Request.load(signatures)
        if request.new != to:
            raise SensewellError(f"{signatures} is for a floor of {request.new}, not of {to}: nothing was signed")
        request.signed(key_commands.unlocked(chosen)).save(signatures)
        console.print(
            f"{signatures}: the floor of board {request.device} from {request.old} to {to}, signed by "
            + ", ".join(one.name for one in chosen),
            highlight=False,
        )
        return
    addresses = _addresses(port, board, False)
    if signatures and len(addresses) > 1:
        raise SensewellError("--signatures are for one board")
    for address in addresses:
        with at_its_prompt(address) as wire:
            floor.reset(wire, to, lambda: key_commands.unlocked(chosen), signatures)
            found = board_slots.status(wire)
        _show(found)


def _show(found: dict[str, Any]) -> None:
    state = "safe mode, rules only" if found["safe"] else "pinned" if found["pinned"] else found["why"]
    console.print(f"[bold]{found['board']}[/]: slot {found['active'] or '-'} is active, {state}", highlight=False)
    table = Table("slot", "state", "version", "release", "tries", "bytes", "SHA-256", box=None, header_style="bold")
    for name, slot in found["slots"].items():
        mark = f"{name} *" if name == found["active"] else name
        numbers = [str(slot[key]) for key in ("version", "counter", "tries", "bytes")]
        table.add_row(mark, slot["state"], *numbers, slot["sha256"][:16])
    console.print(table)
    if "live" in found:
        _show_live(found["live"])
    else:
        console.print(f"health: {_health(found)}", highlight=False)
    told = found["refused"] not in ("", "slots.adopted")  # that is how every board begins
    last = f"{found['refused']} (slot {found['refused_slot'] or '-'})" if told else "none"
    believes = "development mode: unsigned" if found["unsigned"] else "signed bundles only"
    console.print(f"last refusal: {last}; starts since confirmed: {found['starts']}", highlight=False)
    console.print(f"releases below {found['floor']} are refused; {believes}", highlight=False)


def _show_live(live: dict[str, Any]) -> None:
    """How the node does that runs now, and was not stopped for it."""

    def counts(of: dict[str, int]) -> str:
        return ", ".join(f"{name} {count}" for name, count in of.items())

    why = f"{live['source']}:{live['rule']}" if live["rule"] else live["cause"]
    state = "on probation" if live["probation"] else "confirmed"
    if live["refusal"]:
        state = f"rules only: {live['refusal']}"
    lines = [
        f"live: {live['bundle']} version {live['version']}, {state}; runs for {live['runs_s']} s",
        f"  decides {live['label']}, {live['confidence_pct']}%, {live['source']}, {why} {live['note']}".rstrip(),
        f"  {live['samples']} samples, {live['bad']} refused ({counts(live['refused']) or 'none'}), "
        f"{live['lost']} lost; quality of the last window {live['quality_pct']}%",
        f"  {live['windows']} windows, {live['decisions']} decisions ({counts(live['sources']) or 'none'}), "
        f"{live['misses']} deadlines missed",
        f"  errors: sensor {live['sensor_errors']}, outputs {live['output_errors']}; {live['free']} bytes of RAM free",
    ]
    for line in lines:
        console.print(line, highlight=False)


def _health(found: dict[str, Any]) -> str:
    """What the journal tells of how the active bundle does."""
    if found["active"] is None:
        return "nothing to run"
    if not found.get("sound", True):
        return "bad, nothing runs: the file of the active bundle is damaged or gone"
    if found["safe"]:
        return f"bad, only rules decide: {found['why']}"
    if found["slots"][found["active"]]["state"] == "probation":
        return f"not known yet, {found['slots'][found['active']]['tries']} starts left to show it"
    if found["starts"]:
        return f"doubtful, {found['starts']} starts in a row that did not come to be confirmed"
    if found["refused_slot"] == found["active"]:
        return f"it was confirmed; this slot's last refusal is {found['refused']}"
    return "good at the last start"


def _addresses(ports: Sequence[str] | None, boards: Sequence[str] | None, everything: bool) -> list[str]:
    found = [*(ports or ()), *(address_of(one) for one in boards or ())]
    if everything:
        from serial.tools import list_ports

        found += [one.address for one in virtual.running()]
        found += [port.device for port in list_ports.comports() if port.vid is not None]
    found = list(dict.fromkeys(found))
    if not found and everything:
        raise SensewellError("no virtual board runs, and no serial port has a board: plug one in, or name its --port")
    if not found:
        raise SensewellError("say which board: --port /dev/ttyUSB0 or --board virt_c3")
    return found


def one_address(port: str | None, board: str | None) -> str:
    """The address of the one board that a user names by --port or --board."""
    found = _addresses([port] if port else (), [board] if board else (), False)
    if len(found) > 1:
        raise SensewellError("say one board: --port or --board")
    return found[0]


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise SensewellError(f"cannot read {path}: {error.strerror}") from error
