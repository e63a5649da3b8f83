"""Describe a Keras model's inputs: names, structure, dims that vary, and a sample."""

from __future__ import annotations

import inspect
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from onnxpack.errors import SampleError
from onnxpack.signature import Array

ROWS, LENGTH, SIDE = 2, 12, 64
INTEGERS_BELOW = 10
MADE_NAME = re.compile(r"(keras_tensor|input_layer|input)(_\d+)?")
"""Names that Keras numbers itself; another model of the process gets other numbers."""
PICTURE_AXES = {1: "height", 2: "width"}


@dataclass(frozen=True)
class Stated:
    """An input as the model states it."""

    name: str
    shape: tuple[int | None, ...]
    dtype: str


@dataclass(frozen=True)
class Inputs:
    """The inputs of one model.

    Attributes:
        sample: arrays by name, in the order in which :meth:`pack` takes them.
        structure: the structure of the model's argument, with names of inputs as its leaves.
        stated: the inputs as the model states them; empty if it states none.
        notes: what the user should know.
    """

    sample: Mapping[str, Array]
    structure: Any
    stated: tuple[Stated, ...] = ()
    notes: tuple[str, ...] = field(default=())

    @classmethod
    def of(cls, model: Any, sample: Any) -> Inputs:
        """Return the inputs of a model with the user's sample, or with one made from its shapes.

        Raises:
            SampleError: the sample has other inputs, or the user gave none and the model states no
                inputs.
        """
        stated, structure = _stated(model)
        if sample is None:
            if not stated:
                raise SampleError(
                    f"{model.name!r} does not declare its inputs, so it needs a sample.",
                    remedy="onnxpack.export(model, x_train[:2], ...)",
                    option="--sample 2x28x28x1",
                )
            made = {each.name: _made(each) for each in stated}
            shapes = ", ".join(f"{name} {array.shape}" for name, array in made.items())
            return cls(made, structure, stated, (f"the sample is random: {shapes}",))
        if not stated:
            return cls(*_unstated(model, sample))
        given = _arranged(stated, sample)
        cast = {each.name: _as_stated(given[each.name], each) for each in stated}
        notes = (
            f"input {name!r} is converted to {cast[name].dtype}, because Keras casts "
            f"{given[name].dtype}"
            for name in cast
            if cast[name].dtype != given[name].dtype
        )
        return cls(cast, structure, stated, tuple(notes))

    def pack(self, values: Sequence[Any]) -> Any:
        """Return the model's argument, made of one value for each input in order."""
        import keras

        named = dict(zip(self.sample, values, strict=True))
        return keras.tree.map_structure(lambda name: named[name], self.structure)

    @property
    def dynamic(self) -> dict[str, dict[int, str]]:
        """The names of axes, after the first, whose size the model leaves open."""
        names: dict[str, int] = {}
        found: dict[str, dict[int, str]] = {}
        for each in self.stated:
            for axis in (a for a, size in enumerate(each.shape) if size is None and a > 0):
                size = self.sample[each.name].shape[axis]
                dim = _axis_name(each, axis)
                if names.setdefault(dim, size) != size:
                    dim = f"{_identifier(each.name)}_{dim}"
                    names[dim] = size
                found.setdefault(each.name, {})[axis] = dim
        return found

    @property
    def fixed_batch(self) -> bool:
        """Whether the model fixes the batch size."""
        return any(each.shape[:1] != (None,) for each in self.stated)


def _stated(model: Any) -> tuple[tuple[Stated, ...], Any]:
    """Return the inputs that a functional or built sequential model states, and their structure."""
    import keras

    inputs = getattr(model, "inputs", None)
    if not inputs:
        return (), None
    held = getattr(model, "_inputs_struct", None)
    structure = held if isinstance(held, dict) else list(inputs)
    tensors = keras.tree.flatten(structure)
    keys = sorted(structure) if isinstance(structure, dict) else []
    flat = len(keys) == len(tensors)
    names = keys if flat else _names([tensor.name for tensor in tensors])
    # A sequential model without an Input states the batch of its first call, which may be any.
    varies = isinstance(model, keras.Sequential)
    stated = tuple(
        Stated(name, ((None, *tensor.shape[1:]) if varies else (*tensor.shape,)), str(tensor.dtype))
        for name, tensor in zip(names, tensors, strict=True)
    )
    named = keras.tree.pack_sequence_as(structure, names)
    return stated, named[0] if isinstance(structure, list) and len(names) == 1 else named


def _names(own: Sequence[str]) -> list[str]:
    """Return the users' own names, and plain names for those that Keras numbered."""
    if len(own) == 1:
        return ["input" if MADE_NAME.fullmatch(own[0]) else own[0]]
    plain = [
        f"input_{place}" if MADE_NAME.fullmatch(name) else name for place, name in enumerate(own)
    ]
    counts = Counter(plain)
    return [f"{n}_{p}" if counts[n] > 1 else n for p, n in enumerate(plain)]


def _arranged(stated: Sequence[Stated], sample: Any) -> dict[str, Array]:
    names = [each.name for each in stated]
    if isinstance(sample, Mapping):
        if sample.keys() != set(names):
            raise SampleError(
                f"the sample has the inputs {', '.join(map(str, sample))}; the model takes "
                f"{', '.join(names)}.",
                remedy="name each input as the model does: {"
                + ", ".join(f'"{name}": ...' for name in names)
                + "}",
            )
        return {name: _array(sample[name]) for name in names}
    values = list(sample) if isinstance(sample, tuple | list) else [sample]
    if isinstance(sample, list) and len(stated) == 1:
        values = [sample]
    if len(values) != len(names):
        raise SampleError(
            f"the sample has {len(values)} inputs; the model takes {len(names)}: "
            f"{', '.join(names)}."
        )
    return {name: _array(value) for name, value in zip(names, values, strict=True)}


def _unstated(model: Any, sample: Any) -> tuple[dict[str, Array], Any]:
    """Return named arrays of a subclassed model's sample, and the sample's own structure."""
    import keras

    taken = next(iter(inspect.signature(model.call).parameters), "input")
    paths = keras.tree.flatten_with_path(sample)
    if not paths:
        raise SampleError("the sample contains no array, so the graph would have no input.")
    names = ["_".join(map(str, path)) or taken for path, _ in paths]
    named = [
        name if isinstance(sample, dict) or name == taken else f"{taken}_{name}" for name in names
    ]
    structure = keras.tree.pack_sequence_as(sample, named)
    arrays = {name: _array(value) for name, (_, value) in zip(named, paths, strict=True)}
    return arrays, structure


def _array(value: Any) -> Array:
    detached = value.detach().cpu() if hasattr(value, "detach") else value
    array = np.asarray(detached)
    if array.dtype.kind not in "biuf":
        raise SampleError(
            f"the sample contains {array.dtype} values; the graph of a Keras model takes only "
            "numbers.",
            remedy="turn words into numbers before the model",
        )
    return array


def _as_stated(array: Array, stated: Stated) -> Array:
    """Return the array cast as Keras casts it, if the kind of number stays the same."""
    dtype = np.dtype(stated.dtype) if stated.dtype != "bfloat16" else array.dtype
    return array.astype(dtype) if array.dtype.kind == dtype.kind else array


def _made(stated: Stated) -> Array:
    random = np.random.default_rng(0)
    free = SIDE if len(stated.shape) >= 4 else LENGTH
    shape = [
        (ROWS if axis == 0 else free) if size is None else size
        for axis, size in enumerate(stated.shape)
    ]
    if stated.dtype == "string":
        raise SampleError(
            f"input {stated.name!r} takes words, but the graph of a Keras model takes only numbers."
        )
    if "int" in stated.dtype:
        return random.integers(0, INTEGERS_BELOW, shape).astype(stated.dtype)
    if stated.dtype == "bool":
        return random.integers(0, 2, shape).astype(bool)
    values = random.standard_normal(shape)
    return values.astype("float32" if stated.dtype == "bfloat16" else stated.dtype)


def _axis_name(stated: Stated, axis: int) -> str:
    if len(stated.shape) == 4 and axis in PICTURE_AXES:
        return PICTURE_AXES[axis]
    return "length" if axis == 1 else f"dim_{axis}"


def _identifier(name: str) -> str:
    return re.sub(r"\W", "_", name)
