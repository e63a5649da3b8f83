"""A sample stands for the same arguments in every framework."""

from __future__ import annotations

import inspect
from collections import namedtuple
from collections.abc import Callable
from typing import Any

import pytest

from onnxpack.errors import SampleError
from onnxpack.exporters.structure.arguments import bind, positional_names

Pair = namedtuple("Pair", "x y")  # noqa: PYI024 - a plain one is what is tested


def plain(x: Any, y: Any = None) -> Any: ...
def positional(x: Any, y: Any, /) -> Any: ...
def keyword(x: Any, *, y: Any) -> Any: ...
def several(x: Any, *rest: Any, **others: Any) -> Any: ...


def parameters(function: Callable[..., Any]) -> list[inspect.Parameter]:
    return list(inspect.signature(function).parameters.values())


@pytest.mark.parametrize(
    ("function", "sample", "args", "kwargs"),
    [
        (plain, 1, (1,), {}),
        (plain, (1, 2), (1, 2), {}),
        (plain, [1, 2], ([1, 2],), {}),
        (plain, Pair(1, 2), (Pair(1, 2),), {}),
        (plain, {"y": 2, "x": 1}, (), {"y": 2, "x": 1}),
        (plain, {"a": 1}, ({"a": 1},), {}),
        (plain, {1: 1}, ({1: 1},), {}),
        (positional, {"y": 2, "x": 1}, (1, 2), {}),
        (keyword, {"y": 2, "x": 1}, (), {"y": 2, "x": 1}),
        (several, {"z": 3, "x": 1}, (), {"z": 3, "x": 1}),
        (several, {"z": 3}, ({"z": 3},), {}),
    ],
)
def test_what_a_sample_stands_for(
    function: Callable[..., Any], sample: Any, args: Any, kwargs: Any
) -> None:
    found = bind(parameters(function), sample, function="f")
    assert found == (args, kwargs)
    assert list(found[1]) == list(kwargs)


@pytest.mark.parametrize(("function", "sample"), [(plain, (1, 2, 3)), (keyword, (1, 2))])
def test_arguments_that_do_not_fit(function: Callable[..., Any], sample: Any) -> None:
    with pytest.raises(SampleError, match=r"the sample does not fit f\(x: "):
        bind(parameters(function), sample, function="f")


def test_unknown_parameters_are_not_checked() -> None:
    assert bind(None, (1, 2, 3), function="f") == ((1, 2, 3), {})
    assert bind(None, {"x": 1}, function="f") == (({"x": 1},), {})
    assert positional_names(None, 2) == ["input_0", "input_1"]


@pytest.mark.parametrize(
    ("function", "count", "names"),
    [(plain, 1, ["x"]), (several, 3, ["x", "rest_0", "rest_1"]), (keyword, 2, ["x", "input_1"])],
)
def test_names_of_positional_arguments(
    function: Callable[..., Any], count: int, names: list[str]
) -> None:
    assert positional_names(parameters(function), count) == names
