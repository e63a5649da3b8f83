"""Translate a model's keyword arguments for torch's functions to those of ours.

``torch.matmul(input=a, other=b)``, ``x.cumsum(axis=1)`` and ``scatter_reduce(src=...)`` use the
argument names of torch, or those of NumPy, which torch accepts as well.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

import torch

OF_NUMPY = {"a": "input", "axis": "dim", "keepdims": "keepdim", "x": "input", "x1": "input",
            "x2": "other"}  # fmt: skip
"""NumPy's argument names that torch accepts too (``python_arg_parser.cpp``, PyTorch 2.14)."""
FIRST = ("input", "self", "A")
"""Names of the first argument that ``get_testing_overrides`` gives under another name."""
UNLISTED = {"isin": ("elements", "test_elements")}
"""Argument names that ``get_testing_overrides`` gets wrong."""


def renamed(
    func: Any, ours: Callable[..., Any], args: Sequence[Any], options: Mapping[str, Any]
) -> dict[str, Any] | None:
    """Return keyword arguments under our names; None if our function does not accept them.

    Args:
        func: torch's function.
        ours: the function that stands in for it.
        args: the model's positional arguments.
        options: the model's keyword arguments.
    """
    own, theirs = _names(ours), _names_of_torch(func)
    found = {_renamed(name, own, theirs): value for name, value in options.items()}
    try:
        _signature(ours).bind(*args, **found)
    except TypeError:
        return None
    return found if len(found) == len(options) else None


def _renamed(name: str, own: Sequence[str], theirs: Sequence[str]) -> str:
    if name in own:
        return name
    if name not in theirs:
        name = OF_NUMPY.get(name, name)
    place = theirs.index(name) if name in theirs else 0 if name in FIRST else len(own)
    return own[place] if name not in own and place < len(own) else name


_signature = cache(inspect.signature)
"""Cached, since reading a signature takes longer than all the rest, and every traced call needs
one."""


@cache
def _names(function: Callable[..., Any]) -> Sequence[str]:
    """Return the names of parameters that can be given by position and by name."""
    parameters = _signature(function).parameters.values()
    return [each.name for each in parameters if each.kind is each.POSITIONAL_OR_KEYWORD]


@cache
def _names_of_torch(func: Any) -> Sequence[str]:
    unlisted = UNLISTED.get(getattr(func, "__name__", ""))
    if unlisted is not None:
        return unlisted
    listed = torch.overrides.get_testing_overrides().get(func, func)
    try:
        return _names(listed)
    except (TypeError, ValueError):  # a function of compiled code that is not listed
        return ()
