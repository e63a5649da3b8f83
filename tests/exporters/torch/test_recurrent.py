"""Recurrence: packed sequences, states, and loops over time that are as long as the input."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from onnxpack.errors import ExportError

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


class PackedFilled(nn.Module):
    """What stands behind the end of a row."""

    def __init__(self, *, first: bool) -> None:
        super().__init__()
        self.gru = nn.GRU(4, 3, batch_first=first)
        self.first = first

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        given = x if self.first else x.transpose(0, 1)
        packed = pack_padded_sequence(given, lengths, self.first, enforce_sorted=False)
        out, _ = self.gru(packed)
        return pad_packed_sequence(out, self.first, -9.0, total_length=x.shape[1])[0]


class Projected(nn.Module):
    """Layers with a projection, over packed rows or whole ones, first states given or not."""

    def __init__(self, *, packed: bool = False, given: bool = False, **options: Any) -> None:
        super().__init__()
        self.lstm = nn.LSTM(4, 6, proj_size=2, batch_first=True, **options)
        self.packed, self.given = packed, given

    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        count = self.lstm.num_layers * (2 if self.lstm.bidirectional else 1)
        hidden = x[:, 0, :2].expand(count, -1, -1).contiguous()
        states = (hidden, x[:, 0, :1].expand(count, -1, 6).contiguous()) if self.given else None
        if not self.packed:
            out, (hidden, cell) = self.lstm(x, states)
            return out, hidden, cell + lengths.unsqueeze(-1)
        packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        out, (hidden, cell) = self.lstm(packed, states)
        padded, _ = pad_packed_sequence(out, batch_first=True, total_length=x.shape[1])
        return padded, hidden, cell


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


@pytest.mark.parametrize("first", [True, False])
def test_padding_value(check: Any, first: bool) -> None:
    check.proven(lambda: PackedFilled(first=first), padded, fresh=(1, 4), **BOTH)


@pytest.mark.filterwarnings("ignore:LSTM with projections:UserWarning")  # once, of its speed
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"given": True, "bias": False},
        {"num_layers": 2, "bidirectional": True, "given": True},
        {"packed": True, "bidirectional": True},
        {"packed": True, "num_layers": 2},
    ],
    ids=str,
)
def test_projected(check: Any, options: dict[str, Any]) -> None:
    check.proven(lambda: Projected(**options), padded, fresh=(1, 4), factors=(1.0, -1.0), **BOTH)


@pytest.mark.filterwarnings("ignore:LSTM with projections:UserWarning")
def test_projected_itself(check: Any) -> None:
    check.proven(
        lambda: nn.LSTM(4, 6, proj_size=2),
        lambda n: torch.randn(5, n, 4),
        static=True,
        dynamic={"input": {1: "batch"}},
        fresh=(1, 4),
    )


class OnData(nn.Module):
    """Works on a packed sequence without unpacking it."""

    def __init__(self) -> None:
        super().__init__()
        self.gru, self.head = nn.GRU(4, 3, batch_first=True), nn.Linear(3, 2)

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        out, _ = self.gru(packed)
        return pad_packed_sequence(out._replace(data=self.head(out.data)), batch_first=True)[0]


def test_packed_data_is_refused_with_the_cure(check: Any) -> None:
    error = check.refused(OnData, padded, ExportError, "than pass it to a recurrent", **BOTH)
    assert "pad_packed_sequence" in error.remedy
