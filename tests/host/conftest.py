"""The digits forest, 10 trees of 100 leaves: what tests of conversion convert."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from sklearn.datasets import load_digits
from sklearn.ensemble import RandomForestClassifier

Array = npt.NDArray[Any]


@pytest.fixture(scope="session")
def digits() -> tuple[Array, Array]:
    x, y = load_digits(return_X_y=True)
    return x.astype(np.int16), y


@pytest.fixture(scope="session")
def model(digits: tuple[Array, Array]) -> RandomForestClassifier:
    x, y = digits
    return RandomForestClassifier(10, max_leaf_nodes=100, random_state=0).fit(x[:1300], y[:1300])
