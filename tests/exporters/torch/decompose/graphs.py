"""Make the graph of a function by one strategy, without a proof, and compare it by hand."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from torch import Tensor, nn

from onnxpack.exporters.torch.ladder import climb
from onnxpack.exporters.torch.setup import Setup
from onnxpack.exporters.torch.subject import TorchSubject
from onnxpack.parity.axes import Dynamic, name_axes


class OneInput(nn.Module):
    def __init__(self, function: Any) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Any:
        return self.function(x)


class TwoInputs(OneInput):
    def forward(self, x: Tensor, y: Tensor) -> Any:
        return self.function(x, y)


def module_of(function: Any, inputs: int) -> nn.Module:
    return (OneInput if inputs == 1 else TwoInputs)(function).eval()


def session_of(
    model: nn.Module, sample: Sequence[Tensor], to: Path, *, dynamic: Dynamic | None = None
) -> onnxruntime.InferenceSession:
    """The graph of the first strategy: a trace, or what TorchScript holds."""
    subject = TorchSubject(model, tuple(sample))
    axes = name_axes(subject.sample, dynamic, static=False)
    outputs = tuple(subject.run(subject.sample))
    first = next(climb(Setup(subject, axes, 18, outputs)))
    assert first.name in ("torchscript trace", "torchscript")
    first.make(to)
    return onnxruntime.InferenceSession(str(to), providers=["CPUExecutionProvider"])


def compare(
    session: onnxruntime.InferenceSession, model: nn.Module, probes: Sequence[Sequence[Tensor]]
) -> None:
    names = [port.name for port in session.get_inputs()]
    for probe in probes:
        with torch.no_grad():
            wanted = [leaf.numpy() for leaf in leaves(model(*(each.clone() for each in probe)))]
        found = session.run(None, {n: t.numpy() for n, t in zip(names, probe, strict=True)})
        for left, right in zip(found, wanted, strict=True):
            assert_equal(left, right)


def assert_equal(found: Any, wanted: Any) -> None:
    """Exact for integers and the places of NaN and infinity; each float by its own size."""
    assert found.dtype == wanted.dtype
    assert found.shape == wanted.shape
    if wanted.dtype.kind == "f":
        np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)
    else:
        np.testing.assert_array_equal(found, wanted)


def leaves(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    else:
        for each in value:
            yield from leaves(each)
