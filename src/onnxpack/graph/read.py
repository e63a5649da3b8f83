"""Read an untrusted graph: its weights stay on disk, and its functions are limited."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from onnxpack.errors import PackError
from onnxpack.pack.bounds.limited import check_file

if TYPE_CHECKING:
    from onnx import FunctionProto, GraphProto, ModelProto, NodeProto

MAX_GRAPH_BYTES = 2**31
"""Protocol Buffers' own limit: a larger graph stores its weights in other files."""

MAX_NODES = 2_000_000
"""Most nodes after all functions are inlined: nested calls can grow exponentially."""


_PROGRAM = """from pathlib import Path
    from onnxpack.graph.infer import at_sizes
    from onnxpack.graph.read import each_graph, parse_graph
    graph = parse_graph(Path(sys.argv[1]))
    at_sizes(graph, {})
    sum(len(each.node) for each in each_graph(graph.graph))"""


def read_graph(path: Path) -> ModelProto:
    """Parse the graph at ``path`` without opening external weights.

    A graph that is not plain is parsed in a child process first, and its shapes are inferred there.

    Raises:
        BoundsError: the graph takes too much memory or time.
        PackError: the file cannot be read, is not an ONNX model, or its functions never end.
    """
    check_file(path, _PROGRAM)
    return parse_graph(path)


def parse_graph(path: Path) -> ModelProto:
    """Parse a graph that is in bounds; see ``read_graph``."""
    import onnx
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

    try:
        size = path.stat().st_size
        if size >= MAX_GRAPH_BYTES:
            raise PackError(f"{path.name} has {size} bytes, expected fewer than {MAX_GRAPH_BYTES}.")
        model = onnx.ModelProto()
        model.ParseFromString(path.read_bytes())
    except OSError as exc:
        raise PackError(f"{path} cannot be read: {exc.strerror}.") from exc
    except DecodeError as exc:
        raise PackError(f"{path.name} is not an ONNX model: {exc}.") from exc
    if not model.HasField("graph") or not model.opset_import:
        raise PackError(f"{path.name} is not an ONNX model: it has no graph or no opset.")
    total = _written_out(model)
    if total > MAX_NODES:
        raise PackError(
            f"{path.name} has {total} nodes with its functions inlined, expected at most "
            f"{MAX_NODES}."
        )
    return model


def each_graph(graph: GraphProto) -> Iterator[GraphProto]:
    """Yield the graph, then the bodies of its If, Loop and Scan nodes, however deep."""
    yield graph
    for node in graph.node:
        for body in bodies(node):
            yield from each_graph(body)


def bodies(node: NodeProto) -> Iterator[GraphProto]:
    """Yield the graphs inside a node: branches of an If, the body of a Loop or a Scan."""
    for attribute in node.attribute:
        if attribute.HasField("g"):
            yield attribute.g
        yield from attribute.graphs


def operator(node: NodeProto) -> str:
    """Return an operator's name, with its domain unless it is ONNX's own."""
    return f"{node.domain}.{node.op_type}" if _domain(node.domain) else node.op_type


def _domain(name: str) -> str:
    return "" if name == "ai.onnx" else name


_Key = tuple[str, str, str]


def _written_out(model: ModelProto) -> int:
    """Return the number of nodes after each call is replaced by the body of its function."""
    functions = {(_domain(f.domain), f.name, f.overload): f for f in model.functions}
    sizes: dict[_Key, int] = {}
    for key in functions:
        _measure(key, functions, sizes)
    return _count(_all_nodes(model.graph.node), sizes)


def _measure(key: _Key, functions: dict[_Key, FunctionProto], sizes: dict[_Key, int]) -> None:
    """Measure a function after the functions it calls.

    This uses no recursion, because the depth of the calls is untrusted.
    """
    stack, opened = [key], set[_Key]()
    while stack:
        top = stack[-1]
        nodes = list(_all_nodes(functions[top].node))
        waiting = {_callee(n) for n in nodes} & functions.keys() - sizes.keys()
        if not waiting:
            sizes[top] = _count(nodes, sizes)
            stack.pop()
        elif top in opened:
            raise PackError(f"function {functions[top].name!r} of the graph calls itself.")
        else:
            opened.add(top)
            stack.extend(waiting)


def _count(nodes: Iterator[NodeProto] | list[NodeProto], sizes: dict[_Key, int]) -> int:
    return sum(sizes.get(_callee(node), 1) for node in nodes)


def _callee(node: NodeProto) -> _Key:
    return _domain(node.domain), node.op_type, node.overload


def _all_nodes(nodes: object) -> Iterator[NodeProto]:
    for node in nodes:  # type: ignore[attr-defined]
        yield node
        for body in bodies(node):
            yield from _all_nodes(body.node)
