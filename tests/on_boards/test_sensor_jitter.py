"""A node at 100 Hz with a driver on a simulated IMU of 6 channels, on virt_c3 under an instruction clock, where time is
the board's own: samples are read when they are due, and what is lost is counted exactly."""

from __future__ import annotations

import runpy
from collections.abc import Iterator
from pathlib import Path

import pytest
from sensewell_host.board import Board, virtual

BENCH = runpy.run_path(str(Path(__file__).parents[1] / "bench" / "sensors.py"))


@pytest.fixture(scope="module")
def board() -> Iterator[Board]:
    if not virtual.is_built("virt_c3"):
        pytest.skip("virt_c3 is not built: make board-virt_c3")
    with BENCH["board"](icount=True) as wire:
        yield wire


def test_999_of_1000_samples_are_read_within_a_millisecond(board: Board) -> None:
    samples, lost, by_grid, worst, late = BENCH["jitter"](board, 1000, 0)
    print(f"at most {worst} us late: {late}")
    assert samples == 1000 and lost == by_grid == 0
    assert late[-1] <= 1


def test_samples_lost_to_a_slow_output_are_counted_exactly(board: Board) -> None:
    samples, lost, by_grid, _, _ = BENCH["jitter"](board, 300, 4)
    assert samples == 300 and lost == by_grid > 5
