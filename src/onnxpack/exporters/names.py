"""Give a graph's inputs and outputs the user's names, and rename other values that clash."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import onnx

PLACEHOLDER = "onnxpack_{side}_{place}"
"""Name that an exporter gets in place of a user's name, which it may use for a value itself."""


def placeholders(side: str, count: int) -> list[str]:
    """Return names that no exporter gives to a value of its own."""
    return [PLACEHOLDER.format(side=side, place=place) for place in range(count)]


def name_ends(graph: Path, inputs: Sequence[str], outputs: Sequence[str]) -> None:
    """Replace the placeholder names of a graph's inputs and outputs, in the file.

    A separate file of weights is not touched.
    """
    model = onnx.load(graph, load_external_data=False)
    wanted = {
        **dict(zip(placeholders("input", len(inputs)), inputs, strict=True)),
        **dict(zip(placeholders("output", len(outputs)), outputs, strict=True)),
    }
    used = set(_names(model.graph))
    taken = used | set(wanted.values())
    for name in sorted((used & set(wanted.values())) - wanted.keys()):
        wanted[name] = _free(name, taken)
        taken.add(wanted[name])
    _rename(model.graph, wanted)
    onnx.save(model, graph)


def _free(name: str, taken: set[str]) -> str:
    number = 1
    while f"{name}_{number}" in taken:
        number += 1
    return f"{name}_{number}"


def _bodies(graph: onnx.GraphProto) -> Iterator[onnx.GraphProto]:
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.GRAPH:
                yield attribute.g
            yield from attribute.graphs


def _names(graph: onnx.GraphProto) -> Iterator[str]:
    """Yield the names of all values, including those in the bodies of If, Loop and Scan."""
    for value in (*graph.input, *graph.output, *graph.value_info, *graph.initializer):
        yield value.name
    for node in graph.node:
        yield from (*node.input, *node.output)
    for body in _bodies(graph):
        yield from _names(body)


def _rename(graph: onnx.GraphProto, names: Mapping[str, str]) -> None:
    for value in (*graph.input, *graph.output, *graph.value_info, *graph.initializer):
        value.name = names.get(value.name, value.name)
    for node in graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names.get(name, name) for name in node.output]
    for body in _bodies(graph):
        _rename(body, names)
