"""Turns decisions into figures and pictures: scores, recalls, plots, report.json. Talks to no board and trains nothing.

All plots use the Okabe-Ito colours, which people with any colour vision can tell apart, on white.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sensewell_host.dataset import Dataset, faults, rate
from sensewell_host.dataset.faults import Fault
from sensewell_host.dataset.recording import MISSING, natural, safe_name
from sensewell_host.device_path import use_device_path
from sensewell_host.errors import SensewellError
from sensewell_host.forecast import Forecasts, came, classes, forecasts, is_value
from sensewell_host.run import Record, Replayed, Way

INK, SOFT, GRID = "#222222", "#6b6b6b", "#e4e4e4"
SOURCE_COLOURS = {"model": "#0072B2", "hold": "#56B4E9", "rule": "#E69F00", "interlock": "#D55E00"}
MOST_BLOCKS = 200  # decisions that a timeline draws one by one; of more, equal neighbours are one block
SOURCES = tuple(SOURCE_COLOURS)  # in the order of the ids that boards send
REASON_COLOURS = {
    "missing": "#D55E00",
    "range": "#CC79A7",
    "saturated": "#E69F00",
    "stuck": "#0072B2",
    "spike": "#009E73",
    "rate": "#56B4E9",
    "stale": "#B8A800",
    "disagree": "#222222",
    "gap": "#7A5195",
}


# --- scores ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Scores:
    """How right predictions are; `confusion[true, predicted]` has a last column for "none of the classes"."""

    accuracy: float
    macro_f1: float
    recall: NDArray[np.float64]
    confusion: NDArray[np.int64]

    @property
    def n(self) -> int:
        return int(self.confusion.sum())


def scores(truth: NDArray[Any], predicted: NDArray[Any], n_classes: int) -> Scores:
    """Scores over `n_classes`; any other prediction (unknown, a rule's label, -1) is wrong but of no class."""
    confusion = np.zeros((n_classes, n_classes + 1), np.int64)
    known = (predicted >= 0) & (predicted < n_classes)
    np.add.at(confusion, (truth.astype(int), np.where(known, predicted, n_classes).astype(int)), 1)
    hit = np.diag(confusion).astype(float)
    support, claimed = confusion.sum(1), confusion.sum(0)[:n_classes]
    present = support > 0
    f1 = np.divide(2 * hit, support + claimed, out=np.zeros(n_classes), where=(support + claimed) > 0)
    recall = np.divide(hit, support, out=np.zeros(n_classes), where=present)
    total = int(support.sum())
    return Scores(
        accuracy=float(hit.sum() / total) if total else 0.0,
        macro_f1=float(f1[present].mean()) if present.any() else 0.0,
        recall=recall,
        confusion=confusion,
    )


def spans(mask: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """[start, end) of every run of True."""
    edges = np.flatnonzero(np.diff(np.concatenate(([0], mask.astype(np.int8), [0]))))
    return [(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True)]


# --- what was injected, and what became of it -----------------------------------------------------------------------

REASONS = tuple(REASON_COLOURS)  # of the guard, in the order of the bits of a verdict


def scored(run: Replayed, n_rows: int, planted: Sequence[Fault]) -> faults.Score:
    """How the guard found the faults that were in this run, and which clean samples it refused."""
    return faults.score(planted, n_rows, run.verdicts())


def hidden_windows(run: Replayed, n_rows: int, planted: Sequence[Fault], length: int, limit_pct: int) -> int:
    """Windows published as `model` although, by what was injected, fewer than `limit_pct` of their rows are good."""
    bad = np.concatenate(([0], np.cumsum(faults.truth(planted, n_rows) != 0)))
    rows = faults.rows_read(planted, n_rows)
    decisions = run.decisions[(run.decisions["window"] == 1) & (run.decisions["source"] == SOURCES.index("model"))]
    last = rows[decisions["sample"]]
    first = np.maximum(last - length + 1, 0)
    good = length - (bad[last + 1] - bad[first])
    return int(np.count_nonzero(good * 100 < limit_pct * length))


def rejected_by_reason(runs: Iterable[Replayed]) -> dict[str, int]:
    """Samples that carry each reason, over all runs; reasons that did not occur are left out."""
    verdicts = np.concatenate([run.verdicts() for run in runs])
    counts = {name: int(np.count_nonzero(verdicts & (1 << bit))) for bit, name in enumerate(REASONS)}
    return {name: count for name, count in counts.items() if count}


def by_source(runs: Iterable[Replayed]) -> dict[str, int]:
    """How many decisions each source gave."""
    counts = np.bincount(np.concatenate([run.decisions["source"] for run in runs]), minlength=len(SOURCES))
    return dict(zip(SOURCES, counts.tolist(), strict=True))


def model_windows(
    runs: Sequence[Replayed], truth: Sequence[NDArray[np.int64]]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(true class, the model's own class) of every window that the model was asked about. truth: of each run, an entry
    a decision, -1 where nobody knows: these are left out."""
    return _known(runs, truth, "best", [run.decisions["best"] >= 0 for run in runs])


def published(
    runs: Sequence[Replayed], truth: Sequence[NDArray[np.int64]]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(true class, published label) of every decision on a full window, whoever made it; truth as above."""
    return _known(runs, truth, "label", [run.decisions["window"] == 1 for run in runs])


def _known(
    runs: Sequence[Replayed], truth: Sequence[NDArray[np.int64]], field: str, of: Sequence[NDArray[np.bool_]]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    kept = [some & (true >= 0) for some, true in zip(of, truth, strict=True)]
    said = [run.decisions[field][some].astype(np.int64) for run, some in zip(runs, kept, strict=True)]
    return np.concatenate([true[some] for true, some in zip(truth, kept, strict=True)]), np.concatenate(said)


# --- a whole run -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Judged:
    """One way of playing, judged: the model alone on single windows, and what was published after the arbiter."""

    model: Scores
    published: Scores
    sources: dict[str, int]
    rejected: dict[str, int]
    samples: int
    refused: int  # samples with any reason but "gap"
    faults: faults.Score | None
    hidden: int  # windows published as `model` although too many of their rows were spoiled
    poor: int  # windows published as `model` below the quality limit: must not exist
    forecasts: Forecasts | None = None  # of a bundle that answers with a value; classes are then those it comes to

    def shares(self) -> dict[str, float]:
        """Part of all decisions by source."""
        total = max(sum(self.sources.values()), 1)
        return {name: n / total for name, n in self.sources.items()}


def rows_of(run: Replayed, n_rows: int, planted: Sequence[Fault]) -> NDArray[np.int64]:
    """The recording's row behind each decision."""
    rows = faults.rows_read(planted, n_rows)
    return rows[run.decisions["sample"].astype(np.int64)]


def truth_of(record: Record, dataset: Dataset, way: Way) -> list[NDArray[np.int64]]:
    """For each recording the true class at every decision: by its label, or by what a forecast was about; -1: nobody
    knows. SensewellError where a label is none of the bundle's."""
    labels = classes_of(record.manifest)
    found = []
    for name, run in zip(record.recordings, record.played[way.name], strict=True):
        recording = dataset.recording(name)
        true = np.full(len(run.decisions), -1, np.int64)
        if is_value(record.manifest):
            rows = rows_of(run, len(recording.samples), (way.faults or {}).get(name, ()))
            counts = came(record.manifest, recording.samples, rows)
            true = true if counts is None else classes(record.manifest, counts)
        elif recording.label in labels:
            true[:] = labels.index(recording.label)
        else:
            known = ", ".join(labels)
            raise SensewellError(
                f"recording {name} shows {recording.label!r}, which the bundle does not know ({known})"
            )
        found.append(true)
    return found


def classes_of(manifest: dict[str, Any]) -> list[str]:
    """The model's labels, in order."""
    labels: list[str] = manifest["labels"]
    return labels[: manifest["model"].get("n_classes", len(labels))]


def judge(record: Record, dataset: Dataset) -> dict[str, Judged]:
    """{way: how it went}."""
    n_classes = len(classes_of(record.manifest))
    length, limit = (record.manifest["window"][key] for key in ("length", "min_quality_pct"))
    found = {}
    for way in record.ways:
        runs = record.played[way.name]
        truth = truth_of(record, dataset, way)
        verdicts = np.concatenate([run.verdicts() for run in runs])
        score: faults.Score | None = None
        values: Forecasts | None = None
        hidden = poor = 0
        for name, run in zip(record.recordings, runs, strict=True):
            samples = dataset.recording(name).samples
            n_rows = len(samples)
            planted = (way.faults or {}).get(name, ())
            if way.faults is not None:
                one = scored(run, n_rows, planted)
                score = one if score is None else score + one
            if is_value(record.manifest):
                more = forecasts(record.manifest, samples, run, rows_of(run, n_rows, planted))
                values = more if values is None else values + more
            hidden += hidden_windows(run, n_rows, planted, length, limit)
            model = run.decisions["source"] == SOURCES.index("model")
            poor += int(np.count_nonzero(model & (run.decisions["quality_pct"] < limit)))
        found[way.name] = Judged(
            model=scores(*model_windows(runs, truth), n_classes),
            published=scores(*published(runs, truth), n_classes),
            sources=by_source(runs),
            rejected=rejected_by_reason(runs),
            samples=len(verdicts),
            refused=int(np.count_nonzero(verdicts & ~np.uint16(1 << REASONS.index("gap")))),
            faults=score,
            hidden=hidden,
            poor=poor,
            forecasts=values,
        )
    return found


def timeline(record: Record, dataset: Dataset, way: Way, number: int, what: str = "") -> Timeline:
    """One recording of a run, ready to be drawn."""
    use_device_path()
    from array import array

    from sensewell.sensor.replay import Replay

    recording = dataset.recording(record.recordings[number])
    run = record.played[way.name][number]
    manifest = record.manifest
    period_ms = rate.period_ms(rate.rate_of(manifest, manifest["name"]))
    period_s = period_ms / 1000
    planted = list((way.faults or {}).get(recording.name, ()))
    n_rows, n_channels = recording.samples.shape

    # what the board read, row by row of the recording; rows that were lost are blank
    raw = recording.samples.astype("<i2").tobytes()
    replay = Replay(raw, n_channels, period_ms, *way.of(recording.name))
    rows = faults.rows_read(planted, n_rows)[: run.samples]
    seen = np.full((n_rows, n_channels), np.nan)
    row = array("h", bytes(2 * n_channels))
    for at in rows:
        replay.read(row)
        seen[at] = row
    seen[seen == MISSING] = np.nan
    channels = manifest["channels"]
    struck = [channels[fault.channel]["unit"] for fault in planted if fault.channel >= 0]
    unit = max((channel["unit"] for channel in channels), key=struck.count)  # of what was struck most
    shown = [n for n, channel in enumerate(channels) if channel["unit"] == unit][:3]
    signals = {channels[n]["name"]: seen[:, n] * channels[n]["scale"] + channels[n]["offset"] for n in shown}

    verdicts = np.zeros(n_rows, np.int64)
    verdicts[rows] = run.verdicts()
    refused: dict[str, list[tuple[float, float]]] = {}
    for bit, name in enumerate(REASONS):
        if found := spans(verdicts & (1 << bit) != 0):
            refused[name] = [(start * period_s, end * period_s) for start, end in found]
    if "gap" in refused:  # told by the first sample after it: drawn where the rows are lost
        lost = np.ones(n_rows, bool)
        lost[rows] = False
        refused["gap"] = [(start * period_s, end * period_s) for start, end in spans(lost)]

    decisions = run.decisions
    at_s = np.append(rows[decisions["sample"]] * period_s, n_rows * period_s)
    blocks: list[Block] = []
    for n, decision in enumerate(decisions):
        label, source = manifest["labels"][decision["label"]], SOURCES[decision["source"]]
        same = len(decisions) > MOST_BLOCKS and blocks and (blocks[-1].label, blocks[-1].source) == (label, source)
        start = blocks.pop().start_s if same else at_s[n]
        blocks.append(Block(start, at_s[n + 1], label, source))
    return Timeline(
        title=f"{recording.name} as {record.board} saw it" + (f", {what}" if what else ""),
        note="top: the signal the board read; below it what the guard refused and why, the share of good samples, "
        "and each decision with its source",
        time_s=np.arange(n_rows, dtype=np.float64) * period_s,
        signals=signals,
        unit=unit.replace("m/s2", "m/s²"),
        injected=[(f.kind, f.start * period_s, (f.start + f.length) * period_s) for f in planted],
        refused=refused,
        window_s=at_s[:-1],
        quality_pct=decisions["quality_pct"].astype(float),
        quality_limit_pct=manifest["window"]["min_quality_pct"],
        blocks=blocks,
        truth=recording.label,
    )


def telling(record: Record, way: Way) -> int:
    """The recording with most kinds of faults and most sources of decisions: the one to draw."""

    units = [channel["unit"] for channel in record.manifest["channels"]]

    def worth(number: int) -> tuple[int, int, int, int]:
        planted = (way.faults or {}).get(record.recordings[number], ())
        run = record.played[way.name][number]
        struck = [units[fault.channel] for fault in planted if fault.channel >= 0]
        together = max((struck.count(unit) for unit in units), default=0)  # faults seen in one set of curves
        return len({fault.kind for fault in planted}), len(set(run.decisions["source"].tolist())), together, -number

    return max(range(len(record.recordings)), key=worth)


def draw(record: Record, dataset: Dataset, judged: dict[str, Judged], folder: Path) -> list[Path]:
    """All plots of a run into `folder`; their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    first = next(iter(judged))
    best = judged[first].model
    groups = ", ".join(natural({dataset.recording(name).group for name in record.recordings}))
    paths = []
    if best.n:  # else nobody knows what was true
        paths += [folder / "confusion.png", folder / "passes.png"]
        plot_confusion(
            paths[0],
            best,
            classes_of(record.manifest),
            f"Groups {groups} on {record.board}",
            f"{best.n:,} windows, macro-F1 {best.macro_f1:.3f}, accuracy {100 * best.accuracy:.1f} %; "
            "each row is one class",
        )
        plot_passes(
            paths[1],
            {
                name: {
                    "model: accuracy": one.model.accuracy,
                    "model: macro-F1": one.model.macro_f1,
                    "published: accuracy": one.published.accuracy,
                    "published: macro-F1": one.published.macro_f1,
                }
                for name, one in judged.items()
            },
            {name: one.shares() for name, one in judged.items()},
            f"Groups {groups} on {record.board}",
        )
    if best.n and is_value(record.manifest):
        paths.append(folder / "forecast.png")
        plot_forecast(paths[-1], record, dataset)
    drawn = len(paths)
    for way in record.ways:
        if way.faults is not None:
            paths.append(folder / f"timeline-{safe_name(way.name)}.png")
            plot_timeline(paths[-1], timeline(record, dataset, way, telling(record, way), "faults injected"))
    if len(paths) == drawn:
        paths.append(folder / "timeline.png")
        plot_timeline(paths[-1], timeline(record, dataset, record.ways[0], 0))
    return paths


# --- report.json ----------------------------------------------------------------------------------------------------


def write_json(path: Path, figures: dict[str, Any]) -> None:
    """`figures` as readable JSON; every NumPy number becomes a plain one."""

    def plain(value: Any) -> Any:
        if isinstance(value, np.generic):
            return value.item()
        if isinstance(value, np.ndarray):
            return value.tolist()
        raise TypeError(f"{type(value).__name__} has no place in a report")

    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(figures, indent=2, default=plain) + "\n")


# --- plots ----------------------------------------------------------------------------------------------------------


def _figure(width: float, height: float, **kwargs: Any) -> tuple[Any, Any]:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    plt.rcParams.update(
        {
            "font.family": "DejaVu Sans",
            "font.size": 10,
            "text.color": INK,
            "axes.edgecolor": "#b0b0b0",
            "axes.labelcolor": INK,
            "axes.titlelocation": "left",
            "axes.titlesize": 12,
            "axes.titleweight": "bold",
            "axes.spines.top": False,
            "axes.spines.right": False,
            "xtick.color": SOFT,
            "ytick.color": SOFT,
            "xtick.labelcolor": INK,
            "ytick.labelcolor": INK,
            "figure.facecolor": "white",
            "savefig.facecolor": "white",
        }
    )
    figure, axes = plt.subplots(figsize=(width, height), layout="constrained", **kwargs)
    return figure, axes


def _save(figure: Any, path: Path) -> None:
    import matplotlib.pyplot as plt

    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)
    plt.close(figure)


def plot_confusion(path: Path, result: Scores, classes: Sequence[str], title: str, note: str = "") -> None:
    """Share of each true class (row) given to each class (column), with counts; `note` goes under the title."""
    n = len(classes)
    other = bool(result.confusion[:, n].any())
    shown = result.confusion if other else result.confusion[:, :n]
    share = shown / np.maximum(result.confusion.sum(1, keepdims=True), 1)
    figure, axes = _figure(7.2, 6.2)
    axes.imshow(share, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    columns = [*classes, "none"] if other else list(classes)
    axes.set_xticks(range(len(columns)), columns)
    axes.set_yticks(range(n), [f"{name}  ({count})" for name, count in zip(classes, shown.sum(1), strict=True)])
    axes.set_xlabel("decided by the board")
    axes.set_ylabel("true (windows)")
    axes.tick_params(length=0)
    for edge in axes.spines.values():
        edge.set_visible(False)
    axes.set_xticks(np.arange(len(columns) + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(n + 1) - 0.5, minor=True)
    axes.grid(which="minor", color="white", linewidth=2)
    axes.tick_params(which="minor", length=0)
    for (row, column), part in np.ndenumerate(share):
        if shown[row, column]:
            text = f"{100 * part:.0f} %" if part >= 0.005 else "<1 %"
            weight = "bold" if row == column else "normal"
            colour = "white" if part > 0.55 else INK
            axes.text(column, row, text, ha="center", va="center", color=colour, fontsize=10, weight=weight)
    _titles(axes, title, note)
    _save(figure, path)


def _titles(axes: Any, title: str, note: str) -> None:
    axes.set_title(title, pad=26 if note else 8)
    if note:
        axes.text(0, 1.015, note, transform=axes.transAxes, color=SOFT, fontsize=9.5, va="bottom")


def plot_forecast(path: Path, record: Record, dataset: Dataset) -> None:
    """What was forecast and what came, of the recording with most forecasts as it was played first; in counts."""
    way, made = record.ways[0], []
    for name, run in zip(record.recordings, record.played[way.name], strict=True):
        samples = dataset.recording(name).samples
        rows = rows_of(run, len(samples), (way.faults or {}).get(name, ()))
        made.append((name, forecasts(record.manifest, samples, run, rows)))
    name, found = max(made, key=lambda one: len(one[1].row))
    about = record.manifest["model"]["forecast"]
    channel = record.manifest["channels"][about["channel"]]["name"]
    period_s = rate.period_ms(rate.rate_of(record.manifest, record.manifest["name"])) / 1000
    samples = dataset.recording(name).samples[:, about["channel"]].astype(float)
    samples[samples == MISSING] = np.nan
    figure, axes = _figure(12, 4.4)
    axes.plot(np.arange(len(samples)) * period_s, samples, color=INK, linewidth=1.2, label=channel)
    ahead_s = about["ahead"] * period_s
    label = f"forecast, {ahead_s / 3600:g} h before" if ahead_s >= 3600 else f"forecast, {ahead_s:g} s before"
    axes.plot(found.row * period_s, found.said, color="#0072B2", marker=".", markersize=4, linestyle="", label=label)
    axes.set_xlabel(_time_axis(axes, len(samples) * period_s))
    axes.set_ylabel("counts")
    axes.grid(axis="y", color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.legend(loc="upper right", frameon=True, framealpha=0.85, edgecolor="none", fontsize=9)
    _titles(axes, f"{name} on {record.board}", found.text(channel))
    _save(figure, path)


def _time_axis(axes: Any, span_s: float) -> str:
    """Ticks for an axis in seconds, in the unit that is returned."""
    from matplotlib.ticker import FuncFormatter, MultipleLocator

    unit, unit_s = "seconds", 1
    for name, size in (("hours", 3600), ("days", 86400)):
        if span_s >= 3 * size:
            unit, unit_s = name, size
    if unit_s > 1:
        axes.xaxis.set_major_locator(MultipleLocator(unit_s * -(-span_s // (16 * unit_s))))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x / unit_s:g}"))
    return unit


@dataclass(frozen=True)
class Block:
    """A stretch of time in which one decision stood."""

    start_s: float
    end_s: float
    label: str
    source: str


@dataclass(frozen=True)
class Timeline:
    """One recording as the board saw it. Times in seconds from its start."""

    title: str
    note: str
    time_s: NDArray[np.float64]
    signals: dict[str, NDArray[np.float64]]  # name -> value in SI, one for each time; NaN where there was no reading
    unit: str
    injected: list[tuple[str, float, float]]  # kind, from, to
    refused: dict[str, list[tuple[float, float]]]  # reason -> spans
    window_s: NDArray[np.float64]
    quality_pct: NDArray[np.float64]
    quality_limit_pct: int
    blocks: list[Block]
    truth: str


def plot_timeline(path: Path, line: Timeline) -> None:
    """Signal, what was injected and what was refused by which reason, quality, and decisions coloured by source."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    reasons = [name for name in REASON_COLOURS if line.refused.get(name)]
    rows = max(len(reasons), 1)
    figure, (wave, why, quality, decided) = _figure(
        12, 6.6 + 0.22 * rows, nrows=4, sharex=True, height_ratios=[3.0, 0.34 * rows + 0.5, 1.1, 0.95]
    )
    for style, (name, values) in zip(("#0072B2", "#009E73", "#CC79A7"), line.signals.items(), strict=False):
        wave.plot(line.time_s, values, color=style, linewidth=0.8, label=name)
    wave.set_ylabel(line.unit)
    low, high = wave.get_ylim()
    wave.set_ylim(low, high + 0.16 * (high - low))
    for index, (kind, start, end) in enumerate(line.injected):
        wave.axvspan(start, end, color="#000000", alpha=0.07, linewidth=0)
        place = {"transform": wave.get_xaxis_transform(), "ha": "center", "va": "top"}
        wave.text((start + end) / 2, 0.99 - 0.07 * (index % 2), kind, fontsize=8.5, color=INK, **place)
    wave.legend(loc="lower right", ncols=3, frameon=True, framealpha=0.85, edgecolor="none", fontsize=9)
    _titles(wave, line.title, line.note)

    for row, name in enumerate(reasons):
        pieces = [(start, max(end - start, 0.06)) for start, end in line.refused[name]]
        why.broken_barh(pieces, (row - 0.36, 0.72), facecolors=REASON_COLOURS[name])
    for _, start, end in line.injected:
        why.axvspan(start, end, color="#000000", alpha=0.07, linewidth=0)
    why.set_yticks(range(len(reasons)), reasons)
    why.set_ylim(rows - 0.4, -0.6)
    why.set_ylabel("refused")
    why.tick_params(axis="y", length=0)

    # each value holds until the next: drawn with every corner, so that line and shade end at the same places
    ends = np.append(line.window_s[1:], line.time_s[-1:])
    corners = np.column_stack((line.window_s, ends)).ravel()
    share = np.repeat(line.quality_pct, 2)
    quality.plot(corners, share, color=INK, linewidth=1.2)
    quality.axhline(line.quality_limit_pct, color="#D55E00", linewidth=1, linestyle=(0, (4, 3)))
    low = np.minimum(share, line.quality_limit_pct)
    quality.fill_between(corners, low, line.quality_limit_pct, color="#D55E00", alpha=0.25, linewidth=0)
    quality.set_ylim(0, 108)
    quality.set_yticks([0, 50, 100])
    quality.set_ylabel("quality %")

    for block in line.blocks:
        width = block.end_s - block.start_s
        room = width / (line.time_s[-1] - line.time_s[0]) * 95  # characters of this size that fit side by side
        colour = SOURCE_COLOURS[block.source]
        decided.broken_barh([(block.start_s, width)], (0, 1), facecolors=colour, edgecolor="white", linewidth=1)
        if room >= 1.5:
            ink = "white" if block.source in ("model", "interlock") else INK
            x = (block.start_s + block.end_s) / 2
            turned = 90 if room < len(block.label) else 0
            size = 9 if len(block.label) < 6 or not turned else 7.5
            decided.text(x, 0.5, block.label, ha="center", va="center", fontsize=size, color=ink, rotation=turned)
    decided.set_ylim(0, 1)
    decided.set_yticks([])
    decided.set_ylabel("decided")
    unit = _time_axis(decided, line.time_s[-1] - line.time_s[0])
    decided.set_xlabel(unit + (f"   (truth: {line.truth} all the time)" if line.truth else ""))
    decided.set_xlim(line.time_s[0], line.time_s[-1])
    used = [name for name in SOURCE_COLOURS if any(block.source == name for block in line.blocks)]
    keys: list[Any] = [Patch(color=SOURCE_COLOURS[name], label=f"decision: {name}") for name in used]
    if line.injected:
        keys.append(Patch(color="#000000", alpha=0.10, label="injected fault"))
    keys.append(Line2D([], [], color="#D55E00", linestyle=(0, (4, 3)), linewidth=1, label="quality limit"))
    figure.legend(handles=keys, loc="outside lower center", ncols=len(keys), frameon=False, fontsize=9)
    for axes in (wave, quality):
        axes.grid(axis="y", color=GRID, linewidth=0.8)
        axes.set_axisbelow(True)
    for axes in (wave, why, quality):
        axes.tick_params(axis="x", length=0)
    _save(figure, path)


Table = dict[str, dict[str, float]]


def plot_passes(path: Path, passes: Table, sources: Table, title: str) -> None:
    """Left: scores (0..1) by pass; right: where the published decisions came from, in shares of one."""
    figure, (left, right) = _figure(11, 4.4, ncols=2, width_ratios=[1.5, 1])
    names = list(passes)
    measures = list(next(iter(passes.values())))
    colours = ("#0072B2", "#56B4E9", "#E69F00", "#F0C36B")
    width = 0.8 / len(measures)
    for index, measure in enumerate(measures):
        x = np.arange(len(names)) + (index - (len(measures) - 1) / 2) * width
        values = [passes[name][measure] for name in names]
        left.bar(x, values, width * 0.92, color=colours[index % len(colours)], label=measure)
        for at, value in zip(x, values, strict=True):
            left.text(at, value + 0.012, f"{value:.2f}", ha="center", va="bottom", fontsize=8.5)
    left.set_xticks(range(len(names)), names)
    left.set_ylim(0, 1.0)
    left.set_ylabel("score")
    left.grid(axis="y", color=GRID, linewidth=0.8)
    left.set_axisbelow(True)
    left.tick_params(axis="x", length=0)
    left.legend(loc="upper center", bbox_to_anchor=(0.5, -0.08), ncols=2, frameon=False, fontsize=9)
    left.set_title(title)

    base = np.zeros(len(names))
    for source, colour in SOURCE_COLOURS.items():
        part = np.array([sources[name].get(source, 0.0) for name in names])
        if not part.any():
            continue
        right.barh(range(len(names)), part, left=base, color=colour, label=source, height=0.55, edgecolor="white")
        for row, (at, value) in enumerate(zip(base, part, strict=True)):
            if value >= 0.06:
                ink = "white" if source in ("model", "interlock") else INK
                right.text(at + value / 2, row, f"{100 * value:.0f} %", ha="center", va="center", color=ink, fontsize=9)
        base += part
    right.set_yticks(range(len(names)), names)
    right.invert_yaxis()
    right.set_xlim(0, 1)
    right.set_xticks([0, 0.5, 1], ["0", "50 %", "100 %"])
    right.tick_params(axis="y", length=0)
    right.set_title("Who decided")
    right.legend(loc="upper center", bbox_to_anchor=(0.5, -0.08), ncols=4, frameon=False, fontsize=9)
    _save(figure, path)
