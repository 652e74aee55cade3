"""`sensewell data check|faults|augment|label`: look at recordings, spoil them, cut and label them. Thin."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from sensewell_host.errors import SensewellError

console = Console(markup=False, emoji=False)
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
        if recipe.cut_rows:
            from sensewell_host.train.run import cut

            dataset = cut(dataset, recipe.cut_rows)  # its groups are pieces of recordings
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
            table.add_row(Text(one.level, _COLOURS[one.level]), one.check, one.where, one.detail)
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


def not_a_capture(out: Path) -> Path:
    """`out`, if no capture lies there: `load` would take the dataset for it, whatever is captured afterwards."""
    from sensewell_host.capture.store import TABLE

    if (out / TABLE).exists():
        raise SensewellError(f"{out} holds a capture ({TABLE}): say another folder for the dataset")
    return out


Out = Annotated[Path, typer.Option("--out", "-o", help="Where the new dataset goes, with its truth.json.")]
Seed = Annotated[int, typer.Option(min=0, help="The same seed gives the same dataset.")]


def faults(
    source: Source,
    out: Out,
    schema: Schema = None,
    kinds: Annotated[str, typer.Option(help="Of stuck,spike,missing,saturated,stale,gap.")] = "",
    every: Annotated[int, typer.Option(min=2, help="One fault in so many rows.")] = 250,
    apart: Annotated[int, typer.Option(min=1, help="Clean rows before each of them.")] = 100,
    seed: Seed = 1,
) -> None:
    """A new dataset with field faults in it, and the truth: which, where, how long."""
    from sensewell_host import spoil
    from sensewell_host.dataset.faults import KINDS

    dataset, _ = load(source, schema)
    not_a_capture(out)
    wanted = tuple(one.strip() for one in kinds.split(",")) if kinds else KINDS
    with console.status("injecting"):
        made, told = spoil.with_faults(dataset, wanted, seed, every, apart)
        saved = spoil.save(made, told, out)
    n = sum(len(some) for some in told["recordings"].values())
    console.print(f"{n:,} faults in {len(saved.recordings)} recordings in {out}; the truth: {out / spoil.TRUTH}")


def augment(
    source: Source,
    out: Out,
    schema: Schema = None,
    copies: Annotated[int, typer.Option(min=1, max=100, help="Copies of each recording.")] = 1,
    gain: Annotated[float, typer.Option(min=0, max=0.99, help="Share of more or less, each channel for itself.")] = 0.0,
    offset_raw: Annotated[float, typer.Option(min=0, help="Counts up or down, each channel for itself.")] = 0.0,
    tilt_deg: Annotated[float, typer.Option(min=0, max=180, help="Turns each of --vector.")] = 0.0,
    vector: Annotated[list[str] | None, typer.Option(help="Three channels that turn together: ax,ay,az.")] = None,
    drop: Annotated[float, typer.Option(min=0, max=1, help="Chance of a drop-out in each 10 s.")] = 0.0,
    drop_n: Annotated[int, typer.Option(min=1, help="Rows it has at most.")] = 10,
    hum_raw: Annotated[float, typer.Option(min=0, help="Mains hum, counts.")] = 0.0,
    hum_hz: Annotated[float, typer.Option(min=0, help="Of that frequency.")] = 50.0,
    jitter: Annotated[float, typer.Option(min=0, max=0.99, help="Samples early or late, share of a period.")] = 0.0,
    noise_raw: Annotated[float, typer.Option(min=0, help="White noise, deviation in counts.")] = 0.0,
    originals: Annotated[bool, typer.Option(help="Keep the recordings as they are beside the copies.")] = True,
    seed: Seed = 1,
) -> None:
    """A new dataset with noisy copies of each recording, in the same groups, and the truth of what was done."""
    from sensewell_host import spoil
    from sensewell_host.train.field_noise import FieldNoise

    dataset, _ = load(source, schema)
    not_a_capture(out)
    names = [channel.name for channel in dataset.channels]
    triples = [_triple(one, names) for one in vector or ()]
    if tilt_deg and not triples:
        raise SensewellError("--tilt-deg turns vectors: name them, for instance --vector ax,ay,az")
    how = FieldNoise(gain, offset_raw, tilt_deg, drop, drop_n, hum_raw, hum_hz, jitter, noise_raw)
    with console.status("making copies"):
        made, told = spoil.with_noise(dataset, how, copies, seed, triples, originals)
        saved = spoil.save(made, told, out)
    console.print(f"{len(saved.recordings)} recordings in {out}; the truth: {out / spoil.TRUTH}")


def _triple(text: str, names: list[str]) -> tuple[int, int, int]:
    of = [one.strip() for one in text.split(",")]
    if len(of) != 3 or not set(of) <= set(names):
        raise SensewellError(f"expected a vector as three of {', '.join(names)}, got {text!r}")
    return names.index(of[0]), names.index(of[1]), names.index(of[2])


def label(
    source: Source,
    schema: Schema = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Of the page; 0: a free one.")] = 0,
    browser: Annotated[bool, typer.Option(help="Open the page in the browser.")] = True,
    out: Annotated[
        Path | None, typer.Option("--cut", help="No page: cut what is labelled into a new dataset in this folder.")
    ] = None,
) -> None:
    """Label stretches of recordings in a page on this computer; --cut makes recordings of them."""
    from sensewell_host.dataset import labels as labelling

    dataset, _ = load(source, schema)
    folder = source if source.is_dir() else source.parent
    if out:
        if dataset.folder and out.resolve() == dataset.folder.resolve():
            raise SensewellError(f"{out} holds the recordings themselves: say another folder")
        made = labelling.cut(dataset, labelling.load(folder, dataset)).save(not_a_capture(out))
        console.print(f"{len(made.recordings)} stretches in {out}")
        return
    from sensewell_host.label_server import LabelServer

    with LabelServer(dataset, folder, port) as server:
        console.print(f"label {dataset.name} at {server.url} (Ctrl-C ends)", highlight=False, soft_wrap=True)
        if browser:
            import webbrowser

            webbrowser.open(server.url)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            pass
    console.print(f"labels are in {folder / labelling.FILE} and {labelling.TABLE}", highlight=False)
