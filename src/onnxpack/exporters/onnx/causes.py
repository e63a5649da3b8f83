"""Explain why an ONNX file cannot be adopted, and what to type instead."""

from __future__ import annotations

from pathlib import Path

import onnx
import onnx_ir as ir

from onnxpack.errors import ExportError, PackError
from onnxpack.exporters.random_operators import DROPOUTS, find_random, place_of
from onnxpack.pack.bounds.limited import check_file
from onnxpack.pack.model import Pack
from onnxpack.runtime.model import Model
from onnxpack.runtime.session import plain

FIRST_OPSET = 7
"""ONNX Runtime lacks kernels for many operators of earlier opsets than this one."""
NEW_OPSET = 18
TENSORS = (
    "export the scikit-learn model itself, or convert it again without maps: "
    "skl2onnx.to_onnx(model, X, options={'zipmap': False})"
)
"""The cure for a classifier of skl2onnx, whose ZipMap makes a map of each row's probabilities."""

_PROGRAM = """import onnx_ir
    try:
        onnx_ir.load(sys.argv[1])
    except onnx_ir.serde.SerdeError:
        pass  # the cause is explained below"""


def open_model(pack: Pack, graph: ir.Model) -> Model:
    """Load the graph in ONNX Runtime.

    Raises:
        PackError: the graph cannot be loaded.
    """
    try:
        return Model(pack, provider="cpu")
    except PackError as exc:
        opset = graph.opset_imports.get("", FIRST_OPSET)
        if opset >= FIRST_OPSET:
            raise
        name = pack.model_path.name
        said = plain(exc.__cause__) if isinstance(exc.__cause__, Exception) else exc.message
        raise PackError(
            f"{name!r} cannot be loaded: its operators are those of opset {opset}, and ONNX "
            f"Runtime supports many operators only from opset {FIRST_OPSET} on. Its error: "
            f"{said}.",
            remedy=f"onnx.save(onnx.version_converter.convert_version(onnx.load({name!r}), "
            f"{NEW_OPSET}), 'newer.onnx'), and export newer.onnx",
        ) from exc


def read_graph(path: Path) -> ir.Model:
    """Read the graph of a file whose inputs and outputs are tensors.

    Raises:
        BoundsError: the graph takes too much memory or time.
        PackError: an input or output is not a tensor, as the maps of ZipMap; the error names it.
    """
    check_file(path, _PROGRAM)
    try:
        return ir.load(path)
    except ir.serde.SerdeError as exc:
        graph = onnx.load(path, load_external_data=False).graph
        for value in (*graph.input, *graph.output):
            kind = value.type.WhichOneof("value") or "tensor_type"
            if kind != "tensor_type":
                raise PackError(
                    f"{path.name!r} has {value.name!r}, a {kind.removesuffix('_type')}, expected "
                    "tensors only.",
                    remedy=TENSORS if any(node.op_type == "ZipMap" for node in graph.node) else "",
                ) from exc
        raise PackError(f"{path.name!r} cannot be read: {exc}") from exc


def refuse_draws(path: Path, model: ir.Model) -> None:
    """Raise an error for a graph that draws at random, in any branch.

    Raises:
        ExportError: the graph draws at random; the error names the operator and a line that makes
            the random numbers an input.
    """
    for node in find_random(model):
        raise ExportError(
            f"{path.name!r} draws random numbers, {place_of(node)}: its answers cannot be "
            "proven, even if only some inputs reach this operator.",
            remedy=_instead(path, model, node),
        )


def _instead(path: Path, model: ir.Model, node: ir.Node) -> str:
    if node.op_type in DROPOUTS:
        return (
            "save the model for inference, where Dropout does nothing: in PyTorch model.eval() "
            "before torch.onnx.export; or remove the third input, training_mode, from this node"
        )
    if node.graph is not model.graph:
        return "make the random numbers an input of the graph, and save it again"
    inputs = [value.name for value in (*model.graph.inputs, node.outputs[0])]
    outputs = [value.name for value in model.graph.outputs]
    return (
        f"make the random numbers an input: onnx.utils.extract_model({path.name!r}, "
        f"'given.onnx', {inputs}, {outputs}), and export given.onnx"
    )
