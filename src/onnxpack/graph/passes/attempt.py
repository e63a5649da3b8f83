"""The common part of all passes: a scratch folder, silence, and a checked result.

A pass uses another library, which has its own error messages, writes files in any place, and
renames values. Here its error becomes an OptimizeError, its files go to a scratch folder, and its
graph gets the inputs and outputs of the original.
"""

from __future__ import annotations

import errno
import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from onnxpack.errors import MissingExtraError, OnnxpackError, OptimizeError, PackError
from onnxpack.graph.infer import inference_crashes, state_types
from onnxpack.graph.passes.quiet import quiet
from onnxpack.graph.read import each_graph
from onnxpack.pack.interface import read_interface

if TYPE_CHECKING:
    from onnx import ModelProto, ValueInfoProto

INLINE_LIMIT = 1536 * 2**20
"""Weights of more bytes are stored beside the graph, since protobuf is limited to 2 GiB."""
LISTED = 4
"""The first IR version in which initializers need not be listed among the inputs."""
_FULL = (errno.ENOSPC, errno.EDQUOT)


class Attempt(NamedTuple):
    """A pass that is running.

    Attributes:
        name: name of the pass.
        model: the original graph with its weights; each node has a name. The pass may change it.
        scratch: folder for files, which is removed at the end.
    """

    name: str
    model: ModelProto
    scratch: Path

    @property
    def large(self) -> bool:
        """Whether the weights are stored beside the graph."""
        return _weights(self.model) > INLINE_LIMIT

    def saved(self) -> Path:
        """Save the current graph in the scratch folder and return its path.

        Some libraries write beside the file that they read.
        """
        path = self.scratch / "source.onnx"
        _save(self.model, path)
        return path


@contextmanager
def attempt(name: str, source: Path, to: Path) -> Iterator[Attempt]:
    """Run a pass in silence; errors of other libraries become OptimizeError.

    Raises:
        OptimizeError: the pass failed.
        MissingExtraError: a library is not installed.
    """
    import onnx

    to.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=to.parent, prefix=f".{name}-") as scratch, quiet():
        try:
            model = onnx.load(source)
            name_nodes(model)
            state_types(model.graph)
            if inference_crashes(model.graph):
                raise OptimizeError(
                    f"{name} is not tried on {source.name}: it may call shape inference, which "
                    "crashes at a classical operator behind one of another domain."
                )
            yield Attempt(name, model, Path(scratch))
        except OnnxpackError:
            raise
        except ImportError as exc:
            raise MissingExtraError(exc.name or str(exc), extra="optimize") from exc
        except Exception as exc:
            if isinstance(exc, OSError) and exc.errno in _FULL:
                raise
            raise OptimizeError(f"{name} failed on {source.name}: {_reason(exc)}.") from exc


def finish(made: ModelProto, source: Path, to: Path, under_way: Attempt) -> None:
    """Write the graph that a pass made, with the inputs and outputs of the original.

    Raises:
        OptimizeError: the graph has other inputs or outputs, or ONNX's checker refuses it.
    """
    import onnx

    original = onnx.load(source, load_external_data=False)
    _restore(made, original, under_way.name)
    folder = under_way.scratch / "made"
    folder.mkdir()
    _save(made, folder / to.name)
    publish(folder, to, under_way.name)


def publish(folder: Path, to: Path, name: str) -> None:
    """Check a graph that was written to a scratch folder, and move it to its place.

    The weights are moved before the graph, so that a graph in its place is always complete.
    """
    try:
        read_interface(folder / to.name)
    except PackError as exc:
        reason = exc.message.partition(" is not a valid graph: ")[2] or exc.message
        raise OptimizeError(f"{name} made a graph that is not valid: {reason}") from exc
    for file in sorted(folder.iterdir(), key=lambda path: path.name == to.name):
        file.replace(to.parent / file.name)


def check_names(model: ModelProto, exclude: Collection[str], name: str) -> None:
    """Check that every node to leave alone exists.

    Raises:
        OptimizeError: a node does not exist.
    """
    known = {node.name for graph in each_graph(model.graph) for node in graph.node}
    unknown = sorted(set(exclude) - known)
    if unknown:
        raise OptimizeError(f"{name} must skip {unknown[0]!r}, which is not a node of the graph.")


def count_nodes(model: ModelProto, *operators: str) -> int:
    """Count the nodes with these operators, also in the bodies of nodes."""
    return sum(
        node.op_type in operators for graph in each_graph(model.graph) for node in graph.node
    )


def opset(model: ModelProto) -> int:
    """Return the version of ONNX's own operator set that the graph uses."""
    return max((used.version for used in model.opset_import if not used.domain), default=0)


def name_nodes(model: ModelProto) -> None:
    """Give each node a unique name, because nodes are excluded by name."""
    taken: set[str] = set()
    for graph in each_graph(model.graph):
        for index, node in enumerate(graph.node):
            if not node.name or node.name in taken:
                first = next((output for output in node.output if output), str(index))
                node.name = f"{node.op_type}:{first}"
            taken.add(node.name)


def _restore(made: ModelProto, original: ModelProto, name: str) -> None:
    """Give a graph the inputs and outputs of the original, with their dims.

    Libraries drop inputs that nothing reads, rename dynamic dims, or replace them by sizes.
    """
    for side in ("input", "output"):
        found = _tensors(made, side)
        wanted = _tensors(original, side)
        _compare(found, wanted, name, side)
        target = getattr(made.graph, side)
        listed = [value for value in target if side == "input" and value.name not in found]
        del target[:]
        # Before IR version 4 initializers must be listed among the inputs.
        target.extend([*wanted.values(), *(listed if made.ir_version < LISTED else ())])
    # The type of an inner value must not contradict the type of an input or output.
    ports = {value.name for value in (*made.graph.input, *made.graph.output)}
    inner = [value for value in made.graph.value_info if value.name not in ports]
    del made.graph.value_info[:]
    made.graph.value_info.extend(inner)


def _compare(
    found: dict[str, ValueInfoProto], wanted: dict[str, ValueInfoProto], name: str, side: str
) -> None:
    missing = wanted.keys() - found.keys() if side == "output" else set()
    changed = sorted(missing | (found.keys() - wanted.keys())) + [
        value
        for value in found.keys() & wanted.keys()
        if _dtype(found[value]) != _dtype(wanted[value])
    ]
    if changed:
        raise OptimizeError(
            f"{name} changed the {side} {changed[0]!r}: found {_listed(found)}, "
            f"expected {_listed(wanted)}."
        )


def _tensors(model: ModelProto, side: str) -> dict[str, ValueInfoProto]:
    # Some exporters list initializers among the inputs, as the first IR versions required.
    weights = {weight.name for weight in model.graph.initializer} if side == "input" else set()
    values = getattr(model.graph, side)
    return {value.name: value for value in values if value.name not in weights}


def _dtype(value: ValueInfoProto) -> tuple[str | None, int]:
    return value.type.WhichOneof("value"), value.type.tensor_type.elem_type


def _listed(values: dict[str, ValueInfoProto]) -> str:
    import onnx

    names = onnx.TensorProto.DataType.Name
    return ", ".join(
        f"{name}: {names(value.type.tensor_type.elem_type).lower()}"
        for name, value in values.items()
    )


def _save(model: ModelProto, path: Path) -> None:
    import onnx

    if _weights(model) <= INLINE_LIMIT:
        onnx.save(model, path)
    else:
        onnx.save(model, path, save_as_external_data=True, location=f"{path.name}.data")


def _weights(model: ModelProto) -> int:
    return sum(len(weight.raw_data) for weight in model.graph.initializer)


def _reason(exc: Exception) -> str:
    lines = (line.strip().rstrip(".") for line in str(exc).splitlines())
    first = next((line for line in lines if line), "no reason given")
    return f"{type(exc).__name__}: {first}"
