"""The run without values: what decides is found, and nothing else is."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from onnxpack.exporters.torch.flat import FlatModule
from onnxpack.exporters.torch.watch.conditions import all_differing
from onnxpack.exporters.torch.watch.symbolic import Observation, witness

DIMS = {"batch": 3, "steps": 5}
AXES = {0: "batch", 1: "steps"}
DECIDES: dict[str, Callable[[Tensor], Any]] = {
    "if": lambda x: x if x.shape[0] > 4 else -x,
    "one": lambda x: x if x.shape[0] == 1 else -x,
    "len": lambda x: x if len(x) > 4 else -x,
    "numel": lambda x: x if torch.numel(x) > 99 else -x,
    "stride": lambda x: x if x.stride(0) > 64 else -x,
    "membership": lambda x: x if x.shape[1] in (4, 8) else -x,
    "loop": lambda x: sum(x[:, place] for place in range(x.shape[1])),
    "rows": lambda x: torch.stack([row.cumsum(0) for row in x]),
    "chunk": lambda x: x.chunk(2, 1)[-1].mean(1),
    "split": lambda x: x.split(4, 1)[-1].mean(1),
    "unbind": lambda x: x.unbind(1)[-1],
    "text": lambda x: x * {"3": 2.0}.get(f"{x.shape[0]}", 1.0),
    "kernel": lambda x: functional.avg_pool1d(x.transpose(1, 2), x.shape[1] // 4),
    "dilation": lambda x: functional.conv1d(
        x.transpose(1, 2), torch.ones(4, 4, 1), dilation=x.shape[1] // 4
    ),
    "roll": lambda x: torch.roll(x, x.shape[0] // 2, 0),
    "math": lambda x: x * math.log2(x.shape[0]),
    "min": lambda x: x * min(x.shape[0], 8),
}
STRAIGHT: dict[str, Callable[[Tensor], Any]] = {
    "layers": nn.Sequential(nn.Linear(4, 4), nn.ReLU()),
    "flatten": lambda x: x.flatten(1).sum(1),
    "reshape": lambda x: x.reshape(x.shape[0], -1, 2),
    "expand": lambda x: torch.zeros(x.shape[0], 1, 1).expand(-1, x.shape[1], 4) + x,
    "half": lambda x: x[:, : x.shape[1] // 2],
    "scaled": lambda x: x / x.shape[1] ** 0.5,
    "arange": lambda x: x + torch.arange(x.shape[1]).unsqueeze(1),
    "fixed axis": lambda x: x if x.shape[2] == 4 else -x,
    "einsum": lambda x: torch.einsum("btd,bsd->bts", x, x),
    "attention": lambda x: functional.scaled_dot_product_attention(x, x, x),
    "found": lambda x: x[x > 0],
    "lstm": nn.LSTM(4, 4, batch_first=True, bidirectional=True),
    "gru": nn.GRU(4, 4, num_layers=2),
    "resize": lambda x: functional.interpolate(x.unsqueeze(1), scale_factor=2.0, mode="bilinear"),
}


@pytest.mark.parametrize("kind", DECIDES)
def test_what_decides_is_found(kind: str) -> None:
    found = observed(DECIDES[kind])
    assert found.decisions
    assert all(place.file == __file__ for place, _ in found.decisions)


@pytest.mark.parametrize("kind", STRAIGHT)
def test_what_does_not_decide_is_left_alone(kind: str) -> None:
    assert observed(STRAIGHT[kind]).decisions == ()


@pytest.mark.parametrize(
    "forward",
    [
        lambda x: x if x.sum() > 0 else -x,
        lambda x: x if x.max().item() > 0 else -x,
        lambda x: x if x.nbytes > 999 else -x,
        lambda x: x if torch.nonzero(x > 9).shape[0] == 0 else -x,
        lambda x: x if torch.equal(x, x.abs()) else -x,
        lambda x: torch.from_numpy(x.numpy()),
    ],
)
def test_what_cannot_be_answered_is_an_error(forward: Callable[[Tensor], Tensor]) -> None:
    with pytest.raises(Exception, match=r"."):  # PyTorch has many kinds of error for it
        observed(forward)


def test_packed_sequences_are_followed() -> None:
    layer = nn.GRU(4, 4, batch_first=True)

    def forward(x: Tensor) -> Tensor:
        lengths = (x[:, :, 0] > 0).sum(1).clamp(min=1)
        packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        out, _ = layer(packed, torch.zeros(1, x.shape[0], 4))
        return pad_packed_sequence(out, batch_first=True, total_length=x.shape[1])[0]

    assert observed(forward).decisions == ()


def test_a_condition_of_a_layer_becomes_sizes_to_ask_at() -> None:
    x = torch.ones(2, 1, 4, 4)
    flat = FlatModule(nn.InstanceNorm2d(1), (x,), {})
    found = witness(flat, (x,), [{2: "height"}], {"height": 4})
    assert found.decisions == ()
    sizes = all_differing(found.conditions)
    assert all(each["height"] != 4 for each in sizes)


def observed(forward: Any) -> Observation:
    class Calls(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.function = forward

        def forward(self, x: Tensor) -> Any:
            answer = self.function(x)
            return answer[0] if isinstance(answer, tuple) else answer

    x = torch.randn(*DIMS.values(), 4)
    return witness(FlatModule(Calls().eval(), (x,), {}), (x,), [AXES], DIMS)


def _missed(x: Tensor) -> Tensor:
    part = x[1:]
    x.view(-1).mul_(2)
    part += 1
    x[1:] = part
    return x


WRITES: dict[str, tuple[Callable[[Tensor], Any], bool]] = {
    "assignment": (lambda x: _assigned(x, 0), False),
    "assignment of a slice": (lambda x: _assigned(x, slice(1, None)), False),
    "assignment to a new axis": (lambda x: _assigned(x, (None, 0)), True),
    "sum into a part": (lambda x: _added(x, slice(1, None)), False),
    "sums into parts": (lambda x: _added(_added(x, 0), slice(None, 2)), False),
    "sum into a part of a part": (lambda x: _added_to(x, x[1:], 0), True),
    "sum into a part, another view": (lambda x: (x[0], _added(x, slice(1, None)))[0], True),
    "part that is assigned elsewhere": (lambda x: _moved(x, slice(0, 1), slice(1, 2)), True),
    "part that is assigned to its place": (lambda x: _moved(x, slice(1, 2), slice(1, 2)), False),
    "part that missed a write": (_missed, True),
    "view": (lambda x: _cleaned(x, x.view(-1)), True),
    "view that is read itself": (lambda x: x.view(-1).add_(1), False),
    "whole": (lambda x: x.add_(1).mul_(2), False),
    "output": (lambda x: (x.add_(1), x), False),
    "output that is a view": (lambda x: (x[0], x.add_(1)), True),
}


def _assigned(x: Tensor, place: Any) -> Tensor:
    x[place] = 1
    return x


def _added(x: Tensor, place: Any) -> Tensor:
    x[place] += 1
    return x


def _added_to(x: Tensor, part: Tensor, place: Any) -> Tensor:
    part[place] += 1
    return x


def _moved(x: Tensor, source: slice, target: slice) -> Tensor:
    part = x[source]
    part += 1
    x[target] = part
    return x


def _cleaned(x: Tensor, view: Tensor) -> Tensor:
    view[view > 0] = 0
    return x + 0


@pytest.mark.parametrize("kind", WRITES)
def test_reading_through_another_view_is_seen(kind: str) -> None:
    write, stale = WRITES[kind]
    assert bool(observed(lambda x: write(x * 1)).stale) is stale
