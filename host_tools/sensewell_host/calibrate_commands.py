"""`sensewell calibrate ...`: measure a board's own offset, gain and mounting, guided step by step. Thin."""

from __future__ import annotations

import getpass
import math
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from sensewell_host import calibrate
from sensewell_host.board import Board
from sensewell_host.deploy_commands import BUNDLE, at_its_prompt, one_address
from sensewell_host.errors import SensewellError

app = typer.Typer(no_args_is_help=True, help="A board's own calibration: kept on it, apart from bundles.")
console = Console(markup=False, emoji=False)

Port = Annotated[str | None, typer.Option("--port", "-p", help="A real board's port: /dev/ttyUSB0, COM3.")]
BoardName = Annotated[str | None, typer.Option("--board", "-b", help="A virtual board that runs, or an address.")]
OfBundle = Annotated[Path, typer.Option("--bundle", help="The bundle whose units and scales count.")]
Samples = Annotated[int, typer.Option("--samples", min=10, max=2000, help="Samples for each mean.")]


@app.command("imu")
def imu(
    port: Port = None,
    board: BoardName = None,
    bundle: OfBundle = BUNDLE,
    axes: Annotated[str, typer.Option("--axes", help="The accelerometer's channels x, y, z.")] = "ax,ay,az",
    gyro: Annotated[str, typer.Option("--gyro", help="Gyroscope channels of the same part; '' for none.")] = "gx,gy,gz",
    samples: Samples = 100,
) -> None:
    """Six faces: lay the device on each of them; finds offset, gain and how the part is mounted."""
    manifest = _manifest(bundle)
    names = _three(axes)
    channels = {entry["name"]: entry for entry in manifest["channels"]}
    one_g_raw = _one_g_raw(channels, names[0], bundle)
    turned = [name for name in _three(gyro) if name in channels] if gyro else []
    if len(turned) not in (0, 3):
        raise SensewellError(f"expected three gyroscope channels of {bundle.name}, got {', '.join(turned)}")
    with at_its_prompt(one_address(port, board)) as wire:
        known = calibrate.channels_of(wire)
        faces = {}
        for face in calibrate.FACES:
            typer.prompt(
                f"Lay the device down so that its {face} axis points up, then press Enter", "", show_default=False
            )
            faces[face] = calibrate.sample(wire, len(known), samples)
        entries, left = calibrate.six_faces(faces, known, names, one_g_raw, turned)
        _store(wire, entries, "six faces")
    console.print(f"what remains is at most {left * 1000:.1f} mg on a face", highlight=False)


@app.command("two-point", context_settings={"ignore_unknown_options": True})  # -10 is a value
def two_point(
    channel: Annotated[str, typer.Argument(help="The channel.")],
    low: Annotated[float, typer.Argument(help="The true value at the first point, in the bundle's unit.")],
    high: Annotated[float, typer.Argument(help="The true value at the second point.")],
    port: Port = None,
    board: BoardName = None,
    bundle: OfBundle = BUNDLE,
    samples: Samples = 100,
) -> None:
    """Two points: bring a channel to two values that you know; finds its offset and gain."""
    found = [entry for entry in _manifest(bundle)["channels"] if entry["name"] == channel]
    if not found:
        raise SensewellError(f"{bundle.name} has no channel {channel!r}")
    if low == high or not math.isfinite(high - low):
        raise SensewellError(f"expected two values that differ, got {low:g} and {high:g}")
    entry = found[0]
    means = []
    with at_its_prompt(one_address(port, board)) as wire:
        names = calibrate.channels_of(wire)
        if channel not in names:
            raise SensewellError(f"the board's sensor has no channel {channel!r}: there are {', '.join(names)}")
        for value in (low, high):
            typer.prompt(f"Bring {channel} to {value:g} {entry['unit']}, then press Enter", "", show_default=False)
            means.append(float(calibrate.sample(wire, len(names), samples)[:, names.index(channel)].mean()))
        made = calibrate.two_points(channel, (means[0], means[1]), (low, high), entry["scale"], entry["offset"])
        _store(wire, {channel: made}, "two points")


@app.command("rest")
def rest(
    port: Port = None,
    board: BoardName = None,
    bundle: OfBundle = BUNDLE,
    seconds: Annotated[float | None, typer.Option("--seconds", min=1, help="Default: what the bundle says.")] = None,
) -> None:
    """At rest: measure a machine known to be healthy; what it reads now becomes 0, its spread a number of counts."""
    from sensewell_host.dataset.rate import rate_of
    from sensewell_host.rest import Rest, measure

    manifest = _manifest(bundle)
    if "rest" not in manifest:
        raise SensewellError(f"{bundle.name} asks for no calibration at rest: its recipe has no [rest]")
    how = Rest.of(manifest["rest"])
    names = [entry["name"] for entry in manifest["channels"]]
    rate_hz = rate_of(manifest, bundle.name)
    samples = max(10, round((seconds or how.seconds) * rate_hz))
    with at_its_prompt(one_address(port, board)) as wire:
        known = calibrate.channels_of(wire)
        absent = [name for name in names if name not in known]
        if absent:
            raise SensewellError(f"the board's sensor has no channel {absent[0]!r}: there are {', '.join(known)}")
        console.print(f"measuring {samples / rate_hz:.0f} s: leave the machine as it is when all is well")
        rows = calibrate.sample(wire, len(known), samples, round(1000 / rate_hz), missing=True)
        _store(wire, dict(measure(rows[:, [known.index(name) for name in names]], names, how)), "at rest")


@app.command("show")
def show(port: Port = None, board: BoardName = None) -> None:
    """Show the calibration on a board."""
    with at_its_prompt(one_address(port, board)) as wire:
        _show(calibrate.read(wire))


@app.command("clear")
def clear(port: Port = None, board: BoardName = None) -> None:
    """Take the calibration off a board: counts are then taken as they are read."""
    with at_its_prompt(one_address(port, board)) as wire:
        calibrate.clear(wire)
        _show(calibrate.read(wire))


def _store(wire: Board, entries: dict[str, dict[str, Any]], how: str) -> None:
    _show(calibrate.store(wire, entries, how, getpass.getuser()))


def _show(found: dict[str, Any] | None) -> None:
    if not found:
        console.print("no calibration: counts are taken as they are read")
        return
    table = Table("channel", "from", "offset, counts", "gain", box=None, header_style="bold")
    for name, entry in sorted(found["channels"].items()):
        gain = entry.get("gain_q12", 4096) / 4096
        table.add_row(name, entry.get("from", name), str(entry.get("offset_raw", 0)), f"{gain:+.4f}")
    console.print(table)
    for one in found.get("made", []):
        console.print(f"{', '.join(one['channels'])}: {one['how']}, {one['when']} {one['by']}", highlight=False)


def _manifest(bundle: Path) -> dict[str, Any]:
    from sensewell_host.pack import inspect

    found: dict[str, Any] = inspect(bundle)["manifest"]
    return found


def _three(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",")]
    if len(names) != 3:
        raise SensewellError(f"expected three channels, x,y,z, got {text!r}")
    return names


def _one_g_raw(channels: dict[str, Any], name: str, bundle: Path) -> float:
    if name not in channels:
        raise SensewellError(f"{bundle.name} has no channel {name!r}: say --axes")
    unit, scale = channels[name]["unit"], channels[name]["scale"]
    per_g = {"g": 1.0, "m/s2": 9.80665, "mg": 1000.0}.get(unit)
    if per_g is None:
        raise SensewellError(f"channel {name} is in {unit!r}: expected g, mg or m/s2")
    return float(per_g / scale)
