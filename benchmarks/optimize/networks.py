"""Networks that the cases are made of, and a small training loop."""

from __future__ import annotations

from typing import Any

import numpy.typing as npt
import torch
from torch import nn


class Embedder(nn.Module):
    """A sentence as the mean of its tokens: what sentence-transformers does with MiniLM."""

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        tokens = self.encoder(input_ids=input_ids, attention_mask=attention_mask)
        hidden: torch.Tensor = tokens.last_hidden_state
        weight = attention_mask.unsqueeze(-1).to(hidden.dtype)
        return (hidden * weight).sum(1) / weight.sum(1).clamp(min=1)


class SequenceClassifier(nn.Module):
    """An LSTM, and a layer that reads its last state."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(8, 128, batch_first=True)
        self.head = nn.Linear(128, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        steps, _ = self.lstm(x)
        scores: torch.Tensor = self.head(steps[:, -1])
        return scores


def train(model: nn.Module, x: npt.NDArray[Any], y: npt.NDArray[Any], *, epochs: int) -> None:
    """Train a classifier on two thirds of the rows."""
    count = 2 * len(x) // 3
    given, wanted = torch.from_numpy(x[:count]), torch.from_numpy(y[:count])
    given = given.reshape(count, -1) if isinstance(model, nn.Sequential) else given
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    for _ in range(epochs):
        for part in torch.randperm(count).split(64):  # type: ignore[no-untyped-call]
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(given[part]), wanted[part]).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
