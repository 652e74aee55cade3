"""What `sensewell train` left in a model's folder, for those that convert it.

Knows files, not what is in a model.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from sensewell_host.errors import SensewellError


@dataclass(frozen=True)
class Trained:
    """A model that `sensewell train` left in `folder`; rows: all that conversion is proven on, (n, n_features);
    figures: train.json."""

    name: str
    folder: Path
    model: Any
    vote: str
    rows: npt.NDArray[Any]
    figures: dict[str, Any]


def load(folder: Path, linear: bool = False) -> Trained:
    """Read train.json, forest.joblib and features.npz; SensewellError where the model is not trained yet, is a network,
    or is linear and that is not asked for."""
    try:
        figures = json.loads((folder / "train.json").read_text())
        if figures.get("family") == "neural":
            raise SensewellError(f"{folder.name} is a network: other forms than its .tflite are for forests only")
        if figures.get("family") == "linear" and not linear:
            raise SensewellError(f"{folder.name} is a linear model: emlearn's forms are for forests only")
        vote = str(figures["vote"])
    except (OSError, ValueError, KeyError, TypeError):
        path = folder / "train.json"
        raise SensewellError(f"there is no readable {path}: run `sensewell train {folder.name}` first") from None
    try:
        import joblib

        model = joblib.load(folder / "forest.joblib")
        with np.load(folder / "features.npz", allow_pickle=False) as file:
            rows = np.concatenate([file["X_train"], file["X_test"]])
    except (OSError, ValueError, KeyError, EOFError) as error:
        raise SensewellError(f"the trained forest in {folder} cannot be read ({error}): train again") from error
    return Trained(folder.name, folder, model, vote, rows, figures)
