"""Read the signature that a graph states for itself."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from onnxpack.errors import PackError
from onnxpack.signature import Dim, Signature, TensorSpec

if TYPE_CHECKING:
    from onnx import ModelProto, TensorShapeProto, ValueInfoProto


def read_signature(model: ModelProto) -> Signature:
    """Return the inputs and outputs of a graph as a signature.

    An axis without a size or name is called ``{name}_dim_{axis}``. A value that is not a tensor has
    its kind, such as ``sequence``, as its dtype.
    """
    weights = {weight.name for weight in model.graph.initializer}
    return Signature(
        inputs=_specs(value for value in model.graph.input if value.name not in weights),
        outputs=_specs(model.graph.output),
    )


def dtype_name(data_type: int, *, of: str) -> str:
    """Return the numpy name of an ONNX data type.

    Raises:
        PackError: the type does not exist; the message names ``of``, the tensor that has it.
    """
    from onnx.helper import tensor_dtype_to_np_dtype

    try:
        name = tensor_dtype_to_np_dtype(data_type).name
    except (KeyError, ValueError, TypeError) as exc:
        raise PackError(f"{of} has the unknown data type {data_type}.") from exc
    return "str" if name == "object" else name


def _specs(values: Iterable[ValueInfoProto]) -> tuple[TensorSpec, ...]:
    return tuple(_spec(value) for value in values)


def _spec(value: ValueInfoProto) -> TensorSpec:
    kind = value.type.WhichOneof("value")
    if kind != "tensor_type":
        return TensorSpec(value.name, (kind or "unknown").removesuffix("_type"), None)
    tensor = value.type.tensor_type
    return TensorSpec(
        value.name,
        dtype_name(tensor.elem_type, of=repr(value.name)),
        _dims(value.name, tensor.shape) if tensor.HasField("shape") else None,
    )


def _dims(name: str, shape: TensorShapeProto) -> tuple[Dim, ...]:
    return tuple(
        dim.dim_value
        if dim.HasField("dim_value") and dim.dim_value >= 0
        else dim.dim_param or f"{name}_dim_{axis}"
        for axis, dim in enumerate(shape.dim)
    )
