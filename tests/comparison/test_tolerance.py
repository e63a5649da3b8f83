from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from onnxpack.comparison.tolerance import LIMIT, OutputEvidence, Tolerance, compare
from onnxpack.errors import UsageError

TOLERANCE = Tolerance(rtol=1e-3, atol=1e-5)
DTYPES = st.sampled_from(["f2", "f4", "f8", "i1", "i8", "u8", "b1", "c8", "c16"])
SHAPES = hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4)
ARRAYS = DTYPES.flatmap(lambda dtype: hnp.arrays(dtype, SHAPES))


def judge(expected: Any, actual: Any, **options: Any) -> OutputEvidence:
    return compare("y", np.asarray(expected), np.asarray(actual), TOLERANCE, **options)


@settings(deadline=None)
@given(ARRAYS)
def test_everything_equals_itself(array: Any) -> None:
    found = compare("y", array, array.copy(), TOLERANCE)
    assert found.passed
    assert (found.max_abs, found.max_rel, found.reason) == (0, 0, "")
    assert found.argmax_agreement in (None, 1.0)


@settings(deadline=None, max_examples=200)
@given(ARRAYS, st.data())
def test_evidence_is_always_finite_json(expected: Any, data: st.DataObject) -> None:
    actual = data.draw(hnp.arrays(expected.dtype, expected.shape))
    found = compare("y", expected, actual, TOLERANCE)
    assert msgspec.json.decode(msgspec.json.encode(found), type=OutputEvidence) == found
    assert found.passed == (not found.reason)
    assert found.max_abs >= 0


@settings(deadline=None)
@given(
    hnp.arrays(
        "f8",
        hnp.array_shapes(max_dims=2),
        elements=st.floats(1e-6, 1e6) | st.floats(-1e6, -1e-6) | st.just(0.0),
    ),
    st.floats(1e-3, 1e3),
)
def test_the_verdict_does_not_depend_on_units(expected: Any, factor: float) -> None:
    near, far = expected * (1 + 5e-4), expected * (1 + 2e-2)
    assert judge(expected * factor, near * factor).passed
    assert judge(expected * factor, far * factor).passed == (not expected.any())


def test_zeros_are_judged_by_what_is_typical_around_them() -> None:
    assert judge([0.0, 100.0, 110.0, 120.0], [0.0009, 100.0, 110.0, 120.0]).passed
    assert not judge([0.0, 100.0, 110.0, 120.0], [0.0021, 100.0, 110.0, 120.0]).passed
    assert not judge([0.0, 100.0], [0.0009, 100.0]).passed  # one constant is not typical
    assert not judge([0.0, 0.0], [1e-12, 0.0]).passed


@pytest.mark.parametrize("name", ["rtol", "atol"])
@pytest.mark.parametrize("value", [-1e-9, LIMIT * 1.001, 1.0, np.inf, -np.inf, np.nan])
def test_a_tolerance_has_bounds(name: str, value: float) -> None:
    with pytest.raises(UsageError, match=f"a tolerance has {name} .*, expected a number from 0 to"):
        Tolerance(**{name: value})


@pytest.mark.parametrize("value", [0.0, 1e-9, LIMIT])
def test_a_tolerance_within_its_bounds(value: float) -> None:
    assert Tolerance(value, value) == Tolerance(rtol=value, atol=value)


@pytest.mark.parametrize("passed", [True, False])
def test_a_verdict_has_the_largest_error_beside_what_was_allowed(passed: bool) -> None:
    expected = np.array([1.0, 2.0, 3.0, 4e4])
    actual = expected + np.array([1e-5, 0, 1e-3 if passed else 1e-2, 2.0])
    found = judge(expected, actual)
    assert found.passed == passed
    assert found.max_abs == pytest.approx(2.0)  # the largest, but well within its tolerance
    assert found.error == pytest.approx(1e-3 if passed else 1e-2)
    assert found.allowed == pytest.approx(3e-3, rel=0.02)
    assert passed or "largest error 0.01, allowed 0.003" in found.reason


@pytest.mark.parametrize(
    ("expected", "actual", "reason"),
    [
        (np.zeros(2, "f4"), np.zeros(2, "f8"), "is float64[2], expected float32[2]"),
        (np.zeros((1, 2)), np.zeros(2), "is float64[2], expected float64[1, 2]"),
        ([np.nan, 1.0], [1.0, np.nan], "NaN or infinity is in other places than expected"),
        ([np.inf], [-np.inf], "NaN or infinity is in other places than expected"),
        ([np.inf], [1e30], "NaN or infinity is in other places than expected"),
        ([1.0], [np.nan], "NaN or infinity is in other places than expected"),
        ([1, 2, 3], [1, 2, 4], "1 of 3 elements differ"),
        ([True], [False], "1 of 1 elements differ"),
        (np.array(["a"], object), np.array(["b"], object), "1 of 1 elements differ"),
        ([1.0, 2.0], [1.0, 3.0], "1 of 2 elements differ: largest error 1, allowed 0.002"),
    ],
)
def test_what_differs_is_told(expected: Any, actual: Any, reason: str) -> None:
    found = judge(expected, actual)
    assert not found.passed
    assert found.reason.startswith(reason)


def test_nan_and_infinity_at_the_same_places_are_equal() -> None:
    odd = [np.nan, np.inf, -np.inf, 1.0]
    assert judge(odd, odd).passed


def test_gaps_that_overflow_are_finite() -> None:
    largest = np.finfo("f8").max
    found = judge([largest], [-largest])
    assert not found.passed
    assert found.max_abs == largest


def test_argmax_agreement_is_the_share_of_rows() -> None:
    expected = np.eye(4, dtype="f4")
    actual = expected.copy()
    actual[0] = [0, 0, 0, 1]
    assert judge(expected, actual).argmax_agreement == 0.75
    for rowless in (np.zeros(3), np.zeros((3, 1)), np.zeros((0, 2)), np.eye(2, dtype=int)):
        assert judge(rowless, rowless).argmax_agreement is None
