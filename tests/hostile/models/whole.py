"""Models that should work, and names that meet names of the graph."""

from __future__ import annotations

import torch
from tests.hostile.given import Collection, Given, Linear, of_module, randn, sizes
from torch import Tensor, nn

collection = Collection()
named, scripted = "names", "scripted"

NUM_CAT = {"num": randn(2, 4), "cat": randn(2, 3, seed=1)}


@collection.module(
    named,
    NUM_CAT,
    [{"num": randn(n, 4, seed=n), "cat": randn(n, 3, seed=n + 9)} for n in (1, 2, 3, 4)],
    proven=True,
)
class NumberAndCategory(nn.Module):
    """An input is named like an operator, in a model with a torch.cond."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(7, 2)

    def forward(self, num: Tensor, cat: Tensor) -> Tensor:
        y = torch.cat([num, cat], 1)
        return torch.cond(y.sum() > 0, lambda v: self.head(v), lambda v: self.head(-v), (y,))


@collection.module(
    named,
    {"add": randn(2, 4), "output": randn(2, 4, seed=1)},
    [{"add": randn(3, 4, seed=2), "output": randn(3, 4, seed=3)}],
    proven=True,
)
class InputNamedAdd(nn.Module):
    def forward(self, add: Tensor, output: Tensor) -> dict[str, Tensor]:
        return {"mul": add + output, "val_0": add * output}


@collection.module(named, {"x": randn(2, 4)}, [{"x": randn(3, 4, seed=3)}], proven=True)
class OutputNamedLikeTheInput(nn.Module):
    def forward(self, x: Tensor) -> dict[str, Tensor]:
        return {"x": x * 2, "y": x + 1}


@collection.module(
    named,
    {"weight": randn(2, 6), "layer.bias": randn(2, 6, seed=1)},
    [{"weight": randn(3, 6, seed=2), "layer.bias": randn(3, 6, seed=3)}],
)
class InputNamedLikeAWeight(Linear):
    def forward(self, weight: Tensor, **others: Tensor) -> Tensor:
        return self.layer(weight) + others["layer.bias"]


class Stack(nn.Module):
    """Layers in a ModuleList, which has no forward of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(4, 4), nn.Linear(4, 4)])

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = torch.relu(layer(x))
        return x


class Unused(nn.Module):
    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return x * 2


class OnlyTheShape(nn.Module):
    def forward(self, x: Tensor, like: Tensor) -> Tensor:
        return x + torch.ones(like.size(0), 1)


class Branches(nn.Module):
    """A branch on values and a loop over the batch, which scripting keeps."""

    def forward(self, x: Tensor) -> Tensor:
        if bool(x.abs().max() > 100):
            x = x / 10
        total = torch.zeros(4)
        for row in range(x.shape[0]):
            total = total * 0.5 + x[row]
        return total


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(4, 3, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.lstm(x)[0]


def script(
    module: nn.Module, sample: dict[str, Tensor], probes: list[dict[str, Tensor]], **options: object
) -> Given:
    model = torch.jit.script(module)
    return Given(model, sample, probes, of_module(model), options)


PAIRS = [{"x": randn(n, 4, seed=n), "y": randn(n, 4)} for n in (1, 5)]


@collection.case(scripted, proven=True)
def module_list() -> Given:
    torch.manual_seed(0)
    return script(Stack(), {"x": randn(2, 4)}, [{"x": x} for x in sizes(None, 4, of=(1, 5))])


@collection.case(scripted, proven=True)
def unused_input() -> Given:
    return script(Unused(), {"x": randn(2, 4), "y": randn(2, 4)}, PAIRS)


@collection.case(scripted, proven=True)
def only_the_shape() -> Given:
    likes = [{"x": each["x"], "like": each["y"]} for each in PAIRS]
    return script(OnlyTheShape(), {"x": randn(2, 4), "like": randn(2, 4)}, likes)


@collection.case(scripted)
def branch_and_loop() -> Given:
    probes = [{"x": randn(n, 4, seed=n) * factor} for n in (1, 5) for factor in (1, 300)]
    return script(Branches(), {"x": randn(2, 4)}, probes)


@collection.case(scripted, proven=True)
def lstm_inside() -> Given:
    torch.manual_seed(0)
    probes = [{"x": randn(n, t, 4, seed=t)} for n, t in ((1, 3), (4, 7))]
    sample = {"x": randn(2, 5, 4)}
    return script(Recurrent(), sample, probes, dynamic={"x": {1: "time"}})
