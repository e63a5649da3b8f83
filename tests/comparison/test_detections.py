"""Detections are sets; everything else keeps its order."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onnxpack.comparison.detections import compare_all, detection_groups, pair
from onnxpack.comparison.tolerance import Tolerance

TOLERANCE = Tolerance()


def detections(count: int, seed: int = 0, prefix: str = "") -> dict[str, Any]:
    random = np.random.default_rng(seed)
    return {
        f"{prefix}boxes": random.uniform(0, 100, (count, 4)).astype(np.float32),
        f"{prefix}scores": random.uniform(0, 1, count).astype(np.float32),
        f"{prefix}labels": random.integers(0, 5, count),
        f"{prefix}masks": random.uniform(0, 1, (count, 2, 2)).astype(np.float32),
    }


def reordered(outputs: dict[str, Any], order: Any) -> dict[str, Any]:
    return {name: array[order] for name, array in outputs.items()}


def passed(expected: Any, actual: Any) -> bool:
    return all(found.passed for found in compare_all(expected, actual, TOLERANCE))


@settings(deadline=None)
@given(st.integers(0, 12), st.randoms(use_true_random=False))
def test_order_means_nothing(count: int, random: Any) -> None:
    expected = detections(count)
    order = list(range(count))
    random.shuffle(order)
    actual = reordered(expected, order)
    assert passed(expected, actual)
    for name, array in pair(expected, actual).items():
        np.testing.assert_array_equal(array, expected[name])


@settings(deadline=None)
@given(st.integers(1, 8), st.sampled_from(["boxes", "scores", "labels", "masks"]), st.data())
def test_one_wrong_row_is_seen(count: int, name: str, data: st.DataObject) -> None:
    expected = detections(count)
    actual = {key: array.copy() for key, array in expected.items()}
    actual[name][data.draw(st.integers(0, count - 1))] += 1
    assert not passed(expected, actual)


def test_near_equal_scores_may_change_places() -> None:
    expected = detections(4)
    expected["scores"][:] = [0.9, 0.5, 0.5000001, 0.1]
    actual = reordered(expected, [0, 2, 1, 3])
    actual["scores"] = actual["scores"] * np.float32(1 + 1e-6)
    assert passed(expected, actual)


def test_one_box_twice_is_not_two_boxes() -> None:
    expected = detections(3)
    assert not passed(expected, reordered(expected, [0, 1, 1]))


def test_two_labels_of_one_box_are_told_apart() -> None:
    expected = reordered(detections(4), [0, 0, 1, 1])
    expected["labels"][:] = [1, 2, 3, 4]
    assert passed(expected, reordered(expected, [1, 0, 3, 2]))


def test_a_missing_row_is_seen() -> None:
    expected = detections(3)
    assert not passed(expected, reordered(expected, [0, 1]))


def test_groups_of_their_own() -> None:
    expected = detections(3, 0, "first_") | detections(3, 1, "second_")
    actual = reordered(detections(3, 0, "first_"), [2, 1, 0]) | detections(3, 1, "second_")
    assert [prefix for prefix, _ in detection_groups(expected)] == ["first_", "second_"]
    assert passed(expected, actual)


def test_a_group_takes_only_what_has_its_rows() -> None:
    outputs = detections(3) | {"logits": np.zeros((5, 2)), "anchor": np.zeros((3, 1))}
    ((prefix, members),) = detection_groups(outputs)
    assert prefix == ""
    assert members == ("boxes", "scores", "labels", "masks", "anchor")


@pytest.mark.parametrize(
    "outputs",
    [
        {"scores": np.zeros(3), "labels": np.zeros(3)},
        {"boxes": np.zeros((3, 4)), "logits": np.zeros(3)},
        {"boxes": np.zeros((3, 5)), "scores": np.zeros(3)},
        {"boxes": np.zeros((3, 4)), "scores": np.zeros(2)},
        {"boxes": np.zeros((1, 3, 4)), "scores": np.zeros((1, 3))},
        {"boxes_2": np.zeros((3, 4)), "scores_2": np.zeros(3)},
    ],
)
def test_what_is_no_group(outputs: Any) -> None:
    assert list(detection_groups(outputs)) == []


def test_other_outputs_keep_their_order() -> None:
    expected = {"y": np.arange(3.0)}
    assert not passed(expected, {"y": np.arange(3.0)[::-1]})


def test_boxes_that_are_not_finite() -> None:
    expected = detections(3)
    expected["boxes"][1] = np.nan
    assert passed(expected, reordered(expected, [2, 0, 1]))


def test_noise_is_allowed_by_name() -> None:
    expected, actual = {"y": np.float32([1, 2])}, {"y": np.float32([1.01, 2])}
    assert not compare_all(expected, actual, TOLERANCE)[0].passed
    assert compare_all(expected, actual, TOLERANCE, {"y": 0.02})[0].passed


def test_an_output_that_is_lacking() -> None:
    with pytest.raises(KeyError):
        compare_all({"y": np.zeros(1)}, {}, TOLERANCE)
