"""The cost of well-known models, against the numbers that their authors publish."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torchvision

from onnxpack.graph.summary import summarize


@pytest.mark.parametrize(
    ("name", "macs", "parameters"),
    [("resnet18", 1.814e9, 11.69e6), ("mobilenet_v2", 0.3008e9, 3.50e6)],
)
def test_published_costs(
    export: Callable[..., Path], name: str, macs: float, parameters: float
) -> None:
    module = getattr(torchvision.models, name)(weights=None)
    summary = summarize(export(module, 3, 224, 224))
    assert summary.macs == pytest.approx(macs, rel=0.01)
    assert summary.parameters == pytest.approx(parameters, rel=0.01)
    assert summary.uncounted == 0
