"""Converters of XGBoost, LightGBM and CatBoost models inside a pipeline.

The booster's own exporter writes a graph, whose nodes are copied into the pipeline's graph.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnx

from onnxpack.errors import ExportError
from onnxpack.exporters.sklearn import numeric as n
from onnxpack.exporters.sklearn.convert import Family, Frame, Table
from onnxpack.exporters.sklearn.handed import Handed
from onnxpack.exporters.sklearn.registry import package_of
from onnxpack.exporters.sklearn.tensor import Graph, Tensor
from onnxpack.exporters.trees import graph as trees
from onnxpack.exporters.trees.rows import UNKNOWN_NUMBER
from onnxpack.exporters.value_names import RENAMED, input_names
from onnxpack.parity.cases import BATCH
from onnxpack.plugins import exporters

EXACT = 2.0**53
"""Whole numbers above this limit are not exact in float64."""


class Foreign(Family):
    """Converts a booster: inlines the graph that its own exporter writes."""

    columnwise = True

    def predict(self, model: Any, x: Table) -> Tensor:
        """Return the labels or the predicted numbers."""
        found = _outputs(model, x)
        return found["label"] if "label" in found else _named(found, "prediction")

    def predict_proba(self, model: Any, x: Table) -> Tensor:
        """Return the class probabilities, [batch, classes]."""
        return _named(_outputs(model, x), "probabilities")

    def decision_function(self, model: Any, x: Table) -> Tensor:
        """Return the raw sum of the trees, which LightGBM's classifiers give."""
        return _named(_outputs(model, x, scores=True), "scores")


def _named(found: dict[str, Tensor], name: str) -> Tensor:
    if name not in found:
        raise ExportError(f"it returns {', '.join(found)}, but not {name}")
    return found[name]


def _outputs(model: Any, x: Table, *, scores: bool = False) -> dict[str, Tensor]:
    """Return all outputs that the booster's own exporter writes, or only the scores."""
    graph = x.graph
    key = (id(model), "scores" if scores else "outputs", x.name)
    if key not in graph.known:
        sample, inputs = _entered(model, x)
        exporter = exporters()[package_of(model)].load()()
        with exporter.open(model, sample) as subject, TemporaryDirectory() as folder:
            inputs = _in_order_of(subject.sample, sample, inputs)
            path = Path(folder, "part.onnx")
            if scores:
                own = trees.Graph(graph.opset)
                subject.write_scores(own, subject.rows.write(own))
                own.save(path)
            else:
                axes = {name: {0: BATCH} for name in subject.sample}
                next(iter(subject.strategies(axes, graph.opset, ()))).make(path)
            graph.known[key] = _inlined(onnx.load(path), graph, inputs)
    return graph.known[key]


def _entered(model: Any, x: Table) -> tuple[Any, list[Tensor]]:
    """Return a sample for the booster's exporter, and the tensor for each input of its graph.

    Raises:
        ExportError: the booster is handed rows that this graph does not hold.
    """
    handed: Handed | None = x.graph.handed.get(id(model))
    name = type(model).__name__
    if handed is None or handed.varied:
        raise ExportError(f"it is not known which rows the {name} receives")
    if handed.framed and isinstance(x, Frame) and len(x.columns) == handed.rows.shape[1]:
        return handed.rows, list(x.columns.values())
    if handed.categories or _knows_categories(model):
        raise ExportError(f"the {name} receives categories from a step before it")
    rows = n.floats(x if isinstance(x, Tensor) else x.matrix())
    if handed.sparse and package_of(model) == "xgboost":
        _refuse_stored_zeros(name, x.graph.handed)
        rows = n.where(n.equal(rows, 0.0), np.nan, rows)
    return np.zeros((2, int(model.n_features_in_)), rows.dtype), [rows]


def _in_order_of(taken: Iterable[str], sample: Any, inputs: list[Tensor]) -> list[Tensor]:
    """Return the input tensors in the order in which the exporter takes the sample's columns.

    CatBoost's exporter takes the columns in the order of training.
    """
    if not hasattr(sample, "columns"):
        return inputs
    given = dict(zip(input_names(sample.columns)[0], inputs, strict=True))
    return [given[name] for name in taken]


def _knows_categories(model: Any) -> bool:
    """Return whether the model is a CatBoost model that takes texts or integers as categories."""
    return package_of(model) == "catboost" and bool(model.get_cat_feature_indices())


def _refuse_stored_zeros(name: str, record: Mapping[int, Handed]) -> None:
    """Raise an error if a step can store zeros in a sparse matrix.

    XGBoost takes stored zeros as 0, and entries that are not stored as missing.

    Raises:
        ExportError: a step of the model can store zeros.
    """
    for each in record.values():
        if each.stores_zeros:
            raise ExportError(
                f"a {type(each.by).__name__} can store zeros in a sparse matrix: the {name} "
                "takes these as 0 and all others as missing, but a graph cannot tell them apart"
            )


def _inlined(part: onnx.ModelProto, graph: Graph, inputs: list[Tensor]) -> dict[str, Tensor]:
    """Copy a booster's graph into the graph of its inputs; return its outputs by name.

    Raises:
        ExportError: the booster's graph has another number of inputs.
    """
    if len(part.graph.input) != len(inputs):
        raise ExportError("its own exporter writes a graph of another kind")
    writer = graph.writer
    names = {"": ""}
    for given, entering in zip(part.graph.input, inputs, strict=True):
        names[given.name] = _as_input(entering, _dtype_of(given)).name
    for node in part.graph.node:
        names |= {name: writer.name("part") for name in node.output}
    for constant in part.graph.initializer:
        names[constant.name] = constant.name = writer.name("constant")
        writer.constants.append(constant)
    for node in part.graph.node:
        node.input[:] = [names[name] for name in node.input]
        node.output[:] = [names[name] for name in node.output]
        node.name = writer.name(node.op_type)
        writer.nodes.append(node)
    # An output renamed because of a column with its name gets its own name back.
    return {
        value.name.partition(RENAMED)[0]: Tensor(graph, names[value.name], _dtype_of(value))
        for value in part.graph.output
    }


def _dtype_of(value: onnx.ValueInfoProto) -> str:
    dtype = onnx.helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type)
    return "str" if dtype.hasobject else dtype.name


def _as_input(x: Tensor, dtype: str) -> Tensor:
    """Return a column in the dtype of the graph's input.

    Integers with missing values are float64 here, and an input of categories is int64. A value that
    is not a whole number becomes an unknown category.
    """
    if dtype != "int64" or not x.floating:
        return x.cast(dtype)
    whole = n.equal(x, n.floor(x)) & (n.absolute(x) < EXACT)
    return n.where(whole, x, float(UNKNOWN_NUMBER)).cast(dtype)
