"""From a recipe to a bundle in three stages, each of which leaves its files in build/models/NAME for the next.

    train    train.json forest.joblib features.npz (train/run.py) or net/ inputs.npz (train/neural.py), manifest.json
             and golden.npz (here)
    convert  model.bin, convert.json
    pack     NAME.swb

Joins training, conversion and packing, which do not know one another. Talks to no board.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sensewell_host.device_run import device_source_hash
from sensewell_host.errors import SensewellError

ROOT = Path(__file__).resolve().parents[2]
MODELS = ROOT / "models"
BUILD = ROOT / "build" / "models"
_SOURCES = ("train", "convert", "dataset", "device_run.py", "pack.py", "stages.py")  # what could change a bundle

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Built:
    """A model's files. `fresh`: made by this call; False: taken from build/, as nothing has changed since."""

    folder: Path
    bundle: Path
    fresh: bool

    def figures(self, name: str) -> dict[str, Any]:
        """train.json or convert.json."""
        return _read_json(self.folder / f"{name}.json", "train")


def recipe_path(model: str) -> Path:
    """models/NAME/model.toml for the name of a model, its folder or the file itself."""
    for path in (Path(model), MODELS / model):
        if path.is_dir():
            path = path / "model.toml"
        if path.is_file():
            return path
    known = ", ".join(sorted(path.parent.name for path in MODELS.glob("*/model.toml"))) or "none"
    raise SensewellError(f"there is no recipe {model!r}: name a model ({known}) or the path of a model.toml")


def folder_of(model: str) -> Path:
    """build/models/NAME of a model that may be given by name, recipe, or that very folder."""
    path = Path(model)
    if (path / "train.json").is_file():
        return path
    from sensewell_host.train.recipe import Recipe

    return BUILD / Recipe.load(recipe_path(model)).name


def train(model: str, progress: Progress | None = None, budget: Any = None) -> Any:
    """Train and keep what the next stages need; the TrainResult. budget: a train.budget.Budget to stay within."""
    from sensewell_host.train.manifest import build_manifest
    from sensewell_host.train.recipe import Recipe
    from sensewell_host.train.run import train as train_recipe

    path = recipe_path(model)
    recipe = Recipe.load(path)
    folder = BUILD / recipe.name
    if recipe.net:
        from sensewell_host.train.neural import train as train_net

        if budget is not None:
            raise SensewellError("budgets choose among forests: give a net other layers in [[model.candidate]]")
        result: Any = train_net(path, folder, progress=progress)
    elif recipe.family == "none":
        from sensewell_host.train.no_model import train as look

        if budget is not None:
            raise SensewellError(f"budgets choose among forests: {recipe.name} has no model")
        result = look(path, folder, progress=progress)
    else:
        result = train_recipe(path, folder, progress=progress, budget=budget)
    vectors, windows = result.golden()
    np.savez(folder / "golden.npz", features=vectors, windows=windows)
    (folder / "manifest.json").write_text(json.dumps(build_manifest(result.recipe, result), indent=1) + "\n")
    name = result.recipe.name
    made = ("model.bin", "convert.json", "built.json", f"{name}.swb", f"{name}-emlearn.csv", f"{name}-inline-*")
    for pattern in made:
        for later in folder.glob(pattern):
            later.unlink()  # it belongs to the model before
    return result


def convert(folder: Path) -> Any:
    """Turn what was trained into model.bin, proven equal on every row; the ConvertedForest, ConvertedLinear or
    ConvertedNet, None where the recipe has no model."""
    family = _read_json(folder / "train.json", "train").get("family")
    if family == "neural":
        return _convert_net(folder)
    if family == "none":
        return None
    from sensewell_host.convert.trained import load

    trained = load(folder, linear=True)
    converted = convert_model(trained.model, trained.vote, trained.rows)
    figures = trained.figures
    allowed = figures.get("budget", {}).get("model_bytes")
    if allowed and converted.bytes > allowed:
        raise SensewellError(f"the model takes {converted.bytes} bytes, {allowed} are allowed: allow less and see")
    target = figures.get("targets", {}).get("model_bytes")
    if target and converted.bytes > target:
        raise SensewellError(f"the recipe's target was missed: model_bytes: at most {target}, got {converted.bytes}")
    (folder / "model.bin").write_bytes(converted.blob)
    said = {key: value for key, value in asdict(converted).items() if key != "blob"}
    (folder / "convert.json").write_text(json.dumps(said, indent=2, default=int) + "\n")
    return converted


def convert_model(model: Any, vote: str, rows: Any) -> Any:
    """A fitted forest or linear model as a ConvertedForest or ConvertedLinear, proven on `rows`."""
    from sensewell_host.convert.forest import convert_forest
    from sensewell_host.convert.linear import convert_linear, is_linear

    return convert_linear(model, rows) if is_linear(model) else convert_forest(model, vote, rows)


def _convert_net(folder: Path) -> Any:
    from sensewell_host.convert.neural import as_dict, convert_net

    for later in ("model.bin", "convert.json"):
        (folder / later).unlink(missing_ok=True)  # what is refused leaves nothing to be packed
    converted = convert_net(folder)
    manifest = _read_json(folder / "manifest.json", "train")
    manifest["model"] = converted.model
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n")
    (folder / "model.bin").write_bytes(converted.blob)
    (folder / "convert.json").write_text(json.dumps(as_dict(converted), indent=2, default=int) + "\n")
    return converted


def pack(folder: Path, bound: dict[str, Any] | None = None) -> Path:
    """Pack manifest, model and golden vectors into NAME.swb, checked by the device code; its path.

    bound: what else the manifest says of where it may run: release, devices, expires (device/sensewell/policy.py).
    """
    from sensewell_host.pack import golden as golden_section
    from sensewell_host.pack import pack as pack_bundle

    manifest = {**_read_json(folder / "manifest.json", "train"), **(bound or {})}
    sections: dict[str, bytes] = {}
    if manifest["model"]["family"] != "none":
        blob = folder / "model.bin"
        if not blob.is_file():
            raise SensewellError(f"there is no {blob}: run `sensewell convert {manifest['name']}` first")
        sections["model"] = blob.read_bytes()
    with np.load(folder / "golden.npz", allow_pickle=False) as file:
        if file["windows"].size:  # else neither model nor features: there is nothing to prove
            rows = file["features"] if file["features"].size else None  # a net that reads windows has none
            manifest["golden"], sections["golden"] = golden_section(
                manifest, sections.get("model", b""), rows, file["windows"]
            )
    content = pack_bundle(manifest, sections)
    path = folder / f"{manifest['name']}.swb"
    part = path.with_suffix(".swb.part")
    part.write_bytes(content)
    part.replace(path)
    return path


def build(model: str, progress: Progress | None = None, force: bool = False) -> Built:
    """All three stages, or what they left the last time if recipe, recordings and code are the same."""
    from sensewell_host.train.recipe import Recipe
    from sensewell_host.train.run import load_dataset

    path = recipe_path(model)
    recipe = Recipe.load(path)
    folder = BUILD / recipe.name
    bundle = folder / f"{recipe.name}.swb"
    key = _key(recipe.content, load_dataset(recipe))
    note = folder / "built.json"
    if not force and bundle.is_file() and note.is_file():
        noted = json.loads(note.read_text())
        if noted == {"key": key, "sha256": hashlib.sha256(bundle.read_bytes()).hexdigest()}:
            return Built(folder, bundle, False)
    train(model, progress)
    if progress:
        progress("converting", 0, 1)
    convert(folder)
    pack(folder)
    note.write_text(json.dumps({"key": key, "sha256": hashlib.sha256(bundle.read_bytes()).hexdigest()}) + "\n")
    return Built(folder, bundle, True)


def _key(recipe: bytes, dataset: Any) -> str:
    digest = hashlib.sha256(recipe + device_source_hash().encode())
    here = Path(__file__).parent
    for name in _SOURCES:
        for path in sorted((here / name).rglob("*.py")) if (here / name).is_dir() else [here / name]:
            digest.update(path.name.encode() + path.read_bytes())
    for recording in dataset.recordings:
        digest.update(recording.name.encode() + recording.label.encode() + recording.samples.tobytes())
    return digest.hexdigest()


def _read_json(path: Path, verb: str) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(path.read_text())
    except (OSError, ValueError):
        raise SensewellError(f"there is no readable {path}: run `sensewell {verb} {path.parent.name}` first") from None
    return found
