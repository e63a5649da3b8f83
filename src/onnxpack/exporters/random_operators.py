"""Refuse graphs that draw at random.

A model is run several times, and refused if its answers differ. That does not show a draw in a
branch that no case takes, as in ``if x.max() > 1e5: x = x * torch.randn_like(x)``. A script or an
ONNX file keeps such a branch, so the operators of every candidate are checked, in all branches,
loops and functions.
"""

from __future__ import annotations

from collections.abc import Iterator

import onnx_ir as ir

from onnxpack.errors import ExportError

DRAWN = "the graph draws random numbers"
"""The words with which such an error begins."""
DRAWS = {
    "Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform",
    "RandomUniformLike",
    "Sampling",  # ONNX Runtime's own, for text
}  # fmt: skip
"""Operators that always draw; a ``seed`` fixes only the first call of a session."""
DROPOUTS = {"Dropout", "BiasDropout", "BitmaskDropout", "BitmaskBiasDropout"}
"""Operators that draw only in training; those with a bias are ONNX Runtime's own."""
FIRST_INFERENCE = 7
"""Before this opset a Dropout drops by default; from opset 12 on only in training mode."""


def refuse_random(model: ir.Model) -> None:
    """Raise an error for an operator that draws at random and whose result is used.

    Raises:
        ExportError: the graph draws random numbers; the error names the operator.
    """
    for node in find_random(model):
        raise ExportError(f"{DRAWN}, {place_of(node)}, so it cannot be proven")


def find_random(model: ir.Model) -> Iterator[ir.Node]:
    """Yield the nodes that draw at random, also in branches, loops and functions."""
    opset = model.opset_imports.get("", 0)
    graphs = [(model.graph, opset)] + [
        (function, function.opset_imports.get("", opset)) for function in model.functions.values()
    ]
    for graph, version in graphs:
        for node in graph.all_nodes():
            is_call = node.op_identifier() in model.functions  # its body shows its draws
            if not is_call and _draws(node, version):
                yield node


def place_of(node: ir.Node) -> str:
    """Return the operator and the first value that it makes: ``by RandomNormal, in 'noise'``."""
    made = next((value.name for value in node.outputs if value.name), node.name)
    return f"by {node.op_type}, in {made!r}"


def _draws(node: ir.Node, opset: int) -> bool:
    if not any(value.uses() or value.is_graph_output() for value in node.outputs):
        return False  # an exporter may leave an unused node behind
    if node.op_type in DRAWS:
        return True
    return node.op_type in DROPOUTS and _trains(node, opset)


def _trains(node: ir.Node, opset: int) -> bool:
    """Return whether a Dropout may drop: False only if it certainly does not."""
    own = node.domain in ("", "ai.onnx")
    if own and opset < FIRST_INFERENCE:
        stated = node.attributes.get("is_test")
        return stated is None or stated.is_ref() or not stated.value
    # Dropout(data, ratio, training_mode); those with a bias have two more inputs before the ratio.
    at = 4 if "Bias" in node.op_type else 2
    asked = node.inputs[at] if len(node.inputs) > at else None
    if asked is None:
        return False
    constant = ir.convenience.get_const_tensor(asked)
    return constant is None or asked.is_graph_input() or bool(constant.numpy().any())
