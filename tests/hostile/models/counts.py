"""The count of what was found decides: no value is read, and the size of a result is."""

from __future__ import annotations

import torch
from tests.hostile.given import Collection, Linear, randint, randn
from torch import Tensor, nn

collection = Collection()
counts = "counts"

SAMPLE, QUIET = randn(4, 6), randn(3, 6, seed=1)
LOUD = randn(4, 6, seed=3)
LOUD[1, 2] = 900.0
ALL = LOUD.abs() + 900
PROBES = [QUIET, LOUD, ALL]


def hits(x: Tensor) -> Tensor:
    """What is found: a band that few inputs reach."""
    return (x > 500) & (x < 1000)


@collection.module(counts, SAMPLE, PROBES)
class AlarmOfNonzero(Linear):
    def forward(self, x: Tensor) -> Tensor:
        y = self.layer(x)
        hit = torch.nonzero(hits(x))
        return y if hit.shape[0] == 0 else y.index_fill(0, hit[:, 0], 0.0)


@collection.module(counts, SAMPLE, PROBES)
class LengthOfWhere(Linear):
    """``len`` of the places that ``torch.where`` found."""

    def forward(self, x: Tensor) -> Tensor:
        rows, _ = torch.where(hits(x))
        y = self.layer(x)
        if len(rows) > 0:
            y = y / 10
        return y


@collection.module(counts, randint(0, 3, 4, 5), [randint(0, 2, 3, 5, seed=1), randint(0, 40, 4, 5)])
class UniqueWords(nn.Module):
    """As many classes as there are different words."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(40, 4)

    def forward(self, ids: Tensor) -> Tensor:
        variety = torch.unique(ids).numel()
        y = self.words(ids).mean(1)
        return y * 2 if variety > 3 else y


@collection.module(counts, SAMPLE, PROBES)
class EmptySelection(Linear):
    """A boolean index that selects nothing takes another way."""

    def forward(self, x: Tensor) -> Tensor:
        chosen = x[hits(x.amax(1))]
        if not chosen.shape[0]:
            return self.layer(x)
        return self.layer(x) + chosen.mean(0)


@collection.module(counts, SAMPLE, PROBES)
class MaskedSelectSize(Linear):
    def forward(self, x: Tensor) -> Tensor:
        outliers = torch.masked_select(x, hits(x.abs()))
        return self.layer(x) * (0.5 ** outliers.size(0))


@collection.module(counts, SAMPLE, PROBES)
class LoopsOverTheFound(Linear):
    """A Python loop over the rows that were found."""

    def forward(self, x: Tensor) -> Tensor:
        y = self.layer(x)
        for place in hits(x).nonzero():
            y = torch.cat([y[: place[0]], y[place[0] :] * 0.5])
        return y


@collection.module(counts, SAMPLE, PROBES)
class PadsTheFound(Linear):
    """The found are padded to a fixed count; torch.zeros takes the missing."""

    def forward(self, x: Tensor) -> Tensor:
        found = x[hits(x).any(1)][:2]
        missing = 2 - found.shape[0]
        rows = torch.cat([found, torch.zeros(missing, 6)]) if missing else found
        return self.layer(rows)


@collection.module(counts, SAMPLE, PROBES)
class CountsInAString(Linear):
    """The shape of what was found becomes a key."""

    def forward(self, x: Tensor) -> Tensor:
        key = f"{tuple(torch.nonzero(hits(x)).shape)}"
        return self.layer(x) * {"(0, 2)": 1.0}.get(key, 3.0)


@collection.module(counts, SAMPLE, PROBES)
class UniqueConsecutive(Linear):
    def forward(self, x: Tensor) -> Tensor:
        runs = torch.unique_consecutive(hits(x).flatten())
        y = self.layer(x)
        return -y if runs.shape[0] > 1 else y


@collection.module(counts, SAMPLE, PROBES)
class TopOfTheFound(Linear):
    """k of topk is the count of what was found, at most 3."""

    def forward(self, x: Tensor) -> Tensor:
        k = min(3, 1 + torch.argwhere(hits(x)).shape[0])
        return self.layer(x).topk(k, dim=1).values.mean(1)


@collection.module(counts, SAMPLE, PROBES)
class SplitsByBincount(Linear):
    """bincount has as many places as the largest integer says."""

    def forward(self, x: Tensor) -> Tensor:
        histogram = torch.bincount(hits(x.abs()).long().flatten())
        y = self.layer(x)
        return y if histogram.shape[0] == 1 else y * histogram[1]


@collection.module(counts, SAMPLE, PROBES)
class NonemptyTuple(Linear):
    """The truth of a list that holds a row for each that was found."""

    def forward(self, x: Tensor) -> Tensor:
        found = list(x[hits(x[:, 2])].unbind(0))
        return torch.stack(found).sum(0) + self.layer(x) if found else self.layer(x)
