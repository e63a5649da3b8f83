"""Sequences, harder: lengths, projections, masks of every kind, decoding."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from case import Case
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from modules.entry import entry, rows, steps
from modules.recurrent import lengths, padded, tokens


class Projected(nn.Module):
    """A layered LSTM in both directions with projections."""

    def __init__(self, **options: Any) -> None:
        super().__init__()
        self.lstm = nn.LSTM(4, 6, proj_size=2, batch_first=True, **options)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        out, (hidden, cell) = self.lstm(x)
        return out, hidden, cell


class PackedProjected(nn.Module):
    """The same over a packed sequence."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(4, 6, proj_size=2, batch_first=True, bidirectional=True)

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        out, _ = pad_packed_sequence(self.lstm(packed)[0], batch_first=True, total_length=x.size(1))
        return out


class PackedStates(nn.Module):
    """Packed, layered, with a learned first state, pooled over real steps only."""

    def __init__(self) -> None:
        super().__init__()
        self.gru = nn.GRU(4, 5, num_layers=2, bidirectional=True)
        self.first = nn.Parameter(torch.randn(4, 1, 5))

    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        packed = pack_padded_sequence(x.transpose(0, 1), lengths, enforce_sorted=False)
        first = self.first.expand(-1, x.shape[0], -1).contiguous()
        out, last = self.gru(packed, first)
        out, _ = pad_packed_sequence(out, padding_value=-1e9, total_length=x.shape[1])
        return out.amax(0), last


class LastReal(nn.Module):
    """Runs over the padding and gathers the last real step."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(4, 5, batch_first=True)

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        out, _ = self.lstm(x)
        return out.gather(1, (lengths - 1).view(-1, 1, 1).expand(-1, 1, out.size(2))).squeeze(1)


class Reversed(nn.Module):
    """Each row reversed up to its own length."""

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        place = torch.arange(x.shape[1]).expand(x.shape[0], -1)
        back = torch.where(place < lengths[:, None], lengths[:, None] - 1 - place, place)
        return x.gather(1, back.unsqueeze(-1).expand_as(x)).cumsum(1)


class Attends(nn.Module):
    """nn.MultiheadAttention with every mask, and weights or none."""

    def __init__(self, **call: Any) -> None:
        super().__init__()
        options = {key: call.pop(key) for key in ("batch_first", "kdim", "vdim") if key in call}
        options |= {"add_zero_attn": call.pop("zero", False), "add_bias_kv": call.pop("kv", False)}
        self.attention = nn.MultiheadAttention(8, 2, **options)
        self.call = call

    def forward(self, x: Tensor, padding: Tensor | None = None) -> Any:
        out, weights = self.attention(x, x, x, key_padding_mask=padding, **self.call)
        return out if weights is None else (out, weights)


class CausalAttends(nn.Module):
    """A float mask made from the length, with is_causal."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        mask = nn.Transformer.generate_square_subsequent_mask(x.size(1))
        return self.attention(x, x, x, attn_mask=mask, is_causal=True, need_weights=False)[0]


class PaddedEncoder(nn.Module):
    """nn.TransformerEncoder with src_key_padding_mask: its fast path and its nested tensors."""

    def __init__(self, **options: Any) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, activation="gelu", **options)
        self.encoder = nn.TransformerEncoder(layer, 2, norm=nn.LayerNorm(8))
        self.words = nn.Embedding(20, 8, padding_idx=0)

    def forward(self, ids: Tensor) -> Tensor:
        padding = ids == 0
        out = self.encoder(self.words(ids), src_key_padding_mask=padding)
        kept = (~padding).unsqueeze(-1).to(out.dtype)
        return (out * kept).sum(1) / kept.sum(1).clamp(min=1)


class Seq2Seq(nn.Module):
    """An encoder and a decoder, both padded, causal on the target."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(20, 8)
        self.net = nn.Transformer(8, 2, 1, 1, 16, batch_first=True)

    def forward(self, source: Tensor, target: Tensor) -> Tensor:
        mask = torch.triu(torch.ones(target.size(1), target.size(1), dtype=torch.bool), 1)
        return self.net(
            self.words(source),
            self.words(target),
            tgt_mask=mask,
            src_key_padding_mask=source == 0,
            memory_key_padding_mask=source == 0,
            tgt_key_padding_mask=target == 0,
        )


class Bahdanau(nn.Module):
    """Additive attention in a decoder of fixed steps, over any source length."""

    def __init__(self) -> None:
        super().__init__()
        self.query, self.key = nn.Linear(4, 5, bias=False), nn.Linear(4, 5)
        self.score, self.cell = nn.Linear(5, 1), nn.GRUCell(4, 4)

    def forward(self, memory: Tensor, padding: Tensor) -> tuple[Tensor, Tensor]:
        keys = self.key(memory)
        hidden = memory.mean(1)
        weights = []
        for _ in range(4):
            score = self.score(torch.tanh(self.query(hidden)[:, None] + keys)).squeeze(-1)
            weight = score.masked_fill(padding, torch.finfo(score.dtype).min).softmax(-1)
            hidden = self.cell(torch.bmm(weight[:, None], memory).squeeze(1), hidden)
            weights.append(weight)
        return hidden, torch.stack(weights, 1)


class Linear(nn.Module):
    """Linear attention by einsum and cumsum, causal."""

    def __init__(self) -> None:
        super().__init__()
        self.qkv = nn.Linear(4, 12, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv(x).chunk(3, -1)
        q, k = F.elu(q) + 1, F.elu(k) + 1
        memory = torch.einsum("btd,bte->btde", k, v).cumsum(1)
        norm = torch.einsum("btd,btd->bt", q, k.cumsum(1)).unsqueeze(-1)
        return torch.einsum("btd,btde->bte", q, memory) / norm


class LocalWindow(nn.Module):
    """Attention within a band around each place, by unfold."""

    def forward(self, x: Tensor) -> Tensor:
        near = F.pad(x, (0, 0, 2, 2)).unfold(1, 5, 1)
        score = torch.einsum("btd,btdw->btw", x, near) / x.shape[-1] ** 0.5
        return torch.einsum("btw,btdw->btd", score.softmax(-1), near)


class Alibi(nn.Module):
    """Slopes by head, distances by place, in scaled_dot_product_attention."""

    def __init__(self) -> None:
        super().__init__()
        self.qkv = nn.Linear(4, 12)
        self.register_buffer("slopes", 2.0 ** -torch.arange(1, 3).float(), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        b, t, d = x.shape
        q, k, v = self.qkv(x).view(b, t, 3, 2, 2).permute(2, 0, 3, 1, 4).unbind(0)
        place = torch.arange(t)
        bias = -(place[None] - place[:, None]).abs() * self.slopes[:, None, None]
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=bias.to(x.dtype), scale=0.3)
        return y.transpose(1, 2).reshape(b, t, d)


class EarlyExit(nn.Module):
    """Halts in a loop over time when the batch is sure."""

    def __init__(self) -> None:
        super().__init__()
        self.cell = nn.GRUCell(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        h = torch.zeros(x.shape[0], 4)
        for t in range(x.shape[1]):
            h = self.cell(x[:, t], h)
            if bool((h.abs().amax(1) > 0.6).all()):
                break
        return h


class Crf(nn.Module):
    """Viterbi over a fixed number of steps, back-pointers followed by gather."""

    def __init__(self) -> None:
        super().__init__()
        self.moves = nn.Parameter(torch.randn(4, 4))

    def forward(self, emissions: Tensor) -> tuple[Tensor, Tensor]:
        score, pointers = emissions[:, 0], []
        for t in range(1, 6):
            score, pointer = (score.unsqueeze(2) + self.moves).max(1)
            score = score + emissions[:, t]
            pointers.append(pointer)
        best, last = score.max(1)
        path = [last]
        for pointer in reversed(pointers):
            path.append(pointer.gather(1, path[-1].unsqueeze(1)).squeeze(1))
        return best, torch.stack(path[::-1], 1)


def wide(n: int) -> Tensor:
    return torch.randn(n, n + 3, 8)


def masked(n: int) -> tuple[Tensor, Tensor]:
    x = wide(n)
    return x, torch.arange(x.shape[1])[None] >= lengths(n, x.shape[1])[:, None]


def both(n: int) -> tuple[Tensor, Tensor]:
    return tokens(n), tokens(n)[:, 1:]


def cases() -> Iterator[Case]:
    time = {"dynamic": {"x": {1: "steps"}}}
    two = {"dynamic": {"x": {0: "batch", 1: "steps"}, "lengths": {0: "batch"}}}
    masks = {"dynamic": {"x": {1: "steps"}, "padding": {1: "steps"}}}
    yield entry("projected lstm", Projected, steps, **time)
    yield entry(
        "projected both ways", lambda: Projected(num_layers=2, bidirectional=True), steps, **time
    )
    yield entry("projected fixed", lambda: Projected(bias=False), lambda n: torch.randn(n, 5, 4))
    yield entry("projected packed", PackedProjected, padded, **two)
    yield entry("packed with states", PackedStates, padded, **two)
    yield entry("last real step", LastReal, padded, **two)
    yield entry("reversed by length", Reversed, padded, **two)
    yield entry("weights averaged", lambda: Attends(batch_first=True), masked, **masks)
    yield entry(
        "weights a head",
        lambda: Attends(batch_first=True, average_attn_weights=False),
        masked,
        **masks,
    )
    yield entry(
        "time first attention",
        lambda: Attends(need_weights=False),
        lambda n: torch.randn(n + 3, n, 8),
        static=True,
        dynamic={"x": {0: "steps", 1: "batch"}},
    )
    yield entry(
        "bias and zeros", lambda: Attends(batch_first=True, kv=True, zero=True), masked, **masks
    )
    yield entry("causal module", CausalAttends, wide, **time)
    yield entry("padded encoder", PaddedEncoder, tokens, dynamic={"ids": {1: "tokens"}})
    yield entry(
        "padded encoder, norm first",
        lambda: PaddedEncoder(norm_first=True),
        tokens,
        dynamic={"ids": {1: "tokens"}},
    )
    yield entry(
        "sequence to sequence",
        Seq2Seq,
        both,
        dynamic={"source": {1: "source"}, "target": {1: "target"}},
    )
    yield entry(
        "additive attention",
        Bahdanau,
        lambda n: (steps(n), torch.arange(n + 3)[None] >= lengths(n, n + 3)[:, None]),
        dynamic={"memory": {1: "steps"}, "padding": {1: "steps"}},
    )
    yield entry("linear attention", Linear, steps, **time)
    yield entry("local attention", LocalWindow, steps, factors=(1.0, -1.5), **time)
    yield entry("alibi", Alibi, steps, **time)
    yield entry("halting", EarlyExit, steps, **time)
    yield entry("viterbi", Crf, lambda n: torch.randn(n, 6, 4))
    yield entry("loop over rows", lambda: Rows(), rows)


class Rows(nn.Module):
    """A Python loop over the batch, as nobody should write it."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return torch.stack([self.linear(row) for row in x])
