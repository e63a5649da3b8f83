"""Read the signature of a session, and compare it with a manifest."""

from __future__ import annotations

from typing import Any

from onnxpack.errors import PackError
from onnxpack.signature import Dim, Signature, TensorSpec

_SAME = (
    "float16",
    "bool",
    "int8",
    "int16",
    "int32",
    "int64",
    "uint8",
    "uint16",
    "uint32",
    "uint64",
)
_DTYPES = {"float": "float32", "double": "float64", "string": "str"} | {
    name: name for name in _SAME
}


def read_signature(session: Any) -> Signature:
    """Return the signature of a session.

    An axis without a name is called ``{input}_dim_{axis}``. onnxruntime reports a scalar and an
    unknown rank in the same way; the rank is then taken as unknown.

    Raises:
        PackError: an input or output is not a tensor that numpy can hold.
    """
    return Signature(
        inputs=tuple(_spec("input", value) for value in session.get_inputs()),
        outputs=tuple(_spec("output", value) for value in session.get_outputs()),
    )


def agree(claimed: Signature, found: Signature) -> None:
    """Check that the manifest's signature agrees with the session's own.

    Raises:
        PackError: names, dtypes, ranks or fixed sizes differ; the message lists all differences.
    """
    faults = differences(claimed, found)
    if faults:
        raise PackError(
            f"pack.json and the graph disagree: {'; '.join(faults)}.",
            remedy="export the model again: the graph or the manifest was changed afterwards",
        )


def differences(claimed: Signature, found: Signature) -> list[str]:
    """Return a sentence for each claimed input or output from which a session's own differs."""
    return [
        *_differences("input", claimed.inputs, found.inputs),
        *_differences("output", claimed.outputs, found.outputs),
    ]


def _spec(side: str, value: Any) -> TensorSpec:
    kind = value.type
    dtype = _DTYPES.get(kind.removeprefix("tensor(").removesuffix(")"))
    if not kind.startswith("tensor(") or dtype is None:
        raise _unsupported(side, value.name, kind)
    dims = tuple(_dim(value.name, axis, dim) for axis, dim in enumerate(value.shape))
    return TensorSpec(value.name, dtype, dims or None)


def _dim(name: str, axis: int, dim: int | str | None) -> Dim:
    known = dim not in (None, "") and not (isinstance(dim, int) and dim < 0)
    return dim if known and dim is not None else f"{name}_dim_{axis}"


def _unsupported(side: str, name: str, kind: str) -> PackError:
    if kind.startswith("tensor("):
        return PackError(
            f"{side} {name!r} is {kind}, which onnxruntime cannot pass to numpy.",
            remedy="export the model in float32; in PyTorch: onnxpack.export(model.float(), …)",
        )
    zipmap = kind.startswith("seq(map(")
    return PackError(
        f"{side} {name!r} is {kind}, expected a tensor.",
        remedy="convert_sklearn(model, …, options={'zipmap': False})" if zipmap else "",
    )


def _differences(
    side: str, claimed: tuple[TensorSpec, ...], found: tuple[TensorSpec, ...]
) -> list[str]:
    claims, finds = [spec.name for spec in claimed], [spec.name for spec in found]
    if claims != finds:
        return [f"{side}s are {', '.join(finds) or 'none'}, expected {', '.join(claims) or 'none'}"]
    return [
        f"{side} {spec.name!r} is {own}, expected {spec}"
        for spec, own in zip(claimed, found, strict=True)
        if spec.dtype != own.dtype or not _same_shape(spec, own, strict=side == "input")
    ]


def _same_shape(claimed: TensorSpec, found: TensorSpec, *, strict: bool) -> bool:
    """Return whether shapes agree; unless ``strict``, a claimed size may replace an unknown one."""
    if claimed.shape is None or found.shape is None:
        return True
    return len(claimed.shape) == len(found.shape) and all(
        own == dim if isinstance(own, int) else isinstance(dim, str) or not strict
        for dim, own in zip(claimed.shape, found.shape, strict=True)
    )
