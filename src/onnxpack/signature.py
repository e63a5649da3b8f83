"""Signatures: names, dtypes and shapes of a model's inputs and outputs."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec

from onnxpack.errors import FeedError
from onnxpack.notebook import to_html

if TYPE_CHECKING:  # numpy is a third of the time to open a pack
    import numpy as np
    from numpy.typing import NDArray

Dim: TypeAlias = int | str
Array: TypeAlias = "NDArray[Any]"


class TensorSpec(msgspec.Struct, frozen=True):
    """One input or output of a model.

    Attributes:
        name: name in the graph.
        dtype: a numpy dtype name (``float32``), ``str``, or ``bfloat16``.
        shape: a size or a name for each axis; equal names mean equal sizes. None where even
            the rank is unknown.
    """

    name: str
    dtype: str
    shape: tuple[Dim, ...] | None

    def __str__(self) -> str:
        return describe(self.dtype, self.shape)

    def to_array(self, value: Any) -> Array:
        """Return ``value`` as an array of this spec's dtype, copied only if necessary.

        Python numbers and lists take the spec's dtype. An array must already have it: a silent cast
        can change an answer.

        Raises:
            FeedError: the value cannot be an array of this dtype and rank.
        """
        import numpy as np

        given = value if isinstance(value, np.ndarray) else _as_array(self, value)
        if not self._same_dtype(given.dtype):
            raise FeedError(
                f"input {self.name!r} is {describe(dtype_name(given.dtype), given.shape)}, "
                f"expected {self}.",
                remedy=f"{self.name} = {self.name}.astype({self.numpy_dtype!r})",
            )
        if given.dtype.kind == "O" and not all(isinstance(item, str) for item in given.flat):
            raise FeedError(
                f"input {self.name!r} holds values that are not strings, expected {self}."
            )
        native = given.astype(given.dtype.newbyteorder("="), copy=False)
        return native.astype(object) if native.dtype.kind == "U" else native

    def fits(self, shape: Sequence[int], dims: dict[str, int]) -> bool:
        """Return whether ``shape`` fits the spec and ``dims``; bind new sizes in ``dims``."""
        if self.shape is None:
            return True
        return len(shape) == len(self.shape) and all(
            found == (dims.setdefault(dim, found) if isinstance(dim, str) else dim)
            for found, dim in zip(shape, self.shape, strict=True)
        )

    def _same_dtype(self, dtype: np.dtype[Any]) -> bool:
        return dtype_name(dtype) == self.dtype

    @property
    def numpy_dtype(self) -> str:
        """The dtype of numpy arrays of this spec: numpy keeps strings as objects."""
        return "object" if self.dtype == "str" else self.dtype


class Signature(msgspec.Struct, frozen=True):
    """The inputs and outputs of a model, in the graph's order."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]

    def __str__(self) -> str:
        def side(specs: tuple[TensorSpec, ...]) -> str:
            return ", ".join(f"{spec.name}: {spec}" for spec in specs)

        return f"({side(self.inputs)}) -> ({side(self.outputs)})"

    def _repr_html_(self) -> str:
        sides = (("input", self.inputs), ("output", self.outputs))
        return to_html(
            "Signature", [(side, f"{spec.name}: {spec}") for side, specs in sides for spec in specs]
        )

    @property
    def dynamic(self) -> tuple[str, ...]:
        """The names of the dynamic dims of the inputs, in order of appearance."""
        named = (dim for spec in self.inputs for dim in spec.shape or () if isinstance(dim, str))
        return tuple(dict.fromkeys(named))

    def bind(self, args: Sequence[Any], named: Mapping[str, Any]) -> dict[str, Array]:
        """Return one array for each input, from positional and named values.

        Raises:
            FeedError: an input is missing, unknown, given twice, or does not fit; the message names
                the actual and the expected value.
        """
        given = self._by_name(args, named)
        arrays = {spec.name: spec.to_array(given[spec.name]) for spec in self.inputs}
        dims: dict[str, int] = {}
        for spec in self.inputs:
            before = dict(dims)
            found = arrays[spec.name]
            if not spec.fits(found.shape, dims):
                raise FeedError(
                    f"input {spec.name!r} is {describe(dtype_name(found.dtype), found.shape)}, "
                    f"expected {spec}{_where(spec, before)}."
                )
        return arrays

    def refuse_empty(self, arrays: Mapping[str, Array], dims: Container[str]) -> None:
        """Raise an error if one of these dims has size 0 in an input.

        ONNX Runtime 1.32 ends the process there in its LSTM and GRU kernels, and its means of
        nothing are 0 where a framework's are NaN.

        Args:
            arrays: inputs that fit, by name.
            dims: names of the dims that must not be 0.

        Raises:
            FeedError: an input has size 0 in one of the dims.
        """
        for spec in self.inputs:
            shape = arrays[spec.name].shape
            for dim, size in zip(spec.shape or (), shape, strict=False):
                if size == 0 and dim in dims:
                    raise FeedError(
                        f"input {spec.name!r} is {describe(spec.dtype, shape)}: {dim!r} is 0, "
                        "but the pack was proven only with at least 1.",
                        remedy="leave out empty inputs: their answer is empty",
                    )

    def _by_name(self, args: Sequence[Any], named: Mapping[str, Any]) -> dict[str, Any]:
        names = [spec.name for spec in self.inputs]
        if len(args) > len(names):
            raise FeedError(f"{len(args)} inputs were given, expected {len(names)}: {self}.")
        given = dict(zip(names, args, strict=False))
        twice = sorted(given.keys() & named.keys())
        if twice:
            raise FeedError(f"input {twice[0]!r} was given twice: by position and by name.")
        given |= named
        missing = [name for name in names if name not in given]
        unknown = [name for name in given if name not in names]
        if missing or unknown:
            raise FeedError(
                f"inputs found: {_listed(given)}; expected: {_listed(names)}"
                + (f"; missing: {_listed(missing)}" if missing else "")
                + (f"; unknown: {_listed(unknown)}" if unknown else "")
                + "."
            )
        return given


def describe(dtype: str, shape: Sequence[Dim] | None) -> str:
    """Return a dtype and shape in the notation used everywhere: ``float32[batch, 3]``."""
    return f"{dtype}[{'...' if shape is None else ', '.join(map(str, shape))}]"


def dtype_name(dtype: np.dtype[Any]) -> str:
    """Return the name that a dtype has in a signature."""
    return "str" if dtype.kind in "OU" else dtype.newbyteorder("=").name


def _as_array(spec: TensorSpec, value: Any) -> Array:
    import numpy as np

    try:
        found = np.asarray(value)
        if hasattr(value, "__array__") or not _keeps_meaning(found, spec.dtype):
            return found
        if spec.dtype != "str" and not _all_numbers(found):
            raise TypeError("it contains something that is not a number")
        with np.errstate(over="raise"):
            return np.asarray(value, dtype=spec.numpy_dtype)
    except (TypeError, ValueError, ArithmeticError, RuntimeError) as exc:
        raise FeedError(
            f"input {spec.name!r} is a {type(value).__name__} that cannot be an array: {exc}; "
            f"expected {spec}."
        ) from exc


def _all_numbers(found: Array) -> bool:
    """Return whether all values are numbers: numpy would turn None, for example, into NaN."""
    return found.dtype.kind != "O" or all(isinstance(item, int | float) for item in found.flat)


def _keeps_meaning(found: Array, dtype: str) -> bool:
    """Return whether Python values may take a dtype: ints may become floats, not the reverse."""
    import numpy as np

    if not found.size or found.dtype.kind == "O":
        return True
    if dtype in ("str", "bfloat16"):
        return (found.dtype.kind == "U") == (dtype == "str")
    wanted = np.dtype(dtype).kind
    return found.dtype.kind in {"b": "b", "i": "biu", "u": "biu", "f": "biuf"}.get(wanted, "biufc")


def _where(spec: TensorSpec, dims: Mapping[str, int]) -> str:
    bound = [
        f"{dim} = {dims[dim]}" for dim in spec.shape or () if isinstance(dim, str) and dim in dims
    ]
    return f" where {', '.join(bound)}" if bound else ""


def _listed(names: Any) -> str:
    return ", ".join(names) or "none"
