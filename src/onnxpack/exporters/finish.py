"""Prepare a candidate for a pack: proven shapes, readable names, no traces of this machine."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import msgspec
import onnx_ir as ir

from onnxpack.errors import ExportError
from onnxpack.exporters.activations import sharpen
from onnxpack.exporters.batch_statistics import write_batch_statistics
from onnxpack.exporters.cast_chains import keep_middle_casts
from onnxpack.exporters.empty_means import divide_by_count
from onnxpack.exporters.empty_pools import keep_empty_windows
from onnxpack.exporters.float16_integers import refuse_float16_integers
from onnxpack.exporters.fourier import transform_in_float64
from onnxpack.exporters.integers import add_exactly
from onnxpack.exporters.long_sums import sum_in_float64
from onnxpack.exporters.open_clip import open_clips
from onnxpack.exporters.ports import add_unread
from onnxpack.exporters.random_operators import refuse_random
from onnxpack.exporters.whole_division import divide_by_minus_one
from onnxpack.pack.manifest import Source
from onnxpack.parity.beside import save_beside
from onnxpack.signature import Signature, TensorSpec

INLINE_LIMIT = 1536 * 2**20
"""Weights above this many bytes go into a second file, since protobuf is limited to 2 GiB."""
DATA_SIZED = {"Compress", "NonMaxSuppression", "NonZero", "Unique"}
"""Operators whose output can have a size that depends on values, not on the inputs' sizes."""


def finish(
    source: Path, to: Path, signature: Signature, *, root: str = "", limit: int = INLINE_LIMIT
) -> Signature:
    """Clean a candidate and save it, with large weights in a file next to it.

    Args:
        signature: the inputs and outputs that the graph should have, as measured on the framework.
        root: the module path that the exporter put before every name; empty to keep the names.
        limit: bytes of weights above which they go to ``<name>.data``.

    Returns:
        The signature that the graph now states, with names for dims that depend on values.

    Raises:
        ExportError: the graph's inputs or outputs are not those of the signature, the file that an
            exporter wrote cannot be read, the graph draws at random, it would keep a state, its
            integers cannot be reduced exactly, or it makes whole numbers of float16 arithmetic.
    """
    try:
        model = ir.load(source)
    except ir.serde.SerdeError as exc:
        raise ExportError(f"the exporter wrote a graph that cannot be read: {exc}") from exc
    refuse_random(model)
    write_batch_statistics(model)
    open_clips(model)
    divide_by_count(model)
    sum_in_float64(model)
    divide_by_minus_one(model)
    add_exactly(model)
    refuse_float16_integers(model)
    keep_middle_casts(model)
    keep_empty_windows(model)
    sharpen(model)
    transform_in_float64(model)
    add_unread(model.graph, signature.inputs)
    stated = _state_signature(model.graph, signature)
    if root:
        _name_nodes(model.graph, root)
        _name_initializers(model.graph, root)
    _forget_origin(model)
    _save(model, to, limit)
    return stated


def graph_versions(model: ir.Model, origin: Mapping[str, str]) -> Source:
    """Return the manifest's source record, with the versions that the graph itself states."""
    return Source(**origin, opset=model.opset_imports.get("", 0), ir_version=model.ir_version or 0)


def _save(model: ir.Model, to: Path, limit: int) -> None:
    tensors = [value.const_value for value in model.graph.initializers.values()]
    if sum(tensor.nbytes for tensor in tensors if tensor is not None) > limit:
        save_beside(model, to)
    else:
        ir.external_data.load_to_model(model)
        ir.save(model, to)


def _state_signature(graph: ir.Graph, signature: Signature) -> Signature:
    named = {value.name: value for value in (*graph.inputs, *graph.outputs)}
    for side, specs, values in (
        ("inputs", signature.inputs, graph.inputs),
        ("outputs", signature.outputs, graph.outputs),
    ):
        wanted = [spec.name for spec in specs]
        found = [value.name for value in values]
        if wanted != found:
            raise ExportError(f"the graph's {side} are {found}, expected {wanted}")
    for spec in signature.inputs:
        _refuse_frozen(spec, named[spec.name])
    loose = any(node.op_type in DATA_SIZED for node in graph.all_nodes())
    outputs = tuple(_loosened(spec, named[spec.name], loose) for spec in signature.outputs)
    for spec in (*signature.inputs, *outputs):
        if spec.shape is not None:
            named[spec.name].shape = ir.Shape(spec.shape)
    return msgspec.structs.replace(signature, outputs=outputs)


def _refuse_frozen(spec: TensorSpec, value: ir.Value) -> None:
    for axis, dim in enumerate(spec.shape or ()):
        stated = value.shape[axis] if value.shape is not None else None
        if isinstance(dim, str) and isinstance(stated, int):
            raise ExportError(
                f"axis {axis} of input {spec.name!r}, {dim!r}, was frozen at {stated}"
            )


def _loosened(spec: TensorSpec, value: ir.Value, loose: bool) -> TensorSpec:
    """Return the spec of an output, with named dims where the graph may vary the size.

    A size that was equal in all cases is kept only if the graph cannot vary it.
    """
    stated = value.shape
    if not loose or spec.shape is None or stated is None or len(stated) != len(spec.shape):
        return spec
    dims = tuple(
        dim if isinstance(dim, str) or isinstance(stated[axis], int) else f"{spec.name}_{axis}"
        for axis, dim in enumerate(spec.shape)
    )
    return msgspec.structs.replace(spec, shape=dims)


def _name_nodes(graph: ir.Graph, root: str) -> None:
    """Name each node after its module and operator: ``layer1.0.conv1/Conv``."""
    seen: Counter[str] = Counter()
    for node in graph.all_nodes():
        scope = _scope(node).removeprefix(root).removeprefix(".")
        name = f"{scope}/{node.op_type}" if scope else node.op_type
        seen[name] += 1
        node.name = name if seen[name] == 1 else f"{name}_{seen[name]}"


def _scope(node: ir.Node) -> str:
    """Return the module path that either of PyTorch's exporters has recorded in a node."""
    scopes = node.metadata_props.get("pkg.torch.onnx.name_scopes")
    if scopes:
        path: list[str] = ast.literal_eval(scopes)
        return path[-2] if len(path) > 1 else ""
    parts: list[str] = []
    for part in (node.name or "").strip("/").split("/")[:-1]:
        if parts and part.startswith(f"{parts[-1]}."):
            parts[-1] = part
        else:
            parts.append(part)
    return ".".join(parts)


def _name_initializers(graph: ir.Graph, root: str) -> None:
    for name, value in list(graph.initializers.items()):
        plain = name.removeprefix(f"{root}.")
        if plain != name and plain not in graph.initializers:
            value.name = plain


def _forget_origin(model: ir.Model) -> None:
    """Remove stack traces and source paths: they differ by machine and reveal its folders."""
    model.doc_string = None
    model.metadata_props.clear()
    graphs: list[ir.Graph | ir.Function] = [model.graph, *model.graph.subgraphs()]
    for graph in [*graphs, *model.functions.values()]:
        _forget_one(graph)
        for node in graph:
            _forget_one(node)
            for value in node.outputs:
                _forget_one(value)


def _forget_one(thing: ir.Graph | ir.Function | ir.Node | ir.Value) -> None:
    thing.doc_string = None
    thing.metadata_props.clear()
