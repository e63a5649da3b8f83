"""Write trees with a linear function of some features in each leaf."""

from __future__ import annotations

import dataclasses

import numpy as np

from onnxpack.exporters.lightgbm.model import Description
from onnxpack.exporters.trees.ensemble import Ensemble
from onnxpack.exporters.trees.graph import Graph
from onnxpack.exporters.trees.in_order import add_leaves, sum_in_order
from onnxpack.signature import Array


def add_linear(
    graph: Graph, columns: str, x: str, ensemble: Ensemble, description: Description
) -> str:
    """Return the sum of the linear functions of the reached leaves: float64 [batch, targets].

    Args:
        graph: the graph to add it to.
        columns: the columns that the nodes test.
        x: the features, float64 [batch, features].
        ensemble: the trees.
        description: the booster, which holds the linear functions of the leaves.
    """
    tables = _Tables.of(description)
    leaf = add_leaves(graph, columns, ensemble)

    def chosen(table: Array) -> str:
        return graph.add("Gather", graph.constant(table), leaf, axis=0)

    width = tables.features.shape[1]
    padding = graph.add("Slice", x, *(graph.constant([at]) for at in (0, 1, 1)))
    padding = graph.add("Mul", graph.cast(graph.add("IsNaN", padding), np.float64),
                        graph.constant(0.0))  # fmt: skip
    padded = graph.add("Concat", x, padding, axis=1)
    flat = graph.add("Flatten", chosen(tables.features), axis=1)
    values = graph.add("GatherElements", padded, flat, axis=1)
    values = graph.add("Reshape", values, graph.constant([-1, len(description.blocks), width]))
    lines = graph.add("Mul", values, chosen(tables.slopes))
    last = graph.constant([2])
    lines = graph.add("ReduceSum", lines, last, keepdims=0)
    missing = graph.cast(graph.add("IsNaN", values), np.float64)
    missing = graph.add("ReduceSum", missing, last, keepdims=0)
    output = graph.add(
        "Where",
        graph.add("Greater", missing, graph.constant(0.0)),
        chosen(tables.fallback),
        graph.add("Add", lines, chosen(tables.constant)),
    )
    return sum_in_order(graph, output, description.targets)


@dataclasses.dataclass(frozen=True)
class _Tables:
    """The linear functions of all leaves, one a row, padded with a column of zeros."""

    features: Array
    slopes: Array
    constant: Array
    fallback: Array

    @classmethod
    def of(cls, description: Description) -> _Tables:
        trees = [description.linear(number) for number in range(len(description.blocks))]
        lines = [features for tree in trees for features in tree.features]
        slopes = [slope for tree in trees for slope in tree.slopes]
        width = max(1, *map(len, lines))
        return cls(
            np.array([[*f, *[description.features] * (width - len(f))] for f in lines], np.int64),
            np.array([[*s, *[0.0] * (width - len(s))] for s in slopes]),
            np.concatenate([tree.constant for tree in trees]),
            np.concatenate([tree.fallback for tree in trees]),
        )
