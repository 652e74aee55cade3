"""`sensewell data check|faults|augment|label`: look at recordings, spoil them, cut and label them. Thin."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from sensewell_host.errors import SensewellError

console = Console()
_COLOURS = {"error": "red", "warning": "yellow", "fine": "green"}

Source = Annotated[Path, typer.Argument(help="A dataset's folder, a capture's folder, or a CSV with its schema.")]
Schema = Annotated[Path | None, typer.Option("--schema", "-s", help="The schema of a CSV; default: beside it.")]


def check(
    source: Source,
    schema: Schema = None,
    model: Annotated[
        str | None,
        typer.Option("--model", "-m", help="A model or recipe: its train and test groups are looked at too."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON, for scripts.")] = False,
) -> None:
    """Gaps, jitter, rate, clipping, stuck stretches, balance, leakage. Exit code 1 if anything is an error."""
    from sensewell_host.dataset import check as checking

    dataset, csv = load(source, schema)
    train: tuple[str, ...] = ()
    test: tuple[str, ...] = ()
    if model:
        from sensewell_host import stages
        from sensewell_host.train.recipe import Recipe

        recipe = Recipe.load(stages.recipe_path(model))
        train, test = recipe.train, recipe.test
    found = checking.check(dataset, train, test, csv)
    worst = checking.worst(found)
    if as_json:
        print(
            json.dumps(
                {"dataset": dataset.name, "worst": worst, "findings": [one.as_dict() for one in found]}, indent=1
            )
        )
    else:
        table = Table(
            "", "check", "where", "what was found", title=f"{dataset.name}, {len(dataset.recordings)} recordings"
        )
        for one in found:
            table.add_row(f"[{_COLOURS[one.level]}]{one.level}[/]", one.check, one.where, one.detail)
        console.print(table)
    if worst == checking.ERROR:
        raise typer.Exit(1)


def load(source: Path, schema: Path | None = None) -> tuple[Any, Any]:
    """(dataset, (csv, schema) or None): whatever `source` is."""
    from sensewell_host.capture.store import TABLE
    from sensewell_host.dataset import Dataset
    from sensewell_host.dataset.csv_import import default_schema_path, import_csv
    from sensewell_host.dataset.recording import INDEX
    from sensewell_host.dataset.schema import Schema

    if source.is_dir() and (source / INDEX).exists():
        return Dataset.load(source), None
    csv = source / TABLE if source.is_dir() else source
    if not csv.is_file():
        raise SensewellError(f"{source} is neither a dataset ({INDEX}), nor a capture ({TABLE}), nor a CSV")
    found = Schema.load(schema or default_schema_path(csv))
    dataset, _ = import_csv(csv, found)
    return dataset, (csv, found)
