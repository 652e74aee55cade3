"""The mean of scores: at once, then slower; never out of bounds; and what the pipeline makes of it."""

from array import array

from lcg import Lcg
from sensewell.average import Average


def test_the_first_window_answers_and_the_first_n_count_alike():
    average = Average(3, 4, 100)
    scores = array("i", (60, 40, 0))
    assert average.add(scores) == 0 and average.confidence_pct == 60
    assert average.add(array("i", (20, 80, 0))) == 1 and average.confidence_pct in (59, 60)
    assert average.add(array("i", (100, 0, 0))) == 0 and average.confidence_pct in (59, 60)


def test_a_change_takes_about_two_thirds_of_n_and_ties_go_to_the_lowest():
    average = Average(2, 8, 24)
    for _ in range(50):
        assert average.add(array("i", (24, 0))) == 0 and average.confidence_pct >= 99
    waited = 1
    while average.add(array("i", (0, 24))) == 0:
        waited += 1
    assert waited == 6
    average.reset()
    assert average.add(array("i", (12, 12))) == 0


def test_the_mean_stays_within_what_exact_arithmetic_says_for_every_total():
    random = Lcg(5)
    for total in (1, 24, 16384, 100000, 10000000):
        average = Average(4, 64, total)
        mean = [0.0] * 4
        for i in range(150):
            n = min(i + 1, 64)
            left = total
            scores = array("i", bytes(16))
            for k in range(3):
                scores[k] = random.next(left + 1)
                left -= scores[k]
            scores[3] = left
            best = average.add(scores)
            for k in range(4):
                mean[k] += (scores[k] - mean[k]) / n
            assert mean[best] >= max(mean) - total * 1e-3
            assert abs(average.confidence_pct - mean[best] * 100 / total) <= 1.01
