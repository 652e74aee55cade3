"""Mixtures between neighbouring groups: where they lie, what they depend on, and that nothing left out is in them."""

import numpy as np
import pytest
from sensewell_host.errors import SensewellError
from sensewell_host.train.between import between
from sensewell_host.train.forest import Examples

# feature 0 says the group, feature 1 the class
SPEEDS = np.repeat(np.array(["9", "20", "100"]), 8)
Y = np.tile(np.array([0, 1], np.int64), 12)
X = np.stack([SPEEDS.astype(float) * 10, Y * 1000], 1).astype(np.int16)


def test_a_mixture_is_of_one_class_and_between_two_neighbours_by_number() -> None:
    made, classes = between(X, Y, SPEEDS, 50, 0)
    assert made.dtype == np.int16 and made.shape == (2 * 2 * 50, 2)
    assert np.array_equal(made[:, 1], classes * 1000)
    low, high = made[:100, 0], made[100:, 0]
    assert low.min() >= 90 and low.max() <= 200 and len(np.unique(low)) > 30
    assert high.min() >= 200 and high.max() <= 1000 and len(np.unique(high)) > 50


def test_a_pair_is_the_same_whatever_the_other_groups_are() -> None:
    rest = SPEEDS != "100"
    whole, _ = between(X, Y, SPEEDS, 5, 3)
    assert np.array_equal(between(X[rest], Y[rest], SPEEDS[rest], 5, 3)[0], whole[:10])
    assert not np.array_equal(between(X, Y, SPEEDS, 5, 4)[0], whole)


def test_a_class_that_a_group_lacks_has_no_mixture_there() -> None:
    known = ~((SPEEDS == "20") & (Y == 1))
    _, classes = between(X[known], Y[known], SPEEDS[known], 5, 0)
    assert classes.tolist() == [0] * 10


def test_the_group_left_out_is_in_no_mixture() -> None:
    examples = Examples(X, Y, SPEEDS, (X + 1,), (np.ones(24, bool),), mixed=20)
    learned, classes = examples.learn(SPEEDS != "20", [0])
    assert learned.shape == (16 + 16 + 2 * 20, 1) and len(classes) == len(learned)
    assert not np.isin(learned[:32], [200, 201]).any()
    assert learned[32:].min() >= 90 and learned[32:].max() <= 1001


def test_groups_that_are_no_numbers_are_refused() -> None:
    with pytest.raises(SensewellError, match=r"groups that are numbers, such as speeds: .*'anna'"):
        between(X[:2], Y[:2], np.array(["anna", "9"]), 5, 0)
