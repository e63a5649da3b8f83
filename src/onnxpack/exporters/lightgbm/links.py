"""Convert scores to the results of ``predict``, for each objective."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from onnxpack.errors import ExportError
from onnxpack.exporters.lightgbm.model import CUSTOM
from onnxpack.exporters.trees.graph import Graph

IDENTITY = {
    CUSTOM, "fair", "huber", "lambdarank", "mape", "quantile", "rank_xendcg", "regression",
    "regression_l1",
}  # fmt: skip
EXPONENTIAL = {"gamma", "poisson", "tweedie"}


def write_link(graph: Graph, score: str, objective: str, given: Mapping[str, str]) -> str:
    """Write the conversion of an objective; the result is float64 [batch, targets].

    Raises:
        ExportError: the objective is not known.
    """
    if objective in IDENTITY:  # with reg_sqrt most of them were fitted to the root
        return _squared(graph, score) if "sqrt" in given else score
    if objective in EXPONENTIAL:
        return graph.add("Exp", score)
    if objective in ("binary", "multiclassova"):
        steep = graph.constant(float(given["sigmoid"]))
        return _logistic(graph, graph.add("Mul", score, steep))
    if objective == "cross_entropy":
        return _logistic(graph, score)
    if objective == "cross_entropy_lambda":
        return graph.add("Log", graph.add("Add", graph.add("Exp", score), graph.constant(1.0)))
    if objective == "multiclass":
        return graph.add("Softmax", score, axis=1)
    raise ExportError(
        f"the objective {objective!r} is not built into LightGBM, so it is not known what its "
        "scores mean.",
        remedy="name the objective in params: objective='regression'",
    )


def _logistic(graph: Graph, score: str) -> str:
    """Write the probability of the second class by LightGBM's own formula.

    ONNX Runtime (1.32) computes a Sigmoid with an error of 1e-16, which is a tenth of the
    probability 1e-15 that occurs if all rows are of one class.
    """
    one = graph.constant(np.float64(1))
    return graph.add("Div", one, graph.add("Add", one, graph.add("Exp", graph.add("Neg", score))))


def _squared(graph: Graph, score: str) -> str:
    """Write the square with the score's sign, for an objective that was fitted to the root."""
    positive = graph.add("Greater", score, graph.constant(np.float64(0)))
    square = graph.add("Mul", score, score)
    return graph.add("Where", positive, square, graph.add("Neg", square))
