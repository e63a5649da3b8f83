"""A module with a function that makes its inputs, as a case."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from case import Case, Given
from numpy.typing import NDArray
from torch import Tensor, nn

SIZES = (1, 4, 7)
FACTORS = (1.0, -1.5, 25.0)


class Call(nn.Module):
    """``function(*inputs)`` as a module."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, *inputs: Tensor) -> Any:
        return self.function(*inputs)


class Calls(nn.Module):
    """``function(layer, *inputs)`` as a module, so that there are weights."""

    def __init__(self, function: Callable[..., Any], layer: nn.Module | None = None) -> None:
        super().__init__()
        self.layer = layer or nn.Linear(4, 4)
        self.function = function

    def forward(self, *inputs: Tensor) -> Any:
        return self.function(self.layer, *inputs)


class Low(nn.Module):
    """A model of low precision, which is proven in float32 terms.

    Args:
        weights: the dtype of its weights.
        given: the dtype to which it casts what it is given.
        autocast: whether it computes so though its weights are in float32.
    """

    def __init__(
        self, weights: torch.dtype, given: torch.dtype | None = None, *, autocast: bool = False
    ) -> None:
        super().__init__()
        net = nn.Sequential(nn.Linear(4, 8), nn.GELU(), nn.LayerNorm(8), nn.Linear(8, 3))
        self.net = net.to(weights)
        self.given, self.autocast = given, autocast

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=self.autocast):
            return self.net(x if self.given is None else x.to(self.given)).to(x.dtype)

    def in_float32(self, x: Tensor) -> Tensor:
        """What the pack should answer."""
        answer: Tensor = copy.deepcopy(self.net).float()(x.float())
        return answer.to(x.dtype) if x.dtype is torch.float16 else answer


def entry(
    name: str,
    make: Callable[[], Any],
    inputs: Callable[[int], Any],
    *,
    sizes: Sequence[int] = SIZES,
    factors: Sequence[float] = FACTORS,
    size: int = 2,
    **options: Any,
) -> Case:
    """A case: ``inputs`` gives the model's input at a batch size, a dict being keywords."""
    return Case(name, partial(_given, make, inputs, sizes, factors, size, options))


def _given(
    make: Callable[[], Any],
    inputs: Callable[[int], Any],
    sizes: Sequence[int],
    factors: Sequence[float],
    size: int,
    options: Mapping[str, Any],
) -> Given:
    torch.manual_seed(0)
    model = make()
    sample = inputs(size)
    asked = [scaled(inputs(count), factor) for count in sizes for factor in factors]
    checks = [(tuple(map(as_array, leaves(given))), _answers(model, given)) for given in asked]
    return Given(model, sample, checks, options)


def _answers(model: Any, given: Any) -> list[Any]:
    """The model's own answer in eval mode; it is left in the mode it was made in."""
    ask = model.module() if isinstance(model, torch.export.ExportedProgram) else model
    trains = ask is model and getattr(ask, "training", False)
    given = copy.deepcopy(given)
    with torch.no_grad():
        if trains:
            ask.eval()
        if isinstance(model, Low):
            answer = model.in_float32(given)
        elif isinstance(given, dict):
            answer = ask(**given)
        else:
            answer = ask(*given) if type(given) is tuple else ask(given)
    if trains:
        ask.train()
    return [as_array(leaf) for leaf in leaves(answer)]


def as_array(tensor: Tensor) -> NDArray[Any]:
    """As numpy has it: bfloat16 as float32."""
    return (tensor.float() if tensor.dtype is torch.bfloat16 else tensor).numpy()


def leaves(value: Any) -> Iterator[Tensor]:
    """Every tensor of a structure, in order."""
    if isinstance(value, Tensor):
        yield value.detach()
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        yield from leaves([getattr(value, each.name) for each in dataclasses.fields(value)])
    elif isinstance(value, Mapping):
        yield from leaves(list(value.values()))
    elif isinstance(value, list | tuple):
        for child in value:
            yield from leaves(child)


def scaled(value: Any, factor: float) -> Any:
    """The same structure with every floating-point tensor multiplied."""
    if isinstance(value, Tensor):
        return value * factor if value.is_floating_point() else value.clone()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        names = [each.name for each in dataclasses.fields(value)]
        return dataclasses.replace(value, **{n: scaled(getattr(value, n), factor) for n in names})
    if isinstance(value, Mapping):
        return {key: scaled(child, factor) for key, child in value.items()}
    if isinstance(value, list | tuple):
        made = [scaled(child, factor) for child in value]
        return type(value)(*made) if hasattr(value, "_fields") else type(value)(made)
    return value


def rows(n: int) -> Tensor:
    """``[n, 4]``."""
    return torch.randn(n, 4)


def steps(n: int) -> Tensor:
    """``[n, n + 3, 4]``: another length with each batch size."""
    return torch.randn(n, n + 3, 4)


def picture(n: int) -> Tensor:
    """``[n, 3, 12, 16]``."""
    return torch.rand(n, 3, 12, 16)
