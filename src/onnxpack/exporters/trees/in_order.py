"""Sum the leaves in the order of a loop over the trees, exact to the last bit.

If the sums of two classes differ only by the order of their terms, the last bit decides the label.
:func:`~.write.add_ensemble` gives the true sum; this gives the framework's. It stores a number for
each row and tree, so it is only for models that need it.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from onnxpack.exporters.trees.ensemble import Ensemble, Tree
from onnxpack.exporters.trees.graph import Graph
from onnxpack.exporters.trees.write import add_ensemble


def add_in_order(graph: Graph, x: str, ensemble: Ensemble) -> str:
    """Write the sum of the leaves that each row reaches, tree by tree: float64 [batch, targets].

    Args:
        graph: the graph to add it to.
        x: the matrix of columns, float64 [batch, columns].
        ensemble: the trees; each adds to all targets, or they add to one after the other in turn.
    """
    table = np.concatenate([tree.value[tree.leaves] for tree in ensemble.trees])
    values = graph.add("Gather", graph.constant(table), add_leaves(graph, x, ensemble), axis=0)
    return sum_in_order(graph, values, ensemble.targets)


def add_leaves(graph: Graph, x: str, ensemble: Ensemble) -> str:
    """Write the number of the leaf that each row reaches in each tree: int64 [batch, trees].

    Leaves are numbered over all trees.

    Raises:
        ValueError: the trees do not add to one target after the other in turn.
    """
    turns = [tree.target for tree in ensemble.trees]
    widths = {tree.value.shape[1] for tree in ensemble.trees}
    expected = [n % ensemble.targets if widths == {1} else 0 for n in range(len(turns))]
    if turns != expected or not widths <= {1, ensemble.targets}:
        raise ValueError("the trees do not add to one target after the other in turn")
    trees: list[Tree] = []
    begin = 0
    for at, tree in enumerate(ensemble.trees):
        number = np.where(tree.leaves, begin + np.cumsum(tree.leaves) - 1, 0)
        trees.append(dataclasses.replace(tree, value=number, target=at))
        begin += int(tree.leaves.sum())
    numbered = dataclasses.replace(ensemble, trees=tuple(trees), targets=len(trees))
    return graph.cast(graph.add("Round", add_ensemble(graph, x, numbered)), np.int64)


def sum_in_order(graph: Graph, values: str, targets: int) -> str:
    """Write the sum of the trees' values, added up from the first to the last.

    Args:
        graph: the graph to add it to.
        values: float64 [batch, …], tree by tree and target by target.
        targets: the number of sums.
    """
    flat = graph.add("Flatten", values, axis=1)
    rounds = graph.add("Reshape", flat, graph.constant([0, -1, targets]))
    sums = graph.add("CumSum", rounds, graph.constant(1))
    return graph.add("Gather", sums, graph.constant(-1), axis=1)
