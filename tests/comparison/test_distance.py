"""One number for how far an answer is off."""

from __future__ import annotations

import numpy as np
import pytest

from onnxpack.comparison.distance import measure_distance

ROWS = np.array([[3.0, 4.0], [0.0, 12.0]], np.float32)


def test_the_length_of_the_difference_over_that_of_the_answer():
    apart = measure_distance(ROWS, ROWS + np.array([[0, 0], [0, 1.3]], np.float32))
    assert apart.distance == pytest.approx(0.1)
    assert apart.labels == 2


def test_labels_are_the_largest_along_the_last_axis():
    assert measure_distance(ROWS, ROWS[:, ::-1]).labels == 0
    assert measure_distance(ROWS[None], ROWS[None]).labels == 2


def test_numbers_of_one_axis_are_labels_themselves():
    assert measure_distance(np.array([1, 2, 3]), np.array([1, 2, 4])).labels == 2
    assert measure_distance(np.float32([1, np.nan]), np.float32([1, np.nan])) == (0.0, 2)


def test_texts():
    apart = measure_distance(np.array(["a", "b"], object), np.array(["a", "c"], object))
    assert apart == (0.5, 1)


@pytest.mark.parametrize(
    ("expected", "actual", "distance"),
    [
        (np.zeros(3), np.zeros(3), 0.0),
        (np.zeros(3), np.ones(3), float("inf")),
        (np.ones(3), np.ones(2), float("inf")),
        (np.ones(2), np.array([1, np.nan]), float("inf")),
        (np.array([1, np.nan]), np.ones(2), float("inf")),
        (np.array([1, np.inf]), np.array([1, np.inf]), 0.0),
        (np.array([1, np.inf]), np.array([1, -np.inf]), float("inf")),
        (np.zeros((0, 3)), np.zeros((0, 3)), 0.0),
        (np.array([1e300, 1e300]), np.array([1e300, 0]), 0.5**0.5),
        (np.array([1 + 1j]), np.array([1 + 2j]), 0.5**0.5),
        (np.array([True, False]), np.array([True, False]), 0.0),
    ],
)
def test_corners(expected, actual, distance):
    assert measure_distance(expected, actual).distance == pytest.approx(distance)
