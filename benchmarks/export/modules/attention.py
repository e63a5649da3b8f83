"""Attention: masks, the fast path, positions."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from case import Case
from torch import Tensor, nn
from torch.nn import functional as F

from modules.entry import Call, entry


class Attends(nn.Module):
    """nn.MultiheadAttention with any of its masks."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.kind = kind

    def forward(self, x: Tensor, padding: Tensor) -> tuple[Tensor, Tensor | None]:
        size = x.shape[1]
        causal = torch.triu(torch.ones(size, size, dtype=torch.bool), 1)
        if self.kind == "padding":
            return self.attention(x, x, x, key_padding_mask=padding)
        if self.kind == "causal":
            return self.attention(x, x, x, attn_mask=causal, need_weights=False)[0], None
        added = torch.zeros(size, size).masked_fill(causal, float("-inf"))
        outside = torch.zeros_like(padding, dtype=x.dtype).masked_fill(padding, float("-inf"))
        return self.attention(
            x, x, x, attn_mask=added, key_padding_mask=outside, average_attn_weights=False
        )


class Cross(nn.Module):
    """Queries of another width and length."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(
            8, 2, kdim=6, vdim=4, add_bias_kv=True, batch_first=True
        )

    def forward(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        out, _ = self.attention(query, key, value)
        return out


class Encoder(nn.Module):
    """A classifier over nn.TransformerEncoder, which has a fast path in eval mode."""

    def __init__(self, *, norm_first: bool = False, activation: str = "relu") -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(
            8, 2, 16, batch_first=True, norm_first=norm_first, activation=activation
        )
        self.words = nn.Embedding(20, 8, padding_idx=0)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=not norm_first)
        self.head = nn.Linear(8, 3)

    def forward(self, ids: Tensor) -> Tensor:
        padding = ids == 0
        x = self.encoder(self.words(ids), src_key_padding_mask=padding)
        kept = (~padding).unsqueeze(-1).to(x.dtype)
        return self.head((x * kept).sum(1) / kept.sum(1).clamp(min=1))


class Whole(nn.Module):
    """nn.Transformer from end to end, with a causal target."""

    def __init__(self) -> None:
        super().__init__()
        self.transformer = nn.Transformer(8, 2, 1, 1, 16, batch_first=True)

    def forward(self, source: Tensor, target: Tensor) -> Tensor:
        mask = nn.Transformer.generate_square_subsequent_mask(target.shape[1])
        return self.transformer(source, target, tgt_mask=mask, tgt_is_causal=True)


class DecoderOnly(nn.Module):
    """A small GPT: learned places, causal scaled_dot_product_attention, tied weights."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(20, 8)
        self.places = nn.Embedding(64, 8)
        self.project = nn.Linear(8, 24)
        self.out = nn.Linear(8, 8)
        self.norm = nn.LayerNorm(8)
        self.head = nn.Linear(8, 20, bias=False)
        self.head.weight = self.words.weight

    def forward(self, ids: Tensor) -> Tensor:
        batch, size = ids.shape
        x = self.words(ids) + self.places(torch.arange(size, device=ids.device))
        q, k, v = self.project(x).view(batch, size, 3, 2, 4).permute(2, 0, 3, 1, 4)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(y.transpose(1, 2).reshape(batch, size, 8))
        return self.head(self.norm(x))


class Rotary(nn.Module):
    """Rotary positions by halves, with a causal mask of a buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.project = nn.Linear(8, 24)
        inverse = 1.0 / (10000 ** (torch.arange(0, 4, 2).float() / 4))
        self.register_buffer("inverse", inverse, persistent=False)
        self.register_buffer("mask", torch.tril(torch.ones(64, 64)).view(1, 1, 64, 64))

    def turned(self, x: Tensor, angles: Tensor) -> Tensor:
        left, right = x.chunk(2, dim=-1)
        return x * angles.cos() + torch.cat([-right, left], dim=-1) * angles.sin()

    def forward(self, x: Tensor) -> Tensor:
        size = x.shape[1]
        places = torch.arange(size, dtype=torch.float32)
        angles = torch.cat([torch.outer(places, self.inverse)] * 2, dim=-1)
        q, k, v = (
            part.reshape(x.shape[0], size, 2, 4).transpose(1, 2)
            for part in self.project(x).split(8, dim=-1)
        )
        scores = self.turned(q, angles) @ self.turned(k, angles).transpose(-2, -1) / math.sqrt(4)
        scores = scores.masked_fill(self.mask[:, :, :size, :size] == 0, float("-inf"))
        return (scores.softmax(-1) @ v).transpose(1, 2).flatten(2)


class ComplexRotary(nn.Module):
    """Rotary positions by complex numbers, as Llama wrote them."""

    def __init__(self) -> None:
        super().__init__()
        self.project = nn.Linear(8, 8)
        angles = torch.outer(torch.arange(64).float(), 1 / 100 ** (torch.arange(4) / 4))
        self.register_buffer("turns", torch.polar(torch.ones_like(angles), angles))

    def forward(self, x: Tensor) -> Tensor:
        pairs = torch.view_as_complex(self.project(x).reshape(*x.shape[:-1], -1, 2))
        return torch.view_as_real(pairs * self.turns[: x.shape[1]]).flatten(2)


class Cached(nn.Module):
    """One decoding step with keys and values of the past, in and out."""

    def __init__(self) -> None:
        super().__init__()
        self.project = nn.Linear(8, 24)

    def forward(
        self, x: Tensor, past: tuple[Tensor, Tensor]
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        q, k, v = self.project(x).chunk(3, -1)
        k, v = torch.cat([past[0], k], 1), torch.cat([past[1], v], 1)
        return F.scaled_dot_product_attention(q, k, v), (k, v)


class Relative(nn.Module):
    """T5's biases by bucketed distance."""

    def __init__(self) -> None:
        super().__init__()
        self.biases = nn.Embedding(8, 2)

    def forward(self, scores: Tensor) -> Tensor:
        size = scores.shape[-1]
        place = torch.arange(size)
        distance = (place[None] - place[:, None]).abs()
        far = 4 + (torch.log(distance.float().clamp(min=1) / 4) * 2).long().clamp(0, 3)
        buckets = torch.where(distance < 4, distance, far)
        return (scores + self.biases(buckets).permute(2, 0, 1)).softmax(-1)


def tokens(n: int) -> Tensor:
    ids = torch.randint(1, 20, (n, n + 3))
    ids[n // 2 :, n + 1 :] = 0
    return ids


def words(n: int) -> Tensor:
    return torch.randn(n, n + 3, 8)


def masked(n: int) -> tuple[Tensor, Tensor]:
    padding = torch.zeros(n, n + 3, dtype=torch.bool)
    padding[n // 2 :, n + 1 :] = True
    return words(n), padding


def queries(n: int) -> tuple[Tensor, Tensor, Tensor]:
    return torch.randn(n, 2, 2, n + 3, 4).unbind(1)[0], *torch.randn(2, n, 2, n + 5, 4).unbind(0)


def floats_masked(n: int) -> tuple[Tensor, ...]:
    return *queries(n), torch.zeros(n, 1, n + 3, n + 5).masked_fill(
        torch.rand(n, 1, n + 3, n + 5) > 0.7, -1e9
    )


def cases() -> Iterator[Case]:
    length = {"dynamic": {"x": {1: "steps"}, "padding": {1: "steps"}}}
    ids = {"dynamic": {"ids": {1: "tokens"}}}
    for kind in ("padding", "causal", "both"):
        yield entry(f"attention {kind}", lambda kind=kind: Attends(kind), masked, **length)
    yield entry(
        "attention cross",
        Cross,
        lambda n: (words(n), torch.randn(n, n + 5, 6), torch.randn(n, n + 5, 4)),
        dynamic={"query": {1: "steps"}, "key": {1: "seen"}, "value": {1: "seen"}},
    )
    yield entry("encoder", Encoder, tokens, **ids)
    yield entry(
        "encoder norm first", lambda: Encoder(norm_first=True, activation="gelu"), tokens, **ids
    )
    yield entry("encoder fixed length", Encoder, lambda n: torch.randint(1, 20, (n, 6)))
    yield entry(
        "transformer",
        Whole,
        lambda n: (words(n), torch.randn(n, n + 5, 8)),
        dynamic={"source": {1: "steps"}, "target": {1: "seen"}},
    )
    yield entry("decoder only", DecoderOnly, tokens, **ids)
    yield entry("rotary", Rotary, words, dynamic={"x": {1: "steps"}})
    yield entry("rotary complex", ComplexRotary, words, dynamic={"x": {1: "steps"}})
    yield entry(
        "cache",
        Cached,
        lambda n: (torch.randn(n, 1, 8), (torch.randn(n, n + 3, 8), torch.randn(n, n + 3, 8))),
        dynamic={"past_0": {1: "seen"}, "past_1": {1: "seen"}},
    )
    yield entry(
        "relative biases",
        Relative,
        lambda n: torch.randn(n, 2, n + 8, n + 8),
        dynamic={"scores": {2: "steps", 3: "steps"}},
    )
    qkv = {"inputs_0": {2: "steps"}, "inputs_1": {2: "seen"}, "inputs_2": {2: "seen"}}
    yield entry("sdpa", lambda: Call(F.scaled_dot_product_attention), queries, dynamic=qkv)
    yield entry(
        "sdpa causal",
        lambda: Call(
            lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=True, scale=0.3)
        ),
        queries,
        dynamic=qkv,
    )
    yield entry(
        "sdpa masked",
        lambda: Call(lambda q, k, v, mask: F.scaled_dot_product_attention(q, k, v, attn_mask=mask)),
        floats_masked,
        dynamic={**qkv, "inputs_3": {2: "steps", 3: "seen"}},
    )
    yield entry(
        "sdpa grouped",
        lambda: Call(
            lambda q, k, v: F.scaled_dot_product_attention(q, k[:, :1], v[:, :1], enable_gqa=True)
        ),
        queries,
        dynamic=qkv,
    )
