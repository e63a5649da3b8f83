"""Read the interface of a graph: inputs, outputs, opset and IR version."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from onnxpack.errors import PackError
from onnxpack.pack.bounds.limited import check_file
from onnxpack.pack.external import MAX_GRAPH_BYTES
from onnxpack.signature import Dim, TensorSpec

if TYPE_CHECKING:
    import onnx

Shape: TypeAlias = tuple[Dim | None, ...] | None
"""A shape as in a signature, except that an axis may be unknown (None)."""


@dataclass(frozen=True, slots=True)
class Port:
    """One input or output of a graph."""

    name: str
    dtype: str
    shape: Shape

    def differs(self, spec: TensorSpec) -> bool:
        """Return whether the port contradicts ``spec``; an unknown shape or axis does not."""
        if (self.name, self.dtype) != (spec.name, spec.dtype):
            return True
        if self.shape is None or spec.shape is None:
            return self.shape is not None
        return len(self.shape) != len(spec.shape) or any(
            found not in (None, dim) for found, dim in zip(self.shape, spec.shape, strict=True)
        )

    def to_spec(self) -> TensorSpec:
        """Return the port as part of a signature, with a name for each axis that has none."""
        if self.shape is None:
            return TensorSpec(self.name, self.dtype, None)
        named = (
            f"{self.name}_{axis}" if dim is None else dim for axis, dim in enumerate(self.shape)
        )
        return TensorSpec(self.name, self.dtype, tuple(named))

    def __str__(self) -> str:
        dims = "..." if self.shape is None else ", ".join(str(dim or "?") for dim in self.shape)
        return f"{self.name}: {self.dtype}[{dims}]"


@dataclass(frozen=True, slots=True)
class Interface:
    """The inputs, outputs and versions of a graph."""

    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    opset: int
    ir_version: int


_PROGRAM = """from pathlib import Path
    from onnxpack.pack.interface import parse_interface
    parse_interface(Path(sys.argv[1]))"""


def read_interface(model_path: Path) -> Interface:
    """Check a graph with ONNX's own checker, and return its interface.

    A graph that is not plain is read in a child process first.

    Raises:
        BoundsError: the graph takes too much memory or time.
        PackError: the graph cannot be read, or the checker refuses it.
    """
    check_file(model_path, _PROGRAM)
    return parse_interface(model_path)


def parse_interface(model_path: Path) -> Interface:
    """Check and return the interface of a graph that is in bounds; see ``read_interface``."""
    import onnx
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

    try:
        found = model_path.stat().st_size
        if found > MAX_GRAPH_BYTES:
            raise PackError(
                f"{model_path} has {found} bytes, expected at most {MAX_GRAPH_BYTES}: larger "
                "graphs must store their weights in separate files."
            )
        model = onnx.load(str(model_path), load_external_data=False)
        _check(model_path, model)
    except (onnx.checker.ValidationError, DecodeError, OSError, ValueError, RuntimeError) as exc:
        raise PackError(f"{model_path} is not a valid graph: {_first_line(exc)}") from exc
    graph = model.graph
    # Before IR version 4 every initializer was listed among the inputs.
    initialized = {tensor.name for tensor in graph.initializer}
    return Interface(
        inputs=tuple(_port(info) for info in graph.input if info.name not in initialized),
        outputs=tuple(_port(info) for info in graph.output),
        opset=max((used.version for used in model.opset_import if not used.domain), default=0),
        ir_version=model.ir_version,
    )


def _check(model_path: Path, model: onnx.ModelProto) -> None:
    import onnx

    values = (*model.graph.input, *model.graph.output)
    tensors = [info.type.tensor_type for info in values if info.type.HasField("tensor_type")]
    if all(tensor.HasField("shape") for tensor in tensors):
        # By path: with external data a model can be larger than 2 GiB.
        onnx.checker.check_model(str(model_path))
        return
    # The checker requires a rank, which can be unknown: a copy without weights gets one.
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    for info in (*copy.graph.input, *copy.graph.output):
        if info.type.HasField("tensor_type"):
            info.type.tensor_type.shape.SetInParent()
    for weight in copy.graph.initializer:
        if weight.external_data:
            weight.CopyFrom(
                onnx.TensorProto(name=weight.name, data_type=weight.data_type, dims=[0])
            )
    onnx.checker.check_model(copy)


def _port(info: onnx.ValueInfoProto) -> Port:
    import onnx

    if not info.type.HasField("tensor_type"):
        return Port(info.name, str(info.type.WhichOneof("value")), None)
    tensor = info.type.tensor_type
    name = onnx.TensorProto.DataType.Name(tensor.elem_type).lower()
    dtype = {"float": "float32", "double": "float64", "string": "str"}.get(name, name)
    if not tensor.HasField("shape"):
        return Port(info.name, dtype, None)
    return Port(info.name, dtype, tuple(_dim(dim) for dim in tensor.shape.dim))


def _dim(dim: onnx.TensorShapeProto.Dimension) -> Dim | None:
    return dim.dim_value if dim.HasField("dim_value") else dim.dim_param or None


def _first_line(exc: Exception) -> str:
    return next((line.strip() for line in str(exc).splitlines() if line.strip()), "no reason given")
