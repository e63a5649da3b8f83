"""Recurrence: packed sequences, states, and loops over time that are as long as the input."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

BOTH = {"dynamic": {"x": {1: "steps"}}}


class Packed(nn.Module):
    def __init__(self, kind: type[nn.RNNBase], *, total: bool, two: bool = False) -> None:
        super().__init__()
        self.rnn = kind(4, 3, batch_first=True, bidirectional=two)
        self.total = total

    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        out, _ = self.rnn(packed)
        total = x.shape[1] if self.total else None
        padded, sizes = pad_packed_sequence(out, batch_first=True, total_length=total)
        return padded, sizes


class PackedLast(nn.Module):
    """The last states, where the first are made or given."""

    def __init__(self, *, given: bool) -> None:
        super().__init__()
        self.lstm = nn.LSTM(4, 3, batch_first=True, bidirectional=True)
        self.given = given

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        state = torch.ones(2, x.shape[0], 3)
        _, (hidden, cell) = self.lstm(packed, (state, state)) if self.given else self.lstm(packed)
        return torch.cat([*hidden, *cell], dim=-1)


class Loop(nn.Module):
    def __init__(self, kind: str) -> None:
        super().__init__()
        self.cell = nn.RNNCell(4, 4, nonlinearity="relu") if kind == "rnn" else nn.GRUCell(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        h = torch.zeros(x.size(0), 4)
        out = []
        for t in range(x.size(1)):
            h = self.cell(x[:, t], h)
            out.append(h)
        return torch.stack(out, 1)


class LstmLoop(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.cell = nn.LSTMCell(4, 3, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        h, c = self.cell(x[:, 0])
        for t in range(1, x.size(1)):
            h, c = self.cell(x[:, t], (h, c))
        return h + c


class Norms(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        while bool(x.norm() > 1):
            x = x / 2
        return x / x.norm(1, dim=1, keepdim=True)


def padded(n: int) -> tuple[Tensor, Tensor]:
    return torch.randn(n, n + 3, 4), torch.randint(1, n + 4, (n,))


def steps(n: int) -> Tensor:
    return torch.randn(n, n + 3, 4)


@pytest.mark.parametrize(
    ("make", "inputs", "options"),
    [
        (lambda: Packed(nn.GRU, total=True), padded, BOTH),
        (lambda: Packed(nn.LSTM, total=True, two=True), padded, BOTH),
        (lambda: Packed(nn.GRU, total=False), padded, BOTH),
        (lambda: PackedLast(given=False), padded, BOTH),
        (lambda: PackedLast(given=True), padded, BOTH),
        (lambda: Loop("rnn"), steps, {**BOTH, "factors": (1.0, -1.0)}),
        (lambda: Loop("gru"), steps, BOTH),
        (LstmLoop, steps, BOTH),
        (Norms, lambda n: torch.randn(n, 4), {}),
    ],
    ids=[
        "total",
        "both ways",
        "longest",
        "last",
        "given",
        "rnn loop",
        "gru loop",
        "lstm loop",
        "norms",
    ],
)
def test_proven(check: Any, make: Any, inputs: Any, options: Any) -> None:
    check.proven(make, inputs, **options)


def test_a_sample_of_full_lengths_hides_nothing(check: Any) -> None:
    def full(n: int) -> tuple[Tensor, Tensor]:
        return torch.randn(n, 5, 4), torch.full((n,), 5)

    pack = check.proven(lambda: Packed(nn.GRU, total=True), full)
    assert "smaller integers" in [case.name for case in pack.manifest.parity.cases]
    x, lengths = torch.randn(3, 5, 4), torch.tensor([1, 5, 2])
    torch.manual_seed(0)
    check.compare(pack, Packed(nn.GRU, total=True), [(x, lengths)])
