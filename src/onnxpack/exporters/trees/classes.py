"""Write labels and probabilities, as estimators with scikit-learn's interface return them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from onnxpack.exporters.labels import refuse_labels
from onnxpack.exporters.trees.graph import Graph
from onnxpack.exporters.trees.subject import LABEL, PROBABILITIES
from onnxpack.signature import Array


def class_names(classes: Any) -> Sequence[str]:
    """Return the classes as text.

    Raises:
        ExportError: the classes are neither numbers nor texts.
    """
    refuse_labels(classes)
    return [str(name) for name in classes]


def put_classes(graph: Graph, shares: str, targets: int, classes: Any) -> None:
    """Add two outputs: the most probable class, and the probabilities.

    Args:
        graph: the graph to add them to.
        shares: probabilities, float64 [batch, targets]; a single target is the second class's
            probability.
        targets: the number of targets.
        classes: the classes in the order of the targets.
    """
    if targets == 1:
        first = graph.add("Sub", graph.constant(1.0), shares)
        shares = graph.add("Concat", first, shares, axis=1)
    known = _plain(np.asarray(classes))
    best = graph.add("ArgMax", shares, axis=1, keepdims=0)
    graph.output(LABEL, graph.add("Gather", graph.constant(known), best, axis=0), known.dtype)
    graph.output(PROBABILITIES, shares, np.float64)


def _plain(classes: Array) -> Array:
    return classes.astype(object) if classes.dtype.kind in "OU" else classes
