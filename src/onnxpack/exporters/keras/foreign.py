"""Export a Keras model that runs on another backend than torch.

The reference answers are those of its own backend. If that backend is JAX, jax2onnx is tried first.
Otherwise, or if that fails, the model is saved and loaded into a process with another backend.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import keras
import numpy as np

from onnxpack.exporters.jax.causes import diagnose_decision
from onnxpack.exporters.keras.causes import diagnose
from onnxpack.exporters.keras.inputs import Inputs
from onnxpack.exporters.keras.outputs import name_outputs
from onnxpack.exporters.keras.rebuild import rebuilt
from onnxpack.exporters.nonfinite import with_nan_kept
from onnxpack.parity.cases import Axes
from onnxpack.parity.nonfinite import nonfinite_values
from onnxpack.parity.subject import Attempt, Cause, Strategy, Subject
from onnxpack.parity.ties import hard_values
from onnxpack.signature import Array

COMPILING = 2**15
"""Cost of a new size: JAX compiles every operation for each shape; see the subject of JAX."""


class ForeignSubject(Subject):
    """A Keras model whose backend is JAX, TensorFlow, numpy or OpenVINO."""

    framework = "keras"
    framework_version = keras.__version__

    def __init__(self, model: Any, inputs: Inputs) -> None:
        self.model_class = f"{type(model).__module__}.{type(model).__qualname__}"
        self.sample = dict(inputs.sample)
        self.notes = (f"run on the {keras.config.backend()} backend", *inputs.notes)
        self.dynamic = inputs.dynamic
        if inputs.fixed_batch:
            self.axes = {name: inputs.dynamic.get(name, {}) for name in self.sample}
        if keras.config.backend() == "jax":
            self.per_size = COMPILING
        self._model, self._inputs = model, inputs

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """Return the model's answer on its own backend."""
        answer = self._answer([keras.ops.convert_to_tensor(array) for array in feeds.values()])
        return {name: np.array(keras.ops.convert_to_numpy(value)) for name, value in answer.items()}

    def edges(self) -> Iterator[tuple[str, Mapping[str, Array]]]:
        """Yield ambiguous values and values with NaN or infinities, as edges."""
        yield from hard_values(self.sample)
        yield from nonfinite_values(self.sample)

    def strategies(self, axes: Axes, opset: int, outputs: Sequence[str]) -> Iterator[Strategy]:
        """Yield JAX's own strategies if that is the backend, then those of other backends."""
        if keras.config.backend() == "jax":
            by_jax = self._by_jax(axes, opset, outputs)
            yield from with_nan_kept(by_jax, saturating=True)
        others = rebuilt(self._model, self.sample, axes, opset, outputs)
        yield from with_nan_kept(others, saturating=keras.config.backend() == "jax")

    def diagnose(self, attempts: Sequence[Attempt]) -> Cause | None:
        """Return the cause by layers or a decision, or else that the backend is foreign."""
        found = diagnose(self._model) or diagnose_decision(attempts)
        if found or not any(attempt.strategy.endswith("backend") for attempt in attempts):
            return found
        return Cause(
            f"the model was created on the {keras.config.backend()} backend and cannot be "
            "rebuilt on another",
            "create the model in a process whose backend is torch: KERAS_BACKEND=torch python ...",
        )

    def _answer(self, tensors: Sequence[Any]) -> dict[str, Any]:
        return name_outputs(self._model, self._model(self._inputs.pack(tensors), training=False))

    def _by_jax(self, axes: Axes, opset: int, outputs: Sequence[str]) -> Iterator[Strategy]:
        from onnxpack.exporters.jax.convert import Job, ladder

        def called(*tensors: Any) -> tuple[Any, ...]:
            return tuple(self._answer(tensors).values())

        yield from ladder(Job(called, self.sample, axes, opset, tuple(outputs)))
