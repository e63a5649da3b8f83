"""Models of ordinary layers and operators: each is proven, and right on what nobody tried."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Call(nn.Module):
    """A function as a module, with a linear layer before it so that there are weights."""

    def __init__(self, function: Any, width: int = 6) -> None:
        super().__init__()
        self.first = nn.Linear(width, width)
        self.function = function

    def forward(self, x: Tensor) -> Any:
        return self.function(self.first(x))


class Last(nn.Module):
    """The answer of a recurrent layer at the last step."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer
        self.head = nn.LazyLinear(3)

    def forward(self, x: Tensor) -> Tensor:
        steps, _ = self.layer(x)
        return self.head(steps[:, -1])


class SelfAttention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.attend = nn.MultiheadAttention(8, 2, batch_first=True)

    def forward(self, x: Tensor, padding_mask: Tensor) -> Tensor:
        return self.attend(x, x, x, key_padding_mask=padding_mask == 0, need_weights=False)[0]


class Masked(nn.Module):
    """Attention by hand, with a mask of ones and zeros."""

    def __init__(self) -> None:
        super().__init__()
        self.qkv = nn.Linear(8, 24)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        q, k, v = self.qkv(x).chunk(3, dim=-1)
        scores = torch.einsum("bqd,bkd->bqk", q, k) / 8**0.5
        scores = scores.masked_fill(mask[:, None] == 0, float("-inf"))
        return torch.einsum("bqk,bkd->bqd", scores.softmax(-1), v)


class Padded(nn.Module):
    """Gives the padding too, which the fast path of the encoder leaves out and makes zero."""

    def __init__(self, norm: nn.Module | None = None) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2, norm)

    def forward(self, x: Tensor, padding_mask: Tensor) -> Tensor:
        return self.encoder(x, src_key_padding_mask=padding_mask)


def at_ends(n: int) -> tuple[Tensor, Tensor]:
    return torch.randn(n, n + 3, 8), torch.arange(n + 3) >= torch.randint(1, n + 4, (n, 1))


def anywhere(n: int) -> tuple[Tensor, Tensor]:
    """At the ends too where there are few rows."""
    mask = torch.rand(n, n + 3) < 0.5
    return torch.randn(n, n + 3, 8), mask & (torch.arange(n + 3) > 0)


class Translator(nn.Module):
    """Masks of which nn.Transformer looks for itself whether they are causal."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(50, 8)
        self.net = nn.Transformer(8, 2, 1, 1, 16, batch_first=True)

    def forward(self, source: Tensor, target: Tensor) -> Tensor:
        size = target.shape[1]
        mask = torch.triu(torch.full((size, size), float("-inf")), diagonal=1)
        padding = source == 3
        return self.net(
            self.words(source),
            self.words(target),
            tgt_mask=mask,
            src_key_padding_mask=padding,
            memory_key_padding_mask=padding,
        )


class Heads(nn.Module):
    def __init__(self, **options: Any) -> None:
        super().__init__()
        self.qkv = nn.Linear(8, 24)
        self.options = options

    def forward(self, x: Tensor) -> Tensor:
        batch, tokens, _ = x.shape
        qkv = self.qkv(x).view(batch, tokens, 3, 2, 4).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(qkv[0], qkv[1], qkv[2], **self.options)
        return mixed.transpose(1, 2).reshape(batch, tokens, 8)


class Tagger(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(50, 8, padding_idx=0)
        self.places = nn.Embedding(40, 8)
        self.head = nn.Linear(8, 5)

    def forward(self, ids: Tensor) -> Tensor:
        places = torch.arange(ids.shape[1], device=ids.device)
        return self.head(self.words(ids) + self.places(places))


class UNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.down = nn.Conv2d(3, 8, 3, 2, 1)
        self.up = nn.ConvTranspose2d(8, 3, 2, 2)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x, self.up(self.down(x).relu())], dim=1)


class Scatter(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(4, 6))

    def forward(self, x: Tensor, index: Tensor) -> Tensor:
        out = torch.zeros(x.shape[0], 10).scatter_add(1, index, x)
        return out @ torch.ones(10, 4) @ self.weight


class Grid(nn.Module):
    def forward(self, x: Tensor, grid: Tensor) -> Tensor:
        return F.grid_sample(x, grid, align_corners=False)


def set_items(x: Tensor) -> Tensor:
    x[:, 0] = 0
    x[:, 1:3] += 1
    return x


def conv(*extra: nn.Module) -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), *extra)


def vector(n: int) -> Tensor:
    return torch.randn(n, 6)


def picture(n: int) -> Tensor:
    return torch.randn(n, 3, 8, 8)


def steps(n: int) -> Tensor:
    return torch.randn(n, 5, 8)


def sentence(n: int) -> tuple[Tensor, Tensor]:
    mask = torch.ones(n, n + 2, dtype=torch.int64)
    mask[0, 1:] = 0
    return torch.randn(n, n + 2, 8), mask


def ids(n: int) -> Tensor:
    return torch.randint(0, 50, (n, n + 2))


TOKENS = {"dynamic": {"x": {1: "tokens"}}}
MASKED = {"dynamic": {"x": {1: "tokens"}, "mask": {1: "tokens"}}}
PADDED = {"dynamic": {"x": {1: "tokens"}, "padding_mask": {1: "tokens"}}}

ROWS: dict[str, tuple[Any, Any, dict[str, Any]]] = {
    "linear": (lambda: nn.Linear(6, 3), vector, {}),
    "mlp": (
        lambda: nn.Sequential(nn.Linear(6, 9), nn.BatchNorm1d(9), nn.Dropout(), nn.Linear(9, 2)),
        vector,
        {},
    ),
    "conv": (lambda: conv(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2)), picture, {}),
    "conv1d": (lambda: nn.Sequential(nn.Conv1d(5, 4, 3), nn.GELU()), steps, {}),
    "conv3d": (lambda: nn.Conv3d(3, 2, 3), lambda n: torch.randn(n, 3, 4, 5, 6), {}),
    "unet": (UNet, picture, {}),
    "groups": (lambda: conv(nn.GroupNorm(2, 4), nn.Conv2d(4, 4, 3, groups=4)), picture, {}),
    "any picture size": (
        lambda: conv(nn.AdaptiveAvgPool2d(1)),
        lambda n: torch.randn(n, 3, n + 8, n + 5),
        {"dynamic": {"input": {2: "height", 3: "width"}}},
    ),
    "activations": (
        lambda: Call(lambda x: F.silu(x) + F.hardswish(x) + F.mish(x) + F.elu(x) + F.softplus(x)),
        vector,
        {},
    ),
    "layer norm": (lambda: nn.Sequential(nn.LayerNorm(6), nn.Linear(6, 6)), vector, {}),
    "lstm": (lambda: Last(nn.LSTM(8, 4, batch_first=True, bidirectional=True)), steps, {}),
    "lstm of any length": (
        lambda: Last(nn.LSTM(8, 4, num_layers=2, batch_first=True)),
        lambda n: torch.randn(n, n + 3, 8),
        TOKENS,
    ),
    "gru": (lambda: Last(nn.GRU(8, 4, batch_first=True)), steps, {}),
    "time first": (
        lambda: nn.GRU(8, 4),
        lambda n: torch.randn(5, n, 8),
        {"static": True, "dynamic": {"input": {1: "batch"}}},
    ),
    "multi-head attention": (SelfAttention, sentence, PADDED),
    "masked attention": (Masked, sentence, MASKED),
    "causal attention": (lambda: Heads(is_causal=True), steps, {}),
    "attention of any length": (Heads, lambda n: torch.randn(n, n + 2, 8), TOKENS),
    "encoder layer": (
        lambda: nn.TransformerEncoderLayer(8, 2, 16, batch_first=True),
        steps,
        {},
    ),
    "transformer": (
        lambda: nn.Transformer(8, 2, 1, 1, 16, batch_first=True),
        lambda n: (steps(n), steps(n)),
        {},
    ),
    "transformer, masked": (
        Translator,
        lambda n: (ids(n), ids(n)),
        {"dynamic": {"source": {1: "source"}, "target": {1: "target"}}},
    ),
    "encoder, padded at the ends": (Padded, at_ends, PADDED),
    "encoder, padded anywhere": (Padded, anywhere, PADDED),
    "encoder, padded, with a norm": (lambda: Padded(nn.LayerNorm(8)), at_ends, PADDED),
    "embedding": (lambda: nn.Embedding(50, 8), ids, {"dynamic": {"input": {1: "tokens"}}}),
    "tokens up to a limit": (Tagger, ids, {"dynamic": {"ids": {1: "tokens"}}}),
    "einsum": (lambda: Call(lambda x: torch.einsum("bi,bj->bij", x, x)), vector, {}),
    "interpolate": (
        lambda: conv(nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False)),
        picture,
        {},
    ),
    "interpolate to a size": (
        lambda: conv(nn.Upsample(size=(5, 7), mode="nearest")),
        picture,
        {},
    ),
    "topk": (lambda: Call(lambda x: tuple(x.topk(3))), vector, {}),
    "argmax": (lambda: Call(lambda x: x.argmax(-1)), vector, {}),
    "bool": (lambda: Call(lambda x: x > 0), vector, {}),
    "int": (lambda: Call(lambda x: (x * 10).round().to(torch.int32)), vector, {}),
    "in place": (lambda: Call(lambda x: x.mul_(2).clamp_(min=-1)), vector, {}),
    "item assignment": (lambda: Call(set_items), vector, {}),
    "cumsum": (lambda: Call(lambda x: x.cumsum(-1)), vector, {}),
    "where": (lambda: Call(lambda x: torch.where(x > 0, x, x.exp())), vector, {"factors": (1,)}),
    "statistics": (
        lambda: Call(lambda x: torch.stack([x.mean(-1), x.std(-1), x.logsumexp(-1)], -1)),
        vector,
        {},
    ),
    "pieces": (lambda: Call(lambda x: torch.cat(x.split([2, 4], -1)[::-1], -1)), vector, {}),
    "roll and flip": (lambda: Call(lambda x: x.roll(1, -1).flip(-1)), vector, {}),
    "pixel shuffle": (lambda: conv(nn.PixelShuffle(2)), picture, {}),
    "pad": (lambda: conv(nn.ReflectionPad2d(1)), picture, {}),
    "unfold": (lambda: nn.Unfold(2), picture, {}),
    "norm": (lambda: Call(lambda x: F.normalize(x, dim=-1)), vector, {}),
    "distances": (lambda: Call(lambda x: torch.cdist(x, torch.ones(3, 6))), vector, {}),
    "one hot": (lambda: Call(lambda x: F.one_hot(x.argmax(-1), 6)), vector, {}),
    "triangle": (lambda: Call(lambda x: x[:, None] * torch.ones(6, 6).tril()), vector, {}),
    "weight norm": (
        lambda: nn.utils.parametrizations.weight_norm(nn.Linear(6, 3)),
        vector,
        {},
    ),
    "spectral norm": (
        lambda: nn.utils.parametrizations.spectral_norm(nn.Linear(6, 3)),
        vector,
        {},
    ),
    "scatter": (Scatter, lambda n: (vector(n), torch.randint(0, 10, (n, 6))), {}),
    "chosen elements": (lambda: Call(lambda x: x[x > 0]), vector, {}),
    "places": (lambda: Call(lambda x: (x > 0).nonzero()), vector, {}),
    "complex inside": (lambda: Call(lambda x: torch.fft.rfft(x).abs()), vector, {}),
    "half inside": (lambda: Call(lambda x: x.half().float() * 2), vector, {}),
    "mean over the batch": (lambda: Call(lambda x: x - x.mean(0)), vector, {}),
    "softmax over the batch": (lambda: Call(lambda x: x.softmax(0)), vector, {}),
    "size as a number": (lambda: Call(lambda x: x / x.shape[0]), vector, {}),
    "flat batch": (lambda: Call(lambda x: x.reshape(-1)), vector, {}),
    "grid sample": (
        Grid,
        lambda n: (picture(n), torch.rand(n, 4, 4, 2) * 2 - 1),
        {"factors": (1.0,)},
    ),
}


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors:UserWarning")
@pytest.mark.parametrize("name", ROWS)
def test_proven(check: Any, name: str) -> None:
    make, inputs, options = ROWS[name]
    check.proven(lambda: made(make, inputs), inputs, **options)


def made(make: Any, inputs: Any) -> nn.Module:
    """The model, its lazy layers filled."""
    model: nn.Module = make()
    if any(isinstance(part, nn.LazyLinear) for part in model.modules()):
        model(inputs(2))
    return model
