"""The simple models that a net must beat to be worth its bytes, fitted and judged on the same rows.

Knows arrays of scaled inputs; must not know Keras or files.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]


def linear_classes(x: Floats, y: NDArray[np.int64], unseen: Floats) -> NDArray[np.int64]:
    """Classes of `unseen` by logistic regression (C = 0.1, at most 100 rounds, not tuned) on x (n, ...) flattened."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model = LogisticRegression(C=0.1, max_iter=100).fit(x.reshape(len(x), -1), y)
    return np.asarray(model.predict(unseen.reshape(len(unseen), -1)))


def linear_value(
    x: Floats, y: Floats, stays: Floats, groups: NDArray[np.str_], unseen: Floats, stays_unseen: Floats
) -> Floats:
    """Values for `unseen` by ridge regression of the change since the last sample, `stays`; its penalty is the one of
    1, 10, 100 and 1000 that is best on groups left out."""
    from sklearn.linear_model import Ridge
    from sklearn.model_selection import GridSearchCV, LeaveOneGroupOut

    model: Any = Ridge(alpha=1.0)
    if len(set(groups.tolist())) > 1:
        penalties = {"alpha": [1.0, 10.0, 100.0, 1000.0]}
        model = GridSearchCV(model, penalties, scoring="neg_mean_absolute_error", cv=LeaveOneGroupOut())
        model.fit(x.reshape(len(x), -1), y - stays, groups=groups)
    else:
        model.fit(x.reshape(len(x), -1), y - stays)
    return np.asarray(model.predict(unseen.reshape(len(unseen), -1)) + stays_unseen)


def linear_error(x: Floats, unseen: Floats, bottleneck: int) -> Floats:
    """Mean square error of `unseen` when it goes through as many principal components as the net's narrowest layer."""
    from sklearn.decomposition import PCA

    x, unseen = x.reshape(len(x), -1), unseen.reshape(len(unseen), -1)
    model = PCA(min(bottleneck, *x.shape), random_state=0).fit(x)
    return np.asarray(((model.inverse_transform(model.transform(unseen)) - unseen) ** 2).mean(1))


def size(x: Floats) -> Floats:
    """Mean square of each window: how far it is from the mean of all; no model at all."""
    return np.asarray((x.reshape(len(x), -1) ** 2).mean(1))
