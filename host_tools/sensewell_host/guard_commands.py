"""`sensewell guard ...`: limits proposed from clean recordings and datasheets. Thin."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from sensewell_host.errors import SensewellError

app = typer.Typer(no_args_is_help=True, help="The guard: which samples to refuse.")
console = Console(markup=False, emoji=False)


@app.callback()
def _guard() -> None:
    """The guard: which samples to refuse."""


@app.command("fit")
def fit(
    model: Annotated[str, typer.Argument(help="A model's name (a folder of models/), or the path of a model.toml.")],
    datasheet: Annotated[
        Path | None, typer.Option("--datasheet", help='JSON: {"ax": {"sat_hi_raw": 32760, ...}}: these stand.')
    ] = None,
    sensor: Annotated[
        str | None, typer.Option("--sensor", help="A driver, such as mpu6050: what its datasheet says stands.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Write the \\[guard] tables of a model.toml here.")
    ] = None,
) -> None:
    """Propose limits from a recipe's training recordings (never from those held out); show what each would refuse."""
    from sensewell_host import sensor_facts
    from sensewell_host.dataset.split import split_by_group
    from sensewell_host.stages import recipe_path
    from sensewell_host.train.guard_fit import fit as find
    from sensewell_host.train.recipe import Recipe
    from sensewell_host.train.run import load_dataset, strips_of

    recipe = Recipe.load(recipe_path(model))
    dataset = load_dataset(recipe)
    split = split_by_group(dataset, recipe.train, recipe.test)
    known = sensor_facts.limits(sensor, dataset.channels) if sensor else {}
    for name, settings in _datasheet(datasheet).items():
        known[name] = known.get(name, {}) | settings
    with console.status("asking the device's guard"):
        found = find(strips_of(recipe, split.train), recipe.channels, recipe.data_path(), known)
    table = Table("channel", "limit", "settings", "refuses", "because", box=None, header_style="bold")
    for limit in found.limits:
        settings = ", ".join(f"{key} {value}" for key, value in limit.settings.items()) or "none"
        refuses = f"{100 * limit.refused / limit.samples:.3f} %" if limit.settings else "-"
        table.add_row(limit.channel, limit.kind, settings, refuses, limit.why)
    console.print(table)
    console.print(
        f"together: {found.refused:,} of {found.samples:,} samples of groups {', '.join(recipe.train)}", highlight=False
    )
    for group, share in found.left_out.items():
        console.print(f"  group {group}, with limits from the others: {100 * share:.3f} %", highlight=False)
    text = toml(recipe.channels, found.guard)
    if out:
        out.write_text(text)
        console.print(f"written to {out}")
    else:
        console.print(text, highlight=False)


def toml(names: tuple[str, ...], guard: tuple[dict[str, int], ...]) -> str:
    """The tables [[guard.channel]] of a model.toml; channels with the same limits share one."""
    merged: dict[str, list[str]] = {}
    for name, settings in zip(names, guard, strict=True):
        merged.setdefault("\n".join(f"{key} = {value}" for key, value in settings.items()), []).append(name)
    tables = [f"[[guard.channel]]\nof = {json.dumps(of)}\n{body}\n" for body, of in merged.items() if body]
    return "\n".join(tables)


def _datasheet(path: Path | None) -> dict[str, Any]:
    if path is None:
        return {}
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise SensewellError(f"the datasheet {path} cannot be read: {error}") from error
    if not isinstance(found, dict) or not all(isinstance(one, dict) for one in found.values()):
        raise SensewellError(f'{path}: expected {{"channel": {{"sat_hi_raw": 32760, ...}}, ...}}')
    return found
