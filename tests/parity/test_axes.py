from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from onnxpack.errors import SampleError, UsageError
from onnxpack.parity.axes import name_axes

X = np.zeros((2, 3))
SAMPLE = {"ids": X, "mask": X, "scale": np.float32(1).reshape(())}


def test_the_first_axis_is_the_batch() -> None:
    assert name_axes(SAMPLE, None, static=False) == {
        "ids": {0: "batch"},
        "mask": {0: "batch"},
        "scale": {},
    }


def test_static_names_nothing() -> None:
    assert name_axes(SAMPLE, None, static=True) == {"ids": {}, "mask": {}, "scale": {}}


@pytest.mark.parametrize(
    ("dynamic", "wanted"),
    [
        ({"ids": {1: "tokens"}}, {0: "batch", 1: "tokens"}),
        ({"ids": ["rows", "tokens"]}, {0: "rows", 1: "tokens"}),
        ({"ids": ("rows",)}, {0: "rows"}),
        ({"ids": {}}, {0: "batch"}),
    ],
)
def test_axes_that_are_named(dynamic: Any, wanted: Any) -> None:
    assert name_axes({"ids": X}, dynamic, static=False) == {"ids": wanted}


def test_static_keeps_what_was_named() -> None:
    axes = name_axes(SAMPLE, {"ids": {1: "tokens"}}, static=True)
    assert axes == {"ids": {1: "tokens"}, "mask": {}, "scale": {}}


@pytest.mark.parametrize(
    ("sample", "dynamic", "words"),
    [
        (
            SAMPLE,
            {"other": {1: "t"}},
            "the input 'other', which does not exist; inputs: ids, mask",
        ),
        (SAMPLE, {"ids": {2: "t"}}, "input 'ids' has 2 axes, so it has no axis 2 to name 't'"),
        (SAMPLE, {"ids": {-1: "t"}}, "no axis -1"),
        (SAMPLE, {"scale": {0: "t"}}, "has 0 axes"),
        (SAMPLE, {"ids": ["a", "b", "c"]}, "no axis 2 to name 'c'"),
        (SAMPLE, {"ids": {1: "two words"}}, "'two words' cannot name an axis"),
        (SAMPLE, {"ids": {1: ""}}, "'' cannot name an axis"),
        (
            SAMPLE,
            {"ids": {1: "batch"}},
            "'batch' is 2 in axis 0 of 'ids', but 3 in axis 1 of 'ids'",
        ),
        ({"a": X, "b": X.T}, {}, "'batch' is 2 in axis 0 of 'a', but 3 in axis 0 of 'b'"),
        ({"a": X[:0]}, {}, "axis 0 of input 'a' is empty"),
    ],
)
def test_errors(sample: Any, dynamic: Any, words: str) -> None:
    with pytest.raises(SampleError, match=words):
        name_axes(sample, dynamic, static=False)


def test_axes_without_an_input() -> None:
    with pytest.raises(UsageError, match="dynamic is a list") as caught:
        name_axes({"ids": X}, ["batch", "tokens"], static=False)  # type: ignore[arg-type]
    assert caught.value.remedy == 'dynamic={"ids": {1: "tokens"}}'


def test_the_remedy_names_the_axis() -> None:
    with pytest.raises(SampleError) as caught:
        name_axes({"a": X, "b": X.T}, {}, static=False)
    assert "--dynamic b:0=other" in caught.value.remedy
    assert 'dynamic={"b": {0: "other"}}' in caught.value.remedy
    assert "--static" in caught.value.remedy
