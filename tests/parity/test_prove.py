"""The proof: what it lets through as noise, and what it never does."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from onnxpack.comparison.tolerance import OutputEvidence, Tolerance
from onnxpack.errors import PackError
from onnxpack.parity.cases import Case
from onnxpack.parity.nonfinite import INFINITE
from onnxpack.parity.prove import NOISE_CEILING, Question, Usual, empty_throughout, prove

TIGHT = Tolerance(rtol=1e-6, atol=1e-7)
X = np.linspace(1, 2, 8, dtype=np.float32).reshape(2, 4)


def save(path: Path, factor: float, outputs: tuple[str, ...] = ("y",)) -> Path:
    """``y = x * factor`` for each output."""
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        [helper.make_node("Mul", ["x", "factor"], [name]) for name in outputs],
        "g",
        [value("x", onnx.TensorProto.FLOAT, ["batch", 4])],
        [value(name, onnx.TensorProto.FLOAT, ["batch", 4]) for name in outputs],
        [numpy_helper.from_array(np.float32(factor), "factor")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.save(model, path)
    return path


def question(expected: Any, exact: Any = None, name: str = "y") -> Question:
    """The framework says ``expected`` in float32, and ``exact`` in float64."""

    def in_float64(feeds: Mapping[str, Any]) -> Mapping[str, Any] | None:
        return None if exact is None else {name: np.asarray(exact, np.float64)}

    case = Case("sample", {"x": X}, {"batch": 2})
    return Question(case, {name: np.asarray(expected, np.float32)}, in_float64)


def only(graph: Path, asked: Question, tolerance: Tolerance = TIGHT) -> OutputEvidence:
    (case,) = prove(graph, [asked], tolerance)
    (output,) = case.outputs
    assert case.passed == output.passed
    return output


@pytest.fixture
def twice(tmp_path: Path) -> Path:
    return save(tmp_path / "g.onnx", 2.0)


def test_an_equal_answer(twice: Path) -> None:
    found = only(twice, question(X * 2))
    assert found.passed
    assert (found.max_abs, found.noise) == (0, 0)


def test_what_float32_cannot_tell_apart_is_noise(twice: Path) -> None:
    """The framework's own error against float64 is as large as the difference."""
    found = only(twice, question(X * 2 + 1e-4, X * 2.0))
    assert found.passed
    assert 1e-4 < found.noise < 5e-4


def test_the_same_difference_is_an_error_where_the_framework_is_exact(twice: Path) -> None:
    expected = X * 2 + np.float32(1e-4)
    found = only(twice, question(expected, expected))
    assert not found.passed
    assert found.noise == 0
    assert found.reason.startswith("8 of 8 elements differ")


def test_without_a_float64_answer_the_tolerance_decides(twice: Path) -> None:
    assert not only(twice, question(X * 2 + 1e-4)).passed


def test_a_large_difference_is_never_noise(twice: Path) -> None:
    far = X * 2 + 2 * NOISE_CEILING * 4
    found = only(twice, question(far, X * 0.0))
    assert not found.passed
    assert found.noise == 0


def test_noise_has_a_ceiling(twice: Path) -> None:
    found = only(twice, question(X * 2 + 1e-3, X * 0.0))
    assert found.passed
    assert found.noise <= NOISE_CEILING * 4.01


@pytest.mark.parametrize("exact", [np.zeros((3, 4)), np.zeros(())])
def test_a_float64_answer_of_another_shape_allows_nothing(twice: Path, exact: Any) -> None:
    assert not only(twice, question(X * 2 + 1e-4, exact)).passed


def test_a_float64_answer_with_nan_allows_nothing_for_it(twice: Path) -> None:
    assert not only(twice, question(X * 2 + 1e-4, np.full((2, 4), np.nan))).passed


def test_an_output_that_is_missing(twice: Path) -> None:
    found = only(twice, question(X * 2, name="z"))
    assert not found.passed
    assert found.reason == "the graph has no such output"


def test_an_input_that_the_graph_refuses_is_a_failed_case(twice: Path) -> None:
    case = Case("batch=3", {"x": np.ones((3, 5), np.float32)}, {"batch": 3})
    (found,) = prove(twice, [Question(case, {"y": X}, lambda feeds: None)], TIGHT)
    assert not found.passed
    assert "expected float32[batch, 4]" in found.outputs[0].reason


def test_a_graph_that_does_not_load(tmp_path: Path) -> None:
    path = tmp_path / "bad.onnx"
    path.write_bytes(b"no graph")
    with pytest.raises(PackError):
        prove(path, [question(X)], TIGHT)


def test_float64_is_only_asked_when_it_matters(twice: Path) -> None:
    asked: list[str] = []
    near = question(X * 2)
    watched = Question(near.case, near.expected, lambda feeds: asked.append("asked"))  # type: ignore[func-returns-value,arg-type]
    prove(twice, [watched], TIGHT)
    assert asked == []


def test_outputs_that_were_always_empty() -> None:
    def answer(**outputs: int) -> Question:
        arrays = {name: np.zeros((size, 4)) for name, size in outputs.items()}
        return Question(Case("c", {}, {}), arrays, lambda feeds: None)

    assert empty_throughout([answer(a=0, b=1), answer(a=0, b=0)]) == ["a"]
    assert empty_throughout([answer(a=0), answer(a=1)]) == []


def asked(answer: Any, *, stress: bool = False) -> Question:
    case = Case("c", {}, {}, stress=stress)
    return Question(case, {"y": np.asarray(answer, np.float32)}, lambda feeds: None)


def test_what_is_usual_at_each_place_of_the_last_axis() -> None:
    questions = [asked([[1, 1e9], [2, 1e9], [3, 1e9]]), asked([[4, -5], [5, 1e9], [-6, 1e9]])]
    far = asked([[1e6, 0]] * 9, stress=True)
    np.testing.assert_allclose(Usual([*questions, far]).sizes("y"), [3.5, (5 + 1e9) / 2])


def test_what_is_usual_of_a_scalar_is_a_scalar() -> None:
    """It was an array of one element, which does not broadcast to a scalar."""
    answers = [asked(np.float32(each)) for each in range(1, 8)]
    assert Usual(answers).sizes("y") == 4
    assert Usual(answers).sizes("y").shape == ()


@pytest.mark.parametrize("answers", [[], [[[1, 2]]], [[], []]])
def test_little_says_nothing_of_what_is_usual(answers: list[Any]) -> None:
    assert not Usual([asked(each) for each in answers]).sizes("y").any()


def test_models_beside_the_model_show_what_float64_does_not(twice: Path) -> None:
    expected = X * np.float32(2.0002)
    case = Case("sample", {"x": X}, {"batch": 2})

    def in_float64(feeds: Mapping[str, Any]) -> Mapping[str, Any]:
        return {"y": expected.astype(np.float64)}

    def beside(feeds: Mapping[str, Any]) -> Any:
        yield {"y": expected * 1.0001}

    plain = Question(case, {"y": expected}, in_float64)
    wiser = Question(case, {"y": expected}, in_float64, beside=beside)
    assert not only(twice, plain).passed
    assert only(twice, wiser).passed


def test_copies_of_the_model_show_what_rounding_decides_far_from_the_sample(twice: Path) -> None:
    """A threshold that one rounding of a weight crosses: float64 is on the model's side of it."""
    expected = X * 2
    expected[0, 0] += 1

    def in_float64(feeds: Mapping[str, Any]) -> Mapping[str, Any]:
        return {"y": expected.astype(np.float64)}

    def beside(feeds: Mapping[str, Any]) -> Any:
        yield {"y": np.where(expected == expected[0, 0], expected - 1, expected)}

    for stress in (False, True):
        case = Case("×1e4", {"x": X}, {"batch": 2}, stress=stress)
        plain = Question(case, {"y": expected}, in_float64)
        wiser = Question(case, {"y": expected}, in_float64, beside=beside)
        assert not only(twice, plain).passed
        assert only(twice, wiser).passed is stress


@pytest.mark.parametrize("name", [INFINITE, "NaN among the numbers"])
def test_only_to_infinities_a_number_may_stand_for_nan(twice: Path, name: str) -> None:
    x = X.copy()
    x[0, 0] = np.inf
    expected = x * 2
    expected[0, 0] = np.nan
    case = Case(name, {"x": x}, {"batch": 2})
    found = only(twice, Question(case, {"y": expected}, lambda feeds: None))
    assert found.passed is (name == INFINITE)
    assert ("the model returns NaN there" in found.reason) is found.passed
    expected[0, 1] += 1
    assert not only(twice, Question(case, {"y": expected}, lambda feeds: None)).passed
