"""`make bench`: what the watch bundle costs on virt_c3, in instructions, RAM and flash -> build/bench/report.json.

Counted under an instruction clock, so the figures are the same in every run; nothing here is a test.
"""

from __future__ import annotations

import json
from pathlib import Path

from rich.console import Console
from sensewell_host import deploy, run, runtime, stages
from sensewell_host.demo import plain_table, started_board
from sensewell_host.train.recipe import Recipe
from sensewell_host.train.run import load_dataset

OUT = Path(__file__).parents[2] / "build" / "bench"
BOARD = "virt_c3"
SAMPLES = 3000
BUDGET = {
    "instructions a sample": 10_000,
    "instructions a window": 2_000_000,
    "heap bytes moved": 0,
    "RAM of a node": 49_152,
}


def main() -> None:
    built = stages.build("watch")
    dataset = load_dataset(Recipe.load(stages.recipe_path("watch")))
    recording = max(dataset.recordings, key=lambda one: len(one.samples))
    with started_board(BOARD, icount=True) as board:
        deploy.deploy(board, built.bundle)
        cost = run.measure(board, recording, SAMPLES)
        ram = run.ram_of_node(board)
    arch = runtime.files("rv32imc", runtime.modules_for(extra=()))
    figures = {
        "instructions a sample": round(cost.instructions_per_sample),
        "instructions a sample, dearest": cost.instructions_per_sample_max,
        "instructions a window": round(cost.instructions_per_window),
        "instructions a window, dearest": cost.instructions_per_window_max,
        "heap bytes moved": cost.heap_bytes,
        "RAM of a node": ram,
        "flash of the runtime": sum(map(len, arch.values())),
        "flash of the bundle": built.bundle.stat().st_size,
    }
    OUT.mkdir(parents=True, exist_ok=True)
    (OUT / "report.json").write_text(json.dumps({"board": BOARD, "samples": SAMPLES, **figures}, indent=1) + "\n")
    table = plain_table(f"watch on {BOARD}", "measured", "budget")
    for what, figure in figures.items():
        table.add_row(what, f"{figure:,}", f"{BUDGET[what]:,}" if what in BUDGET else "")
    Console().print(table)


if __name__ == "__main__":
    main()
