"""What the kit does where the firmware has ulab and no native code: shared memory, spectrum, equal decisions."""

from __future__ import annotations

from array import array
from collections.abc import Callable
from pathlib import Path

import pytest
import tiny_bundle
from lcg import Lcg
from sensewell.player import Player

ROWS = 400


@pytest.mark.parametrize("module", ["on_node_buffers", "on_node_spectrum", "on_node_networks"])
def test_beside_ulab(run_file: Callable[..., str], module: str) -> None:
    run_file(module)


def test_ulab_is_what_was_asked_for(node: Callable[[str], str]) -> None:
    said = node("import sys, ulab\nprint(sys.implementation[0], ulab.__version__, sys.implementation._mpy >> 10)")
    name, version, arch = said.split()
    assert name == "micropython" and version.startswith("6."), said
    assert arch == "0", "this firmware has native code after all: nothing of this is tested"


def test_a_recording_is_decided_as_on_the_host(node: Callable[[str], str], tmp_path: Path) -> None:
    program = f"""
import tiny_bundle
from array import array
from lcg import Lcg
from sensewell.player import Player
with open("/tiny.swb", "wb") as file:
    file.write(tiny_bundle.build(n_channels=3, n_features=7, n_classes=3, trees=9, depth=5))
random = Lcg(8)
Player("/tiny.swb").play(bytes(array("h", [random.next(5000) - 2500 for _ in range({3 * ROWS})])), {FAULTS!r})
"""
    path = tmp_path / "tiny.swb"
    path.write_bytes(tiny_bundle.build(n_channels=3, n_features=7, n_classes=3, trees=9, depth=5))
    random = Lcg(8)
    said: list[str] = []
    rows = array("h", [random.next(5000) - 2500 for _ in range(3 * ROWS)])
    Player(str(path), say=said.append).play(bytes(rows), FAULTS)
    assert len([line for line in said if line.startswith("D ")]) > 30
    assert said[-1].startswith("E ")
    assert node(program).splitlines() == said


FAULTS = [("spike", 0, 50, 3, 30000), ("missing", 1, 120, 6, 0), ("stuck", 2, 200, 40, 0), ("gap", -1, 300, 9, 0)]
