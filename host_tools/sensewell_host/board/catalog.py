"""The boards Sensewell knows: reads boards/NAME/board.toml.

Facts only: architecture, memory, clock, pins, currents. How to start or reach a board is known elsewhere.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import tomllib

from sensewell_host.board.errors import BoardError

ROOT = Path(__file__).resolve().parents[3]
BOARDS = ROOT / "boards"
BUILD = ROOT / "build" / "boards"


@dataclass(frozen=True)
class Qemu:
    """How QEMU becomes this board; the fields are those of the [qemu] table."""

    program: str
    arguments: tuple[str, ...]
    cpu: tuple[str, ...]
    """CPU models of which the first this QEMU knows is taken; none where the machine has its own."""
    ram_bytes: int
    flash_offset: int
    keep_offset: int
    icount_shift: int


@dataclass(frozen=True)
class BoardSpec:
    """One board as its board.toml describes it. Sizes in bytes, currents in mA; 0 where a size has no fixed limit."""

    name: str
    title: str
    kind: str
    """real, qemu or unix"""
    arch: str
    """The architecture of its native code, as mpy-cross -march wants it."""
    clock_hz: int
    heap_bytes: int
    stack_bytes: int
    flash_bytes: int
    machine: str = ""
    """What sys.implementation._machine contains on this board and on no other."""
    pins: Mapping[str, int] = field(default_factory=dict)
    """Default pins, by role: i2c_scl, i2c_sda."""
    current_ma: Mapping[str, float] = field(default_factory=dict)
    """active, light_sleep, deep_sleep"""
    current_source: str = ""
    qemu: Qemu | None = None

    @property
    def firmware(self) -> Path:
        """Where `make boards` puts what runs on a virtual board."""
        return BUILD / self.name / ("micropython" if self.kind == "unix" else "firmware.elf")


def names() -> list[str]:
    """The names of all boards, virtual ones first."""
    return sorted((path.parent.name for path in BOARDS.glob("*/board.toml")), key=lambda n: (load(n).kind == "real", n))


@cache
def load(name: str) -> BoardSpec:
    """The facts about one board; BoardError for a name that is none."""
    path = BOARDS / name / "board.toml"
    if "/" in name or not path.is_file():
        known = ", ".join(sorted(path.parent.name for path in BOARDS.glob("*/board.toml")))
        raise BoardError(f"there is no board called {name!r}; there are {known}")
    with path.open("rb") as file:
        table: dict[str, Any] = tomllib.load(file)
    try:
        memory, current = table["memory"], dict(table["current_ma"])
        qemu = table.get("qemu")
        return BoardSpec(
            name=name,
            title=table["title"],
            kind=table["kind"],
            arch=table["arch"],
            clock_hz=table["clock_hz"],
            heap_bytes=memory["heap_bytes"],
            stack_bytes=memory["stack_bytes"],
            flash_bytes=memory["flash_bytes"],
            machine=table.get("machine", name),
            pins=table.get("pins", {}),
            current_source=current.pop("source"),
            current_ma=current,
            qemu=Qemu(**{**qemu, "arguments": tuple(qemu["arguments"]), "cpu": tuple(qemu["cpu"])}) if qemu else None,
        )
    except KeyError as error:
        raise BoardError(f"{path.relative_to(ROOT)} lacks the entry {error}") from None


def identify(machine: str) -> str:
    """The name of the board whose firmware calls itself `machine`; that string itself where none is known."""
    for spec in map(load, names()):
        # whole words: "with ESP32" is not in "with ESP32S3"
        if re.search(rf"\b{re.escape(spec.machine)}\b", machine):
            return spec.name
    return machine
