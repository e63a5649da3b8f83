"""The bounds against scipy's, and against what they promise."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import beta, binomtest

from onnxpack.errors import UsageError
from onnxpack.optimizer.confidence import mean_bound, rows_needed, share_bound

TRIALS = st.integers(1, 5000)


@given(TRIALS.flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_the_share_is_that_of_clopper_and_pearson(case):
    successes, trials = case
    exact = float(beta.ppf(0.05, successes, trials - successes + 1)) if successes else 0.0
    assert share_bound(successes, trials) == pytest.approx(exact, rel=1e-6, abs=1e-9)


def test_the_share_is_one_sided():
    found = binomtest(95, 100, alternative="greater").proportion_ci(0.95, method="exact")
    assert share_bound(95, 100) == pytest.approx(found.low)


def test_many_rows():
    assert share_bound(999_000, 1_000_000) == pytest.approx(beta.ppf(0.05, 999_000, 1001), rel=1e-7)


def test_299_rows_without_a_miss_show_one_percent():
    assert rows_needed(0.01) == 299
    assert share_bound(299, 299) >= 0.99 > share_bound(298, 298)


@given(st.floats(1e-4, 0.9))
def test_as_many_rows_are_needed_as_the_bound_says(loss):
    needed = rows_needed(loss)
    assert share_bound(needed, needed) >= 1 - loss - 1e-12
    assert needed == 1 or share_bound(needed - 1, needed - 1) < 1 - loss + 1e-12


@pytest.mark.parametrize("loss", [0, 1, -0.1, float("nan")])
def test_an_impossible_loss_is_refused(loss):
    with pytest.raises(UsageError, match="expected more than 0 and less than 1"):
        rows_needed(loss)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=300))
def test_the_mean_is_never_below_its_bound(scores):
    values = np.array(scores)
    assert 0 <= mean_bound(values) <= values.mean() + 1e-12


@given(st.integers(1, 2000))
def test_all_ones_have_the_bound_of_a_share(count):
    assert mean_bound(np.ones(count)) == pytest.approx(share_bound(count, count), rel=1e-6)


@pytest.mark.parametrize(("name", "mean"), [("beta", 0.9), ("coin", 0.95), ("constant", 0.7)])
def test_the_bound_holds_in_95_of_100_draws(name, mean):
    random = np.random.default_rng(0)
    draws = {
        "beta": lambda: random.beta(9, 1, 100),
        "coin": lambda: (random.random(100) < 0.95).astype(float),
        "constant": lambda: np.full(100, 0.7),
    }
    above = sum(mean_bound(draws[name]()) > mean for _ in range(400))
    assert above <= 400 * 0.05 + 3 * (400 * 0.05 * 0.95) ** 0.5


def test_no_row_shows_nothing():
    assert mean_bound(np.array([])) == 0
    assert share_bound(0, 5) == 0
    assert mean_bound(np.zeros(5)) == 0
