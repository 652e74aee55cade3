"""`sensewell capture`: labelled raw samples from a board into a folder that `sensewell data import` takes. Thin."""

from __future__ import annotations

import select
import sys
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from sensewell_host.capture.session import Capture, Plan, Result
from sensewell_host.capture.store import SCHEMA, TABLE, Stated
from sensewell_host.capture.wire import Rows
from sensewell_host.dataset.rate import MAX_MS, rate_text
from sensewell_host.dataset.recording import ChannelInfo
from sensewell_host.deploy_commands import one_address
from sensewell_host.errors import SensewellError
from sensewell_host.places import built

console = Console(markup=False, emoji=False)
CAPTURE = built("captures/capture")


def capture(
    label: Annotated[str, typer.Option("--label", "-l", help="What is going on: walking, bearing worn, empty room.")],
    port: Annotated[str | None, typer.Option("--port", "-p", help="A real board's port: /dev/ttyUSB0, COM3.")] = None,
    board: Annotated[
        str | None, typer.Option("--board", "-b", help="A virtual board that runs, an address, or unix:FOLDER.")
    ] = None,
    seconds: Annotated[
        float,
        typer.Option(
            "--seconds", "-s", min=0.001, max=1e8, help="How much to keep, from the trigger on if there is one."
        ),
    ] = 60.0,
    rate: Annotated[int | None, typer.Option("--rate", "-r", min=1, max=1000, help="Samples a second (50).")] = None,
    period_ms: Annotated[
        int | None, typer.Option("--period-ms", min=1, max=MAX_MS, help="Instead: ms from sample to sample.")
    ] = None,
    folder: Annotated[Path, typer.Option("--out", "-o", help="The folder; more captures may go into one.")] = CAPTURE,
    who: Annotated[
        str, typer.Option("--who", help="The person or machine: splits keep it together. Default: the board's id.")
    ] = "",
    where: Annotated[str, typer.Option("--where", help="The place, the mounting.")] = "",
    when: Annotated[str, typer.Option("--when", help="Default: now.")] = "",
    sensor: Annotated[
        str | None,
        typer.Option("--sensor", help="A MicroPython expression for the sensor; default: sensor() of /setup.py."),
    ] = None,
    channels: Annotated[
        str, typer.Option("--channels", help="name:unit:scale[:offset],...; default: as sensor or setup.py say.")
    ] = "",
    before: Annotated[
        float, typer.Option("--before", min=0, max=86400, help="Hold this many seconds; Enter or --trigger keeps them.")
    ] = 0.0,
    trigger: Annotated[
        str | None, typer.Option("--trigger", help="'ax > 12.5', '|ax| > 12.5': starts keeping, with --before.")
    ] = None,
    patience: Annotated[
        float, typer.Option("--patience", min=0, max=1e8, help="Seconds to wait for a broken wire.")
    ] = 60.0,
) -> None:
    """Capture labelled raw samples from a board. Ctrl-C keeps what there is."""
    if rate and period_ms:
        raise SensewellError("say --rate or --period-ms, not both")
    if trigger and not before:
        before = 1.0
    plan = Plan(
        folder=folder,
        stated=Stated(label, who, where, when or datetime.now().astimezone().isoformat(timespec="seconds")),
        rate_hz=1000 / period_ms if period_ms else rate or 50,
        seconds=seconds,
        sensor=sensor,
        channels=_channels(channels),
        before_s=before,
        trigger=trigger,
        patience_s=patience,
    )
    result = _run(plan, one_address(port, board))
    _show(plan, result)


def _run(plan: Plan, address: str) -> Result:
    from rich.live import Live

    from sensewell_host.capture.screen import Screen

    hint = f"holding the last {plan.before_s:g} s: " + (plan.trigger or "Enter keeps them")
    with ExitStack() as stack:
        if not console.is_terminal:
            return Capture(plan, _enter).run(address)
        live = stack.enter_context(Live(console=console, auto_refresh=False, transient=True))
        screens: list[Screen] = []

        def watch(rows: Rows, result: Result, kept: bool) -> None:
            if not screens:
                wanted = round((plan.seconds + plan.before_s) * plan.rate_hz)
                screens.append(Screen(live, job.channels, plan.rate_hz, wanted, hint))
            screens[0](rows, result, kept)

        job = Capture(plan, _enter, watch)
        return job.run(address)


def _enter() -> bool:
    """Has Enter been pressed since the last time?"""
    try:
        if select.select([sys.stdin], [], [], 0)[0]:
            return bool(sys.stdin.readline())  # "" is the end of a file, nobody pressed
    except (OSError, ValueError, TypeError, AttributeError):
        pass
    return False


def _channels(text: str) -> tuple[ChannelInfo, ...]:
    made = []
    for one in filter(None, (part.strip() for part in text.split(","))):
        words = [word.strip() for word in one.split(":")]
        try:
            name, unit = words[0], words[1] if len(words) > 1 else ""
            scale, offset = [float(word) for word in [*words[2:], *("1", "0")[len(words[2:]) :]]]
        except ValueError:
            raise SensewellError(f"expected a channel as name:unit:scale[:offset], got {one!r}") from None
        made.append(ChannelInfo(name, unit, scale, offset))
    return tuple(made)


def _show(plan: Plan, result: Result) -> None:
    counted = {
        "lost on the board": result.lost,
        "lost on the wire": result.on_wire,
        f"late by more than 1 ms (at most {result.late_max_us / 1000:.1f} ms)": result.late,
        "that the sensor did not read": result.errors,
        "with nothing new": result.stale,
    }
    told = [f"{count:,} {what}" for what, count in counted.items() if count]
    told += [f"a broken wire for {gap:.1f} s" for gap in result.gaps]
    how = {
        "interrupted": "stopped by Ctrl-C",
        "ended": "the sensor ended",
        "broken": "the wire stayed broken",
        "untriggered": "never triggered: the last seconds are kept",
    }
    if result.how in how:
        told.append(how[result.how])
    if result.torn:
        told.append(f"{result.torn} bytes of a line that was never finished were cut off before it")
    console.print(
        f"{result.name}: {result.rows:,} samples, {rate_text(plan.rate_hz)}, in {plan.folder}"
        + "".join(f"; {one}" for one in told),
        highlight=False,
    )
    if result.said:
        console.print(f"  first error: {result.said}", highlight=False)
    if result.stale > result.rows:
        asked = rate_text(plan.rate_hz)
        console.print(f"  the sensor measures more slowly than {asked}: capture anew with --period-ms", highlight=False)
    if result.how == "broken":
        raise SensewellError("the wire did not come back: what arrived is kept; capture again into the same folder")
    console.print(
        f"next: sensewell data check {plan.folder}, then sensewell data import {plan.folder / TABLE} ({SCHEMA} is its "
        "schema)",
        highlight=False,
    )
