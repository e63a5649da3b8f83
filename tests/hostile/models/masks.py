"""Huge constants beside small numbers, and rows of which a mask leaves nothing."""

from __future__ import annotations

import torch
from tests.hostile.given import Collection, Linear, rand, randint, randn
from torch import Tensor, nn
from torch.nn import functional as F

collection = Collection()
huge, masked = "huge-constants", "masked-rows"


def kept(n: int, width: int, seed: int) -> Tensor:
    """A mask that leaves at least the first in each row."""
    mask = rand(n, width, seed=seed) > 0.4
    mask[:, 0] = True
    return mask


def padded(n: int, t: int, seed: int, empty: tuple[int, ...] = ()) -> Tensor:
    """1 for what is kept, up to a length of its own in each row."""
    mask = (torch.arange(t) < randint(1, t + 1, n, 1, seed=seed)).long()
    for row in empty:
        mask[row] = 0
    return mask


@collection.module(
    huge,
    {"deck": randint(0, 8, 3, 5), "legal": kept(3, 8, 0)},
    [{"deck": randint(0, 8, 40, 5, seed=s), "legal": kept(40, 8, s)} for s in (1, 2)],
    proven=True,
)
class CardCounts(nn.Module):
    """Counting by index_put_ with accumulate, then a mask of -1e8."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(8, 8)

    def forward(self, deck: Tensor, legal: Tensor) -> Tensor:
        rows = torch.arange(deck.shape[0])[:, None].expand_as(deck)
        ones = torch.ones(deck.shape)
        counts = torch.zeros(deck.shape[0], 8).index_put_((rows, deck), ones, accumulate=True)
        return self.head(counts).masked_fill(~legal, -1e8)


@collection.module(
    huge,
    randn(4, 6),
    [randn(n, 6, seed=n) for n in (1, 2, 3, 7)],
)
class RolledLogits(Linear):
    """The batch is rolled by a part of its size; a last column is the smallest float."""

    def forward(self, x: Tensor) -> Tensor:
        y = torch.roll(self.layer(x), x.shape[0] // 2, 0)
        nothing = torch.full((x.shape[0], 1), torch.finfo(torch.float32).min)
        return torch.cat([nothing, y], 1)


@collection.module(
    huge,
    {"x": randn(4, 6), "seconds": torch.tensor([[1.7e9]] * 4)},
    [{"x": randn(n, 6, seed=n), "seconds": torch.full((n, 1), 1.6e9)} for n in (1, 2, 9)],
)
class TimestampColumn(Linear):
    """A timestamp is given back beside the scores."""

    def forward(self, x: Tensor, seconds: Tensor) -> Tensor:
        y = self.layer(x)
        y = y - y[: max(1, x.shape[0] // 2)].mean(0)
        return torch.cat([seconds, y], 1)


@collection.module(
    huge,
    {"x": randn(4, 6), "allowed": kept(4, 6, 0)},
    [{"x": randn(n, 6, seed=n), "allowed": kept(n, 6, n)} for n in (1, 2, 9)],
    proven=True,
)
class PolicyLogits(Linear):
    """A policy with illegal moves, and nothing that decides."""

    def forward(self, x: Tensor, allowed: Tensor) -> Tensor:
        illegal = torch.finfo(x.dtype).min
        return torch.where(allowed, self.layer(x), torch.tensor(illegal))


@collection.module(
    huge,
    randn(3, 5, 6),
    [randn(2, t, 6, seed=t) for t in (2, 4, 9)],
    dynamic={"x": {1: "time"}},
)
class AdditiveMaskOfASize(nn.Module):
    """-1e9 is added above the diagonal, and the diagonal's place is a number of the trace."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(6, 6)

    def forward(self, x: Tensor) -> Tensor:
        t = x.shape[1]
        shift = torch.ones(t, t).triu(int(t > 4) + 1) * -1e9
        return self.layer(x) @ self.layer(x).transpose(1, 2) + shift


@collection.module(
    huge,
    randint(0, 12, 3, 4),
    [randint(0, 12, n, 4, seed=n) for n in (1, 5)],
    proven=True,
)
class BannedTokens(nn.Module):
    """Some of the vocabulary is never to be chosen."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(12, 6)
        self.head = nn.Linear(6, 12)
        self.register_buffer("banned", torch.tensor([0, 5, 11]))

    def forward(self, ids: Tensor) -> Tensor:
        logits = self.head(self.words(ids)).clone()
        logits[..., self.banned] = -1e10
        return logits


@collection.module(huge, rand(4, 6), [rand(n, 6, seed=n) for n in (1, 2, 6)])
class LogOfNothing(Linear):
    """log(0 + tiny) is −87 beside numbers near 0, and the batch's half decides."""

    def forward(self, x: Tensor) -> Tensor:
        hot = F.one_hot(x.argmax(1), 6).float()
        y = self.layer(x) * 1e-6
        return (hot + torch.finfo(torch.float32).tiny).log() + y.flip(0)[: x.shape[0]]


@collection.module(huge, randn(4, 6), [randn(n, 6, seed=n) for n in (1, 2, 5, 8)])
class PenaltyRow(Linear):
    """A first row of 1e7, and rows whose order depends on the batch."""

    def forward(self, x: Tensor) -> Tensor:
        y = self.layer(x)
        y = torch.cat([y[x.size(0) // 3 :], y[: x.size(0) // 3]])
        return torch.cat([torch.full((1, 6), 1e7), y])


IDS = {"ids": randint(0, 20, 3, 5), "mask": padded(3, 5, 0)}
IDS_PROBES = [
    {"ids": randint(0, 20, 3, 5, seed=1), "mask": padded(3, 5, 1)},
    {"ids": randint(0, 20, 3, 7, seed=2), "mask": padded(3, 7, 2, empty=(1,))},
    {"ids": randint(0, 20, 2, 4, seed=3), "mask": padded(2, 4, 3, empty=(0, 1))},
]
TOKENS = {"ids": {1: "tokens"}, "mask": {1: "tokens"}}


class Words(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(20, 8)


@collection.module(masked, IDS, IDS_PROBES, dynamic=TOKENS)
class DecoderMemory(Words):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.TransformerDecoderLayer(8, 2, 16, batch_first=True)

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        words = self.words(ids)
        return self.layer(words, words, memory_key_padding_mask=mask == 0)


@collection.module(masked, IDS, IDS_PROBES, dynamic=TOKENS)
class AttentionOwnMask(Words):
    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        words = self.words(ids)
        found, _ = self.attention(words, words, words, key_padding_mask=mask == 0)
        return found.nan_to_num(0.0)


@collection.module(masked, IDS, IDS_PROBES, dynamic=TOKENS)
class MeanOfTheKept(Words):
    """0 / 0 for a row that keeps nothing."""

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        weights = mask.unsqueeze(-1).float()
        return (self.words(ids) * weights).sum(1) / weights.sum(1)


@collection.module(masked, IDS, IDS_PROBES, dynamic=TOKENS)
class SoftmaxOfTheKept(Words):
    """A softmax over -inf alone is NaN in every runtime, or should be."""

    def __init__(self) -> None:
        super().__init__()
        self.score = nn.Linear(8, 1)

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        words = self.words(ids)
        scores = self.score(words).squeeze(-1).masked_fill(mask == 0, float("-inf"))
        return (scores.softmax(1).unsqueeze(1) @ words).squeeze(1)


@collection.module(masked, IDS, IDS_PROBES, dynamic=TOKENS)
class ScaledDotProduct(Words):
    """scaled_dot_product_attention answers 0 where a row keeps nothing, in some of its kernels."""

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        words = self.words(ids)
        allowed = mask.bool()[:, None, :].expand(-1, ids.shape[1], -1)
        return F.scaled_dot_product_attention(words, words, words, attn_mask=allowed)


@collection.module(masked, IDS, IDS_PROBES, dynamic=TOKENS)
class MaxOfTheKept(Words):
    """The largest of nothing is -inf; a branch mends it."""

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        words = self.words(ids).masked_fill(mask.unsqueeze(-1) == 0, float("-inf"))
        best = words.amax(1)
        if torch.isinf(best).any():
            best = torch.where(torch.isinf(best), 0.0, best)
        return best


@collection.module(masked, IDS, IDS_PROBES, dynamic=TOKENS)
class LastKept(Words):
    """The place before the first is the last of all."""

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        last = mask.sum(1) - 1
        return self.words(ids)[torch.arange(ids.shape[0]), last]


@collection.module(masked, IDS, IDS_PROBES, dynamic=TOKENS)
class EncoderSkipsEmptyBatches(Words):
    """The encoder is asked only about rows that keep something."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        words = self.words(ids)
        if (mask.sum(1) == 0).any():
            return words * 0
        return self.encoder(words, src_key_padding_mask=mask == 0)
