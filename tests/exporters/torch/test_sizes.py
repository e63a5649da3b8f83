"""Sizes that decide: a proof where a graph can follow them, a refusal where it cannot."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from onnxpack.errors import ExportError, ParityError


class Calls(nn.Module):
    """``function(linear, x)``: what people write in forward()."""

    def __init__(self, function: Any, width: int = 4) -> None:
        super().__init__()
        self.linear = nn.Linear(width, width)
        self.function = function

    def forward(self, x: Tensor) -> Any:
        return self.function(self.linear, x)


class ScriptedLoop(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.cell = nn.GRUCell(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        h = torch.zeros(x.size(0), 4)
        for t in range(x.size(1)):
            h = self.cell(x[:, t], h)
        return h


class Nested(nn.Module):
    """A size decides behind another size."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        y = self.linear(x)
        if x.shape[0] == 7 and x.shape[1] == 9:
            y = y * 2
        if x.shape[0] > 16:
            y = torch.cat([self.linear(x[:16]), y[16:]])
            if x.shape[0] > 100:
                y = y * 3
        return y


def over_batch(linear: Any, x: Tensor) -> Tensor:
    return torch.stack([linear(row) * (index + 1) for index, row in enumerate(x)])


def by_size(decide: Any) -> Any:
    """Another answer where the batch size is so."""

    def function(linear: Any, x: Tensor) -> Tensor:
        return linear(x) * 2 if decide(x.shape[0]) else linear(x) - 1

    return function


def chunk_batch(linear: Any, x: Tensor) -> Tensor:
    return torch.cat([linear(part) for part in x.chunk(2)])


def split_batch(linear: Any, x: Tensor) -> Tensor:
    parts = x.split(2)
    return torch.cat([linear(part) * (i + 1) for i, part in enumerate(parts)])


def parts(x: Tensor, size: int) -> Any:
    return enumerate(x.split(size), 1)


def caught(linear: Any, x: Tensor) -> Tensor:
    try:
        return linear(x).view(2, -1, 4).flatten(0, 1)
    except RuntimeError:
        return linear(x) * 3


def nested(linear: Any, x: Tensor) -> Tensor:
    """The same, where TorchScript cannot look."""
    y = linear(x)
    if x.shape[0] == 7 and x.shape[1] == 9:
        y = y * 2
    if x.shape[0] > 16:
        y = torch.cat([linear(x[:16]), y[16:]])
        if x.shape[0] > 100:
            y = y * 3
    return y


def behind(linear: Any, x: Tensor) -> Tensor:
    y = linear(x)
    if x.shape[0] > 16:
        y = y + 0 * linear(x * 2)
        if x.shape[0] > 100:
            y = y * 3
    return y


def harmless(linear: Any, x: Tensor) -> Tensor:
    y = linear(x)
    return y * 1 if x.shape[0] % 2 == 0 else y


def behind_one(linear: Any, x: Tensor) -> Tensor:
    y = linear(x)
    return y * 3 if x.shape[0] == 1 and x.shape[1] == 9 else y


def over_time(linear: Any, x: Tensor) -> Tensor:
    h = torch.zeros(x.shape[0], 4)
    for t in range(x.shape[1]):
        h = torch.tanh(linear(x[:, t]) + h)
    return h


def by_many(linear: Any, x: Tensor) -> Tensor:
    y = linear(x)
    for size in range(10, 150, 3):
        if x.shape[0] > size:
            y = y * 1
    return y


def x(n: int) -> Tensor:
    return torch.randn(n, 4)


def steps(n: int) -> Tensor:
    return torch.randn(n, n + 2, 4)


PROVEN: dict[str, tuple[Any, Any, dict[str, Any]]] = {
    "squeezed": (lambda: Calls(lambda linear, x: linear(x).squeeze()), x, {}),
    "squeezed first": (lambda: Calls(lambda linear, x: linear(x).squeeze(0)), x, {}),
    "padded to a multiple": (
        lambda: Calls(lambda linear, x: F.pad(linear(x), (0, 0, 0, -x.shape[0] % 4))),
        x,
        {},
    ),
    "at most sixteen": (lambda: Calls(lambda linear, x: linear(x[:16])), x, {}),
    "min of sizes": (
        lambda: Calls(lambda linear, x: linear(x) * torch.ones(min(x.shape[0], 4), 1)[:1]),
        x,
        {},
    ),
    "size by max": (
        lambda: Calls(lambda linear, x: linear(x) * max(x.shape[0], 4)),
        x,
        {},
    ),
    "nested": (Nested, steps, {"dynamic": {"x": {1: "steps"}}, "fresh": (1, 7, 17, 101)}),
    "scripted loop over time": (ScriptedLoop, steps, {"dynamic": {"x": {1: "steps"}}}),
    "a branch without harm": (lambda: Calls(harmless), x, {}),
}

REFUSED: dict[str, tuple[Any, Any, dict[str, Any], type[ExportError], str]] = {
    "many sizes": (
        lambda: Calls(by_many),
        x,
        {},
        ExportError,
        "branches on sizes in more than 32 ways",
    ),
    "a size too large to try": (
        lambda: Calls(by_size(lambda n: n > 500_000), width=1024),
        lambda n: torch.randn(n, 1024),
        {},
        ExportError,
        "may be wrong at batch=524287, which is too large to try",
    ),
    "mean by len": (
        lambda: Calls(lambda linear, x: linear(x).sum(0) / len(x)),
        x,
        {},
        ExportError,
        "Python code depends on a dynamic size",
    ),
    "count of elements": (
        lambda: Calls(lambda linear, x: linear(x) * (2 if x.shape.numel() > 60 else 1)),
        x,
        {},
        ExportError,
        "Python code depends on a dynamic size",
    ),
    "parts of sixteen": (
        lambda: Calls(lambda linear, x: sum(linear(p).sum(0) * i for i, p in parts(x, 16))),
        x,
        {},
        ExportError,
        "Python code depends on a dynamic size",
    ),
    "size in a set": (
        lambda: Calls(lambda linear, x: linear(x) * (2 if x.shape[0] in {7, 33} else 1)),
        x,
        {},
        ExportError,
        "Python code depends on a dynamic size",
    ),
    "loop over any time": (
        lambda: Calls(over_time),
        steps,
        {"dynamic": {"x": {1: "steps"}}},
        ExportError,
        "Python code depends on a dynamic size",
    ),
    "loop over the batch": (
        lambda: Calls(over_batch),
        x,
        {},
        ExportError,
        "Python code depends on a dynamic size",
    ),
    "chunks of the batch": (
        lambda: Calls(chunk_batch),
        x,
        {},
        ExportError,
        "Python code depends on a dynamic size",
    ),
    "parts of the batch": (
        lambda: Calls(split_batch),
        x,
        {},
        ExportError,
        "Python code depends on a dynamic size",
    ),
    "batch is 7": (
        lambda: Calls(by_size(lambda n: n == 7)),
        x,
        {},
        ExportError,
        "Python code depends on a dynamic size",
    ),
    "batch above 16": (
        lambda: Calls(by_size(lambda n: n > 16)),
        x,
        {},
        ParityError,
        "Python code depends on a dynamic size",
    ),
    "even batch": (
        lambda: Calls(by_size(lambda n: n % 2 == 0)),
        x,
        {},
        ParityError,
        "Python code depends on a dynamic size",
    ),
    "batch of many": (
        lambda: Calls(by_size(lambda n: n in (4, 17))),
        x,
        {},
        ExportError,
        "Python code depends on a dynamic size",
    ),
    "batch of one": (
        lambda: Calls(by_size(lambda n: n == 1)),
        x,
        {},
        ParityError,
        "Python code depends on a dynamic size",
    ),
    "batch between": (
        lambda: Calls(by_size(lambda n: 6 < n < 20)),
        x,
        {},
        ParityError,
        "Python code depends on a dynamic size",
    ),
    "batch mod eight": (
        lambda: Calls(by_size(lambda n: n % 8 == 1)),
        x,
        {},
        ParityError,
        "Python code depends on a dynamic size",
    ),
    "caught": (lambda: Calls(caught), x, {}, ExportError, "catches errors of tensor code"),
    "size by round": (
        lambda: Calls(lambda linear, x: linear(x) * round(x.shape[0] * 0.3)),
        x,
        {},
        ExportError,
        "__round__",
    ),
    "size by int": (
        lambda: Calls(lambda linear, x: linear(x)[: int(x.shape[0] * 0.5) + 1]),
        x,
        {},
        ParityError,
        "Python code depends on a dynamic size",
    ),
    "size in a string": (
        lambda: Calls(lambda linear, x: linear(x) * len(f"{x.shape[0]}")),
        x,
        {},
        ExportError,
        "a dynamic size is used as text or as a key",
    ),
    "size in a dict": (
        lambda: Calls(lambda linear, x: linear(x) * {7: 3.0, 17: 4.0}.get(x.shape[0], 1.0)),
        x,
        {},
        ExportError,
        "Python code depends on a dynamic size",
    ),
    "nested, unscripted": (
        lambda: Calls(nested),
        steps,
        {"dynamic": {"x": {1: "steps"}}, "fresh": (1, 7, 17, 101)},
        ExportError,
        "Python code depends on a dynamic size",
    ),
    "one size behind another": (
        lambda: Calls(behind),
        x,
        {"fresh": (1, 7, 17, 101)},
        ParityError,
        "Python code depends on a dynamic size",
    ),
    "one size behind a batch of one": (
        lambda: Calls(behind_one),
        steps,
        {"dynamic": {"x": {1: "steps"}}},
        ExportError,
        "Python code depends on a dynamic size",
    ),
    "rows": (
        lambda: Calls(lambda linear, x: torch.stack([a + linear(a) for a in x])),
        x,
        {},
        ExportError,
        "Python code depends on a dynamic size",
    ),
    "unbound": (
        lambda: Calls(lambda linear, x: linear(x.unbind(0)[-1])),
        x,
        {},
        ExportError,
        "Python code depends on a dynamic size",
    ),
    "numel decides": (
        lambda: Calls(lambda linear, x: linear(x) * (2 if x.numel() > 60 else 1)),
        x,
        {},
        ParityError,
        "Python code depends on a dynamic size",
    ),
    "bool of len": (
        lambda: Calls(lambda linear, x: linear(x) * (len(x) > 16)),
        x,
        {},
        ExportError,
        "frozen at 2",
    ),
    "times a comparison": (
        lambda: Calls(lambda linear, x: linear(x) * int(x.shape[0] == 33)),
        x,
        {},
        ExportError,
        "Python code depends on a dynamic size",
    ),
}


@pytest.mark.parametrize("name", PROVEN)
def test_proven(check: Any, name: str) -> None:
    make, inputs, options = PROVEN[name]
    check.proven(make, inputs, **options)


def of_a_class(linear: Any, x: Tensor) -> Tensor:
    return linear(x / 2 if isinstance(x.shape[0], int) and x.shape[0] > 300 else x)


def of_no_other(linear: Any, x: Tensor) -> Tensor:
    size = x.shape[0]
    plain = not isinstance(size, torch.Tensor) and not isinstance(size, torch.SymInt)
    return linear(x / 2 if plain and size > 300 else x)


def by_type(linear: Any, x: Tensor) -> Tensor:
    return linear(x / 2 if type(x.shape[0]) is int and x.shape[0] == 300 else x)


def by_name_of_type(linear: Any, x: Tensor) -> Tensor:
    return linear(x / 2 if type(x.size(0)).__name__ == "int" and x.size(0) > 300 else x)


def in_a_list(linear: Any, x: Tensor) -> Tensor:
    known = [size if type(size) is int else -1 for size in x.shape]
    return linear(x) * (2.0 if known[0] == 300 else 1.0)


def matched(linear: Any, x: Tensor) -> Tensor:
    match tuple(x.shape):
        case (int(rows), _) if rows > 300:
            x = x / 2
    return linear(x)


@pytest.mark.parametrize(
    ("function", "error"),
    [
        (of_no_other, ParityError),
        (by_type, ExportError),
        (by_name_of_type, ParityError),
        (in_a_list, ExportError),
        (of_a_class, ParityError),
        (matched, ExportError),
    ],
)
def test_the_class_of_a_size_is_not_that_of_its_symbol(
    check: Any, function: Any, error: type[ExportError]
) -> None:
    word = (
        "matches a class of numbers"
        if function is matched
        else ("Python code depends on a dynamic size")
    )
    check.refused(lambda: Calls(function), x, error, word)
    assert "isinstance" not in globals()


def test_the_class_of_what_is_no_size_may_be_asked(check: Any) -> None:
    def function(linear: Any, x: Tensor) -> Tensor:
        known = isinstance(x, Tensor) and isinstance(x.shape, tuple) and type(linear) is nn.Linear
        return linear(x) * (2 if known else 1)

    check.proven(lambda: Calls(function), x, fresh=(1, 5))


@pytest.mark.parametrize(
    "function",
    [
        lambda linear, x: linear(x) * {"3x4": 0.5}.get(f"{x.shape[0]}x{x.shape[1]}", 1.0),
        lambda linear, x: linear(x / 2 if str(tuple(x.shape)) == "(300, 4)" else x),
        lambda linear, x: linear(x) * len(str(x.size(0))),
    ],
    ids=["key", "shape", "digits"],
)
def test_text_of_a_size_is_refused(check: Any, function: Any) -> None:
    """``torch.export`` gives the name of the symbol, and its graph was proven."""
    found = check.refused(lambda: Calls(function), x, ExportError, "is used as text or as a key")
    assert "dynamo: a dynamic size is used as text or as a key" in found.message


def test_the_class_of_a_tensor_is_not_that_of_one_without_values(check: Any) -> None:
    def function(linear: Any, x: Tensor) -> Tensor:
        if type(x) is Tensor and bool((x == -999).any()):
            x = torch.where(x == -999, 0, x)
        return linear(x)

    check.refused(lambda: Calls(function), x, ExportError, "depends on a tensor's values")


@pytest.mark.parametrize("name", REFUSED)
def test_refused(check: Any, name: str) -> None:
    make, inputs, options, error, word = REFUSED[name]
    options = {key: value for key, value in options.items() if key != "fresh"}
    check.refused(make, inputs, error, word, **options)
