"""The `sensewell` command: verbs only. Each reads its arguments, calls the part that does the work, and says what came.

An expected failure is one red sentence on stderr and exit code 1; `sensewell --debug VERB` shows where it arose.
"""

from __future__ import annotations

import errno
import os
import re
import signal
import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from sensewell_host import capture_commands, data_commands, deploy_commands, evaluate_commands
from sensewell_host.board.commands import address_of
from sensewell_host.board.commands import app as board_app
from sensewell_host.calibrate_commands import app as calibrate_app
from sensewell_host.dataset.rate import rate_of, rate_text
from sensewell_host.dataset.recording import MISSING
from sensewell_host.errors import SensewellError
from sensewell_host.guard_commands import app as guard_app
from sensewell_host.key_commands import app as key_app
from sensewell_host.places import built, short

app = typer.Typer(
    help="Sensewell: from sensor recordings to decisions on a MicroPython board that you can trust in the field.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
data_app = typer.Typer(help="Recordings: fetch, import, look at, check, spoil, label.", no_args_is_help=True)
app.add_typer(data_app, name="data", rich_help_panel="Recordings and models")
app.add_typer(board_app, name="board", rich_help_panel="Boards")
app.add_typer(guard_app, name="guard", rich_help_panel="Recordings and models")
app.add_typer(calibrate_app, name="calibrate", rich_help_panel="Boards")
app.add_typer(key_app, name="key", rich_help_panel="Boards")
app.add_typer(deploy_commands.slots_app, name="slots", rich_help_panel="Boards")
out = Console(markup=False, emoji=False)  # names of files and labels are what they are
_MODELS, _BOARDS = "Recordings and models", "Boards"
_debug = False

Model = Annotated[str, typer.Argument(help="A model's name (a folder of models/), or the path of a model.toml.")]
Port = Annotated[
    str | None,
    typer.Option("--port", "-p", help="A real board's port, as mpremote takes it: /dev/ttyUSB0, COM3."),
]
BoardName = Annotated[
    str | None,
    typer.Option("--board", "-b", help="A virtual board that runs (name or port number), an address, or unix:FOLDER."),
]
DATASETS, DATA, BUNDLE, RUN = (built(path) for path in ("data", "data/watch", "models/watch/watch.swb", "run"))


@app.callback()
def options(
    debug: Annotated[bool, typer.Option("--debug", help="Show where in the code an error arose.")] = False,
) -> None:
    """Options of every command."""
    global _debug
    _debug = debug


# --- recordings -----------------------------------------------------------------------------------------------------


@data_app.command("fetch")
def data_fetch() -> None:
    """Fetch the default recordings (seven exercises, ten people; from PyPI's seglearn) and check their hash."""
    from sensewell_host.dataset import seglearn
    from sensewell_host.train.run import DATA as ROOT

    with _bar("fetching"):
        dataset, made = seglearn.fetch(ROOT / seglearn.NAME, ROOT)
    out.print(f"{_counts(dataset)} in {dataset.folder}" + ("" if made else " (already there, checked)"))


@data_app.command("import")
def data_import(
    csv: Annotated[Path, typer.Argument(help="The recordings, .csv or .csv.gz.")],
    folder: Annotated[Path | None, typer.Option("--out", "-o", help="Where to: build/data/NAME by default.")] = None,
    schema: Annotated[
        Path | None, typer.Option("--schema", "-s", help="What its columns are; the JSON beside the CSV by default.")
    ] = None,
) -> None:
    """Import recordings from a CSV whose columns a small JSON schema explains."""
    from sensewell_host.dataset.csv_import import import_csv

    if not csv.exists():
        raise SensewellError(f"there is no {csv}: name a CSV with recordings, plain or .gz")
    with _bar(f"importing {csv.name}"):
        dataset, report = import_csv(csv, schema_path=schema)
        dataset = dataset.save(data_commands.not_a_capture(folder or built("data") / dataset.name))
    out.print(f"{_counts(dataset)} in {dataset.folder}")
    for channel, missing in report.missing.items():
        clipped = report.clipped.get(channel, 0)
        if missing or clipped:
            out.print(f"  {channel}: {missing:,} cells without a reading, {clipped:,} beyond what its counts can hold")
    if report.rows_put_back or report.split_at_holes:
        out.print(
            f"  {report.rows_put_back:,} lost rows put back as missing, {report.split_at_holes} recordings cut at holes"
        )


@data_app.command("list")
def data_list(folder: Annotated[Path, typer.Argument(help="Where datasets are kept.")] = DATASETS) -> None:
    """List the datasets in a folder."""
    from sensewell_host.dataset import Dataset

    found = sorted(folder.glob("*/dataset.json"))
    if not found:
        raise SensewellError(f"there are no datasets in {folder}: `sensewell data fetch` gets the default one")
    table = Table("dataset", "recordings", "groups", "channels", "rate", "hours", box=None, header_style="bold")
    table.add_column("folder", overflow="fold")
    for index in found:
        dataset = Dataset.load(index.parent)
        hours = sum(recording.duration_s for recording in dataset.recordings) / 3600
        names = " ".join(channel.name for channel in dataset.channels)
        table.add_row(
            dataset.name,
            str(len(dataset.recordings)),
            str(len(dataset.groups)),
            names,
            rate_text(dataset.rate_hz),
            f"{hours:,.2f}",
            str(index.parent),
        )
    out.print(table)


@data_app.command("show")
def data_show(folder: Annotated[Path, typer.Argument(help="A dataset's folder.")] = DATA) -> None:
    """Show what is in a dataset: channels, and seconds by group and label."""
    from sensewell_host.dataset import Dataset

    dataset = Dataset.load(folder)
    out.print(_counts(dataset))
    table = Table("channel", "unit", "SI per count", "smallest", "largest")
    for number, channel in enumerate(dataset.channels):
        values = [recording.samples[:, number] for recording in dataset.recordings]
        read = [good for some in values if len(good := some[some != MISSING])]
        ends = (str(min(v.min() for v in read)), str(max(v.max() for v in read))) if read else ("-", "-")
        table.add_row(channel.name, channel.unit, f"{channel.scale:.6g}", *ends)
    out.print(table)
    seconds = Table("seconds", *dataset.labels)
    for group in dataset.groups:
        of = dataset.of_groups([group])
        sums = [sum(r.duration_s for r in of if r.label == label) for label in dataset.labels]
        seconds.add_row(group, *(f"{value:.0f}" if value else "" for value in sums))
    out.print(seconds)


data_app.command("check")(data_commands.check)
data_app.command("faults")(data_commands.faults)
data_app.command("augment")(data_commands.augment)
data_app.command("label")(data_commands.label)
app.command(rich_help_panel=_MODELS)(capture_commands.capture)


# --- models ---------------------------------------------------------------------------------------------------------


@app.command(rich_help_panel=_MODELS)
def train(model: Model = "watch") -> None:
    """Train a model as its recipe says; features are computed by the device's own code."""
    from sensewell_host import stages
    from sensewell_host.demo import bar, follow

    with bar(out) as progress:
        result = stages.train(model, follow(progress))
    figures = result.figures
    said = (
        result.said
        if figures.get("family") in ("neural", "none")
        else (
            f"{figures['model']['candidate']} on {len(result.features)} features; macro-F1 {result.loso.mean:.3f} on "
            f"average over training groups left out one by one, {result.test.macro_f1:.3f} on those held out "
            f"({', '.join(result.recipe.test)})"
        )
    )
    out.print(said)
    then = "pack" if figures.get("family") == "none" else "convert"
    out.print(f"written to {short(stages.BUILD / result.recipe.name)}; next: sensewell {then} {model}")
    for missed in result.missed:
        raise SensewellError(f"the recipe's target was missed: {missed}")


@app.command(rich_help_panel=_MODELS)
def convert(
    model: Model = "watch",
    inline: Annotated[
        str | None,
        typer.Option("--inline", metavar="BOARD|ARCH", help="Instead: emlearn's inline C as a native .mpy module."),
    ] = None,
    export: Annotated[
        str | None, typer.Option("--export", metavar="emlearn-csv", help="Instead: a file for upstream emlearn_trees.")
    ] = None,
    budget_bytes: Annotated[
        int | None, typer.Option(min=1, help="Train anew: the best forest of at most so many bytes.")
    ] = None,
    budget_instructions: Annotated[
        int | None, typer.Option(min=1, help="The same for instructions of features and forest, a window on virt_c3.")
    ] = None,
) -> None:
    """Convert the trained model to the board's form, and prove that both answer alike."""
    from sensewell_host import stages

    if budget_bytes or budget_instructions:
        _train_within(model, budget_bytes, budget_instructions)
    if inline is not None or export is not None:
        return _convert_through_emlearn(stages.folder_of(model), inline, export)
    with _bar("converting"):
        done = stages.convert(stages.folder_of(model))
    said = f"; next: sensewell pack {model}"
    if done is None:
        return out.print(f"there is nothing to convert: {model} has guard and rules, no model{said}")
    if hasattr(done, "said"):
        return out.print(done.said + said)
    out.print(
        f"model.bin: {done.bytes:,} bytes, {done.nodes:,} nodes; {done.parity.rows:,} rows compared with "
        f"{done.parity.reference}: {done.parity.mismatches} differ"
        + (f", {done.parity.error_of} within {done.parity.error_bound:.2g}" if done.parity.error_of else "")
        + said
    )


def _train_within(model: str, model_bytes: int | None, instructions: int | None) -> None:
    """Train the best forest that fits, and say what was taken; targets of the recipe are not asked for."""
    from sensewell_host import stages
    from sensewell_host.demo import bar, follow
    from sensewell_host.train.budget import Budget

    with bar(out) as progress:
        result = stages.train(model, follow(progress), Budget(model_bytes, instructions))
    said = result.figures["budget"]
    cost = f", {said['expected_instructions']:,} instructions a window" if instructions else ""
    out.print(
        f"taken from {said['options']} sizes: {result.figures['model']['candidate']} on {len(result.features)} "
        f"features, {said['expected_bytes']:,} bytes{cost}; macro-F1 {result.loso.mean:.3f} on groups left out, "
        f"{result.test.macro_f1:.3f} on those held out; all sizes: "
        f"{short(stages.BUILD / result.recipe.name / 'pareto.png')}"
    )


@app.command(rich_help_panel=_MODELS)
def pack(
    model: Model = "watch",
    release: Annotated[
        int, typer.Option(min=0, max=(1 << 30) - 1, help="Release counter: boards refuse less than they confirmed.")
    ] = 0,
    device: Annotated[
        list[str] | None, typer.Option("--device", help="Only for this board (its unique id, hex). Repeatable.")
    ] = None,
    expires: Annotated[
        datetime | None, typer.Option(help="No board with a clock to trust starts it from then on (UTC).")
    ] = None,
    without_clock: Annotated[
        str, typer.Option(help="What a board without such a clock does with a bundle that expires: refuse or run.")
    ] = "refuse",
) -> None:
    """Pack model, limits, rules and golden vectors into one bundle, checked by the device's code."""
    from sensewell_host import stages

    bound: dict[str, Any] = {"release": release} if release else {}
    if without_clock not in ("refuse", "run"):
        raise SensewellError(f"--without-clock is refuse or run, not {without_clock!r}")
    for one in device or ():
        if not re.fullmatch("([0-9a-fA-F]{2})+", one):
            raise SensewellError(
                f"{one!r} is no board's unique id, which is bytes in hex: `machine.unique_id().hex()` at its prompt"
            )
    if device:
        bound["devices"] = [one.lower() for one in device]
    if expires:
        at, now = expires.replace(tzinfo=UTC), datetime.now(UTC)
        if at <= now:
            raise SensewellError(
                f"--expires {at:%Y-%m-%d %H:%M} is over, now it is {now:%Y-%m-%d %H:%M} UTC: no board with a "
                "clock would start this bundle. Give a later time"
            )
        bound["expires"] = {"at": int(at.timestamp()), "without_clock": without_clock}
    with _bar("packing"):
        path = short(stages.pack(stages.folder_of(model), bound))
    out.print(f"{path}: {path.stat().st_size:,} bytes; next: sensewell sign {path}, then sensewell deploy {path}")


@app.command(rich_help_panel=_MODELS)
def inspect(bundle: Annotated[Path, typer.Argument(help="A bundle (.swb).")]) -> None:
    """Verify a bundle with the device's code and show what is in it."""
    from sensewell_host.pack import inspect as look

    found = look(bundle)
    manifest = found["manifest"]
    table = Table(show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    classes = manifest["model"].get("n_classes", 0)
    window = manifest["window"]
    rate_hz = rate_of(manifest, found["name"])
    seconds = window["length"] / rate_hz
    for name, value in {
        "bundle": f"{found['name']}, version {found['version']}",
        "what": manifest.get("what", ""),
        "for boards": ", ".join(manifest["boards"]),
        "channels": f"{' '.join(c['name'] for c in manifest['channels'])} at {rate_text(rate_hz)}",
        "window": f"{window['length']} samples ({seconds:g} s), every {window['hop']}, "
        f"at least {window['min_quality_pct']} % good",
        "features": str(len(manifest["features"])),
        "model": f"{manifest['model']['family']}, classes {' '.join(manifest['labels'][:classes]) or '-'}",
        "other labels": " ".join(manifest["labels"][classes:]) or "-",
        "rules": ", ".join(rule["name"] for rule in manifest.get("rules", ())) or "-",
        "sections": ", ".join(f"{key} {size:,} bytes" for key, size in found["sections"].items()) or "-",
        "size": f"{found['bytes']:,} bytes, manifest {found['manifest_bytes']:,}",
        "SHA-256": found["sha256"],
    }.items():
        table.add_row(name, value)
    out.print(table)


# --- boards ---------------------------------------------------------------------------------------------------------


app.command(rich_help_panel=_MODELS)(evaluate_commands.evaluate)
for _verb in (deploy_commands.sign, deploy_commands.deploy, deploy_commands.status):
    app.command(rich_help_panel=_BOARDS)(_verb)


@app.command(rich_help_panel=_BOARDS)
def run(
    port: Port = None,
    board: BoardName = None,
    data: Annotated[Path, typer.Option("--data", "-d", help="A dataset's folder.")] = DATA,
    group: Annotated[
        list[str] | None, typer.Option("--group", "-g", help="Only these groups (people, machines); may be repeated.")
    ] = None,
    recording: Annotated[
        list[str] | None, typer.Option("--recording", "-r", help="Only these recordings; may be repeated.")
    ] = None,
    faulty: Annotated[bool, typer.Option("--faults", help="Also with injected field faults.")] = False,
    bundle: Annotated[
        Path, typer.Option("--bundle", help="The deployed bundle's file here; fetched from the board where it differs.")
    ] = BUNDLE,
    folder: Annotated[Path, typer.Option("--out", "-o", help="Where the decisions are kept.")] = RUN,
) -> None:
    """Replay recordings through the bundle on a board and collect its decisions. No board given: this PC."""
    from sensewell_host import demo
    from sensewell_host import run as runner
    from sensewell_host.board import connect
    from sensewell_host.dataset import Dataset
    from sensewell_host.dataset.calibrated import calibrations

    dataset = Dataset.load(data)
    chosen = [dataset.recording(name) for name in recording] if recording else list(dataset.recordings)
    if group:
        if lacking := sorted(set(group) - set(dataset.groups)):
            raise SensewellError(
                f"dataset {dataset.name} has no group {', '.join(lacking)}; it has {', '.join(dataset.groups)}"
            )
        chosen = [one for one in chosen if one.group in group]
    if not chosen:
        raise SensewellError("no recording is left to play: look at --group and --recording")
    names = [one.name for one in chosen]
    folder.mkdir(parents=True, exist_ok=True)  # before minutes of playing
    with ExitStack() as stack:
        wire = None if port is None and board is None else stack.enter_context(connect(_address(port, board)))
        progress = stack.enter_context(demo.bar(out))
        task = progress.add_task("playing", total=None)
        where, content = ("this PC", runner.read_file(bundle)) if wire is None else runner.deployed(wire, bundle)
        manifest = runner.manifest_of(content, dataset)
        of_boards = calibrations(dataset) or None
        ways = [replace(way, calibration=of_boards) for way in demo.ways_for(dataset, manifest, names)]
        ways = ways[: 2 if faulty else 1]
        progress.update(task, total=len(names) * len(ways), description=f"playing on {where}")
        if wire is None:
            played = runner.play_on_host(content, chosen, ways, lambda: progress.advance(task))
        else:
            played = runner.play([wire], chosen, ways, lambda: progress.advance(task))
            wire.reset()  # back to its own work
    record = runner.Record(where, manifest, str(data.resolve()), names, ways, played)
    record.save(folder)
    _show(record, dataset)
    out.print(f"kept in {folder}; plots: sensewell report {folder}")


@app.command(rich_help_panel=_BOARDS)
def report(
    folder: Annotated[Path, typer.Argument(help="A folder that `sensewell run` or `sensewell demo` made.")] = RUN,
) -> None:
    """Judge a run and draw it: confusion matrix, scores and sources, forecasts, a timeline."""
    from sensewell_host import report as reporter
    from sensewell_host.dataset import Dataset
    from sensewell_host.run import Record

    record = Record.load(folder)
    dataset = Dataset.load(Path(record.dataset))
    judged = _show(record, dataset)
    with _bar("drawing"):
        paths = reporter.draw(record, dataset, judged, folder)
    for path in paths:
        out.print(str(path), highlight=False)


@app.command(rich_help_panel=_BOARDS)
def demo(
    board: Annotated[str, typer.Option("--board", "-b", help="virt_c3, virt_m4 or unix.")] = "virt_c3",
    model: Annotated[str, typer.Option("--model", "-m", help="A model's name.")] = "watch",
) -> None:
    """The whole story: recordings, forest, bundle, and decisions on a virtual board for people it has never seen."""
    from sensewell_host.demo import demo as tell

    if not tell(board, model):
        raise typer.Exit(1)


# --- helpers --------------------------------------------------------------------------------------------------------


def _address(port: str | None, board: str | None) -> str:
    if (port is None) == (board is None):
        raise SensewellError("say which board: --port for a real one, --board for a virtual one, not both")
    return port if port is not None else address_of(str(board))


def _convert_through_emlearn(folder: Path, inline: str | None, export: str | None) -> None:
    """The forest in `folder` as emlearn's own forms."""
    from sensewell_host.convert import emlearn_csv
    from sensewell_host.convert import inline as inliner

    if export not in (None, "emlearn-csv"):
        raise SensewellError(f"there is no form {export!r} to export: emlearn-csv is the one")
    if export:
        with _bar("exporting"):
            done = emlearn_csv.export(folder)
        out.print(
            f"{done.path}: {done.bytes:,} bytes; {done.rows:,} rows compared with scikit-learn's hard vote: 0 differ; "
            f"emlearn_trees.new({done.trees}, {done.nodes}, {done.leaves}) and load_model read it"
        )
    if inline is not None:
        with _bar("compiling"):
            made = inliner.export(folder, inline)
        out.print(
            f"{made.path}: {made.bytes:,} bytes for {made.arch}; its nodes compared with scikit-learn's hard vote on "
            f"{made.rows:,} rows: 0 differ; next: mpremote cp {made.path} :/lib/forest.mpy, and there `import forest`"
        )


@contextmanager
def _bar(what: str) -> Iterator[None]:
    with out.status(what):
        yield


def _counts(dataset: Any) -> str:
    rows = sum(len(recording.samples) for recording in dataset.recordings)
    return (
        f"{dataset.name}: {len(dataset.recordings)} recordings of {len(dataset.groups)} groups, {rows:,} samples, "
        f"{rate_text(dataset.rate_hz)}"
    )


def _show(record: Any, dataset: Any) -> Any:
    from sensewell_host import report as reporter
    from sensewell_host.demo import results_table

    judged = reporter.judge(record, dataset)
    out.print(results_table(judged))
    for name, one in judged.items():
        if one.rejected:
            out.print(f"{name}: " + ", ".join(f"{reason} {count:,}" for reason, count in one.rejected.items()))
        if one.forecasts is not None:
            about = record.manifest["model"].get("forecast")
            out.print(
                f"{name}: " + one.forecasts.text(record.manifest["channels"][about["channel"]]["name"])
                if about
                else "the bundle answers with values and does not say of what: there is no truth to hold them against"
            )
    return judged


def main() -> None:
    """Entry point of the `sensewell` command."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, _terminated)
    try:
        app()
    except SensewellError as error:
        _fail(str(error))
    except BrokenPipeError:  # `| head` has read enough
        _say_no_more()
        sys.exit(1)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            _say_no_more()
            _fail(f"there is no room left on the disk for {error.filename or 'what is written'}: make some")
        if error.filename is None:
            raise
        _fail(f"cannot use {error.filename}: {error.strerror}; mind the path, its rights and the room on the disk")
    except KeyboardInterrupt:
        Console(stderr=True).print("stopped")
        sys.exit(130)


def _say_no_more() -> None:
    """What is left in the buffer of stdout must not complain at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _terminated(*_: object) -> None:
    """`kill` or `timeout`: virtual boards started here are stopped on the way out, as after Ctrl-C."""
    sys.exit(143)


def _fail(said: str) -> None:
    from rich.markup import escape

    if _debug:
        traceback.print_exc()
    Console(stderr=True, soft_wrap=True).print(f"[red]{escape(said)}[/]", highlight=False)
    sys.exit(1)


if __name__ == "__main__":
    main()
