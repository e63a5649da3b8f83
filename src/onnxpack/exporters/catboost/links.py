"""Convert raw sums of trees to the results of ``predict`` and ``predict_proba``."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from onnxpack.errors import ExportError
from onnxpack.exporters.trees.graph import Graph

BINARY = {"CrossEntropy", "Focal", "Logloss"}
MANY_LABELS = {"MultiCrossEntropy", "MultiLogloss"}
ONE_VS_ALL, SOFTMAX, UNCERTAIN = "MultiClassOneVsAll", "MultiClass", "RMSEWithUncertainty"
SMALLEST = float(np.finfo(np.float64).tiny)
EXPONENTIAL = {"Poisson", "Tweedie"}


def with_absent(graph: Graph, score: str, present: Sequence[int], classes: int) -> str:
    """Add a score of minus infinity for each class without a row in the training data.

    Args:
        present: the index of each score's class among all classes.
    """
    none = graph.constant(np.full((1, 1), -np.inf))
    first = graph.add("Gather", score, graph.constant([0]), axis=1)
    absent = graph.add("Add", graph.add("Mul", first, graph.constant(0.0)), none)
    both = graph.add("Concat", score, absent, axis=1)
    place = {at: number for number, at in enumerate(present)}
    taken = [place.get(at, len(present)) for at in range(classes)]
    return graph.add("Gather", both, graph.constant(taken), axis=1)


def write_shares(graph: Graph, score: str, loss: str) -> str:
    """Write the probability of each class, or of the second of two classes.

    Raises:
        ExportError: the loss is not a known loss of a classifier.
    """
    if loss in BINARY | MANY_LABELS or loss == ONE_VS_ALL:
        return graph.add("Sigmoid", score)
    if loss == SOFTMAX:
        return graph.add("Softmax", score, axis=1)
    raise ExportError(
        f"the loss {loss!r} is not supported: how it computes probabilities is not known.",
        remedy="train with loss_function='Logloss' or 'MultiClass'",
    )


def write_absent_shares(graph: Graph, score: str, shares: str) -> str:
    """Give absent classes the small probability that CatBoost 1.2 gives them after a softmax.

    It is the largest share times the smallest normal number.
    """
    best = graph.add("ArgMax", score, axis=1, keepdims=1)
    largest = graph.add("GatherElements", shares, best, axis=1)
    little = graph.add("Mul", largest, graph.constant(SMALLEST))
    return graph.add("Where", graph.add("IsInf", score), little, shares)


def write_prediction(graph: Graph, score: str, loss: str) -> str:
    """Write the result of a regressor's ``predict``."""
    if loss in EXPONENTIAL:
        return graph.add("Exp", score)
    if loss != UNCERTAIN:
        return score
    mean, spread = graph.add_many("Split", score, graph.constant([1, 1]), outputs=2, axis=1)
    variance = graph.add("Exp", graph.add("Mul", spread, graph.constant(np.float64(2))))
    return graph.add("Concat", mean, variance, axis=1)
