"""What sensors cost on virt_c3: instructions a read(), RAM a driver, and how late samples at 100 Hz are read.

Under an instruction clock all of it repeats; without one the jitter is the host's as well. `make bench` runs the
first; .venv/bin/python tests/bench/sensors.py runs both, and longer. Nothing here is a test.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from sensewell_host import runtime
from sensewell_host.board import Board, catalog, connect, virtual
from sensewell_host.demo import plain_table

BOARD = "virt_c3"
TESTS = Path(__file__).parents[1]
ON_BOARD = [Path(__file__).with_name("sensor_on_board.py")]
ON_BOARD += [TESTS / "device" / f"{name}.py" for name in ("parts", "tiny_bundle", "lcg")]
SAMPLES = 500
LONG = 3000
FILES = {"mpu6886": "mpu6050"}  # where a driver's file is called otherwise

_RAM = """
import gc
def deep(n):
    return n and deep(n - 1)
def used():
    deep(9)
    gc.collect()
    return gc.mem_alloc()
import sensewell.sensor
before = used()
for name in {modules!r}:
    __import__("sensewell." + name)
    now = used()
    print("M", name, now - before)
    before = now
"""


@contextmanager
def board(icount: bool) -> Iterator[Board]:
    """A virtual board with the runtime, the simulated parts and what is measured."""
    arch = catalog.load(BOARD).arch
    with virtual.session(BOARD, icount=icount) as running, connect(running.address) as wire:
        modules = [*runtime.all_modules(), *runtime.simulated_parts()]
        for target, content in runtime.files(arch, modules).items():
            wire.mkdirs(target.rpartition("/")[0])
            wire.put(target, content)
        for path in ON_BOARD:
            wire.put(f"/lib/{path.stem}.mpy", runtime.compile_file(path, arch))
        yield wire


def jitter(wire: Board, samples: int, stalls: int) -> tuple[int, int, int, int, list[int]]:
    """(samples, lost as the node counts, lost as the grid shows, greatest lateness in us, samples by lateness)."""
    wire.soft_reset()
    code = f"from sensor_on_board import jitter\njitter({samples}, {stalls})"
    said = wire.exec(code, timeout_s=samples // 10 + 120).split()
    words = [int(word) for word in said[said.index("J") + 1 :]]
    return words[0], words[1], words[2], words[3], words[4:]


def measure(samples: int = SAMPLES) -> dict[str, Any]:
    """{"instructions a read", "RAM", "jitter"}, under an instruction clock."""
    with board(icount=True) as wire:
        said = wire.exec("from sensor_on_board import costs\ncosts()", timeout_s=60).split()
        reads = dict(zip(said[1::3], map(int, said[2::3]), strict=True))
        wire.soft_reset()
        modules = wire.eval("__import__('sensor_on_board').MODULES")
        wire.soft_reset()
        said = wire.exec(_RAM.format(modules=modules), timeout_s=60).split()
        ram = dict(zip(said[1::3], map(int, said[2::3]), strict=True))
        late = [_row(stalls, *jitter(wire, samples, stalls)) for stalls in (0, 9)]
    return {"instructions a read": reads, "RAM": ram, "jitter": late}


def _row(stalls: int, samples: int, lost: int, by_grid: int, worst: int, late: list[int]) -> dict[str, Any]:
    return {
        "samples": samples, "stalls": stalls, "lost": lost, "lost by the grid": by_grid, "latest us": worst,
        "within 1 ms pct": round(100 * sum(late[:-1]) / samples, 2),
    }  # fmt: skip


def show(console: Console, made: dict[str, Any]) -> None:
    """The report as tables."""
    table = plain_table(f"drivers on {BOARD}", "instructions a read", "RAM of the module")
    for name, count in made["instructions a read"].items():
        ram = made["RAM"].get("sensor." + FILES.get(name, name))
        table.add_row(name, f"{count:,}", f"{ram:,}" if ram else "")
    console.print(table)
    table = plain_table(f"a node at 100 Hz on {BOARD}", "samples", "within 1 ms", "latest", "lost", "lost by the grid")
    for row in made["jitter"]:
        table.add_row(
            f"an output that stalls {row['stalls']} times", f"{row['samples']:,}", f"{row['within 1 ms pct']:.2f} %",
            f"{row['latest us']:,} us", str(row["lost"]), str(row["lost by the grid"]),
        )  # fmt: skip
    console.print(table)


def main() -> None:
    show(Console(), measure(LONG))
    with board(icount=False) as wire:
        print("without an instruction clock, where this PC's load shows too:", _row(0, *jitter(wire, SAMPLES, 0)))


if __name__ == "__main__":
    main()
