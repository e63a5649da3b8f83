"""The user's object after an export: every attribute, buffer, hook and generator as before."""

from __future__ import annotations

import random
from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.linear_model import LinearRegression
from torch import Tensor, nn

import onnxpack
from onnxpack.errors import NondeterministicError, OnnxpackError
from onnxpack.exporters.torch.exporter import inference_mode_of
from onnxpack.exporters.unchanged import unchanged
from onnxpack.testing import changes, object_state, process_state

CALLS: list[int] = []
COUNT = 0


class Net(nn.Module):
    """A linear layer that does something else each time it is called."""

    calls = 0

    def __init__(self, extra: Callable[[Any, Tensor], Any]) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 3)
        self.extra = [extra]
        self.register_buffer("seen", torch.zeros(2))
        self.register_buffer("maybe", None)
        self.count, self.log, self.table = 0, [0], {"calls": 0}
        self.names, self.recent = {"a"}, deque([1], maxlen=3)
        self.ordered, self.counts = OrderedDict(a=1, b=2), defaultdict(int)
        self.helper, self.space = Helper(), SimpleNamespace(n=0)
        self.array = np.zeros(3)
        self.python, self.numpy = random.Random(3), np.random.default_rng(3)
        self.torch = torch.Generator()

    def forward(self, x: Tensor, memo: dict[str, int] = {}) -> Tensor:  # noqa: B006 - the case
        self.extra[0](self, x)
        memo["calls"] = memo.get("calls", 0) + 1
        return self.linear(x)


@dataclass
class Helper:
    """What a model delegates to."""

    n: int = 0
    cache: dict[str, Any] = field(default_factory=dict)


class Slotted:
    __slots__ = ("late", "n")

    def __init__(self) -> None:
        self.n = 0


def counts_globally(net: Any, x: Tensor) -> None:
    global COUNT
    COUNT += 1
    CALLS.append(COUNT)


def counts_in_the_class(net: Any, x: Tensor) -> None:
    type(net).calls += 1
    type(net).last = x.shape[1]


def counts_in_attributes(net: Any, x: Tensor) -> None:
    net.count += 1
    net.log.append(net.count)
    net.table["calls"] += 1
    net.names.add(net.count)
    net.recent.append(net.count)
    net.ordered.move_to_end("a")
    net.counts["calls"] += 1
    net.space.n += 1


def fills_lazily(net: Any, x: Tensor) -> None:
    if not hasattr(net, "scale"):
        net.scale = torch.ones(1)
        net.helper.cache["x"] = x
        net.maybe = torch.ones(2)
        net.added = nn.Linear(2, 2)
        net.register_parameter("more", nn.Parameter(torch.ones(1)))
        net.register_buffer("late", torch.ones(1))


def counts_in_a_helper(net: Any, x: Tensor) -> None:
    net.helper.n += 1


def counts_in_buffers(net: Any, x: Tensor) -> None:
    net.seen += 1
    net.array += 1


def clamps_weights(net: Any, x: Tensor) -> None:
    net.linear.weight.data.clamp_(-0.1, 0.1)


def swaps_weights(net: Any, x: Tensor) -> None:
    net.linear.bias.data = torch.zeros(3)


def freezes(net: Any, x: Tensor) -> None:
    for parameter in net.parameters():
        parameter.requires_grad_(False)


def drops_gradients(net: Any, x: Tensor) -> None:
    net.zero_grad()


def draws_and_drops(net: Any, x: Tensor) -> None:
    random.random(), np.random.random(), torch.rand(2)
    net.python.random(), net.numpy.random(), torch.rand(2, generator=net.torch)


def adds_hooks(net: Any, x: Tensor) -> None:
    net.linear.register_forward_hook(lambda *_: None)


def trains(net: Any, x: Tensor) -> None:
    net.linear.training = True


EXTRAS = (
    adds_hooks, clamps_weights, counts_globally, counts_in_a_helper, counts_in_attributes,
    counts_in_buffers, counts_in_the_class, draws_and_drops, drops_gradients, fills_lazily, freezes,
    swaps_weights, trains,
)  # fmt: skip


def whole(net: Net, seen: list[int]) -> dict[str, Any]:
    """Everything that the model can change, in a form that can be compared."""
    attributes = {f"Net.{name}": object_state(value) for name, value in vars(Net).items()}
    return attributes | {
        "net": object_state(net),
        "seen": object_state(seen),
        "globals": (COUNT, list(CALLS)),
        "default": object_state(Net.forward.__defaults__),
        "recent": list(net.recent),
        "space": net.space.n,
        "random": net.python.getstate(),
        "numpy": net.numpy.bit_generator.state,
        "torch": net.torch.get_state().tolist(),
    }


def called_thrice(net: Net) -> None:
    with unchanged(net):
        for size in (1, 2, 3):
            net.eval()(torch.ones(size, 4))
        raise KeyError


@pytest.mark.parametrize("extra", EXTRAS)
def test_all_that_a_model_can_reach_is_put_back(extra: Callable[[Any, Tensor], Any]) -> None:
    net = Net(extra).train()
    seen: list[int] = []
    net.linear.register_forward_hook(lambda *_: seen.append(1))
    net.linear(torch.ones(2, 4)).sum().backward()
    before = whole(net, seen)
    with pytest.raises(KeyError):
        called_thrice(net)
    assert not changes(before, whole(net, seen))


@pytest.mark.parametrize("extra", [counts_in_attributes, clamps_weights, draws_and_drops])
def test_a_model_after_an_export(tmp_path: Path, extra: Callable[[Any, Tensor], Any]) -> None:
    net = Net(extra).train()
    seen: list[int] = []
    net.register_forward_pre_hook(lambda *_: seen.append(1))
    before = process_state() | whole(net, seen)
    with suppress(OnnxpackError):  # whether such a model has a pack is another question
        onnxpack.export(net, torch.ones(2, 4), tmp_path / "pack")
    assert not changes(before, process_state() | whole(net, seen))


def test_what_is_remembered_between_calls_is_refused_and_forgotten(tmp_path: Path) -> None:
    class Remembers(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.total = 0.0

        def forward(self, x: Tensor) -> Tensor:
            self.total += 1.0
            return x + self.total

    model = Remembers()
    with pytest.raises(NondeterministicError, match=r"self\.total"):
        onnxpack.export(model, torch.ones(2, 4), tmp_path / "pack")
    assert model.total == 0.0


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_objects_with_slots_and_scripted_parts_are_put_back() -> None:
    class Scripted(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("seen", torch.zeros(1))

        def forward(self, x: Tensor) -> Tensor:
            self.seen += 1
            return x

    outer = nn.Module()
    outer.inner, outer.slotted = torch.jit.trace(Scripted(), torch.ones(1)), Slotted()
    first = float(outer.inner.seen)
    with unchanged(outer):
        outer.inner(torch.ones(1))
        outer.slotted.n, outer.slotted.late = 7, 1
        assert float(outer.inner.seen) == first + 1
    assert float(outer.inner.seen) == first
    assert outer.slotted.n == 0
    assert not hasattr(outer.slotted, "late")


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_a_scripted_model_counts_nothing(tmp_path: Path) -> None:
    class Counted(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.n = torch.jit.Attribute(0, int)
            self.linear = nn.Linear(4, 3)

        def forward(self, x: Tensor) -> Tensor:
            self.n += 1
            return self.linear(x)

    model: Any = torch.jit.script(Counted())
    onnxpack.export(model, torch.ones(2, 4), tmp_path / "pack")
    assert model.n == 0
    assert model.training


def test_a_module_with_an_equality_and_a_copy_of_its_own(tmp_path: Path) -> None:
    class Odd(nn.Linear):
        def __eq__(self, other: object) -> bool:
            raise RuntimeError("do not compare")

        def __hash__(self) -> int:
            return id(self)

        def __deepcopy__(self, memo: Any) -> Any:
            raise RuntimeError("do not copy")

    model = nn.Sequential(Odd(4, 4), nn.ReLU(), Odd(4, 3)).train()
    before = object_state(model)
    pack = onnxpack.export(model, torch.ones(2, 4), tmp_path / "pack")
    assert object_state(model) == before
    x = torch.randn(3, 4)
    answer = onnxpack.Model(pack).run({"input": x.numpy()})
    np.testing.assert_allclose(answer["output"], model(x).detach().numpy(), rtol=1e-4, atol=1e-5)


def test_an_estimator_that_memorises(tmp_path: Path) -> None:
    class Memo(LinearRegression):
        def predict(self, X: Any) -> Any:
            self.calls_ = getattr(self, "calls_", 0) + 1
            self.coef_ *= 1.0
            return super().predict(X)

    x = np.random.default_rng(0).normal(size=(20, 3))
    model = Memo().fit(x, x.sum(1))
    before = object_state(model)
    with pytest.raises(OnnxpackError):
        onnxpack.export(model, x[:2], tmp_path / "pack")
    assert object_state(model) == before


def test_a_tensor_that_grew_has_its_size_and_values_again() -> None:
    model = nn.Linear(2, 2)
    model.register_buffer("seen", torch.arange(3.0))
    with unchanged(model):
        model.seen.resize_(50).zero_()
    assert model.seen.tolist() == [0.0, 1.0, 2.0]


def test_what_is_unchanged_is_not_written() -> None:
    net = Net(adds_hooks)
    versions = [each._version for each in net.parameters()]
    places = [each.data_ptr() for each in net.parameters()]
    with unchanged(net):
        pass
    assert [each._version for each in net.parameters()] == versions
    assert [each.data_ptr() for each in net.parameters()] == places


@pytest.mark.parametrize(
    ("make", "copied"),
    [
        (lambda: nn.Sequential(nn.Linear(4, 4), nn.ReLU()), False),
        (lambda: nn.Sequential(nn.Embedding(5, 4, max_norm=1.0)), True),
        (lambda: nn.Sequential(nn.Linear(4, 4), Net(clamps_weights)), True),
        (lambda: hooked(nn.Linear(4, 4)), True),
        (lambda: replaced_forward(nn.Linear(4, 4)), True),
    ],
)
def test_only_weights_that_user_code_may_write_are_copied(
    make: Callable[[], nn.Module], copied: bool
) -> None:
    model = make()
    weight = next(model.parameters())
    before = weight.tolist()
    with inference_mode_of(model):
        weight.data.zero_()
    assert (weight.tolist() == before) is copied


def hooked(model: nn.Module) -> nn.Module:
    model.register_forward_hook(lambda *_: None)
    return model


def replaced_forward(model: nn.Module) -> nn.Module:
    model.forward = lambda x: x  # type: ignore[method-assign]
    return model
