"""`sensewell board ...`: what boards there are, starting and stopping virtual ones, a prompt, a reset, a look.

Thin: says what catalog, virtual and the board itself do, in tables and single lines.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from sensewell_host.board import catalog, connect, virtual
from sensewell_host.board.errors import BoardError

app = typer.Typer(no_args_is_help=True, help="Boards: list them, start and stop virtual ones, open a prompt.")
console = Console()

Name = Annotated[str, typer.Argument(help="A virtual board: virt_c3 or virt_m4.")]
Which = Annotated[
    str, typer.Argument(help="A running virtual board's name or port, a serial port, or socket://HOST:PORT.")
]


def address_of(which: str) -> str:
    """The address behind what a user calls a board: a name, a port number, or an address already."""
    if which == "unix" or which.startswith(("unix:", "socket://", "/", "COM")) or "://" in which:
        return which
    found = [board for board in virtual.running() if which in (board.name, str(board.port))]
    if len(found) == 1:
        return found[0].address
    if len(found) > 1:
        ports = ", ".join(str(board.port) for board in found)
        raise BoardError(f"{len(found)} boards called {which} run here: say which port ({ports})")
    if which in catalog.names() and catalog.load(which).kind == "qemu":
        raise BoardError(f"{which} does not run: start it with `sensewell board start {which}`")
    raise BoardError(f"{which!r} is no running board and no address; `sensewell board list` shows what there is")


@app.command("list")
def list_boards() -> None:
    """Show all boards, which of them are built, and which run."""
    table = Table("board", "what it is", "arch", "heap", "flash", box=None, header_style="bold")
    table.add_column("state", no_wrap=True)
    alive = virtual.running()
    for name in catalog.names():
        spec = catalog.load(name)
        if spec.kind == "real":
            state = "over USB"
        elif not virtual.is_built(name):
            state = f"[dim]make board-{name}[/dim]"
        elif spec.kind == "unix":
            state = "ready"
        else:
            here = [f"port {board.port}" + (" icount" if board.icount else "") for board in alive if board.name == name]
            state = "\n".join(f"[green]{port}[/green]" for port in here) or "ready"
        table.add_row(name, spec.title, spec.arch, _size(spec.heap_bytes), _size(spec.flash_bytes), state)
    console.print(table)
    for board in alive:
        console.print(f"{board.name} runs at {board.address}", highlight=False)


@app.command()
def start(
    name: Name,
    port: Annotated[int | None, typer.Option(help="TCP port of its console; a free one if not given.")] = None,
    icount: Annotated[bool, typer.Option("--icount", help="Count instructions: figures and times repeat.")] = False,
    image: Annotated[Path | None, typer.Option(help="A littlefs image to start with.", exists=True)] = None,
    flash: Annotated[Path | None, typer.Option(help="A file to keep the flash in from start to start.")] = None,
) -> None:
    """Start a virtual board and print its address. It runs until `sensewell board stop`."""
    board = virtual.start(name, port=port, icount=icount, image=image, flash=flash)
    console.print(f"[green]{board.name}[/green] runs at [bold]{board.address}[/bold]")
    console.print(f"  mpremote connect {board.address}", highlight=False)


@app.command()
def stop(
    which: Annotated[str | None, typer.Argument(help="Its name or port.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Stop all virtual boards.")] = False,
) -> None:
    """Stop a virtual board. Its files are gone with it, unless it was started with --flash."""
    if everything:
        boards = [virtual.stop(board) for board in virtual.running()]
    elif which is None:
        raise BoardError("say which board to stop, or --all")
    else:
        boards = [virtual.stop(which)]
    for board in boards:
        console.print(f"stopped {board.name} (port {board.port})")
    if not boards:
        console.print("no virtual board runs")


@app.command()
def repl(which: Which) -> None:
    """Open the prompt of a board with mpremote. Ctrl-] ends it."""
    sys.exit(subprocess.call([sys.executable, "-m", "mpremote", "connect", address_of(which), "repl"]))


@app.command()
def reset(which: Which) -> None:
    """Reset a board; it then runs its own boot.py and main.py."""
    with connect(address_of(which)) as board:
        board.reset()
    console.print(f"{which} starts again")


@app.command()
def info(which: Which) -> None:
    """Ask a board what it is and what room it has."""
    with connect(address_of(which)) as board:
        facts = board.info()
    table = Table(box=None, show_header=False)
    table.add_row("board", facts.name)
    table.add_row("machine", facts.machine)
    table.add_row("MicroPython", facts.version)
    table.add_row("native code", f"{facts.mpy_arch or 'none'} (.mpy version {facts.mpy_version})")
    table.add_row("heap free", _size(facts.heap_free))
    table.add_row("flash free", f"{_size(facts.flash_free)} of {_size(facts.flash_total)}")
    console.print(table)


def _size(count: int) -> str:
    return f"{count / 1024:,.0f} KiB" if count else "-"
