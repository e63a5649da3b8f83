"""Inputs of any size, of the golden data's own values."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onnxpack.benchmark.inputs import resize, sizes_asked
from onnxpack.errors import UsageError
from onnxpack.signature import Signature, TensorSpec

SIGNATURE = Signature(
    (
        TensorSpec("ids", "int64", ("batch", "tokens")),
        TensorSpec("mask", "bool", ("batch", "tokens")),
        TensorSpec("scale", "float32", ()),
    ),
    (TensorSpec("y", "float32", ("batch", 2)),),
)
GOLDEN = {
    "ids": np.arange(6).reshape(2, 3),
    "mask": np.ones((2, 3), bool),
    "scale": np.float32(2) * np.ones((), np.float32),
}


@given(st.integers(1, 9), st.integers(1, 9))
def test_the_values_stay_legal(batch: int, tokens: int) -> None:
    found = resize(SIGNATURE, GOLDEN, {"batch": batch, "tokens": tokens})
    assert found["ids"].shape == found["mask"].shape == (batch, tokens)
    assert set(found["ids"].ravel()) <= set(range(6))
    assert found["scale"] == 2
    assert all(array.flags.c_contiguous for array in found.values())


def test_every_combination_and_the_rest_as_it_is() -> None:
    assert sizes_asked(SIGNATURE, GOLDEN, {"batch": (1, 8), "tokens": (5,)}) == [
        {"batch": 1, "tokens": 5},
        {"batch": 8, "tokens": 5},
    ]
    assert sizes_asked(SIGNATURE, GOLDEN, {}) == [{"batch": 1, "tokens": 3}]


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        (
            {"nonsense": (5,)},
            "'nonsense' is not a dynamic dim of this pack; its dynamic dims are: batch, tokens",
        ),
        ({"batch": (0,)}, "at least 1"),
        ({"batch": ()}, "at least 1"),
    ],
)
def test_sizes_that_cannot_be(asked: dict[str, tuple[int, ...]], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        sizes_asked(SIGNATURE, GOLDEN, asked)


def test_memory_is_bounded() -> None:
    with pytest.raises(UsageError, match="at most"):
        resize(SIGNATURE, GOLDEN, {"batch": 10**6, "tokens": 10**6})


def test_nothing_can_be_made_of_nothing() -> None:
    empty = {**GOLDEN, "ids": np.zeros((0, 3), np.int64), "mask": np.zeros((0, 3), bool)}
    with pytest.raises(UsageError, match="empty"):
        resize(SIGNATURE, empty, {"batch": 1, "tokens": 3})
