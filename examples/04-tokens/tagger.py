"""A small text model: an embedding, one layer of attention, two named outputs."""

from __future__ import annotations

import torch
from torch import Tensor, nn

WORDS, WIDTH, TAGS = 1000, 64, 5


class Tagger(nn.Module):
    """A tag for each token and a vector for the sentence; padding has mask 0."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(WORDS, WIDTH)
        self.attention = nn.MultiheadAttention(WIDTH, 4, dropout=0.1, batch_first=True)
        self.norm = nn.LayerNorm(WIDTH)
        self.tags = nn.Linear(WIDTH, TAGS)

    def forward(self, ids: Tensor, mask: Tensor) -> dict[str, Tensor]:
        """``ids`` and ``mask`` are int64[batch, tokens]."""
        words = self.words(ids)
        seen, _ = self.attention(words, words, words, key_padding_mask=mask == 0)
        hidden = self.norm(words + seen)
        weight = mask.unsqueeze(-1).to(hidden.dtype)
        return {
            "tags": self.tags(hidden),
            "sentence": (hidden * weight).sum(1) / weight.sum(1),
        }


def make_model() -> Tagger:
    """The model with random weights, the same each time; load trained ones here."""
    torch.manual_seed(0)
    return Tagger()


def sample() -> dict[str, Tensor]:
    """Two sentences, of twelve words and of nine."""
    ids = torch.randint(WORDS, (2, 12), generator=torch.manual_seed(1))
    mask = (torch.arange(12) < torch.tensor([[12], [9]])).long()
    return {"ids": ids, "mask": mask}
