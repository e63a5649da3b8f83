"""Axes that a pack fixes, and the model does not."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from onnxpack.parity.fixed_axes import doubts_of_fixed_axes
from onnxpack.parity.subject import Strategy, Subject

IDS = np.arange(24).reshape(2, 12)
SERIES = np.ones((2, 9, 4), np.float32)
Shapes = Mapping[str, tuple[int, ...]]


class Takes(Subject):
    """A model that accepts the shapes for which a function returns true."""

    framework, framework_version, model_class = "numpy", "2", "takes"

    def __init__(self, accepts: Callable[[Shapes], bool], sample: Mapping[str, Any]) -> None:
        self.accepts = accepts
        self.sample = sample

    def run(self, feeds: Mapping[str, Any]) -> dict[str, Any]:
        if not self.accepts({name: array.shape for name, array in feeds.items()}):
            raise ValueError("a shape that the model refuses")
        return {"y": np.zeros(1)}

    def strategies(self, axes: Any, opset: int, outputs: Sequence[str]) -> Iterator[Strategy]:
        return iter(())


def anything(_: Shapes) -> bool:
    return True


def test_inputs_of_one_length_vary_together() -> None:
    subject = Takes(lambda s: s["ids"][1] == s["mask"][1], {"ids": IDS, "mask": IDS, "x": X4})
    (note,) = doubts_of_fixed_axes(subject, {})
    assert note == (
        "axis 1 of ids, mask is fixed at 12; to let it vary: --dynamic "
        'ids:1=tokens,mask:1=tokens, or dynamic={"ids": {1: "tokens"}, "mask": {1: "tokens"}}'
    )


X4 = np.ones((2, 4), np.float32)


def test_axes_of_a_series_are_asked_one_by_one() -> None:
    (note,) = doubts_of_fixed_axes(Takes(lambda s: s["x"][2] == 4, {"x": SERIES}), {})
    assert "axis 1 of x is fixed at 9; to let it vary: --dynamic x:1=time" in note
    (note,) = doubts_of_fixed_axes(Takes(lambda s: s["x"][1] == 9, {"x": SERIES}), {})
    assert "axis 2 of x is fixed at 4; to let it vary: --dynamic x:2=length" in note


@pytest.mark.parametrize(
    ("accepts", "sample", "axes"),
    [
        (lambda s: s["ids"] == IDS.shape, IDS, {}),
        (anything, IDS, {"ids": {0: "batch", 1: "tokens"}}),
        (anything, IDS[:, :1], {}),
        (anything, np.ones((2, 3, 8, 8)), {}),
        (anything, np.ones(4), {}),
        (anything, np.ones((2, 4), np.float32), {}),
    ],
    ids=["refused", "named", "of one", "picture", "vector", "features"],
)
def test_nothing_is_said(accepts: Any, sample: Any, axes: Any) -> None:
    assert not [*doubts_of_fixed_axes(Takes(accepts, {"ids": sample}), axes)]
