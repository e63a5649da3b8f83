"""The subject of a Keras model on the torch backend: a PyTorch module, called by Keras's rules."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import keras
import torch

from onnxpack.exporters.keras.causes import diagnose
from onnxpack.exporters.keras.inputs import Inputs
from onnxpack.exporters.keras.outputs import name_outputs
from onnxpack.exporters.keras.rebuild import rebuilt
from onnxpack.exporters.keras.traced import calls_while_loop, with_open_sizes
from onnxpack.exporters.keras.widened import widened
from onnxpack.exporters.nonfinite import with_nan_kept
from onnxpack.exporters.torch.flat import FlatModule
from onnxpack.exporters.torch.subject import TorchSubject
from onnxpack.parity.cases import Axes
from onnxpack.parity.doubts import UNASKED
from onnxpack.parity.nonfinite import nonfinite_values
from onnxpack.parity.subject import Attempt, Cause, Strategy
from onnxpack.parity.ties import hard_values
from onnxpack.signature import Array


class Called(torch.nn.Module):
    """``forward(*tensors)`` that calls ``model(inputs, training=False)`` and names its outputs."""

    def __init__(self, model: Any, inputs: Inputs) -> None:
        super().__init__()
        self.keras = model
        self._inputs = inputs
        self.training = False

    def forward(self, *tensors: torch.Tensor) -> dict[str, torch.Tensor]:
        """Return the model's answer by the names of its outputs."""
        answer = self.keras(self._inputs.pack(tensors), training=False)
        return name_outputs(self.keras, answer)


class KerasSubject(TorchSubject):
    """A Keras model whose backend is torch."""

    root = "model.keras"
    asks_nan = True

    def __init__(self, model: Any, inputs: Inputs) -> None:
        called = Called(model, inputs)
        super().__init__(called, tuple(inputs.sample.values()), shown=model, framework="keras")
        self.framework_version = keras.__version__
        self.sample = dict(inputs.sample)
        self.notes = inputs.notes
        self.dynamic = inputs.dynamic
        self.axes = dict(inputs.dynamic) if inputs.fixed_batch else None
        if self.axes is not None:
            self.axes = {name: self.axes.get(name, {}) for name in self.sample}
        self._keras, self._inputs = model, inputs

    def look_for_loops(self) -> None:
        """Run the model once to see if it has a loop that ends by values.

        Such a model gets no inputs far from its sample.

        This must not be the model's first call, which is checked for side effects elsewhere. The
        answer is kept for the next run.
        """
        self.loops = calls_while_loop(lambda: self.run_first(self.sample))
        if self.loops:
            self.notes = (*self.notes, UNASKED)

    def edges(self) -> Iterator[tuple[str, Mapping[str, Array]]]:
        """Yield ambiguous values and values with NaN or infinities, as edges."""
        yield from hard_values(self.sample)
        yield from nonfinite_values(self.sample)

    def strategies(self, axes: Axes, opset: int, outputs: Sequence[str]) -> Iterator[Strategy]:
        """Yield PyTorch's strategies, then JAX's, which keep loops over time as loops."""
        own = map(with_open_sizes, super().strategies(axes, opset, outputs))
        yield from own
        yield from with_nan_kept(rebuilt(self._keras, self.sample, axes, opset, outputs))

    def diagnose(self, attempts: Sequence[Attempt]) -> Cause | None:
        """Return the likely cause, by the layers or else by the strategies' errors."""
        return diagnose(self._keras) or super().diagnose(attempts)

    def _widened(self) -> FlatModule | None:
        wide = widened(self._keras)
        if wide is None:
            return None
        return self.flat.around(Called(wide, self._inputs))
