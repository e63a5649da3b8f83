"""Convert nested arguments and answers to flat lists of named tensors and back.

Tensors may be nested in tuples, lists, dicts, dataclasses and named tuples. A tensor is named by
its path: ``hidden_0`` is the first element of ``hidden``.
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Container, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from onnxpack.errors import ExportError

Named = Iterator[tuple[str, torch.Tensor]]


def flatten(value: Any, path: str = "") -> Named:
    """Yield each tensor with its path; None and plain values are left out."""
    if isinstance(value, torch.Tensor):
        yield path, value
    else:
        children = list(_children(value))
        for key, child in children:
            alone = len(children) == 1 and isinstance(value, list | tuple)
            yield from flatten(child, path if alone else _join(path, key))


def rebuild(template: Any, tensors: Iterator[torch.Tensor]) -> Any:
    """Return the template with its tensors replaced, in the order of ``flatten``."""
    if isinstance(template, torch.Tensor):
        return next(tensors)
    children = [(key, rebuild(child, tensors)) for key, child in _children(template)]
    return _refilled(template, children)


def to_tensors(value: Any) -> Any:
    """Return the same structure with its arrays as tensors without gradients."""
    if isinstance(value, torch.Tensor):
        return value.detach()
    if isinstance(value, np.ndarray | np.generic):
        return torch.from_numpy(np.ascontiguousarray(value))
    children = [(key, to_tensors(child)) for key, child in _children(value)]
    return _refilled(value, children)


def name_outputs(answer: Any, taken: Container[str] = ()) -> dict[str, torch.Tensor]:
    """Return the tensors of an answer, under names that a person recognises.

    Args:
        taken: the names of the inputs, which an output cannot have as well.

    Raises:
        ExportError: the answer holds no tensor, or two tensors would get one name.
    """
    plain = [type(leaf).__name__ for leaf in _plain_leaves(answer)]
    if plain:
        raise ExportError(
            f"the model's output contains a Python {plain[0]}, but a graph returns only tensors.",
            remedy="return a tensor instead: torch.as_tensor(value), or leave it out",
        )
    named = list(flatten(answer))
    outputs: dict[str, torch.Tensor] = {}
    for path, tensor in named:
        name = _free_name(_output_name(path, answer), taken)
        if name in outputs:
            raise ExportError(f"two outputs of the model have the same name: {name!r}.")
        outputs[name] = tensor
    if not outputs:
        raise ExportError(f"the model's output, a {type(answer).__name__}, contains no tensor.")
    return outputs


def parameters_of(model: Any) -> Sequence[inspect.Parameter] | None:
    """Return the parameters of ``forward``; None if they are unknown."""
    if isinstance(model, torch.jit.ScriptModule):
        schema: Any = getattr(model.forward, "schema")  # noqa: B009 - a ScriptMethod's own
        return [_scripted_parameter(argument) for argument in schema.arguments[1:]]
    try:
        return list(inspect.signature(model.forward).parameters.values())
    except (TypeError, ValueError):
        return None


def _children(value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        yield from ((str(key), child) for key, child in value.items())
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        yield from ((field.name, getattr(value, field.name)) for field in dataclasses.fields(value))
    elif hasattr(value, "_fields"):
        yield from zip(value._fields, value, strict=True)
    elif isinstance(value, list | tuple):
        yield from ((str(index), child) for index, child in enumerate(value))


def _refilled(holder: Any, children: Sequence[tuple[str, Any]]) -> Any:
    """Return a structure like ``holder`` with these children; a mapping becomes a plain dict."""
    if not children:
        return holder
    if dataclasses.is_dataclass(holder) and not isinstance(holder, type):
        return dataclasses.replace(holder, **dict(children))
    if isinstance(holder, Mapping):
        return dict(children)
    values = [child for _, child in children]
    return type(holder)(*values) if hasattr(holder, "_fields") else type(holder)(values)


def _plain_leaves(value: Any) -> Iterator[Any]:
    children = list(_children(value))
    for _, child in children:
        yield from _plain_leaves(child)
    if not children and isinstance(value, bool | int | float | complex | str):
        yield value


def _join(path: str, key: str) -> str:
    return f"{path}_{key}" if path else key


def _free_name(name: str, taken: Container[str]) -> str:
    return _free_name(f"output_{name}", taken) if name in taken else name


def _output_name(path: str, answer: Any) -> str:
    if not path:
        return "output"
    return f"output_{path}" if isinstance(answer, list | tuple) and path[0].isdigit() else path


def _scripted_parameter(argument: Any) -> inspect.Parameter:
    empty = inspect.Parameter.empty
    default = argument.default_value if argument.has_default_value() else empty
    return inspect.Parameter(
        argument.name, inspect.Parameter.POSITIONAL_OR_KEYWORD, default=default
    )
