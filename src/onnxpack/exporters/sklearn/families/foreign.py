"""Estimators of other frameworks inside a pipeline, by the exporters of their own."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnx

from onnxpack.errors import ExportError
from onnxpack.exporters.sklearn.convert import Family
from onnxpack.exporters.sklearn.registry import package_of
from onnxpack.exporters.sklearn.tensor import ELEMENT_TYPES, Tensor
from onnxpack.exporters.trees import graph as trees
from onnxpack.parity.cases import BATCH
from onnxpack.plugins import exporters

DTYPES = {number: dtype for dtype, number in ELEMENT_TYPES.items()}


class Foreign(Family):
    """A booster: its exporter writes a graph, which becomes part of this one."""

    def predict(self, model: Any, x: Tensor) -> Tensor:
        """The label, or the number."""
        found = _outputs(model, x)
        return found["label"] if "label" in found else _named(found, "prediction")

    def predict_proba(self, model: Any, x: Tensor) -> Tensor:
        """One a class."""
        return _named(_outputs(model, x), "probabilities")

    def decision_function(self, model: Any, x: Tensor) -> Tensor:
        """The sum of the trees, which LightGBM's classifiers give."""
        return _named(_outputs(model, x, scores=True), "scores")


def _named(found: dict[str, Tensor], name: str) -> Tensor:
    if name not in found:
        raise ExportError(f"it gives {', '.join(found)}, and no {name}")
    return found[name]


def _outputs(model: Any, x: Tensor, *, scores: bool = False) -> dict[str, Tensor]:
    """Everything that the estimator's own exporter gives for these rows, or the scores alone."""
    key = (id(model), "scores" if scores else "outputs", x.name)
    if key not in x.graph.known:
        sample = np.zeros((2, int(model.n_features_in_)), x.dtype)
        exporter = exporters()[package_of(model)].load()()
        with exporter.open(model, sample) as subject, TemporaryDirectory() as folder:
            path = Path(folder, "part.onnx")
            if scores:
                graph = trees.Graph(x.graph.opset)
                subject.write_scores(graph, subject.rows.write(graph))
                graph.save(path)
            else:
                axes = {name: {0: BATCH} for name in subject.sample}
                next(iter(subject.strategies(axes, x.graph.opset, ()))).make(path)
            x.graph.known[key] = _inlined(onnx.load(path), x)
    return x.graph.known[key]


def _inlined(part: onnx.ModelProto, x: Tensor) -> dict[str, Tensor]:
    """A whole graph of one input, as part of the graph of that input.

    Raises:
        ExportError: it has several inputs.
    """
    graph = x.graph
    if len(part.graph.input) != 1:
        raise ExportError("its own exporter writes a graph of another kind")
    names = {part.graph.input[0].name: x.name, "": ""}
    for node in part.graph.node:
        names |= {name: graph.name("part") for name in node.output}
    for constant in part.graph.initializer:
        names[constant.name] = constant.name = graph.name("constant")
        graph.constants.append(constant)
    for node in part.graph.node:
        node.input[:] = [names[name] for name in node.input]
        node.output[:] = [names[name] for name in node.output]
        node.name = graph.name(node.op_type)
        graph.nodes.append(node)
    return {
        value.name: Tensor(graph, names[value.name], DTYPES[value.type.tensor_type.elem_type])
        for value in part.graph.output
    }
