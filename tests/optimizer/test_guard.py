"""Measures with answers that are known, the choice among them, and bad metrics."""

from __future__ import annotations

import numpy as np
import pytest

from onnxpack.errors import OptimizeError, UsageError
from onnxpack.optimizer.confidence import share_bound
from onnxpack.optimizer.guard import (
    check_enough,
    choose_kinds,
    judge,
    judge_by,
    judge_each,
    measure_distances,
)

RANDOM = np.random.default_rng(0)
LOGITS = RANDOM.standard_normal((100, 10)).astype(np.float32)
EMBEDDINGS = RANDOM.standard_normal((50, 64)).astype(np.float32)
NUMBERS = RANDOM.standard_normal((100, 1)).astype(np.float32) + 5


def flipped(answer: np.ndarray, rows: int) -> np.ndarray:
    changed = answer.copy()
    changed[:rows] = -changed[:rows]
    return changed


def test_agreement_counts_labels():
    found = judge({"y": LOGITS}, {"y": flipped(LOGITS, 4)}, metric="agreement")
    assert (found.measure, found.value, found.samples) == ("agreement", 0.96, 100)
    assert found.lower == share_bound(96, 100)
    assert found.keeps(0.1)
    assert not found.keeps(0.05)
    assert found.to_kept(0.1).lower == found.lower


def test_nan_agrees_with_nothing():
    broken = LOGITS.copy()
    broken[:3] = np.nan
    assert judge({"y": LOGITS}, {"y": broken}, metric="agreement").value == 0.97
    embeddings = EMBEDDINGS.copy()
    embeddings[:5] = np.nan
    assert judge({"y": EMBEDDINGS}, {"y": embeddings}).value <= 0.9
    numbers = NUMBERS.copy()
    numbers[0] = np.nan
    assert judge({"y": NUMBERS}, {"y": numbers}).value == 0.99


def test_neighbours_by_brute_force():
    noisy = EMBEDDINGS + 0.5 * RANDOM.standard_normal(EMBEDDINGS.shape).astype(np.float32)

    def nearest(points):
        unit = points / np.linalg.norm(points, axis=1, keepdims=True)
        near = unit.astype(np.float64) @ unit.T
        np.fill_diagonal(near, -1)
        return near.argmax(axis=1)

    found = judge({"y": EMBEDDINGS}, {"y": noisy})
    assert found.measure == "neighbour"
    assert found.value == pytest.approx((nearest(EMBEDDINGS) == nearest(noisy)).mean())
    assert 0.8 < found.figures["cosine"] < 0.95


def test_a_neighbour_that_is_as_near_is_as_right():
    twins = np.repeat(EMBEDDINGS[:10], 3, axis=0)
    assert judge({"y": twins}, {"y": twins[::-1][::-1]}).value == 1
    noisy = twins + 1e-6 * RANDOM.standard_normal(twins.shape).astype(np.float32)
    assert judge({"y": twins}, {"y": noisy}).value == 1


def test_many_embeddings_are_compared_in_blocks():
    many = RANDOM.standard_normal((600, 64)).astype(np.float32)
    assert judge({"y": many}, {"y": many * 3}).value == 1


def test_errors_are_relative_to_what_is_usual():
    """A value near 0 is judged by the size of the others."""
    wanted = np.array([[0.0], [10.0], [10.0], [-10.0]], np.float32)
    found = judge({"y": wanted}, {"y": wanted + 0.05})
    assert (found.measure, found.value) == ("error", 1.0)
    assert found.figures["rms"] == pytest.approx(0.05 / 75**0.5, rel=1e-4)
    assert judge({"y": wanted}, {"y": wanted + 0.2}).value == 0
    assert judge({"y": wanted * 0}, {"y": wanted * 0}).value == 1


def detections(*boxes: tuple[float, ...]) -> dict[str, np.ndarray]:
    array = np.array(boxes, np.float32).reshape(-1, 6)
    return {"boxes": array[:, :4], "scores": array[:, 4], "labels": array[:, 5].astype(np.int64)}


def answered(*rows: dict[str, np.ndarray]) -> dict[str, list[np.ndarray]]:
    return {name: [row[name] for row in rows] for name in ("boxes", "scores", "labels")}


BOX, FAR = (0.0, 0.0, 10.0, 10.0, 0.9, 1), (50.0, 50.0, 60.0, 60.0, 0.8, 2)


@pytest.mark.parametrize(
    ("found", "score"),
    [
        (detections(BOX, FAR), 1.0),
        (detections(FAR, BOX), 1.0),  # their order means nothing
        (detections(BOX, FAR, (0, 0, 5, 5, 0.1, 1)), 1.0),  # nobody reads a score of 0.1
        (detections(BOX), 0.5),
        (detections(), 0.0),
        (detections(BOX, FAR, (80, 80, 90, 90, 0.9, 1)), 2 / 3),
        (detections(BOX, (*FAR[:5], 3)), 0.5),  # another label
        (detections(BOX, (56, 50, 66, 60, 0.8, 2)), 0.5),  # overlaps by a quarter
        (detections((1, 0, 11, 10, 0.8, 1), FAR), 1.0),
    ],
)
def test_boxes_are_sets(found, score):
    group = (("boxes", "scores", "labels"),)
    judged = judge(answered(detections(BOX, FAR)), answered(found), unordered=group)
    assert (judged.measure, judged.value) == ("boxes", pytest.approx(score))


def test_no_boxes_on_both_sides_are_the_same():
    group = (("boxes", "scores", "labels"),)
    assert judge(answered(detections()), answered(detections()), unordered=group).value == 1


def test_the_output_that_keeps_least_decides():
    reference = {"label": np.arange(100), "probabilities": np.abs(LOGITS)}
    candidate = {"label": np.arange(100), "probabilities": flipped(np.abs(LOGITS), 10)}
    found = judge(reference, candidate)
    assert (found.outputs, found.measure, found.value) == (("probabilities",), "agreement", 0.9)
    assert len(judge_each(reference, candidate)) == 2


SOFT = np.exp(LOGITS) / np.exp(LOGITS).sum(axis=1, keepdims=True)


@pytest.mark.parametrize(
    ("outputs", "labels", "kinds"),
    [
        ({"y": LOGITS}, ["c"] * 10, ["agreement"]),
        ({"y": LOGITS}, None, ["error"]),
        ({"logits": LOGITS}, None, ["agreement"]),
        ({"y": SOFT}, None, ["agreement"]),
        ({"label": np.array(["a", "b"], object), "y": LOGITS[:2]}, None, ["agreement"] * 2),
        ({"y": EMBEDDINGS}, None, ["neighbour"]),
        ({"y": RANDOM.random((5, 7, 64), np.float32)}, None, ["neighbour"]),
        ({"y": RANDOM.random((5, 3, 8, 8), np.float32)}, None, ["error"]),
        ({"y": NUMBERS}, None, ["error"]),
        ({"y": NUMBERS[:, 0]}, None, ["error"]),
        ({"y": [NUMBERS[:3], NUMBERS[:2]]}, None, ["error"]),
    ],
)
def test_the_measure_by_default(outputs, labels, kinds):
    assert list(choose_kinds(outputs, labels=labels).values()) == kinds


def test_rows_with_shapes_of_their_own_are_compared_one_by_one():
    reference = {"y": [NUMBERS[:3], NUMBERS[:2], NUMBERS[:1]]}
    candidate = {"y": [NUMBERS[:3], NUMBERS[:1], NUMBERS[:1] + 1]}
    assert judge(reference, candidate).value == pytest.approx(1 / 3)


def test_a_metric_of_the_users():
    def halves(reference, candidate):
        return np.where((reference["y"] == candidate["y"]).all(axis=1), 1.0, 0.5)

    found = judge_by(halves, {"y": LOGITS}, {"y": flipped(LOGITS, 10)}, name="m:halves")
    assert (found.measure, found.value, found.samples) == ("m:halves", 0.95, 100)
    assert 0.8 < found.lower < 0.95
    one = judge_by(lambda reference, candidate: 0.95, {"y": LOGITS}, {"y": LOGITS}, name="m:one")
    assert (one.value, one.samples) == (0.95, 100)
    assert one.lower == pytest.approx(found.lower)


def test_a_metric_is_found_by_its_name(tmp_path):
    (tmp_path / "own_metric.py").write_text("def score(reference, candidate): return 1.0")
    name = f"{tmp_path}/own_metric.py:score"
    assert judge({"y": LOGITS}, {"y": LOGITS}, metric=name).measure == name


@pytest.mark.parametrize(
    ("metric", "words"),
    [
        (lambda r, c: 1 / 0, "m failed: ZeroDivisionError: division by zero"),
        (lambda r, c: float("nan"), "returned nan, expected scores between 0 and 1"),
        (lambda r, c: np.full(100, 1.5), "returned 1.5, expected scores between 0 and 1"),
        (lambda r, c: np.ones(7), r"shape \[7\], expected a score for each of the 100 rows"),
        (lambda r, c: "good", "m failed: ValueError"),
        (lambda r, c: None, "returned nan"),
    ],
)
def test_bad_metrics_are_explained(metric, words):
    with pytest.raises(OptimizeError, match=words):
        judge_by(metric, {"y": LOGITS}, {"y": LOGITS}, name="m")


def test_answers_that_cannot_be_judged():
    with pytest.raises(UsageError, match="'accuracy' is not a metric"):
        judge({"y": LOGITS}, {"y": LOGITS}, metric="accuracy")
    with pytest.raises(OptimizeError, match="returns no output 'y'"):
        judge({"y": LOGITS}, {})
    with pytest.raises(OptimizeError, match="no answers to evaluate"):
        judge({}, {})
    with pytest.raises(OptimizeError, match="2 rows have no neighbours"):
        judge({"y": EMBEDDINGS[:2]}, {"y": EMBEDDINGS[:2]})
    with pytest.raises(OptimizeError, match="are not boxes"):
        judge({"y": LOGITS}, {"y": LOGITS}, unordered=(("y",),))


def test_too_few_rows_are_told_how_many_it_takes():
    check_enough(299, 0.01)
    with pytest.raises(
        OptimizeError, match=r"50 rows cannot show a loss of at most 0\.01"
    ) as caught:
        check_enough(50, 0.01)
    assert "at least 299 rows" in caught.value.message
    with pytest.raises(OptimizeError, match="0 rows"):
        check_enough(0, 0.5)


def test_distances_of_a_golden_set():
    found = measure_distances("set", {"y": LOGITS}, {"y": LOGITS * np.float32(1.1)})
    assert [(each.golden, each.output, each.labels) for each in found] == [("set", "y", 100)]
    assert found[0].distance == pytest.approx(0.1, rel=1e-4)
    with pytest.raises(OptimizeError, match="infinitely far"):
        measure_distances("set", {"y": LOGITS}, {"y": LOGITS * np.float32("nan")})
