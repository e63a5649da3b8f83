"""Inputs and answers of every structure, and the names they get."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor, nn

from onnxpack.errors import ExportError, SampleError
from onnxpack.exporters.torch.subject import to_array


@dataclass
class Answer:
    logits: Tensor
    hidden: tuple[Tensor, ...] | None = None
    loss: Tensor | None = None


@dataclass
class Pair:
    left: Tensor
    right: Tensor


class Split(NamedTuple):
    head: Tensor
    tail: Tensor


class Base(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 3)


class Gives(Base):
    """Answers with whatever a function makes of a tensor."""

    def __init__(self, wrap: Any) -> None:
        super().__init__()
        self.wrap = wrap

    def forward(self, x: Tensor) -> Any:
        return self.wrap(self.linear(x))


class KeywordOnly(Base):
    def forward(self, *, left: Tensor, right: Tensor) -> Tensor:
        return self.linear(left) - 2 * self.linear(right)


class Optional(Base):
    def forward(self, x: Tensor, mask: Tensor | None = None, bias: Tensor | None = None) -> Tensor:
        y = self.linear(x)
        y = y if mask is None else y * mask
        return y if bias is None else y + bias


class Numbers(Base):
    def forward(self, x: Tensor, scale: float = 1.0, twice: bool = False) -> Tensor:
        y = self.linear(x) * scale
        return y + y if twice else y


class OneDict(Base):
    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        return self.linear(batch["right"]) - self.linear(batch["left"]) * 3


class OneList(Base):
    def forward(self, xs: list[Tensor]) -> Tensor:
        return torch.cat([self.linear(x) * (i + 1) for i, x in enumerate(xs)], dim=-1)


class Variadic(Base):
    def forward(self, first: Tensor, *others: Tensor) -> Tensor:
        return self.linear(first) - sum(self.linear(x) * (i + 2) for i, x in enumerate(others))


class AnyKeywords(Base):
    def forward(self, x: Tensor, **others: Tensor) -> Tensor:
        return self.linear(x) + others["bias"] * 2


class OnePair(Base):
    def forward(self, pair: Pair) -> Tensor:
        return self.linear(pair.left) - 2 * self.linear(pair.right)


class OneSplit(Base):
    def forward(self, split: Split) -> Tensor:
        return self.linear(split.head) - 2 * self.linear(split.tail)


class Nested(Base):
    def forward(self, x: Tensor, state: tuple[Tensor, dict[str, Tensor]]) -> Tensor:
        return self.linear(x) + state[0] - 2 * state[1]["c"]


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.cell = nn.LSTMCell(4, 3)

    def forward(self, x: Tensor, state: tuple[Tensor, Tensor]) -> tuple[Tensor, Any]:
        hidden, memory = self.cell(x, state)
        return hidden * 2, (hidden, memory)


class SwappedKeywords(Base):
    """The dict names the arguments in another order than ``forward``."""

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        return self.linear(a) - 2 * self.linear(b)


def x(n: int) -> Tensor:
    return torch.randn(n, 4)


def state(n: int) -> Tensor:
    return torch.randn(n, 3)


ANSWERS: dict[str, tuple[Any, list[str]]] = {
    "tensor": (lambda y: y, ["output"]),
    "tuple of one": (lambda y: (y,), ["output"]),
    "tuple": (lambda y: (y, y * 2), ["output_0", "output_1"]),
    "list": (lambda y: [y, y.sum(-1)], ["output_0", "output_1"]),
    "dict": (lambda y: {"logits": y, "best": y.argmax(-1)}, ["logits", "best"]),
    "ordered dict": (lambda y: OrderedDict(out=y, aux=-y), ["out", "aux"]),
    "dataclass": (lambda y: Answer(y, (y * 2, y * 3)), ["logits", "hidden_0", "hidden_1"]),
    "named tuple": (lambda y: Split(y[:, :1], y[:, 1:]), ["head", "tail"]),
    "nested": (
        lambda y: {"a": [y, {"b": y * 2}], "c": (y * 3, (y * 4, y * 5))},
        ["a_0", "a_1_b", "c_0", "c_1_0", "c_1_1"],
    ),
    "nones": (lambda y: (None, y, {"loss": None, "rest": y * 2}), ["output_1", "output_2_rest"]),
    "one tensor twice": (lambda y: (y, y), ["output_0", "output_1"]),
    "a scalar beside": (lambda y: (y, torch.tensor(3.0)), ["output_0", "output_1"]),
    "keys that are numbers": (lambda y: {0: y, 1: y * 2}, ["0", "1"]),
}

INPUTS: dict[str, tuple[Any, Any, list[str], dict[str, Any]]] = {
    "keyword only": (
        KeywordOnly,
        lambda n: {"left": x(n), "right": x(n)},
        ["left", "right"],
        {"named": True},
    ),
    "keywords in another order": (
        SwappedKeywords,
        lambda n: {"b": x(n), "a": x(n)},
        ["b", "a"],
        {"named": True},
    ),
    "optional left out": (Optional, lambda n: (x(n),), ["x"], {}),
    "optional skipped": (Optional, lambda n: (x(n), None, state(n)), ["x", "bias"], {}),
    "optional by name": (
        Optional,
        lambda n: {"x": x(n), "bias": state(n)},
        ["x", "bias"],
        {"named": True},
    ),
    "numbers": (Numbers, lambda n: (x(n), 2.5, True), ["x"], {}),
    "dict": (OneDict, lambda n: {"left": x(n), "right": x(n)}, ["batch_left", "batch_right"], {}),
    "dict in a tuple": (
        OneDict,
        lambda n: ({"left": x(n), "right": x(n)},),
        ["batch_left", "batch_right"],
        {},
    ),
    "list": (OneList, lambda n: [x(n), x(n), x(n)], ["xs_0", "xs_1", "xs_2"], {}),
    "variadic": (
        Variadic,
        lambda n: (x(n), x(n), x(n)),
        ["first", "others_0", "others_1"],
        {},
    ),
    "any keywords": (
        AnyKeywords,
        lambda n: {"x": x(n), "bias": state(n)},
        ["x", "bias"],
        {"named": True},
    ),
    "dataclass": (OnePair, lambda n: Pair(x(n), x(n)), ["pair_left", "pair_right"], {}),
    "named tuple": (OneSplit, lambda n: Split(x(n), x(n)), ["split_head", "split_tail"], {}),
    "nested": (
        Nested,
        lambda n: (x(n), (state(n), {"c": state(n)})),
        ["x", "state_0", "state_1_c"],
        {},
    ),
    "state in and out": (
        Recurrent,
        lambda n: (x(n), (state(n), state(n))),
        ["x", "state_0", "state_1"],
        {},
    ),
    "two dims": (
        SwappedKeywords,
        lambda n: (torch.randn(n, n + 1, 4), torch.randn(n, n + 1, 4)),
        ["a", "b"],
        {"dynamic": {"a": {1: "tokens"}, "b": ["batch", "tokens"]}},
    ),
    "a dim of its own": (
        Nested,
        lambda n: (x(n), (torch.randn(1, 3), {"c": state(n)})),
        ["x", "state_0", "state_1_c"],
        {"static": True, "dynamic": {"x": {0: "batch"}, "state_1_c": {0: "batch"}}},
    ),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_answers(check: Any, name: str) -> None:
    wrap, names = ANSWERS[name]
    pack = check.proven(lambda: Gives(wrap), x)
    assert [spec.name for spec in pack.manifest.signature.outputs] == names


@pytest.mark.parametrize("name", INPUTS)
def test_inputs(check: Any, name: str) -> None:
    make, inputs, names, options = INPUTS[name]
    pack = check.proven(make, inputs, **options)
    assert [spec.name for spec in pack.manifest.signature.inputs] == names


@pytest.mark.parametrize(
    ("make", "inputs", "error", "word"),
    [
        (lambda: Gives(lambda y: (y, 3)), x, ExportError, "a Python int"),
        (lambda: Gives(lambda y: {"y": y, "kind": "cat"}), x, ExportError, "a Python str"),
        (lambda: Gives(lambda y: None), x, ExportError, "contains no tensor"),
        (lambda: Gives(lambda y: {"a": {"b": y}, "a_b": y}), x, ExportError, "same name"),
        (lambda: Gives(lambda y: y[:0]), x, ExportError, "empty in every case"),
        (lambda: Gives(lambda y: y.to_sparse()), x, ExportError, "sparse"),
        (KeywordOnly, lambda n: (x(n), x(n)), SampleError, "does not fit forward"),
        (Optional, lambda n: {"x": x(n), "other": x(n)}, SampleError, "refuses the sample"),
        (Base, x, SampleError, "forward"),
        (Numbers, lambda n: (3.0,), SampleError, "contains no tensor"),
        (OneDict, lambda n: {"a": {"b": x(n)}, "a_b": x(n)}, SampleError, "same name"),
        (lambda: nn.Linear(4, 3), lambda n: torch.randn(n, 5), SampleError, "refuses the sample"),
        (lambda: nn.Linear(4, 3), lambda n: None, SampleError, "a sample of its input"),
        (lambda: Numbers(), lambda n: (x(n), 1.0, True, 4), SampleError, "does not fit forward"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_refused(check: Any, make: Any, inputs: Any, error: Any, word: str) -> None:
    check.refused(make, inputs, error, word)


def test_an_argument_held_constant_is_told(check: Any) -> None:
    told: list[str] = []
    check.proven(Numbers, lambda n: (x(n), 2.5), progress=told.append)
    assert "argument 'scale' is fixed at 2.5" in told


def test_a_conjugate_and_its_parts_become_arrays() -> None:
    tensor = torch.tensor([1 + 2j]).conj()
    assert to_array(tensor.imag).tolist() == [-2.0]
    assert to_array(tensor.real).tolist() == [1.0]
