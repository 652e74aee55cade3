"""The table [model] of a recipe whose family is "neural": which nets are tried, on what, for what, and how long.

Reads and checks; every key is explained in models/watch_cnn/model.toml. Must not know Keras or recordings.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sensewell_host.errors import SensewellError
from sensewell_host.train.table import Table

OUTPUTS = {
    "classes": ("cnn", "lstm", "gru", "dense"),
    "anomaly": ("autoencoder",),
    "value": ("lstm", "gru", "cnn", "dense"),
}
INT8_LOSS = 1.0  # points of the gate's figure, unless [targets] int8_loss says otherwise
_SEQUENCES = ("cnn", "lstm", "gru")  # of windows only


@dataclass(frozen=True)
class Net:
    """One net to try: its shape (`layers`, plain numbers, by kind) and how it is fitted (`fit`)."""

    kind: str
    layers: dict[str, Any]
    fit: dict[str, Any]

    @property
    def name(self) -> str:
        sizes = self.layers.get("filters") or self.layers.get("hidden") or [self.layers.get("units")]
        return f"{self.kind} {' '.join(str(size) for size in sizes)}".removesuffix(" None")


@dataclass(frozen=True)
class NetRecipe:
    """What [model] says. input: "window" or "features"; of: channels or features that go in (places, in order).

    folds: groups that are left out together, one fold after the other, to choose and for the gate; (): one by one.
    scale, clip: inputs are (x - mean) / deviation, cut at +-clip; "each": of each channel or feature for itself;
    "unit": x / size, one size (root mean square) for all channels of the same unit, which keeps directions.
    normal: labels that an autoencoder learns from; limit_quantile, margin: of the errors of normal windows left out.
    target, ahead: forecast is the raw count of this channel, so many samples after the window; edges_raw: of classes.
    """

    input: str
    output: str
    of: tuple[int, ...]
    recorded: tuple[str, ...]
    folds: tuple[tuple[str, ...], ...]
    scale: str
    clip: float
    candidates: tuple[Net, ...]
    normal: tuple[str, ...] = ()
    limit_quantile: float = 0.99
    margin: float = 1.0
    target: int = -1
    ahead: int = 0
    edges_raw: tuple[int, ...] = ()


def read(
    model: Table, recorded: Sequence[str], channels: Sequence[str], features: Sequence[str]
) -> tuple[NetRecipe, tuple[str, ...]]:
    """The net recipe in the table [model], and the labels that the model answers with."""
    model.text("vote", "")  # of a forest's recipe that this one extends
    source = _one_of(model, "input", ("window", "features"), "window")
    output = _one_of(model, "output", tuple(OUTPUTS), "classes")
    names = list(channels if source == "window" else features)
    of = [_place(model, name, names) for name in model.texts("of", names)]
    if not of:
        raise SensewellError(f"{model.where}: a net needs an input: name channels or features in `of`")
    nets = tuple(_net(entry, source, output) for entry in model.tables("candidate"))
    if not nets:
        raise SensewellError(f"{model.where}: expected at least one [[model.candidate]]")
    clip = model.number("clip", 4.0)
    if not 1 <= clip <= 64:
        raise SensewellError(f"{model.where}: expected clip in 1..64 deviations, got {clip:g}")
    scale = _one_of(model, "scale", ("each", "unit"), "each")
    if scale == "unit" and source == "features":
        raise SensewellError(f"{model.where}: scale = 'unit' is for windows: features have no unit in common")
    more = _more(model, output, channels)
    found = NetRecipe(source, output, tuple(of), tuple(recorded), _folds(model), scale, clip, nets, **more)
    labels = tuple(recorded) if output == "classes" else model.texts("classes")
    n_classes = {"classes": len(recorded), "anomaly": 2, "value": len(found.edges_raw) + 1}[output]
    if len(labels) != n_classes or len(set(labels)) < len(labels) or (output == "classes" and n_classes < 2):
        got = ", ".join(labels) or "none"
        raise SensewellError(f"{model.where}: expected {n_classes} classes, each once, got {got}")
    if absent := sorted(set(found.normal) - set(recorded)):
        raise SensewellError(f"{model.where}: normal: the recordings have no label {', '.join(absent)}")
    return found, labels


def _more(model: Table, output: str, channels: Sequence[str]) -> dict[str, Any]:
    """What only some outputs need."""
    if output == "anomaly":
        more: dict[str, Any] = {
            "normal": model.texts("normal"),
            "limit_quantile": model.number("limit_quantile", 0.99),
            "margin": model.number("margin", 1.0),
        }
        if not more["normal"] or not 0.5 <= more["limit_quantile"] <= 1 or not 0.1 <= more["margin"] <= 100:
            raise SensewellError(
                f"{model.where}: expected normal labels, limit_quantile in 0.5..1 and margin in 0.1..100"
            )
        return more
    if output == "value":
        edges: list[int] = _wholes(model, "edges_raw", -32768, 32767, least=0)
        if edges != sorted(set(edges)):
            raise SensewellError(f"{model.where}: expected edges_raw as ascending counts, got {edges}")
        return {
            "target": _place(model, model.text("target"), list(channels)),
            "ahead": model.whole("ahead", 0, 10_000),
            "edges_raw": tuple(edges),
        }
    return {}


def _net(table: Table, source: str, output: str) -> Net:
    kind = _one_of(table, "kind", OUTPUTS[output])
    if source == "features" and kind in _SEQUENCES:
        raise SensewellError(f"{table.where}: a {kind} reads windows, not features: say kind = 'dense'")
    layers: dict[str, Any] = {"kind": kind, "dropout": table.number("dropout", 0.0)}
    if kind == "cnn":
        layers["filters"] = _wholes(table, "filters", 1, 256, least=1)
        layers["kernel"] = table.whole("kernel", 1, 63, 5)
        layers["stride"] = table.whole("stride", 1, 8, 2)
        layers["separable"] = table.flag("separable", False)
        layers["pool"] = _one_of(table, "pool", ("mean", "max", "both", "none"), "mean")
    elif kind in ("lstm", "gru"):
        layers["units"] = table.whole("units", 1, 128)
    else:
        layers["hidden"] = _wholes(table, "hidden", 1, 512, least=int(kind == "autoencoder"))
    if kind != "autoencoder":
        layers["dense"] = _wholes(table, "dense", 1, 512, least=0) if kind != "dense" else []
    if output == "value":
        layers["residual"] = table.flag("residual", False)  # the net adds to the last sample
        layers["linear"] = table.flag("linear", False)  # and to a weighted sum of the whole window
    fit: dict[str, Any] = {
        "epochs": table.whole("epochs", 1, 1000, 10),
        "batch": table.whole("batch", 1, 4096, 128),
        "learning_rate": table.number("learning_rate", 0.003),
        "weight_decay": table.number("weight_decay", 0.001),
        "label_smoothing": table.number("label_smoothing", 0.0),
        "balanced": table.flag("balanced", False),
        "loss": _one_of(table, "loss", ("squared", "absolute"), "squared"),
    }
    table.done()
    if not (0 <= layers["dropout"] < 1 and 0 < fit["learning_rate"] <= 1 and fit["weight_decay"] >= 0):
        raise SensewellError(f"{table.where}: expected dropout in 0..1, learning_rate in 0..1, weight_decay >= 0")
    return Net(kind, layers, fit)


def _folds(model: Table) -> tuple[tuple[str, ...], ...]:
    given = model.value("folds", (list,), "lists of groups", [])
    if not all(isinstance(fold, list) and fold and all(isinstance(name, str) for name in fold) for fold in given):
        raise SensewellError(f'{model.where}: expected folds as lists of groups, such as [["1", "2"], ["3"]]')
    names = [name for fold in given for name in fold]
    if len(set(names)) < len(names):
        raise SensewellError(f"{model.where}: folds: a group is left out once only")
    return tuple(tuple(fold) for fold in given)


def _one_of(table: Table, key: str, words: Sequence[str], default: str | None = None) -> str:
    found = table.text(key, default)
    if found not in words:
        raise SensewellError(f"{table.where}: expected {key} as one of {', '.join(words)}, got {found!r}")
    return found


def _wholes(table: Table, key: str, low: int, high: int, least: int) -> list[int]:
    found: list[Any] = list(table.value(key, (list,), "a list of whole numbers", []))
    whole = [x for x in found if isinstance(x, int) and not isinstance(x, bool) and low <= x <= high]
    if len(found) < least or len(whole) < len(found):
        raise SensewellError(f"{table.where}: expected {key} as whole numbers in {low}..{high}, got {found}")
    return whole


def _place(table: Table, name: str, names: list[str]) -> int:
    if name not in names:
        raise SensewellError(f"{table.where}: there is no {name!r} (there are {', '.join(names)})")
    return names.index(name)
