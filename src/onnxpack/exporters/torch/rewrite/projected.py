"""Express an LSTM with a projected hidden state by one without a projection.

With ``h = P m`` for the state ``m`` before its projection ``P``, the gates' ``W h`` is
``(W P) m``: so an ordinary LSTM of the recurrent weight ``W P`` gives every ``m``, and a product
with ``P`` after it every ``h``. A first state that is given is taken back to an ``m``.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence


class ProjectedLstm(nn.Module):
    """A module that answers like an ``nn.LSTM`` with ``proj_size``, layer by layer."""

    def __init__(self, lstm: Any) -> None:
        super().__init__()
        for name in lstm.__constants__:  # what forward() may ask of the layer
            setattr(self, name, getattr(lstm, name))
        ends = _suffixes(lstm)
        self.directions = len(ends)
        self.layers = nn.ModuleList(_plain(lstm, layer) for layer in range(lstm.num_layers))
        weights = [
            getattr(lstm, f"weight_hr_l{layer}{end}")
            for layer in range(lstm.num_layers)
            for end in ends
        ]
        self.down = nn.ParameterList(_frozen(weight.T) for weight in weights)
        self.back = nn.ParameterList(_frozen(torch.linalg.pinv(weight).T) for weight in weights)

    def forward(self, x: Any, hx: tuple[Tensor, Tensor] | None = None) -> Any:  # noqa: D102
        hidden: list[Tensor] = []
        cells: list[Tensor] = []
        for number, layer in enumerate(self.layers):
            ways = range(number * self.directions, (number + 1) * self.directions)
            out, (state, cell) = layer(x, None if hx is None else self._start(hx, ways))
            down = self._packed_down if isinstance(out, PackedSequence) else self._down
            x = down(out, ways)
            hidden += [part @ self.down[way] for way, part in zip(ways, state, strict=True)]
            cells.append(cell)
        return x, (torch.stack(hidden), torch.cat(cells))

    def _start(self, hx: tuple[Tensor, Tensor], ways: range) -> tuple[Tensor, Tensor]:
        states = [hx[0][way] @ self.back[way] for way in ways]
        return torch.stack(states), hx[1][ways.start : ways.stop]

    def _down(self, out: Tensor, ways: range) -> Tensor:
        parts = out.chunk(self.directions, -1)
        return torch.cat([part @ self.down[way] for way, part in zip(ways, parts, strict=True)], -1)

    def _packed_down(self, out: PackedSequence, ways: range) -> PackedSequence:
        steps = out.batch_sizes.shape[0]  # explicit, so that a trace does not cut there
        padded, lengths = pad_packed_sequence(out, total_length=steps)
        return pack_padded_sequence(self._down(padded, ways), lengths, enforce_sorted=False)


def _plain(lstm: Any, layer: int) -> nn.LSTM:
    """Return one layer as an LSTM that gives the states before their projections."""
    plain = nn.LSTM(
        lstm.proj_size * len(_suffixes(lstm)) if layer else lstm.input_size,
        lstm.hidden_size,
        bias=lstm.bias,
        batch_first=lstm.batch_first,
        bidirectional=lstm.bidirectional,
        dtype=lstm.weight_ih_l0.dtype,
    )
    for end in _suffixes(lstm):
        recurrent, down = (getattr(lstm, f"weight_{part}_l{layer}{end}") for part in ("hh", "hr"))
        both = (recurrent.double() @ down.double()).to(recurrent.dtype)
        setattr(plain, f"weight_hh_l0{end}", _frozen(both))
        for part in ("weight_ih", "bias_ih", "bias_hh") if lstm.bias else ("weight_ih",):
            setattr(plain, f"{part}_l0{end}", _frozen(getattr(lstm, f"{part}_l{layer}{end}")))
    return plain.eval()


def _suffixes(lstm: Any) -> tuple[str, ...]:
    return ("", "_reverse") if lstm.bidirectional else ("",)


def _frozen(weight: Tensor) -> nn.Parameter:
    return nn.Parameter(weight.detach(), requires_grad=False)
