"""The recipe of a model, models/NAME/model.toml: what it decides, from which channels, under which rules, how well.

Reads and checks it, and puts names in place of numbers: a recipe says `std.gn`, a manifest {"f": "std", "c": 7}.
Must not know recordings or forests. models/watch/model.toml shows every key with its meaning. A recipe that says
`extends = "../watch/model.toml"` is that recipe but for what it says itself, and has its own name and version.
"""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sensewell_host.dataset.rate import KEYS, rate_of, rate_text
from sensewell_host.dataset.recording import ChannelInfo
from sensewell_host.device_run import DataPath
from sensewell_host.errors import SensewellError
from sensewell_host.rest import Rest
from sensewell_host.train import field_noise, net_recipe
from sensewell_host.train.candidate import Candidate, candidate, vote_of
from sensewell_host.train.field_noise import NONE, FieldNoise
from sensewell_host.train.net_recipe import NetRecipe
from sensewell_host.train.table import Table

tomllib: Any = importlib.import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")

_FEATURE = re.compile(r"^([a-z0-9]+)\.([A-Za-z0-9_]+)((?: [a-z]+=[A-Za-z0-9_-]+)*)$")
_CHANNEL_KEYS = ("d", "e")  # parameters of a feature that name another channel
_DERIVED = ("norm", "dyn")
_OWN = ("name", "version")  # what no recipe takes from the one it extends
_GUARD_KEYS = (
    "lo_raw", "hi_raw", "sat_lo_raw", "sat_hi_raw", "stuck_n", "stuck_tol_raw", "constant_lo_raw", "constant_hi_raw",
    "spike_raw", "rate_raw", "resync_n",
)  # fmt: skip
_ARBITER = {
    "min_confidence_pct": 40, "smooth_n": 2, "smooth_m": 3, "hold_ms": 3000, "return_n": 2, "average_n": 1,
    "deadline_ms": 1000,
}  # fmt: skip


@dataclass(frozen=True)
class Vector:
    """Three channels that turn, mirror and speed up together: y = m + (x - m) (1 + speed (s - 1)) for a movement s
    times as fast, where m is the window's mean (keep_mean: gravity) or 0."""

    of: tuple[int, int, int]
    mirror: tuple[int, int, int]
    speed: float
    keep_mean: bool


@dataclass(frozen=True)
class Augment:
    """Copies of the training windows as other people would have made them, made from raw counts; and mixtures of
    feature vectors (between.py)."""

    copies: int = 0
    shift_n: int = 0
    time_scale: tuple[float, float] = (1.0, 1.0)
    gain: float = 0.0
    mirror: float = 0.0
    rotate_deg: tuple[float, float, float] = (0.0, 0.0, 0.0)
    vectors: tuple[Vector, ...] = ()
    field: FieldNoise = NONE
    between: int = 0


@dataclass(frozen=True)
class Choice:
    """How the features are chosen: "fixed" takes the list; "loso" drops the least useful until `keep` are left and
    takes the smallest set that is within `tolerance` of the best."""

    choose: str = "fixed"
    keep: int = 8
    tolerance: float = 0.005


@dataclass(frozen=True)
class Evaluate:
    """What counts as an alarm when the whole system is judged (evaluate.py); `grace_s`: so long after an event an alarm
    may still stand."""

    alarm: tuple[str, ...] = ()
    grace_s: float = 0.0


@dataclass(frozen=True)
class Recipe:
    """A checked recipe. Guard, condition, rules and arbiter are in the manifest's words, but rules and fallback name
    their labels, and rules name their feature or channel (`on`)."""

    path: Path
    name: str
    version: int
    what: str
    boards: tuple[str, ...]
    source: str
    rate_hz: float
    channels: tuple[str, ...]
    labels: tuple[str, ...]
    train: tuple[str, ...]
    test: tuple[str, ...]
    targets: dict[str, float]
    guard: dict[str, Any]
    bad_samples: dict[str, Any]
    condition: dict[str, Any]
    window: dict[str, int]
    derived: dict[str, dict[str, Any]]
    features: tuple[str, ...]
    choice: Choice
    augment: Augment
    candidates: tuple[Candidate, ...]
    vote: str
    seed: int
    rules: tuple[dict[str, Any], ...]
    arbiter: dict[str, Any]
    fallback: str
    folder: Path  # that `source` starts at
    evaluate: Evaluate = Evaluate()
    net: NetRecipe | None = None  # the family is "neural": then there are no `candidates`
    schema: str = ""  # of a `source` that is a CSV
    rest: Rest | None = None  # boards are calibrated at rest; each tape begins with such a stretch
    cut_rows: int = 0  # > 0: a recording is cut into pieces of so many rows, and each is a group: "1", "2" ...
    get: str = ""  # where the recordings are to be had, for those who do not have them
    truth: str = "all"  # "all": a window lies within one label; "end": it has that of its last row
    fold_rows: int = 0  # > 0: what is left out in choosing is not a group but a piece of a tape, of so many rows
    content: bytes = field(repr=False, default=b"")  # of the file, and of those it extends

    @staticmethod
    def load(path: Path) -> Recipe:
        """Read `path`, or the model.toml in the folder `path`."""
        if path.is_dir():
            path = path / "model.toml"
        found = _read(path)
        return _parse(path, found.content, found.toml, found.data)

    def check_channels(self, channels: Sequence[ChannelInfo], rate_hz: float) -> None:
        """Raise unless a dataset has these very channels, in this order, at this rate."""
        found = tuple(channel.name for channel in channels)
        if found != self.channels:
            raise SensewellError(
                f"{self.path.name} expects channels {', '.join(self.channels)}; the recordings have {', '.join(found)}"
            )
        if rate_hz != self.rate_hz:
            raise SensewellError(
                f"{self.path.name} expects {rate_text(self.rate_hz)}; the recordings have {rate_text(rate_hz)}"
            )

    def data_path(self, features: Sequence[str] | None = None) -> DataPath:
        """What the device needs to turn recordings into these features (default: all of the recipe's)."""
        return DataPath(
            rate_hz=self.rate_hz,
            n_channels=len(self.channels),
            length=self.window["length"],
            hop=self.window["hop"],
            features=tuple(self.feature_specs(self.features if features is None else features)),
            derived=tuple(self.derived_specs()),
            guard=self.guard,
            bad_samples=self.bad_samples,
            condition=self.condition,
        )

    @property
    def recorded(self) -> tuple[str, ...]:
        """The labels that recordings have."""
        return self.net.recorded if self.net else self.labels

    @property
    def family(self) -> str:
        """Of the model: "trees" (or what else has candidates that learn from features: training may choose a linear
        one), "neural", or "none", where guard and rules are all."""
        return "neural" if self.net else "trees" if self.candidates else "none"

    def derived_specs(self) -> list[dict[str, Any]]:
        """The derived channels in the manifest's words."""
        return [dict(spec) for spec in self.derived.values()]

    def feature_specs(self, names: Sequence[str]) -> list[dict[str, Any]]:
        """`acorr.gn lag=10` -> {"f": "acorr", "c": 7, "lag": 10}"""
        places = {name: place for place, name in enumerate([*self.channels, *self.derived])}
        return [feature_spec(name, places, self.path.name) for name in names]


def feature_spec(text: str, places: Mapping[str, int], where: str) -> dict[str, Any]:
    """One feature in the manifest's words; what is a feature at all, the device says when it is asked to compute it."""
    found = _FEATURE.match(text)
    if not found:
        raise SensewellError(f"{where}: {text!r} is no feature: expected e.g. 'std.ax' or 'acorr.gn lag=10'")
    spec: dict[str, Any] = {"f": found[1], "c": _place(found[2], places, text, where)}
    for part in found[3].split():
        key, _, value = part.partition("=")
        if key in _CHANNEL_KEYS:
            spec[key] = _place(value, places, text, where)
        elif re.fullmatch(r"-?\d+", value):
            spec[key] = int(value)
        else:
            raise SensewellError(f"{where}: {text!r}: expected {key} as a whole number, got {value!r}")
    return spec


def _place(channel: str, places: Mapping[str, int], text: str, where: str) -> int:
    if channel not in places:
        raise SensewellError(f"{where}: {text!r}: there is no channel {channel!r} (there are {', '.join(places)})")
    return places[channel]


@dataclass(frozen=True)
class _Read:
    """A recipe as it is written, together with all that it extends. `data`: the folder that [data] source starts at."""

    toml: dict[str, Any]
    content: bytes
    data: Path


def _read(path: Path, before: tuple[Path, ...] = ()) -> _Read:
    """The tables of `path` over those of the recipe it extends: tables are merged, anything else takes its place."""
    try:
        content = path.read_bytes()
        toml = tomllib.loads(content.decode())
    except FileNotFoundError:
        by = f", which {before[-1]} extends" if before else ""
        raise SensewellError(f"there is no recipe {path}{by}: models/watch/model.toml is an example") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SensewellError(f"recipe {path} cannot be read: {error}") from error
    if "extends" not in toml:
        return _Read(toml, content, path.parent)
    base = toml.pop("extends")
    if not isinstance(base, str):
        raise SensewellError(f"{path.name}: expected extends as the path of another recipe, got {base!r}")
    so_far = (*before, path)
    other = path.parent / base
    if other.resolve() in [one.resolve() for one in so_far]:
        raise SensewellError(f"{path.name}: the recipes extend one another in a circle, by way of {other}")
    found = _read(other, so_far)
    data = path.parent if "source" in toml.get("data", {}) else found.data
    inherited = {key: value for key, value in found.toml.items() if key not in _OWN}
    return _Read(_merged(inherited, toml), content + found.content, data)


def _merged(under: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    result = {**under, **over}
    for key in under.keys() & over.keys():
        if isinstance(under[key], dict) and isinstance(over[key], dict):
            result[key] = _merged(under[key], over[key])
    return result


def _parse(path: Path, content: bytes, toml: dict[str, Any], folder: Path) -> Recipe:
    top = Table(toml, path.name)
    data = top.table("data")
    channels = data.texts("channels")
    if not channels or len(set(channels)) < len(channels):
        raise SensewellError(f"{data.where}: expected channels, each once, got {', '.join(channels) or 'none'}")
    derived = _derived(top.table("derived"), channels)
    window = top.table("window")
    length = window.whole("length", 2, 256)
    shape = {
        "length": length,
        "hop": window.whole("hop", 1, length),
        "min_quality_pct": window.whole("min_quality_pct", 0, 100, 80),
    }
    truth = window.text("truth", "all")
    if truth not in ("all", "end"):
        raise SensewellError(f'{window.where}: expected truth as "all" or "end", got {truth!r}')
    window.done()
    model = top.table("model")
    family = model.text("family", "trees")
    features, choice = _features(top.table("features"), [*channels, *derived], least=int(family == "trees"))
    labels = data.texts("labels")
    if len(set(labels)) < max(2 if family == "trees" else 1, len(labels)):
        raise SensewellError(f"{data.where}: expected two labels at least, each once, got {', '.join(labels)}")
    net: NetRecipe | None = None
    candidates: tuple[Candidate, ...] = ()
    vote = ""
    if truth == "end" and family == "neural":
        raise SensewellError(f"{window.where}: nets learn from windows within one label: leave truth out")
    if family == "neural":
        net, labels = net_recipe.read(model, labels, channels, features)
    elif family == "trees":
        candidates, vote = _forest(model)
    elif family != "none":
        raise SensewellError(f"{model.where}: expected family as trees, neural or none, got {family!r}")
    seed = model.whole("seed", 0, 2**31 - 1, 0)
    model.done()
    arbiter, fallback = _arbiter(top.table("arbiter"))
    targets = top.table("targets")
    bad = top.table("bad_samples")
    judged = top.table("evaluate")
    recipe = Recipe(
        path=path,
        name=top.text("name"),
        version=top.whole("version", 1, 2**30 - 1),
        what=top.text("what", ""),
        boards=top.texts("boards", ["*"]),
        source=data.text("source"),
        rate_hz=_rate(data),
        channels=channels,
        labels=labels,
        train=data.texts("train", [] if family == "none" else None),
        test=data.texts("test", [] if family == "none" else None),
        targets={key: targets.number(key) for key in targets},
        guard=_guard(top.table("guard"), channels),
        bad_samples={"policy": bad.text("policy", "hold"), "fill_n": bad.whole("fill_n", 0, shape["hop"] - 1, 0)},
        condition=_condition(top.table("condition"), channels),
        window=shape,
        derived=derived,
        features=features,
        choice=choice,
        augment=_augment(top.table("augment"), channels),
        candidates=candidates,
        vote=vote,
        seed=seed,
        rules=tuple(_rule(entry) for entry in top.tables("rule")),
        arbiter=arbiter,
        fallback=fallback,
        folder=folder,
        evaluate=Evaluate(judged.texts("alarm", []), judged.number("grace_s", 0.0)),
        net=net,
        rest=_rest(top.table("rest"), channels),
        schema=data.text("schema", ""),
        cut_rows=data.whole("cut_rows", 0, 10_000_000, 0),
        get=data.text("get", ""),
        truth=truth,
        fold_rows=data.whole("fold_rows", 0, 10_000_000, 0),
        content=content,
    )
    for table in (data, bad, judged, top):
        table.done()
    if recipe.fold_rows and truth != "end":
        raise SensewellError(f'{data.where}: fold_rows cuts tapes, which there are with [window] truth = "end" only')
    if recipe.net and recipe.rest:
        raise SensewellError(f"{path.name}: [rest] is for forests: nets do not learn from calibrated recordings yet")
    if recipe.net and recipe.augment.between:
        raise SensewellError(f"{path.name}: [augment] between mixes features for forests: nets learn from raw windows")
    recipe.feature_specs(recipe.features)  # unknown channels come up here
    for rule in recipe.rules:
        if rule["on"] not in (*features, *channels):
            raise SensewellError(
                f"{path.name}: rule {rule['name']} is on {rule['on']!r}: neither a channel nor a feature of this recipe"
            )
    return recipe


def _rate(data: Table) -> float:
    """[data] rate_hz or period_ms."""
    return rate_of({key: data.value(key, (int, type(None)), "a whole number") for key in KEYS}, data.where)


def _rest(table: Table, channels: Sequence[str]) -> Rest | None:
    """[rest] seconds, sd_raw, by and [[rest.floor]] of, raw, pct."""
    if not list(table):
        return None
    floors: dict[str, tuple[float, float]] = {}
    for entry in table.tables("floor"):
        floor = entry.number("raw", 0.0), entry.number("pct", 0.0)
        if min(floor) < 0 or max(floor) == 0:
            raise SensewellError(f"{entry.where}: expected raw or pct above 0, got {floor[0]:g} and {floor[1]:g}")
        for channel in entry.texts("of"):
            if channel not in channels:
                known = ", ".join(channels)
                raise SensewellError(f"{entry.where}: there is no channel {channel!r} (there are {known})")
            floors[channel] = floor
        entry.done()
    rest = Rest(table.number("seconds"), table.whole("sd_raw", 1, 4096), floors, table.text("by", ""))
    table.done()
    return rest


def _forest(model: Table) -> tuple[tuple[Candidate, ...], str]:
    candidates = tuple(candidate(entry) for entry in model.tables("candidate"))
    if not candidates:
        raise SensewellError(f"{model.where}: expected at least one [[model.candidate]]")
    return candidates, vote_of(model, candidates)


def _derived(table: Table, channels: Sequence[str]) -> dict[str, dict[str, Any]]:
    found = {}
    for name in table:
        entry = table.table(name)
        kinds = [kind for kind in _DERIVED if kind in entry]
        if len(kinds) != 1 or name in channels:
            raise SensewellError(f"{entry.where}: expected a new name and one of {', '.join(_DERIVED)}")
        places = {channel: place for place, channel in enumerate(channels)}
        of = [_place(channel, places, name, table.where) for channel in entry.texts(kinds[0])]
        spec: dict[str, Any] = {kinds[0]: of}
        if "shift" in entry:
            spec["shift"] = entry.whole("shift", 0, 1)
        entry.done()
        found[name] = spec
    table.done()
    return found


def _features(table: Table, channels: Sequence[str], least: int) -> tuple[tuple[str, ...], Choice]:
    """`each` x `of`, then `more`; `acorr lag=10` of gn is `acorr.gn lag=10`. At least so many: a net can do without."""
    names = []
    for kind in table.texts("each", []):
        word, _, rest = kind.partition(" ")
        names += [f"{word}.{channel}" + (f" {rest}" if rest else "") for channel in table.texts("of", list(channels))]
    names += table.texts("more", [])
    choice = Choice(table.text("choose", "fixed"), table.whole("keep", 1, 96, 8), table.number("tolerance", 0.005))
    if choice.choose not in ("fixed", "loso"):
        raise SensewellError(f'{table.where}: expected choose as "fixed" or "loso", got {choice.choose!r}')
    table.texts("of", [])
    table.done()
    if len(set(names)) < len(names) or not least <= len(names) <= 96:
        raise SensewellError(f"{table.where}: expected {least} to 96 features, each once, got {len(names)}")
    return tuple(names), choice


def _guard(table: Table, channels: Sequence[str]) -> dict[str, Any]:
    guard: dict[str, Any] = {"gap_ms": table.whole("gap_ms", 0, 2**28, 0)}
    limits: list[dict[str, int]] = [{} for _ in channels]
    places = {channel: place for place, channel in enumerate(channels)}
    for entry in table.tables("channel"):
        given = {key: entry.whole(key, -32768, 65535) for key in _GUARD_KEYS if key in entry}
        for channel in entry.texts("of"):
            limits[_place(channel, places, channel, entry.where)].update(given)
        entry.done()
    guard["channels"] = limits
    pairs = []
    for entry in table.tables("disagree"):
        between = entry.texts("of")
        if len(between) != 2:
            raise SensewellError(f"{entry.where}: expected `of` as two channels, got {', '.join(between)}")
        a, b = (_place(channel, places, channel, entry.where) for channel in between)
        pairs.append(
            {
                "a": a,
                "b": b,
                "limit_raw": entry.whole("limit_raw", 1, 65535),
                "dwell": entry.whole("dwell", 1, 30000, 1),
            }
        )
        entry.done()
    if pairs:
        guard["disagree"] = pairs
    table.done()
    return guard


def _condition(table: Table, channels: Sequence[str]) -> dict[str, Any]:
    places = {channel: place for place, channel in enumerate(channels)}
    condition: dict[str, Any] = {}
    for key, plural, keys in (
        ("filter", "filters", ("n", "shift")),
        ("normalise", "normalise", ("offset_raw", "gain_q12")),
    ):
        entries = table.tables(key)
        if not entries:
            continue
        specs: list[dict[str, Any]] = [{} for _ in channels]
        for entry in entries:
            given: dict[str, Any] = {name: entry.whole(name, -32768, 32767) for name in keys if name in entry}
            if key == "filter":
                given["kind"] = entry.text("kind")
            for channel in entry.texts("of"):
                specs[_place(channel, places, channel, entry.where)].update(given)
            entry.done()
        condition[plural] = specs
    table.done()
    return condition


def _augment(table: Table, channels: Sequence[str]) -> Augment:
    places = {channel: place for place, channel in enumerate(channels)}
    vectors = []
    for entry in table.tables("vector"):
        of = tuple(_place(channel, places, channel, entry.where) for channel in entry.texts("of"))
        if len(of) != 3:
            raise SensewellError(f"{entry.where}: expected `of` as three channels, got {len(of)}")
        mirror = tuple(int(sign) for sign in entry.numbers("mirror", 3, [1, 1, 1]))
        if not set(mirror) <= {-1, 1}:
            raise SensewellError(f"{entry.where}: expected mirror as three of 1 and -1, got {mirror}")
        vectors.append(
            Vector(
                (of[0], of[1], of[2]),
                (mirror[0], mirror[1], mirror[2]),
                entry.number("speed", 0.0),
                entry.flag("keep_mean", False),
            )
        )
        entry.done()
    slow, fast = table.numbers("time_scale", 2, [1.0, 1.0])
    if not 0.25 <= slow <= fast <= 4:
        raise SensewellError(f"{table.where}: expected time_scale as two rising numbers in 0.25..4, got {slow}, {fast}")
    a, b, c = table.numbers("rotate_deg", 3, [0.0, 0.0, 0.0])
    augment = Augment(
        copies=table.whole("copies", 0, 20, 0),
        between=table.whole("between", 0, 1000, 0),
        shift_n=table.whole("shift_n", 0, 1000, 0),
        time_scale=(slow, fast),
        gain=table.number("gain", 0.0),
        mirror=table.number("mirror", 0.0),
        rotate_deg=(a, b, c),
        vectors=tuple(vectors),
        field=field_noise.read(table.table("field")),
    )
    table.done()
    return augment


def _rule(table: Table) -> dict[str, Any]:
    rule: dict[str, Any] = {
        "name": table.text("name"),
        "on": table.text("on"),
        "when": table.text("when"),
        "limit": table.whole("limit", -32768, 32767),
        "label": table.text("label"),
    }
    if "clear" in table:
        rule["clear"] = table.whole("clear", -32768, 32767)
    for key in ("dwell_ms", "clear_dwell_ms"):
        if key in table:
            rule[key] = table.whole(key, 0, 2**28)
    if "priority" in table:
        rule["priority"] = table.whole("priority", 0, 1000)
    if "interlock" in table:
        rule["interlock"] = table.flag("interlock", False)
    if "on_bad" in table:
        rule["on_bad"] = table.text("on_bad")
    table.done()
    return rule


def _arbiter(table: Table) -> tuple[dict[str, int], str]:
    arbiter = {key: table.whole(key, 0, 2**28, default) for key, default in _ARBITER.items()}
    fallback = table.text("fallback", "unknown")
    table.done()
    return arbiter, fallback
