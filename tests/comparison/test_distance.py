"""How far answers lie from others that they only resemble."""

from __future__ import annotations

import json

import numpy as np
import pytest

from onnxpack.comparison.distance import distance, same_labels

ROWS = np.array([[3, 4], [0, 0]], np.float32)


def test_it_is_the_share_of_the_length_that_is_lost():
    assert distance(ROWS, ROWS) == 0
    assert distance(ROWS, ROWS * np.float32(1.5)) == pytest.approx(0.5)
    assert distance(ROWS, np.zeros_like(ROWS)) == pytest.approx(1)
    assert distance(ROWS, ROWS + np.array([[0, 5], [0, 0]], np.float32)) == pytest.approx(1)


@pytest.mark.parametrize(
    "dtype", [np.float16, np.float64, np.int64, np.uint8, np.bool_, np.complex64]
)
def test_every_number_has_a_distance(dtype):
    wanted = np.array([[1, 0], [1, 1]], dtype)
    found = np.array([[1, 0], [1, 0]], dtype)
    assert distance(wanted, found) == pytest.approx(1 / np.sqrt(3))


def test_unsigned_numbers_do_not_wrap():
    assert distance(np.array([3, 4], np.uint8), np.array([4, 4], np.uint8)) == pytest.approx(0.2)


def test_strings_differ_or_not():
    wanted = np.array(["a", "b", "c", "d"], object)
    assert distance(wanted, wanted.copy()) == 0
    assert distance(wanted, np.array(["a", "x", "c", "d"], object)) == 0.25
    assert distance(wanted[:0], wanted[:0]) == 0


def test_of_nothing_only_nothing_is_near():
    zeros = np.zeros((2, 3), np.float32)
    assert distance(zeros, zeros) == 0
    assert distance(zeros, zeros + np.float32(1e-30)) > 1e300
    assert distance(zeros[:0], zeros[:0]) == 0


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_stands_where_it_stood(value):
    masked = np.array([[1, value], [2, 3]], np.float32)
    assert distance(masked, masked.copy()) == 0
    assert distance(masked, np.array([[1.1, value], [2, 3]], np.float32)) == pytest.approx(
        0.1 / np.sqrt(14), rel=1e-4
    )
    for found in (np.array([[1, 0], [2, 3]]), np.array([[value, value], [2, 3]]), -masked):
        if not np.array_equal(found, masked, equal_nan=True):
            assert distance(masked, found.astype(np.float32)) > 1e300 or np.isnan(value)


def test_other_shapes_and_dtypes_are_as_far_as_can_be():
    assert distance(ROWS, ROWS[:1]) > 1e300
    assert distance(ROWS, ROWS.astype(np.float64)) > 1e300
    # Evidence is written as JSON.
    assert json.loads(json.dumps(distance(ROWS, ROWS[:1]))) == distance(ROWS, ROWS[:1])


def test_numbers_too_large_to_square_are_measured():
    large = np.array([1e300, 1e300])
    assert distance(large, large) == 0
    assert distance(large, large * 1.5) == pytest.approx(0.5)


def test_labels_are_counted_along_the_last_axis():
    wanted = np.array([[[1, 2], [4, 3]], [[5, 6], [8, 7]]], np.float32)
    assert same_labels(wanted, wanted * 2) == 4
    assert same_labels(wanted, wanted[..., ::-1]) == 0
    found = wanted.copy()
    found[0, 0] = [9, 0]
    assert same_labels(wanted, found) == 3


@pytest.mark.parametrize(
    "array",
    [np.float32(1), np.ones(()), np.ones((3, 1)), np.ones((0, 4)), np.array(["a", "b"], object)],
)
def test_what_has_no_labels_has_none(array):
    array = np.asarray(array)
    assert same_labels(array, array) == 0


def test_labels_of_another_shape_are_none():
    assert same_labels(ROWS, ROWS[:1]) == 0
