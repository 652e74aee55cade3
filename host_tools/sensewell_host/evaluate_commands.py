"""`sensewell evaluate`: whole recordings through the whole pipeline on a board, judged by events. Thin."""

from __future__ import annotations

import json
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from sensewell_host.errors import SensewellError
from sensewell_host.places import built

console = Console(markup=False, emoji=False)


def evaluate(
    model: Annotated[str, typer.Argument(help="A model's name (a folder of models/), or the path of a model.toml.")],
    port: Annotated[str | None, typer.Option("--port", "-p", help="A real board's port: /dev/ttyUSB0, COM3.")] = None,
    board: Annotated[
        str | None, typer.Option("--board", "-b", help="A virtual board that runs, or an address. None: this PC.")
    ] = None,
    train: Annotated[bool, typer.Option("--train", help="The training groups instead of those held out.")] = False,
    linear: Annotated[
        bool, typer.Option("--linear", help="Beside them a linear model of the same features, fitted here.")
    ] = False,
    folder: Annotated[Path | None, typer.Option("--out", "-o", help="Default: build/evaluate/NAME.")] = None,
) -> None:
    """Replay long recordings through the bundle on a board and count what people would: false alarms, missed events,
    delay, chatter, availability. For model and rules, rules alone, and the model alone."""
    from sensewell_host import evaluate as judge
    from sensewell_host import run as runner
    from sensewell_host.board import connect
    from sensewell_host.dataset.calibrated import calibrations
    from sensewell_host.dataset.split import split_by_group
    from sensewell_host.dataset.tape import tapes as joined
    from sensewell_host.demo import bar
    from sensewell_host.deploy_commands import one_address
    from sensewell_host.evaluate_plot import draw
    from sensewell_host.rest import split_recordings
    from sensewell_host.stages import folder_of, recipe_path
    from sensewell_host.train.linear import said_of
    from sensewell_host.train.recipe import Recipe
    from sensewell_host.train.run import load_dataset

    recipe = Recipe.load(recipe_path(model))
    if not recipe.evaluate.alarm:
        raise SensewellError(f'{recipe.path} does not say which labels are alarms: [evaluate] alarm = ["LABEL"]')
    dataset = load_dataset(recipe)
    if recipe.family == "none":
        chosen = dataset.recordings  # nothing was learned, so nothing is held out
    else:
        split = split_by_group(dataset, recipe.train, recipe.test)
        chosen = split.train if train else split.test
    way = runner.Way("plain", calibration=calibrations(dataset) or None)
    if recipe.rest:  # each session begins with a healthy machine: played as on a board that was calibrated then
        chosen, boards = split_recordings(chosen, recipe.channels, recipe.rest)
        by_name = {
            one.name: dict(zip(recipe.channels, board, strict=True)) for one, board in zip(chosen, boards, strict=True)
        }
        way = runner.Way("plain", calibration=by_name)
    tapes = joined(chosen)
    baseline = said_of(recipe, dataset, tapes) if linear else []
    bundle = folder_of(model) / f"{recipe.name}.swb"
    if not bundle.is_file():
        raise SensewellError(f"there is no {bundle}: run `sensewell train`, `convert` and `pack` first")
    with ExitStack() as stack:
        at = stack.enter_context(connect(one_address(port, board))) if port or board else None
        progress = stack.enter_context(bar(console))
        where, content = ("this PC", runner.read_file(bundle)) if at is None else runner.deployed(at, bundle)
        manifest = runner.manifest_of(content, dataset)
        if manifest["name"] != recipe.name:
            raise SensewellError(f"{where} runs {manifest['name']}, not {recipe.name}: deploy {bundle} first")
        task = progress.add_task(f"playing on {where}", total=(1 + (recipe.family != "none")) * len(tapes))
        runs = []
        for safe in ("", "evaluate.rules") if recipe.family != "none" else ("",):
            done = (
                runner.play_on_host(content, tapes, [way], lambda: progress.advance(task), safe)
                if at is None
                else runner.play([at], tapes, [way], lambda: progress.advance(task), safe)
            )
            runs.append(done[way.name])
        if at is not None:
            at.reset()  # back to its own work
    tracks = {
        "model + rules": [judge.published(run) for run in runs[0]],
        "rules alone": [judge.published(run) for run in runs[-1]],
        "model alone": [judge.alone(run) for run in runs[0]],
    }
    if recipe.family == "none":
        tracks = {"rules alone": tracks["rules alone"]}
    if linear:
        tracks["linear alone"] = [judge.windows(*said) for said in baseline]
    labels = manifest["labels"]
    figures = {
        name: judge.judge(tapes, of, labels, recipe.evaluate.alarm, recipe.fallback, recipe.evaluate.grace_s)
        for name, of in tracks.items()
    }
    out = folder or built("evaluate") / recipe.name
    out.mkdir(parents=True, exist_ok=True)
    hours = sum(t.duration_s for t in tapes) / 3600
    report: dict[str, Any] = {"board": where, "groups": sorted({tape.group for tape in tapes}), "hours": hours}
    report["variants"] = {name: one.as_dict() for name, one in figures.items()}
    (out / "evaluate.json").write_text(json.dumps(report, indent=1) + "\n")
    picture = draw(out / "evaluate.png", tapes, tracks, labels, recipe.evaluate.alarm, recipe.name)
    table = Table("", *figures, box=None, header_style="bold")
    for row in judge.rows_of(figures):
        table.add_row(*row)
    console.print(table)
    played = f"{hours:.1f} h" if hours >= 1 else f"{60 * hours:.1f} min"
    console.print(f"{played} on {where}; {out / 'evaluate.json'}, {picture}", highlight=False)
