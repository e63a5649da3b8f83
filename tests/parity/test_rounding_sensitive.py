"""A detector whose boxes depend on rounding is refused; one that knows its boxes is not."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from onnxpack.errors import ExportError
from onnxpack.parity.cases import Case
from onnxpack.parity.prove import Question
from onnxpack.parity.rounding_sensitive import set_aside_restless
from onnxpack.signature import Array

BOXES = np.array([[0, 0, 10, 10], [5, 5, 100, 200]], np.float32)
SCORES = np.array([0.9, 0.8], np.float32)
FOUND = {"boxes": BOXES, "scores": SCORES}


def question(
    expected: Mapping[str, Array], exact: Mapping[str, Array] | None, *, stress: bool = False
) -> Question:
    name = "negated" if stress else "sample"
    sets = (("boxes", "scores"),)
    return Question(Case(name, {}, {}, stress=stress), expected, lambda _: exact, sets)


def wide(**changed: Array) -> dict[str, Array]:
    return {name: array.astype(np.float64) for name, array in (FOUND | changed).items()}


@pytest.mark.parametrize(
    "exact",
    [wide(), wide(boxes=BOXES + 0.01), wide(boxes=BOXES[::-1], scores=SCORES[::-1]), None],
    ids=["equal", "rounded", "in another order", "no float64"],
)
def test_boxes_that_stay(exact: Mapping[str, Array] | None) -> None:
    asked = [question(FOUND, exact), question(FOUND, exact, stress=True)]
    assert set_aside_restless(asked) == (asked, [])


@pytest.mark.parametrize(
    "exact",
    [wide(boxes=BOXES + 1.35), wide(boxes=BOXES[:1], scores=SCORES[:1])],
    ids=["moved", "one less"],
)
def test_boxes_that_rounding_moves(exact: Mapping[str, Array]) -> None:
    empty = {"boxes": BOXES[:0], "scores": SCORES[:0]}
    with pytest.raises(ExportError, match=r"depend on how it rounds.*'sample': boxes") as caught:
        set_aside_restless([question(empty, empty), question(FOUND, exact)])
    assert "trained weights" in caught.value.remedy


def test_a_stress_case_that_rounding_moves_is_skipped_and_told() -> None:
    sample = question(FOUND, wide())
    moved = question(FOUND, wide(boxes=BOXES + 1.35), stress=True)
    kept, skipped = set_aside_restless([sample, moved])
    assert kept == [sample]
    assert [case.name for case in skipped] == ["negated"]
    assert "depend on how it rounds: in float64 boxes" in skipped[0].reason


def test_what_finds_no_boxes_is_not_asked_in_float64() -> None:
    def never(_: Mapping[str, Array]) -> Mapping[str, Array]:
        raise AssertionError("it was asked")

    set_aside_restless([Question(Case("sample", {}, {}), {"logits": BOXES}, never)])
