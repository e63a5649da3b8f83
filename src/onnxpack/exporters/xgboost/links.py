"""Convert margins to the results of ``predict``, for each objective."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np

from onnxpack.errors import ExportError
from onnxpack.exporters.trees.graph import Graph
from onnxpack.signature import Array

Link: TypeAlias = Callable[[Graph, str], str]
"""Function that writes a conversion of float32 [batch, targets] to float32 of the same shape."""

IDENTITY = {
    "binary:logitraw", "rank:map", "rank:ndcg", "rank:pairwise", "reg:absoluteerror", "reg:linear",
    "reg:pseudohubererror", "reg:quantileerror", "reg:squarederror",
    "reg:squaredlogerror",
}  # fmt: skip
LOGISTIC = {"binary:logistic", "reg:logistic"}
EXPONENTIAL = {"count:poisson", "reg:gamma", "reg:tweedie", "survival:aft", "survival:cox"}
SOFTMAX, SOFTPROB, HINGE = "multi:softmax", "multi:softprob", "binary:hinge"


def link_of(objective: str) -> Link:
    """Return the function that writes an objective's conversion of margins.

    Raises:
        ExportError: the objective is not known.
    """
    if objective in IDENTITY:
        return lambda _, margin: margin
    if objective in LOGISTIC:
        return lambda graph, margin: graph.add("Sigmoid", margin)
    if objective in EXPONENTIAL:
        return lambda graph, margin: graph.add("Exp", margin)
    if objective == SOFTPROB:
        return lambda graph, margin: graph.add("Softmax", margin, axis=1)
    if objective == SOFTMAX:
        return _label
    if objective == HINGE:
        return _sign
    raise ExportError(
        f"the objective {objective!r} is not supported: how predict() transforms its margins is "
        "not known."
    )


def margin_of(objective: str, base: Array) -> Array:
    """Return the margin of a base score, in float32 as XGBoost computes it."""
    if objective in LOGISTIC:
        return np.asarray(-np.log(np.float32(1) / base - np.float32(1)), np.float32)
    if objective in EXPONENTIAL:
        return np.asarray(np.log(base), np.float32)
    return base


def _label(graph: Graph, margin: str) -> str:
    return graph.cast(graph.add("ArgMax", margin, axis=1, keepdims=1), np.float32)


def _sign(graph: Graph, margin: str) -> str:
    return graph.cast(graph.add("Greater", margin, graph.constant(0, np.float32)), np.float32)
