"""What sensors cost on virt_c3: instructions a read(), RAM a driver, and how late samples at 100 Hz are read.

Under an instruction clock all of it repeats; without one the jitter is the host's as well. Run it by itself:
.venv/bin/python tests/bench/sensors.py. Nothing here is a test.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sensewell_host import runtime
from sensewell_host.board import Board, catalog, connect, virtual

BOARD = "virt_c3"
TESTS = Path(__file__).parents[1]
ON_BOARD = [Path(__file__).with_name("sensor_on_board.py")]
ON_BOARD += [TESTS / "device" / f"{name}.py" for name in ("parts", "tiny_bundle", "lcg")]
SAMPLES = 3000

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


def main() -> None:
    for icount in (True, False):
        with board(icount) as wire:
            print("with an instruction clock" if icount else "without")
            if icount:
                from_board = wire.exec("from sensor_on_board import costs\ncosts()", timeout_s=60)
                print(from_board)
                wire.soft_reset()
                modules = wire.eval("__import__('sensor_on_board').MODULES")
                wire.soft_reset()
                print(wire.exec(_RAM.format(modules=modules), timeout_s=60))
            for stalls in (0, 9):
                samples, lost, grid, worst, late = jitter(wire, SAMPLES, stalls)
                within = 100 * sum(late[:-1]) / samples
                print(f"{samples} samples, {stalls} stalls: {within:.2f} % within 1 ms, at most {worst} us late")
                print(f"lost {lost}, by the grid {grid}; below 50, 100, 200, 500, 1000 us, above: {late}")


if __name__ == "__main__":
    main()
