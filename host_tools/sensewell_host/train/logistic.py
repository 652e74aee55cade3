"""Logistic regression on standardised features: what a linear candidate is, and the baseline beside a forest.

Works on int16 feature vectors; must not know recipes, recordings or boards.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray


def fitted(X: NDArray[np.int16], y: NDArray[np.int64], C: float = 1.0, class_weight: Any = None) -> Any:
    """A pipeline of StandardScaler (features of mean 0 and deviation 1) and LogisticRegression; C: the less, the
    smaller its weights (L2)."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model = LogisticRegression(C=C, class_weight=class_weight, max_iter=2000)
        return make_pipeline(StandardScaler(), model).fit(X, y)
