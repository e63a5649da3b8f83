"""Convert arguments and answers, which are trees of arrays, to named arrays and back."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from onnxpack.errors import ExportError, OnnxpackError, SampleError
from onnxpack.exporters.structure.arguments import bind, positional_names
from onnxpack.signature import Array


@dataclass(frozen=True)
class Arguments:
    """The arguments of a function: its arrays may be replaced, the rest is constant.

    Attributes:
        sample: the arrays by name, in the order of the function's parameters.
        constants: the values that are not arrays, by name.
        leaves: the leaves of the tree, in the same order.
        tree: the structure of the list of arguments.
        keywords: the names of the last arguments, which are given by keyword.
    """

    sample: Mapping[str, Array]
    constants: Mapping[str, Any]
    leaves: Sequence[Any]
    tree: Any
    keywords: tuple[str, ...]

    @classmethod
    def of(cls, function: Callable[..., Any], sample: Any) -> Arguments:
        """Return the arguments that a sample stands for.

        See :func:`onnxpack.exporters.structure.arguments.bind`.

        Raises:
            SampleError: the arguments do not fit the function, or hold no array.
        """
        parameters = _parameters(function)
        called = getattr(function, "__name__", type(function).__name__)
        args, kwargs = bind(parameters, sample, function=called)
        in_order = [each.name for each in parameters or () if each.name in kwargs]
        kwargs = {name: kwargs[name] for name in (*in_order, *kwargs)}
        names = [*positional_names(parameters, len(args)), *kwargs]
        given = [*args, *kwargs.values()]
        # Not as a dict: JAX sorts a dict by its keys, and the arguments have an order of their own.
        found = [
            (_joined([name, *path]), leaf)
            for name, value in zip(names, given, strict=True)
            for path, leaf in _paths(value)
        ]
        _refuse_shared_paths([path for path, _ in found], SampleError)
        arrays = {path: _as_input(path, leaf) for path, leaf in found if _is_array(leaf)}
        if not arrays:
            raise SampleError("the sample contains no array, so the graph would have no input.")
        constants = {path: leaf for path, leaf in found if not _is_array(leaf)}
        leaves, tree = jax.tree.flatten(given)
        return cls(arrays, constants, leaves, tree, tuple(kwargs))

    def rebuild(self, values: Sequence[Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return the arguments with one value for each array, in order."""
        left = iter(values)
        filled = [next(left) if _is_array(leaf) else leaf for leaf in self.leaves]
        given = jax.tree.unflatten(self.tree, filled)
        by_position = len(given) - len(self.keywords)
        named = zip(self.keywords, given[by_position:], strict=True)
        return tuple(given[:by_position]), dict(named)


def name_outputs(answer: Any) -> dict[str, Any]:
    """Return the arrays of an answer, by their paths.

    Raises:
        ExportError: the answer holds no array, or a leaf that is not an array.
    """
    found = [(_joined(path), leaf) for path, leaf in _paths(answer)]
    plain = [type(leaf).__name__ for _, leaf in found if not isinstance(leaf, jax.Array)]
    if plain:
        raise ExportError(
            f"the model's output contains a {plain[0]}, but a graph returns only arrays.",
            remedy="return jnp.asarray(value) instead, or leave it out",
        )
    if not found:
        raise ExportError(f"the model's output, a {type(answer).__name__}, contains no array.")
    keyed = isinstance(answer, Mapping)
    _refuse_shared_paths([path for path, _ in found], ExportError)
    return {_output_name(path, keyed=keyed): leaf for path, leaf in found}


def to_array(value: Any) -> Array:
    """Return an array of JAX as a NumPy array.

    Raises:
        ExportError: the array's dtype is bfloat16, which NumPy does not have.
    """
    if value.dtype == jnp.bfloat16:
        raise _no_bfloat16()
    return np.array(value)


def _no_bfloat16() -> ExportError:
    return ExportError(
        "the model takes or returns bfloat16, for which ONNX Runtime has no kernels on CPU.",
        remedy="cast the weights first: jax.tree.map(lambda a: a.astype(jnp.float32), params), "
        "and give a float32 sample",
    )


def _as_input(path: str, leaf: Any) -> Array:
    """Return an input in the dtype that JAX gives it: float64 only if x64 is enabled."""
    dtype = jax.dtypes.canonicalize_dtype(leaf.dtype)
    if dtype == jnp.bfloat16:
        raise _no_bfloat16()
    array = np.asarray(leaf)
    if array.dtype.kind not in "biufc":
        raise SampleError(f"input {path!r} contains {array.dtype} values, expected numbers.")
    return array.astype(dtype)


def _is_array(leaf: Any) -> bool:
    """Return whether a leaf is an array; random keys are not, since a graph holds them constant."""
    if isinstance(leaf, jax.Array):
        return not jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
    return isinstance(leaf, np.ndarray | np.generic) or hasattr(leaf, "__dlpack__")


def _paths(tree: Any) -> list[tuple[list[str], Any]]:
    found, _ = jax.tree_util.tree_flatten_with_path(tree)
    return [([_key(part) for part in path], leaf) for path, leaf in found]


def _joined(path: Sequence[str]) -> str:
    return "_".join(path)


def _refuse_shared_paths(paths: Sequence[str], kind: type[OnnxpackError]) -> None:
    """Raise an error if two arrays would have one name, as in ``{"a": {"b": x}, "a_b": y}``."""
    for path in paths:
        if paths.count(path) > 1:
            raise kind(
                f"two values would both be called {path!r}: the name of a value is made of the "
                "keys on the path to it, joined by _.",
                remedy="rename one of them",
            )


def _key(part: Any) -> str:
    for attribute in ("key", "idx", "name"):
        if hasattr(part, attribute):
            return str(getattr(part, attribute))
    return str(part)


def _output_name(path: str, *, keyed: bool) -> str:
    if not path:
        return "output"
    return path if keyed else f"output_{path}"


def _parameters(function: Callable[..., Any]) -> list[inspect.Parameter] | None:
    try:
        return list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        return None
