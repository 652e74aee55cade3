"""Counts what the tests of power cuts have tried, and says it at the end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pytest

TALLY: Counter[str] = Counter()


@pytest.fixture
def tally() -> Iterator[Counter[str]]:
    yield TALLY


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for what, number in sorted(TALLY.items()):
        terminalreporter.write_line(f"{what}: {number:,}")
