"""Name a graph's inputs and outputs, and rename internal values that clash."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from itertools import count

import numpy as np
import onnx_ir as ir

from onnxpack.errors import ExportError
from onnxpack.signature import TensorSpec


def name_ports(graph: ir.Graph, inputs: Sequence[str], outputs: Sequence[str]) -> None:
    """Give the inputs and outputs of a graph in memory these names, in order.

    torch 2.14.1's dynamo exporter renames inputs without checking for other values of that name: an
    input called ``cat`` and a ``Concat`` whose output is ``cat`` make a file that cannot be read.
    So the names are given while values are still objects.

    Raises:
        ExportError: the graph has another number of inputs or outputs.
    """
    for side, names, values in (
        ("inputs", inputs, graph.inputs),
        ("outputs", outputs, graph.outputs),
    ):
        if len(names) != len(values):
            raise ExportError(f"the graph has {len(values)} {side}, expected {len(names)}")
    _part_outputs(graph)
    ports = [*graph.inputs, *graph.outputs]
    _give_way(graph, {*inputs, *outputs}, ports)
    for value, name in zip(ports, (*inputs, *outputs), strict=True):
        value.name = name


def add_unread(graph: ir.Graph, specs: Sequence[TensorSpec]) -> None:
    """Add the inputs that no node reads, which the TorchScript exporter leaves out.

    A model may take an input that it does not use, or whose fixed size is all it uses.
    """
    known = {value.name: value for value in graph.inputs}
    names = [spec.name for spec in specs]
    if len(known) == len(names) or not set(known) <= set(names):
        return
    _give_way(graph, set(names) - set(known), [*graph.inputs, *graph.outputs])
    wanted = [known.get(spec.name) or _unread(spec) for spec in specs]
    graph.inputs[:] = wanted


def _unread(spec: TensorSpec) -> ir.Value:
    text = spec.dtype == "str"
    dtype = ir.DataType.STRING if text else ir.DataType.from_numpy(np.dtype(spec.dtype))
    shape = None if spec.shape is None else ir.Shape(spec.shape)
    return ir.Value(name=spec.name, shape=shape, type=ir.TensorType(dtype))


def _part_outputs(graph: ir.Graph) -> None:
    """Make each output a value of its own, not shared with an input or another output."""
    seen = set(map(id, graph.inputs))
    for place, value in enumerate(graph.outputs):
        if id(value) in seen or value.is_initializer():
            node = ir.Node("", "Identity", [value])
            graph.append(node)
            copy = node.outputs[0]
            copy.shape, copy.type = value.shape, value.type
            graph.outputs[place] = copy
        seen.add(id(graph.outputs[place]))


def _give_way(graph: ir.Graph, wanted: Collection[str], ports: Sequence[ir.Value]) -> None:
    """Rename every internal value that has one of these names, in subgraphs as well."""
    own = set(map(id, ports))
    values = [value for value in _values(graph) if id(value) not in own]
    taken = {*wanted, *(value.name for value in values)}
    for value in values:
        if value.name in wanted:
            value.name = next(
                name for number in count(1) if (name := f"{value.name}_{number}") not in taken
            )
            taken.add(value.name)


def _values(graph: ir.Graph) -> Iterator[ir.Value]:
    for each in (graph, *graph.subgraphs()):
        yield from each.inputs
        yield from each.initializers.values()
        for node in each:
            yield from node.outputs
