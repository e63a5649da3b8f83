"""Choose one version of ai.onnx.ml for all operators of a graph.

A graph states one version of a domain, and ai.onnx.ml 5 drops ``TreeEnsembleRegressor``, which
onnxruntime 1.32 then refuses. If a graph needs that operator for sums of several targets, its sums
of one target are rewritten with it too.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from onnxpack.exporters.trees.ensemble import LEAF, Ensemble, Mode, Tree
from onnxpack.exporters.trees.graph import ML, Graph
from onnxpack.exporters.trees.write import add_by_halves

NEW, OLD = "TreeEnsemble", "TreeEnsembleRegressor"
NEW_VERSION, OLD_VERSION = 5, 3


def settle_version(nodes: list[onnx.NodeProto], constants: list[onnx.TensorProto]) -> int:
    """Return the version of ai.onnx.ml for the nodes, after rewriting those that need another."""
    kinds = {node.op_type for node in nodes if node.domain == ML}
    if NEW not in kinds:
        return OLD_VERSION
    if OLD not in kinds:
        return NEW_VERSION
    settled: list[onnx.NodeProto] = []
    for node in nodes:
        made, values = _rewritten(node) if node.op_type == NEW else ([node], [])
        settled += made
        constants += values
    nodes[:] = settled
    return OLD_VERSION


def _rewritten(node: onnx.NodeProto) -> tuple[list[onnx.NodeProto], list[onnx.TensorProto]]:
    """Return the same sums by a ``TreeEnsembleRegressor``, with the same input and output name."""
    part = Graph(0)
    x, y = node.input[0], node.output[0]
    found = add_by_halves(part, x, _read(node))
    names = {x: x, found: y}
    for made in part.nodes:
        made.input[:] = [names.get(name, f"{y}/{name}") for name in made.input]
        made.output[:] = [names.get(name, f"{y}/{name}") for name in made.output]
        made.name = f"{y}/{made.name}"
    for value in part.constants:
        value.name = f"{y}/{value.name}"
    return part.nodes, part.constants


def _read(node: onnx.NodeProto) -> Ensemble:
    """Return the ensemble from which :func:`write.add_ensemble` made the node."""
    given: dict[str, Any] = {each.name: helper.get_attribute_value(each) for each in node.attribute}
    arrays = {
        name: numpy_helper.to_array(value) if isinstance(value, onnx.TensorProto) else value
        for name, value in given.items()
    }
    arrays = {name: np.asarray(value) for name, value in arrays.items()}
    roots = arrays["tree_roots"]
    ends = [*roots[1:], len(arrays["nodes_splits"])]
    trees = [_tree(arrays, *ends_) for ends_ in zip(range(len(roots)), roots, ends, strict=True)]
    mode = Mode.LT if arrays["nodes_modes"].any() else Mode.LEQ
    return Ensemble(tuple(trees), targets=1, mode=mode)


def _tree(arrays: dict[str, Any], number: int, begin: int, end: int) -> Tree:
    """Return one tree of the node, with its leaves after its inner nodes.

    A tree has one leaf more than it has inner nodes.
    """
    size, first_leaf = end - begin, begin + number
    own = slice(begin, end)

    def children(side: str) -> Any:
        places, leaf = arrays[f"nodes_{side}nodeids"][own], arrays[f"nodes_{side}leafs"][own] == 1
        return [*np.where(leaf, places - first_leaf + size, places - begin), *[LEAF] * (size + 1)]

    zeros = [0] * (size + 1)
    return Tree(
        [*arrays["nodes_featureids"][own], *zeros],
        [*arrays["nodes_splits"][own], *zeros],
        children("true"),
        children("false"),
        [*arrays["nodes_missing_value_tracks_true"][own], *zeros],
        [*[0] * size, *arrays["leaf_weights"][first_leaf : first_leaf + size + 1]],
    )
