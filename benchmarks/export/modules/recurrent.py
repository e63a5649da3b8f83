"""Recurrence: states, lengths, loops over time."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from case import Case
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from modules.entry import entry, rows, steps

STEPS = {"x": {1: "steps"}}


class Last(nn.Module):
    """The last step of a bidirectional, layered LSTM, through a head."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(4, 5, num_layers=2, bidirectional=True, batch_first=True, dropout=0.1)
        self.head = nn.Linear(10, 3)

    def forward(self, x: Tensor) -> Tensor:
        out, (hidden, _) = self.lstm(x)
        return torch.cat([self.head(out[:, -1]), hidden[-1]], -1)


class States(nn.Module):
    """Takes and gives the states."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(4, 5, num_layers=2, proj_size=3)

    def forward(self, x: Tensor, h0: Tensor, c0: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        out, (h, c) = self.lstm(x, (h0, c0))
        return out, h, c


class Packed(nn.Module):
    """Packs a padded batch, as tutorials do."""

    def __init__(self, kind: type[nn.RNNBase] = nn.GRU, *, two: bool = False) -> None:
        super().__init__()
        self.rnn = kind(4, 5, batch_first=True, bidirectional=two)

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        out, _ = self.rnn(packed)
        padded, _ = pad_packed_sequence(out, batch_first=True, total_length=x.shape[1])
        return padded


class PackedLast(nn.Module):
    """The state after the last real step of each row."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(4, 5, batch_first=True, bidirectional=True)

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        _, (hidden, _) = self.lstm(packed)
        return torch.cat([hidden[0], hidden[1]], dim=-1)


class PackedShort(nn.Module):
    """Without total_length: the answer is as long as the longest row."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(20, 4, padding_idx=0)
        self.gru = nn.GRU(4, 5, batch_first=True)

    def forward(self, ids: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        packed = pack_padded_sequence(
            self.words(ids), lengths.cpu(), batch_first=True, enforce_sorted=False
        )
        out, _ = self.gru(packed)
        padded, sizes = pad_packed_sequence(out, batch_first=True)
        return padded, sizes


class PackedFromMask(nn.Module):
    """Counts the real tokens itself."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(20, 4, padding_idx=0)
        self.lstm = nn.LSTM(4, 5, batch_first=True)
        self.head = nn.Linear(5, 2)

    def forward(self, ids: Tensor) -> Tensor:
        lengths = (ids != 0).sum(1).clamp(min=1)
        packed = pack_padded_sequence(
            self.words(ids), lengths, batch_first=True, enforce_sorted=False
        )
        _, (hidden, _) = self.lstm(packed)
        return self.head(hidden[-1])


class CellLoop(nn.Module):
    """A cell in a Python loop over time."""

    def __init__(self) -> None:
        super().__init__()
        self.cell = nn.GRUCell(4, 5)
        self.head = nn.Linear(5, 2)

    def forward(self, x: Tensor) -> Tensor:
        h = torch.zeros(x.size(0), 5, device=x.device)
        out = []
        for t in range(x.size(1)):
            h = self.cell(x[:, t], h)
            out.append(self.head(h))
        return torch.stack(out, dim=1)


class LstmCellLoop(nn.Module):
    """Keeps the last state alone."""

    def __init__(self) -> None:
        super().__init__()
        self.cell = nn.LSTMCell(4, 5)

    def forward(self, x: Tensor) -> Tensor:
        h = x.new_zeros(x.shape[0], 5)
        c = x.new_zeros(x.shape[0], 5)
        for step in x.unbind(1):
            h, c = self.cell(step, (h, c))
        return h


class Decoder(nn.Module):
    """Greedy decoding for a fixed number of steps."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(9, 4)
        self.cell = nn.GRUCell(4, 4)
        self.head = nn.Linear(4, 9)

    def forward(self, x: Tensor) -> Tensor:
        token = torch.zeros(x.shape[0], dtype=torch.long)
        found = []
        for _ in range(5):
            x = self.cell(self.words(token), x)
            token = self.head(x).argmax(-1)
            found.append(token)
        return torch.stack(found, 1)


class Smoothed(nn.Module):
    """An exponential mean over time, written into a tensor step by step."""

    def forward(self, x: Tensor) -> Tensor:
        out = torch.zeros_like(x)
        out[:, 0] = x[:, 0]
        for t in range(1, x.shape[1]):
            out[:, t] = 0.7 * out[:, t - 1] + 0.3 * x[:, t]
        return out


def lengths(n: int, longest: int) -> Tensor:
    return torch.cat([torch.tensor([longest]), torch.randint(1, longest + 1, (n - 1,))])


def padded(n: int) -> tuple[Tensor, Tensor]:
    x = steps(n)
    return x, lengths(n, x.shape[1])


def tokens(n: int) -> Tensor:
    ids = torch.randint(1, 20, (n, n + 3))
    for row, length in enumerate(lengths(n, n + 3)):
        ids[row, length:] = 0
    return ids


def states(n: int) -> tuple[Tensor, ...]:
    return torch.randn(6, n, 4), torch.randn(2, n, 3), torch.randn(2, n, 5)


def cases() -> Iterator[Case]:
    steps_axes = {"dynamic": STEPS}
    both = {"dynamic": {"x": {0: "batch", 1: "steps"}, "lengths": {0: "batch"}}}
    yield entry("lstm last step", Last, steps, **steps_axes)
    yield entry("lstm fixed length", Last, lambda n: torch.randn(n, 6, 4))
    yield entry(
        "lstm with states",
        States,
        states,
        static=True,
        dynamic={
            "x": {0: "steps", 1: "batch"},
            "h0": {1: "batch"},
            "c0": {1: "batch"},
        },
    )
    yield entry(
        "gru time first",
        lambda: nn.GRU(4, 5, bidirectional=True),
        lambda n: torch.randn(n + 3, n, 4),
        static=True,
        dynamic={"input": {0: "steps", 1: "batch"}},
    )
    yield entry(
        "rnn relu layered",
        lambda: nn.RNN(4, 5, 3, nonlinearity="relu", batch_first=True),
        steps,
        factors=(1.0, -1.0),
        dynamic={"input": {1: "steps"}},
    )
    yield entry(
        "gru without bias",
        lambda: nn.GRU(4, 5, bias=False, batch_first=True),
        steps,
        dynamic={"input": {1: "steps"}},
    )
    yield entry("packed gru", Packed, padded, **both)
    yield entry("packed lstm both ways", lambda: Packed(nn.LSTM, two=True), padded, **both)
    yield entry("packed rnn", lambda: Packed(nn.RNN), padded, **both)
    yield entry("packed last state", PackedLast, padded, **both)
    yield entry(
        "packed to the longest",
        PackedShort,
        lambda n: (tokens(n), lengths(n, n + 3)),
        dynamic={"ids": {1: "tokens"}},
    )
    yield entry("packed from a mask", PackedFromMask, tokens, dynamic={"ids": {1: "tokens"}})
    yield entry("cell loop", CellLoop, steps, **steps_axes)
    yield entry("cell loop fixed", CellLoop, lambda n: torch.randn(n, 5, 4))
    yield entry("lstm cell over unbind fixed", LstmCellLoop, lambda n: torch.randn(n, 5, 4))
    yield entry("greedy decoder", Decoder, rows)
    yield entry("smoothed in place", Smoothed, steps, **steps_axes)
    yield entry("smoothed fixed", Smoothed, lambda n: torch.randn(n, 5, 4))
