"""From sums to what ``predict`` and ``predict_proba`` give."""

from __future__ import annotations

import numpy as np

from onnxpack.errors import ExportError
from onnxpack.exporters.trees.graph import Graph

BINARY = {"CrossEntropy", "Focal", "Logloss"}
MANY_LABELS = {"MultiCrossEntropy", "MultiLogloss"}
ONE_VS_ALL, SOFTMAX, UNCERTAIN = "MultiClassOneVsAll", "MultiClass", "RMSEWithUncertainty"
EXPONENTIAL = {"Poisson", "Tweedie"}


def write_shares(graph: Graph, score: str, loss: str) -> str:
    """The probability of each class, or of the second of two.

    Raises:
        ExportError: the loss is not one of a classifier.
    """
    if loss in BINARY | MANY_LABELS or loss == ONE_VS_ALL:
        return graph.add("Sigmoid", score)
    if loss == SOFTMAX:
        return graph.add("Softmax", score, axis=1)
    raise ExportError(
        f"the loss {loss!r} is not known, and so it is not known what its probabilities are.",
        remedy="train with loss_function='Logloss' or 'MultiClass'",
    )


def write_prediction(graph: Graph, score: str, loss: str) -> str:
    """What a regressor's ``predict`` gives."""
    if loss in EXPONENTIAL:
        return graph.add("Exp", score)
    if loss != UNCERTAIN:
        return score
    mean, spread = graph.add_many("Split", score, graph.constant([1, 1]), outputs=2, axis=1)
    variance = graph.add("Exp", graph.add("Mul", spread, graph.constant(np.float64(2))))
    return graph.add("Concat", mean, variance, axis=1)
