"""Turn a sample into a function's arguments, and name those given by position."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

from onnxpack.errors import SampleError

Parameters = Sequence[inspect.Parameter]


def bind(
    parameters: Parameters | None, sample: Any, *, function: str
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return a sample as the positional and keyword arguments of a function.

    A tuple is the positional arguments. A dict is the arguments by name if its keys are names of
    parameters, in the dict's order; else it is one argument. Anything else is one argument.

    Args:
        parameters: the function's parameters; None if they are unknown, so nothing is checked.
        function: the function's name, for the message of an error.

    Raises:
        SampleError: the arguments do not fit the parameters.
    """
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = {}
    if parameters is not None and _names_parameters(sample, parameters):
        first = [each.name for each in parameters if each.kind is each.POSITIONAL_ONLY]
        args = tuple(sample[name] for name in first if name in sample)
        kwargs = {name: sample[name] for name in sample if name not in first}
    elif isinstance(sample, tuple) and not hasattr(sample, "_fields"):
        args = sample
    else:
        args = (sample,)
    if parameters is not None:
        try:
            inspect.Signature(parameters).bind(*args, **kwargs)
        except TypeError as exc:
            expected = ", ".join(map(str, parameters))
            raise SampleError(
                f"the sample does not fit {function}({expected}): {exc}.",
                remedy="give a tuple of the positional inputs, or a dict of the named ones",
            ) from exc
    return args, kwargs


def positional_names(parameters: Parameters | None, count: int) -> list[str]:
    """Return a name for each of the first ``count`` positional arguments."""
    names: list[str] = []
    for parameter in parameters or ():
        if parameter.kind is parameter.VAR_POSITIONAL:
            names += [f"{parameter.name}_{place}" for place in range(count - len(names))]
        elif parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD):
            names.append(parameter.name)
    names += [f"input_{place}" for place in range(len(names), count)]
    return names[:count]


def _names_parameters(sample: Any, parameters: Parameters) -> bool:
    if not isinstance(sample, Mapping) or not all(isinstance(key, str) for key in sample):
        return False
    known = {parameter.name for parameter in parameters}
    takes_any = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters)
    return bool(known & sample.keys()) and (takes_any or sample.keys() <= known)
