"""Draws what was true and what stood, tape by tape, for each variant of a system. Judges nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from sensewell_host.dataset.tape import Tape
from sensewell_host.evaluate import RULE, Track
from sensewell_host.report import GRID, INK, SOFT, spans

EVENT, ALARM, FALLBACK = "#E69F00", "#D55E00", "#56B4E9"
_MOST = 12  # tapes in one picture: the longest


def draw(
    path: Path,
    tapes: Sequence[Tape],
    tracks: Mapping[str, Sequence[Track]],
    labels: Sequence[str],
    alarm: Sequence[str],
    title: str,
) -> Path:
    """A row a tape: events above, below them the alarms of each variant, and where rules stood in. Returns `path`."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    numbers = [labels.index(name) for name in alarm if name in labels]
    shown = sorted(sorted(range(len(tapes)), key=lambda k: -len(tapes[k].samples))[:_MOST])
    figure, axes = plt.subplots(
        len(shown), 1, figsize=(9, 0.5 + (0.35 + 0.22 * len(tracks)) * len(shown)), squeeze=False, layout="constrained"
    )
    for axis, k in zip(axes[:, 0], shown, strict=True):
        tape = tapes[k]
        unit_s, unit = (3600.0, "h") if tape.duration_s > 7200 else (1.0, "s")
        scale = 1 / (tape.rate_hz * unit_s)

        def bars(found: Sequence[tuple[int, int]], y: int, colour: str, axis=axis, scale=scale) -> None:  # type: ignore[no-untyped-def]
            axis.broken_barh([(a * scale, (b - a) * scale) for a, b in found], (y + 0.1, 0.8), color=colour, lw=0)

        names = ["events", *tracks]
        bars(tape.spans(alarm), len(names) - 1, EVENT)
        for row, of in enumerate(tracks.values()):
            said, source = of[k].by_row(len(tape.samples))
            bars(spans(source == RULE), len(names) - 2 - row, FALLBACK + "55")
            bars(spans(np.isin(said, numbers)), len(names) - 2 - row, ALARM)
        axis.set_yticks(np.arange(len(names)) + 0.5, names[::-1], fontsize=7, color=INK)
        axis.set_xlim(0, len(tape.samples) * scale)
        axis.set_ylim(0, len(names))  # rows without a bar, too
        axis.set_title(f"{tape.group}: {tape.name} ({unit})", fontsize=7, color=SOFT, loc="left", pad=2)
        axis.tick_params(labelsize=7, length=0)
        axis.grid(axis="x", color=GRID)
        for spine in axis.spines.values():
            spine.set_visible(False)
    figure.suptitle(f"{title}: events (yellow), alarms (red), rules standing in (blue)", fontsize=9, color=INK)
    figure.savefig(path, dpi=110)
    plt.close(figure)
    return path
