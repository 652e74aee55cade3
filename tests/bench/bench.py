"""`make bench`: what Sensewell costs, beside emlearn and plain Python -> a table and build/bench/report.json.

Instructions are counted under an instruction clock, on virt_c3 where nothing else is said: the same in every run. What
was timed on the unix board is given as ratios only. Nothing here is a test.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import emlearn_walker
import networks
import numpy as np
import pytest
import sensors
from rich.console import Console
from sensewell_host import deploy, run, runtime, stages
from sensewell_host.convert.linear import convert_linear
from sensewell_host.demo import plain_table, started_board
from sensewell_host.profile import meter
from sensewell_host.train import logistic
from sensewell_host.train.recipe import Recipe
from sensewell_host.train.run import load_dataset
from sklearn.datasets import load_digits

OUT = Path(__file__).parents[2] / "build" / "bench"
BOARD = "virt_c3"
SAMPLES = 3000
ENGINES = ("native", "viper")
BUDGET = {  # of DESIGN.md, for native and viper
    "instructions a sample": (2_500, 10_000),
    "instructions a window": (150_000, 2_000_000),
    "heap bytes moved": (0, 0),
    "RAM of a node": (40 * 1024, 48 * 1024),
}


def node(engine: str, built: stages.Built, recording: Any) -> dict[str, int]:
    """The whole way from sample to decision with the watch bundle."""
    with pytest.MonkeyPatch.context() as patch:
        if engine == "viper":
            patch.setattr(runtime, "native_modules", lambda arch: {})
        with started_board(BOARD, icount=True) as board:
            deploy.deploy(board, built.bundle, unsigned=True)
            cost = run.measure(board, recording, SAMPLES)
            ram = run.ram_of_node(board)
        files, _ = runtime.files_for("rv32imc")
    return {
        "instructions a sample": round(cost.instructions_per_sample),
        "instructions a sample, dearest": cost.instructions_per_sample_max,
        "instructions a window": round(cost.instructions_per_window),
        "instructions a window, dearest": cost.instructions_per_window_max,
        "heap bytes moved": cost.heap_bytes,
        "RAM of a node": ram,
        "flash of the runtime": sum(map(len, files.values())),
        "flash of the bundle": built.bundle.stat().st_size,
    }


def features(recipe: Recipe, recording: Any) -> dict[str, int]:
    """Instructions for the features of a window, by engine."""
    names = recipe.features
    rows = recording.samples[1000 : 1000 + recipe.window["length"]]
    found = {"features a window": len(names)}
    for engine in ENGINES:
        with meter(native=engine == "native") as counter:
            found[engine] = counter.window(recipe.feature_specs(names), recipe.derived_specs(), rows)
    return found


def linear() -> dict[str, Any]:
    """Logistic regression on the digits that the forests learn: instructions a prediction, bytes, how often right."""
    learned, unseen = emlearn_walker.digits()
    x, y = load_digits(return_X_y=True)
    n = len(x) - len(unseen)
    model = logistic.fitted(x[:n].astype(np.int16), y[:n])
    made = convert_linear(model, x.astype(np.int16))
    with meter() as counter:
        cost = counter.predict(made.blob, made.n_classes, unseen[:50])
    right = {"accuracy": model, "accuracy of the forest": learned}
    return {
        "instructions a prediction": cost,
        "bytes": made.bytes,
        **{name: round(float(one.score(unseen, y[n:])), 3) for name, one in right.items()},
    }


def main() -> None:
    console = Console()
    built = stages.build("watch")
    recipe = Recipe.load(stages.recipe_path("watch"))
    dataset = load_dataset(recipe)
    recording = max(dataset.recordings, key=lambda one: len(one.samples))
    report = {
        "board": BOARD,
        "node": {engine: node(engine, built, recording) for engine in ENGINES},
        "features": features(recipe, recording),
        "digits": emlearn_walker.measure(BOARD),
        "digits_linear": linear(),
        "networks": networks.report(),
        "sensors": sensors.measure(),
    }
    tries = [emlearn_walker.measure("unix")["predict"] for _ in range(5)]
    on_unix = {name: min(one[name] for one in tries) for name in tries[0]}  # ns; the least is least disturbed
    report["digits_unix_ratio_to_native"] = {
        name: round(took / on_unix["native"], 2) for name, took in on_unix.items() if name != "call"
    }
    OUT.mkdir(parents=True, exist_ok=True)
    (OUT / "report.json").write_text(json.dumps(report, indent=1) + "\n")
    show(console, report)
    console.print(f"written to {(OUT / 'report.json').relative_to(OUT.parents[1])}")


def show(console: Console, report: dict[str, Any]) -> None:
    """The report as tables."""
    table = plain_table(f"watch on {BOARD}", *(text for engine in ENGINES for text in (engine, "budget")))
    for what in report["node"]["native"]:
        row = []
        for place, engine in enumerate(ENGINES):
            row += [f"{report['node'][engine][what]:,}", f"{BUDGET[what][place]:,}" if what in BUDGET else ""]
        table.add_row(what, *row)
    costs = report["features"]
    label = f"instructions for {costs['features a window']} features"
    table.add_row(label, f"{costs['native']:,}", "130,000", f"{costs['viper']:,}", "")
    console.print(table)

    digits = report["digits"]
    ratios = report["digits_unix_ratio_to_native"]
    table = plain_table("digits, 10 trees x 100 leaves", "instructions", "of native", "unix: of native")
    call = digits["predict"]["call"]
    native = digits["predict"]["native"]
    for name, count in digits["predict"].items():
        if name != "call":
            ratio = ratios.get(name)
            table.add_row(name, f"{count:,}", f"{count / native:.2f}", f"{ratio:.2f}" if ratio else "")
    table.add_row("of each: the call itself", f"{call:,}", "", "")
    console.print(table)
    table = plain_table("the same forest", "instructions to load", "heap bytes", "bytes")
    for name, count in digits["load"].items():
        table.add_row(name, f"{count:,}", f"{digits['heap_bytes'][name]:,}", "")
    for name, size in digits["bytes"].items():
        table.add_row(name, "", "", f"{size:,}")
    console.print(table)
    table = plain_table("the same digits, linear (logistic regression)", "")
    for name, count in report["digits_linear"].items():
        table.add_row(name, f"{count:,}")
    console.print(table)
    networks.show(console, report["networks"])
    sensors.show(console, report["sensors"])


if __name__ == "__main__":
    main()
