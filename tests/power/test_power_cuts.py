"""The power is cut at every write and erase of what is done to the slots, on real littlefs and FAT in MicroPython's
unix port: one whole bundle is active afterwards, and the next deploy goes through.

on_unix/ holds what runs there. With SENSEWELL_SOAK=1 every pair of cuts is tried, else some.
"""

from __future__ import annotations

import os
import subprocess
from collections import Counter
from pathlib import Path

import pytest
from sensewell_host.board import catalog, virtual

ON_UNIX = Path(__file__).with_name("on_unix")
DEVICE = Path(__file__).parents[2] / "device"
SOAK = bool(os.environ.get("SENSEWELL_SOAK"))

KINDS = ("lfs", "fat")
CUTS = ("clean", "scrap", "torn", "noise", "late", "gaps", "lost")
CASES = [(kind, cut) for kind in KINDS for cut in CUTS if (kind, cut) != ("fat", "noise")]
SHORT = ("switch", "start", "last_start", "confirm", "give_up", "roll_back", "pin", "adopt", "floor")
LONG = ("first", "second", "install", "update", "over_probation", "over_first_probation")
# see scenarios.FAT_IN_ORDER
FAT_IN_ORDER = ("first", "adopt")

pytestmark = pytest.mark.skipif(not virtual.is_built("unix"), reason="the unix board is not built: make board-unix")


def on_unix(script: str, *words: str, image: Path | None = None) -> list[str]:
    """What a script of on_unix says: the words of its DONE line. Fails with all it said if one of these is FAIL."""
    path = f"{DEVICE}:{ON_UNIX}:{DEVICE.parent / 'tests' / 'device'}"
    program = str(catalog.load("unix").firmware)
    done = subprocess.run(
        [program, "-X", "heapsize=32m", str(ON_UNIX / script), *words],
        capture_output=True,
        text=True,
        timeout=3600,
        env={**os.environ, "MICROPYPATH": path},
    )
    said = done.stdout.splitlines()
    assert done.returncode == 0 and said and said[-1].startswith("DONE "), done.stdout[-2000:] + done.stderr[-2000:]
    assert not [line for line in said if line.startswith("FAIL")], done.stdout[-4000:]
    return said[-1].split(" ", 1)[1].replace("(", "").replace(")", "").replace(",", "").split()


def scenarios(kind: str, cut: str, names: tuple[str, ...]) -> str:
    left_out = FAT_IN_ORDER if kind == "fat" and cut in ("late", "gaps") else ()
    return ",".join(name for name in names if name not in left_out)


@pytest.mark.parametrize(("kind", "cut"), CASES)
def test_a_cut_at_every_write_and_erase(kind: str, cut: str, tally: Counter[str]) -> None:
    names = scenarios(kind, cut, LONG + SHORT)
    points, cases, failures, wrong = map(int, on_unix("cuts.py", kind, cut, names, "single", "1"))
    assert failures == 0 and points == cases > 100
    assert cut in ("late", "gaps") or wrong == 0, "a flash chip was programmed over"
    tally["power cuts, single"] += cases


@pytest.mark.parametrize(("kind", "cut"), CASES)
def test_a_second_cut_while_the_board_recovers_from_the_first(kind: str, cut: str, tally: Counter[str]) -> None:
    names = SHORT + LONG if SOAK else SHORT
    words = on_unix("cuts.py", kind, cut, scenarios(kind, cut, names), "pairs", "1" if SOAK else "3")
    assert int(words[2]) == 0 and int(words[1]) > 100
    tally["power cuts, pairs"] += int(words[1])


@pytest.mark.parametrize(("kind", "cut"), CASES)
def test_a_cut_while_a_trust_root_is_stored(kind: str, cut: str, tally: Counter[str]) -> None:
    """The old one or the new one counts afterwards, and the next deploy brings the new one."""
    folder_is_made = not (kind == "fat" and cut in ("late", "gaps"))  # see scenarios.FAT_IN_ORDER
    (points,) = map(int, on_unix("rotation.py", kind, cut, "0" if folder_is_made else "1"))
    assert points > 12
    tally["power cuts, single"] += points


@pytest.mark.parametrize("kind", KINDS)
def test_the_board_that_comes_up_is_another_process(kind: str, tmp_path: Path, tally: Counter[str]) -> None:
    """As above, but nothing at all is left of the run before, and the next one knows no version but what it finds."""
    points = 0
    while True:
        image = tmp_path / "image"
        points += 1 if SOAK else 5
        said = on_unix("apart.py", kind, str(image), "cut", str(points))
        up = on_unix("apart.py", kind, str(image), "up", "0")
        assert up[0] in ("2", "3") and up[1] == "False", (points, up)  # B or C, not in safe mode
        if said[0] == "whole":
            assert up[0] == "3"
            break
        tally["power cuts, other process"] += 1
    assert points > 15


@pytest.mark.parametrize("kind", KINDS)
def test_writes_that_fail_are_survived_and_named(kind: str, tally: Counter[str]) -> None:
    tally["writes that fail"] += int(on_unix("faults.py", kind, "eio", "1")[0])


@pytest.mark.parametrize("kind", KINDS)
def test_reads_that_fail_let_no_broken_bundle_run(kind: str, tally: Counter[str]) -> None:
    cases, others, nothing, _ = map(int, on_unix("faults.py", kind, "read_eio", "1" if SOAK else "9"))
    tally["reads that fail"] += cases
    assert others + nothing <= cases * 5 // 100


@pytest.mark.parametrize("kind", KINDS)
def test_a_full_flash_stops_nothing_but_installations(kind: str, tally: Counter[str]) -> None:
    tally["cuts and steps on a full flash"] += int(on_unix("faults.py", kind, "full", "1")[0])


@pytest.mark.parametrize("kind", KINDS)
def test_a_bit_flipped_in_journal_or_bundle_is_found_and_the_sound_bundle_runs(kind: str, tally: Counter[str]) -> None:
    tally["flipped bits, journal and bundles"] += int(on_unix("faults.py", kind, "flips", "1" if SOAK else "3")[0])


@pytest.mark.parametrize("kind", KINDS)
def test_a_bit_flipped_anywhere_lets_no_broken_bundle_run(kind: str, tally: Counter[str]) -> None:
    words = on_unix("faults.py", kind, "flips_anywhere", "1" if SOAK else "7")
    cases, _, nothing, lost, _ = map(int, words)
    tally["flipped bits, anywhere"] += cases
    tally["flipped bits, anywhere: the file system itself lost files or could not be mounted"] += nothing + lost
    assert nothing + lost < cases // 10


@pytest.mark.parametrize("kind", KINDS)
def test_cuts_cost_no_space_on_littlefs_and_at_most_a_bundle_on_fat(kind: str) -> None:
    _, worst, _ = map(int, on_unix("faults.py", kind, "leaks", "1"))
    assert worst <= (0 if kind == "lfs" else 5120)
