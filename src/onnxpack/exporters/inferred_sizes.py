"""Adopt the output sizes that ONNX Runtime infers where a graph states only names."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec
import onnx_ir as ir

from onnxpack.errors import ExportError
from onnxpack.parity.prove import Question, open_graph
from onnxpack.runtime.model import Model
from onnxpack.runtime.signature import differences
from onnxpack.signature import Dim, Signature, TensorSpec


def open_with_inferred_sizes(
    graph: Path, stated: Signature, questions: Sequence[Question]
) -> tuple[Model, Signature]:
    """Open a graph whose outputs state the sizes that ONNX Runtime infers for them.

    The first axis of what ``NonZero`` gives is the rank of its input, also if a file states no
    size. ONNX Runtime reports that size, and refuses a pack whose manifest has a name there.

    Args:
        graph: path of the graph, which is written again if there is a size to state.
        stated: the signature that the graph states.
        questions: the cases; a size is adopted only if the model's answers have it in all cases.

    Returns:
        The opened graph, and the signature that it now states.

    Raises:
        PackError: the graph cannot be loaded.
    """
    opened = open_graph(graph)
    signature = _with_inferred_sizes(stated, opened.signature, questions)
    if signature != stated:
        _state_outputs(graph, signature)
        opened = open_graph(graph)
    return opened, signature


def refuse_unopenable(stated: Signature, found: Signature) -> None:
    """Raise an error if ONNX Runtime would refuse a pack with this signature.

    Raises:
        ExportError: ONNX Runtime reads another signature from the graph.
    """
    faults = differences(stated, found)
    if faults:
        raise ExportError(
            f"ONNX Runtime infers another signature than the model has: {'; '.join(faults)}"
        )


def _with_inferred_sizes(
    stated: Signature, found: Signature, questions: Sequence[Question]
) -> Signature:
    own = {spec.name: spec for spec in found.outputs}
    outputs = tuple(
        _with_sizes(
            spec,
            own.get(spec.name, spec),
            [question.expected[spec.name].shape for question in questions],
        )
        for spec in stated.outputs
    )
    return msgspec.structs.replace(stated, outputs=outputs)


def _state_outputs(graph: Path, signature: Signature) -> None:
    """Write a graph again with the shapes of a signature; weights in a second file stay there."""
    model = ir.load(graph)
    for value, spec in zip(model.graph.outputs, signature.outputs, strict=True):
        if spec.shape is not None:
            value.shape = ir.Shape(spec.shape)
    ir.save(model, graph)


def _with_sizes(
    spec: TensorSpec, found: TensorSpec, answered: Sequence[tuple[int, ...]]
) -> TensorSpec:
    if spec.shape is None or found.shape is None or len(spec.shape) != len(found.shape):
        return spec
    dims: tuple[Dim, ...] = tuple(
        own if all(shape[axis] == own for shape in answered) else dim
        for axis, (dim, own) in enumerate(zip(spec.shape, found.shape, strict=True))
    )
    return msgspec.structs.replace(spec, shape=dims)
