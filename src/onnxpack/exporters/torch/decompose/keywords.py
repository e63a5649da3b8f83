"""Arguments that a model gives by the names that torch gives them, for functions of ours.

``torch.matmul(input=a, other=b)``, ``x.cumsum(axis=1)`` and ``scatter_reduce(src=...)`` name their
arguments as torch does, or as numpy does, which torch allows as well.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

import torch

OF_NUMPY = {"a": "input", "axis": "dim", "keepdims": "keepdim", "x": "input", "x1": "input",
            "x2": "other"}  # fmt: skip
"""What torch takes besides its own names (``python_arg_parser.cpp``, PyTorch 2.14)."""
FIRST = ("input", "self", "A")
"""Names of the first argument, where ``get_testing_overrides`` has another one."""
UNLISTED = {"isin": ("elements", "test_elements")}
"""Names that ``get_testing_overrides`` gets wrong."""


def renamed(
    func: Any, ours: Callable[..., Any], args: Sequence[Any], options: Mapping[str, Any]
) -> dict[str, Any] | None:
    """Return keyword arguments by our names; None if our function does not take them.

    Args:
        func: torch's function.
        ours: the function that stands in for it.
        args: the positional arguments, as the model gave them.
        options: the keyword arguments, as the model gave them.
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
"""Reading one takes longer than all the rest, and a trace asks for it at every call."""


@cache
def _names(function: Callable[..., Any]) -> Sequence[str]:
    """Return the parameters that can be given by position, and by name too."""
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
