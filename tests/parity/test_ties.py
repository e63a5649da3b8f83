"""Values at which comparisons, divisions and choices are decided by a hair."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from onnxpack.parity.ties import hard_values, infinities, round_values, signed_integers

X = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)
DTYPES = st.sampled_from(["f2", "f4", "f8", "c8", "i1", "i8", "u1", "b1", "O"])
SAMPLES = st.dictionaries(
    st.sampled_from(["x", "ids", "mask"]),
    DTYPES.flatmap(
        lambda dtype: (
            hnp.arrays(dtype, hnp.array_shapes(min_dims=0, max_dims=3, max_side=4))
            if dtype != "O"
            else st.just(np.array(["a", "b"], object))
        )
    ),
    min_size=1,
)


@settings(deadline=None, max_examples=80)
@given(SAMPLES)
def test_every_edge_is_shaped_as_the_sample(sample: Any) -> None:
    with np.errstate(all="ignore"):
        found = [*hard_values(sample), *infinities(sample)]
    assert len({name for name, _ in found}) == len(found)
    for _, feeds in found:
        assert list(feeds) == list(sample)
        for name, array in sample.items():
            assert feeds[name].shape == array.shape
            assert feeds[name].dtype == array.dtype


@pytest.mark.parametrize("count", [1, 2, 3])
def test_each_input_is_zero_beside_numbers_of_the_others(count: int) -> None:
    sample = {f"x{i}": np.full((4, 4), -1.5, np.float32) for i in range(count)}
    feeds = dict(round_values(sample))["zeros among the values"]
    zero = {name: array == 0 for name, array in feeds.items()}
    for name in sample:
        others = [places for other, places in zero.items() if other != name]
        assert (zero[name] & ~np.any([*others, np.zeros((4, 4), bool)], axis=0)).any()
        assert np.signbit(feeds[name]).all()


def test_equal_values() -> None:
    asked = dict(hard_values({"x": X}))
    assert len(np.unique(asked["constant"]["x"])) == 1
    assert (asked["equal rows"]["x"] == X[0]).all()
    np.testing.assert_array_equal(asked["one-hot rows"]["x"], np.eye(3, 4, dtype=np.float32))
    assert (asked["rounded to halves"]["x"] % 0.125 == 0).all()
    zeros = asked["zeros of both signs"]["x"]
    assert (zeros == 0).all()
    assert (np.signbit(zeros) == np.signbit(X)).all()


def test_integers_of_both_signs() -> None:
    sample = {"a": np.array([[3, 10]]), "b": np.array([[5, 9]]), "mask": np.array([[1, 0]])}
    asked = dict(signed_integers(sample))
    assert list(asked) == ["integers negated", "integers across zero", "a negated", "b negated"]
    np.testing.assert_array_equal(asked["integers negated"]["a"], [[-3, -10]])
    np.testing.assert_array_equal(asked["integers across zero"]["a"], [[-3, 4]])
    np.testing.assert_array_equal(asked["b negated"]["a"], sample["a"])
    assert all(feeds["mask"] is sample["mask"] for feeds in asked.values())


@pytest.mark.parametrize(
    "array",
    [np.array([1, 0]), np.array([3, 9], np.uint8), np.array([True]), np.array([3], np.float32)],
)
def test_what_has_no_sign_is_not_negated(array: Any) -> None:
    assert not list(signed_integers({"x": array}))


def test_infinities_of_both_signs() -> None:
    (found,) = dict(infinities({"x": np.zeros((20, 20), np.float32)})).values()
    assert np.isposinf(found["x"]).any()
    assert np.isneginf(found["x"]).any()
    assert np.isfinite(found["x"]).mean() > 0.7


def test_boxes_stay_in_a_picture_that_there_is() -> None:
    boxes = np.array([[0, 1, 1, 5, 5], [1, 2, 2, 6, 6]], np.float32)
    sample = {"x": np.ones((2, 3, 8, 8), np.float32), "boxes": boxes}
    for _, feeds in [*hard_values(sample), *infinities(sample)]:
        np.testing.assert_array_equal(feeds["boxes"][:, 0], [0, 1])
