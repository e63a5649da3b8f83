"""What is typical around an element, whatever else stands in the output."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onnxpack.comparison.scale import largest, surroundings

CAUSAL = np.tril(np.ones((16, 16), bool))


def typical(array: Any, place: tuple[int, ...]) -> float:
    magnitude = np.abs(np.asarray(array, np.float64))
    magnitude[~np.isfinite(magnitude)] = 0
    at = int(np.ravel_multi_index(place, magnitude.shape))
    return float(surroundings(magnitude, np.array([at])).typical[0])


def normal(*shape: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).standard_normal(shape)


@pytest.mark.parametrize("shape", [(40,), (8, 10), (1, 1000), (2, 3, 8, 8), (2, 5, 16)])
def test_numbers_of_one_kind_are_typical_for_each_other(shape: tuple[int, ...]) -> None:
    array = normal(*shape)
    array.flat[0] = 1e-9
    assert 0.1 < typical(array, (0,) * len(shape)) < 1.5


@pytest.mark.parametrize("mask", [-1e4, -1e8, np.finfo(np.float32).min, -1e300, -np.inf])
@pytest.mark.parametrize("added", [False, True])
@pytest.mark.parametrize(
    "kept", [CAUSAL, normal(16, 16) > 1, normal(4, 10) > 0.5, np.eye(5, 8, dtype=bool)]
)
def test_a_mask_is_not_typical_of_what_it_leaves(mask: float, added: bool, kept: Any) -> None:
    values = normal(*kept.shape, seed=3)
    masked = np.where(kept, values, values + mask if added else mask)
    for place in np.argwhere(kept):
        assert typical(masked, tuple(place)) < 10


@pytest.mark.parametrize("huge", [1e5, 1.7e9, 1e30])
@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("count", [1, 2, 4])
def test_slices_of_another_size_are_not_typical(huge: float, axis: int, count: int) -> None:
    array = normal(5, 6, 7)
    np.moveaxis(array, axis, 0)[:count] *= huge
    small = tuple(size - 1 for size in array.shape)
    assert typical(array, small) < 10


def test_small_numbers_beside_large_ones_are_judged_by_their_own() -> None:
    assert typical([1e-3, 2e-3, 3e-3, 5.0, 6.0, 7.0], (0,)) == 3e-3
    assert typical([0.0, 2e-3, 3e-3, 4e-3, 5e3, 6e3, 7e3], (0,)) == 4e-3


def test_a_rare_small_number_may_be_a_cancellation() -> None:
    assert typical([1e-8, 5.0, 6.0, 7.0], (0,)) == 7.0
    assert typical([1e-8, 2e-8, 5.0, 6.0, 7.0], (1,)) == 7.0


@pytest.mark.parametrize("array", [[0.3], [0.3, -1e8], [[0.3, -1e8]], [[0.3], [-1e8]]])
def test_without_neighbours_an_element_is_judged_by_itself(array: Any) -> None:
    assert typical(array, (0,) * np.ndim(array)) == 0.3


def test_nothing_is_typical_of_zeros() -> None:
    assert typical(np.zeros((3, 4)), (0, 0)) == 0.0


def test_what_is_common_is_the_largest_median() -> None:
    array = np.arange(1.0, 7.0)[:, None] * [1, 10]
    found = surroundings(array, np.array([0]))
    assert found.common[0] == 6.0  # of the whole; 3 in its column
    assert found.typical[0] == 5.0  # the upper quartile of its column


def test_a_few_numbers_are_no_slice() -> None:
    """Three answers to one class are small by chance, and say nothing about the rest."""
    array = np.ones((3, 40)) + np.arange(40) / 40
    array[:, 7] = [1e-3, 2e-3, 3e-3]
    assert surroundings(array, np.array([7])).typical[0] >= 1


def test_errors_are_those_around_an_element() -> None:
    array = np.array([[1.0, 1e9], [2.0, 2e9], [3.0, 3e9]])
    errors = np.array([[0.1, 64.0], [0.3, 64.0], [0.2, 64.0]])
    found = surroundings(array, np.array([0, 1]), errors)
    assert found.error.tolist() == [0.3, 64.0]


@settings(deadline=None, max_examples=50)
@given(st.randoms(use_true_random=False))
def test_the_order_of_rows_changes_nothing(random: Any) -> None:
    array = np.exp(4 * normal(6, 5))
    order = list(range(6))
    random.shuffle(order)
    places = np.arange(array.size).reshape(array.shape)
    straight = surroundings(array, places.reshape(-1)).typical.reshape(array.shape)
    shuffled = surroundings(array[order], places.reshape(-1)).typical.reshape(array.shape)
    np.testing.assert_array_equal(straight[order], shuffled)


def test_the_largest_looks_at_finite_elements_only() -> None:
    assert largest(np.array([1.0, -3.0, np.inf, np.nan])) == 3.0
    assert largest(np.array([])) == 0.0
    assert largest(np.array([3 + 4j])) == 5.0
