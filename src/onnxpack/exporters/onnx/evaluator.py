"""Run ONNX's own evaluator in NumPy: the reference for an adopted graph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from onnx.reference import ReferenceEvaluator

from onnxpack.errors import ExportError, OnnxpackError, PackError
from onnxpack.exporters.onnx.microsoft import of_microsoft
from onnxpack.exporters.onnx.operators import corrected
from onnxpack.runtime.model import Model
from onnxpack.signature import Array


class Evaluator:
    """The evaluator for one graph.

    Args:
        model: the same graph in ONNX Runtime. It is run only if the evaluator fails at once, to
            find out whether the input or the evaluator is the cause.

    Raises:
        PackError: the evaluator cannot load the graph.
    """

    def __init__(self, path: Path, outputs: Sequence[str], model: Model, *, opset: int) -> None:
        self._outputs, self._model = outputs, model
        self._has_answered = False
        operators = [*corrected(opset), *of_microsoft(opset)]
        try:
            self._evaluator = ReferenceEvaluator(str(path), new_ops=operators)
        except Exception as exc:
            raise PackError(f"onnx's reference evaluator cannot load the graph: {exc}") from exc

    def __call__(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """Return the evaluator's answer.

        Raises:
            ExportError: the evaluator fails where ONNX Runtime answers.
        """
        try:
            answers = self._evaluator.run(None, dict(feeds))
        except Exception as exc:
            self._blame(exc, feeds)
            raise
        self._has_answered = True
        pairs = zip(self._outputs, answers, strict=True)
        found = {name: _as_array(answer) for name, answer in pairs}
        if not all(each.size for each in found.values()) and all(a.size for a in feeds.values()):
            self._refuse_too_small(feeds)
        return found

    def _refuse_too_small(self, feeds: Mapping[str, Array]) -> None:
        """Raise an error if ONNX Runtime refuses an input for which the evaluator gives nothing.

        For a picture that is smaller than the kernel of a convolution or a pool, the evaluator
        returns an empty output.
        """
        try:
            self._model.run(feeds)
        except OnnxpackError as exc:
            raise ValueError(exc.message) from exc

    def _blame(self, exc: Exception, feeds: Mapping[str, Array]) -> None:
        """Raise an error if the evaluator fails on the sample but ONNX Runtime does not."""
        if self._has_answered:
            return
        try:
            self._model.run(feeds)
        except OnnxpackError:
            return
        raise ExportError(
            "ONNX's own evaluator, with which an adopted graph is compared, fails on this graph "
            f"({type(exc).__name__}: {exc}). ONNX Runtime answers, but there is nothing to "
            "compare its answer with.",
            remedy="export the model from the framework that it was trained in",
        ) from exc


def _as_array(answer: object) -> Array:
    """Return an answer as an array; texts are objects, as in ONNX Runtime."""
    found = np.asarray(answer)
    return found.astype(object) if found.dtype.kind == "U" else found
