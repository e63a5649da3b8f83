"""Detections are sets; everything else keeps its order."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onnxpack.comparison.detections import (
    as_sets,
    check_sets,
    compare_all,
    pair,
    sets_of_a_detector,
)
from onnxpack.comparison.elements import Noise
from onnxpack.comparison.tolerance import Tolerance
from onnxpack.errors import UsageError

TOLERANCE = Tolerance()

ROWS = (("boxes", "scores", "labels", "masks"),)


def single(values: Any) -> Any:
    return np.asarray(values, np.float32)


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


def passed(expected: Any, actual: Any, unordered: Any = ROWS) -> bool:
    return all(
        found.passed for found in compare_all(expected, actual, TOLERANCE, unordered=unordered)
    )


@settings(deadline=None)
@given(st.integers(0, 12), st.randoms(use_true_random=False))
def test_order_means_nothing(count: int, random: Any) -> None:
    expected = detections(count)
    order = list(range(count))
    random.shuffle(order)
    actual = reordered(expected, order)
    assert passed(expected, actual)
    for name, array in pair(expected, actual, ROWS).items():
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
    actual["scores"] = actual["scores"] * single(1 + 1e-6)
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
    sets = tuple(sets_of_a_detector(expected))
    assert [members[0] for members in sets] == ["first_boxes", "second_boxes"]
    assert passed(expected, actual, sets)


def test_a_group_takes_only_what_has_its_rows() -> None:
    outputs = detections(3) | {"logits": np.zeros((5, 2)), "anchor": np.zeros((3, 1))}
    (members,) = sets_of_a_detector(outputs)
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
    assert list(sets_of_a_detector(outputs)) == []


def test_other_outputs_keep_their_order() -> None:
    expected = {"y": np.arange(3.0)}
    assert not passed(expected, {"y": np.arange(3.0)[::-1]})


@pytest.mark.parametrize("order", [[1, 0, 2], [2, 0, 1], [2, 1, 0]])
def test_names_make_no_set(order: list[int]) -> None:
    """A tracker answers with boxes and scores too, and its first row is its first track."""
    expected = detections(3)
    actual = reordered(expected, order)
    assert not passed(expected, actual, ())
    assert not passed(expected, actual, (("boxes", "scores"),))  # the labels stayed where they were
    assert passed(expected, actual)


def test_each_output_of_a_set_moves_with_its_row() -> None:
    expected = detections(4)
    actual = {key: array.copy() for key, array in expected.items()}
    actual["scores"] = actual["scores"][[1, 0, 2, 3]]
    assert not passed(expected, actual)


def test_labels_that_changed_places_are_seen() -> None:
    expected = detections(2)
    expected["labels"][:] = [1, 2]
    assert not passed(expected, expected | {"labels": expected["labels"][::-1]})


def test_rows_of_anything_can_be_a_set() -> None:
    expected = {"names": np.array(["a", "b", "c"], object), "ids": np.arange(3)}
    actual = reordered(expected, [2, 0, 1])
    assert passed(expected, actual, (("names", "ids"),))
    assert not passed(expected, actual | {"ids": expected["ids"]}, (("names", "ids"),))


def test_a_set_that_is_not_there_leaves_the_order() -> None:
    expected = {"y": np.arange(3.0)}
    assert not passed(expected, {"y": np.arange(3.0)[::-1]}, (("y", "z"),))


def test_outputs_of_other_lengths_are_no_set() -> None:
    expected = {"y": np.arange(3.0), "z": np.arange(2.0)}
    assert passed(expected, expected, (("y", "z"),))
    assert not passed(expected, expected | {"y": np.arange(3.0)[::-1]}, (("y", "z"),))


@pytest.mark.parametrize(
    ("given", "sets"),
    [
        ((), ()),
        ("boxes", (("boxes",),)),
        (["boxes", "scores"], (("boxes", "scores"),)),
        ([["a_boxes", "a_scores"], ["b_boxes"]], (("a_boxes", "a_scores"), ("b_boxes",))),
    ],
)
def test_what_a_user_names_as_sets(given: Any, sets: Any) -> None:
    assert as_sets(given) == sets


@pytest.mark.parametrize(
    ("unordered", "message"),
    [
        ((("boxs",),), "unordered names 'boxs', which is not an output; the outputs are: boxes"),
        ((("boxes", "boxes"),), "names the output 'boxes' twice"),
        ((("boxes",), ("boxes",)), "names the output 'boxes' twice"),
    ],
)
def test_sets_that_fit_no_output(unordered: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        check_sets(unordered, ["boxes", "scores"])


def test_boxes_that_are_not_finite() -> None:
    expected = detections(3)
    expected["boxes"][1] = np.nan
    assert passed(expected, reordered(expected, [2, 0, 1]))


def test_noise_is_allowed_by_name() -> None:
    expected, actual = {"y": single([0.001, 1, 2])}, {"y": single([0.0015, 1, 2])}
    noise = {"y": Noise(own=np.full(3, 2e-4))}
    assert not compare_all(expected, actual, TOLERANCE)[0].passed
    assert compare_all(expected, actual, TOLERANCE, noise=noise)[0].passed


def test_an_output_that_is_lacking() -> None:
    with pytest.raises(KeyError):
        compare_all({"y": np.zeros(1)}, {}, TOLERANCE)
