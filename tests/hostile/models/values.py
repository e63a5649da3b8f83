"""Python decides from the values of a tensor, in each of the ways in which people write it."""

from __future__ import annotations

import bisect
import math
import operator

import numpy as np
import torch
from tests.hostile.given import Collection, Linear, rand, randint, randn
from torch import Tensor, nn
from torch.nn import functional as F

collection = Collection()
branches = "values"

QUIET, LOUD = randn(3, 6, seed=1), randn(4, 6, seed=2) * 1e3


@collection.module(branches, randn(4, 6), [QUIET, LOUD])
class RescaledWhenItExplodes(Linear):
    def forward(self, x: Tensor) -> Tensor:
        y = self.layer(x)
        norm = y.norm()
        return y / norm if norm > 100 else y


@collection.module(branches, randn(4, 6), [QUIET, LOUD])
class ClippedInAHook(Linear):
    """The decision is in a hook, not in forward."""

    def __init__(self) -> None:
        super().__init__()
        self.layer.register_forward_hook(self._clip)

    @staticmethod
    def _clip(_module: nn.Module, _given: object, answer: Tensor) -> Tensor:
        return answer.clamp(-1, 1) if float(answer.abs().amax()) > 50 else answer

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x)


@collection.module(branches, randn(4, 6), [QUIET, -LOUD, LOUD])
class ChoosesAHeadByRank(Linear):
    """``max`` of Python over tensors compares them."""

    def __init__(self) -> None:
        super().__init__()
        self.other = nn.Linear(6, 6)

    def forward(self, x: Tensor) -> Tensor:
        heads = [(self.layer(x).mean() + 300, 0), (self.other(x).mean(), 1)]
        _, best = max(heads, key=operator.itemgetter(0))
        return self.layer(x) if best == 0 else self.other(x) * 2


@collection.module(branches, rand(4, 6), [rand(3, 6, seed=1), rand(3, 6, seed=1) * 40])
class BinsByBisection(Linear):
    """A list of thresholds is searched with the mean."""

    edges = (5.0, 10.0, 15.0)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x) * (1 + bisect.bisect(self.edges, x.mean()))


@collection.module(branches, randn(4, 6), [QUIET, LOUD])
class StopsWhenConverged(Linear):
    """A fixed point is sought until a step is small."""

    def forward(self, x: Tensor) -> Tensor:
        y = x
        for _ in range(50):
            following = 0.5 * y + 0.1
            if torch.allclose(following, y, atol=1e-2):
                break
            y = following
        return self.layer(y)


@collection.module(branches, randn(4, 6), [QUIET, randn(4, 6, seed=2) + 1e4])
class BlanksWhatIsOutOfRange(Linear):
    """Answers NaN outside of the range that it was trained on."""

    def forward(self, x: Tensor) -> Tensor:
        y = self.layer(x)
        if not ((x > -1e3) & (x < 1e3)).all().item():
            y = torch.full_like(y, math.nan)
        return y


@collection.module(
    branches,
    {"ids": randint(1, 9, 3, 5), "length": torch.tensor(5)},
    [
        {"ids": randint(1, 9, 3, 5, seed=1), "length": torch.tensor(5)},
        {"ids": randint(1, 9, 3, 5, seed=1), "length": torch.tensor(2)},
    ],
)
class CutsAtALengthItIsGiven(nn.Module):
    """A slice bound is a tensor, which becomes an index."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(9, 4)

    def forward(self, ids: Tensor, length: Tensor) -> Tensor:
        return self.words(ids)[:, :length].mean(1)


@collection.module(branches, randn(4, 6), [QUIET, LOUD, -LOUD])
class LooksUpATable(Linear):
    """A dict is keyed by a number out of a tensor."""

    def forward(self, x: Tensor) -> Tensor:
        level = {0: 1.0, 1: 0.5}.get(int(x.abs().max() / 100), 0.0)
        return self.layer(x) * level


@collection.module(branches, randn(4, 6), [QUIET, LOUD])
class WinsorizedByNumpy(Linear):
    """The percentile of what was seen is made a constant."""

    def forward(self, x: Tensor) -> Tensor:
        limit = np.percentile(x.abs().detach().cpu().numpy(), 90)
        return self.layer(x.clamp(-float(limit), float(limit)))


@collection.module(branches, randn(4, 6), [QUIET, LOUD])
class RetriesWithMoreDamping(nn.Module):
    """A while loop whose condition is a tensor."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(6, 6), nn.Tanh())

    def forward(self, x: Tensor) -> Tensor:
        damping = 1.0
        while (self.net(x * damping).abs() > 0.999).any():
            damping *= 0.5
        return self.net(x * damping)


@collection.module(branches, randn(4, 6), [QUIET, LOUD])
class SwitchesByMatch(Linear):
    """A match statement on the sign of the sum, with a guard."""

    def forward(self, x: Tensor) -> Tensor:
        match float(x.abs().sum()):
            case total if total > 1000:
                return F.normalize(self.layer(x))
            case _:
                return self.layer(x)


@collection.module(branches, randn(4, 6), [QUIET, LOUD])
class ShortCircuits(Linear):
    """``or`` and ``not`` ask a tensor for its truth."""

    def forward(self, x: Tensor) -> Tensor:
        safe = (x.abs().max() < 500) or x.new_zeros(())
        return self.layer(x) * safe


@collection.module(branches, rand(4, 6), [rand(3, 6, seed=4), rand(4, 6, seed=5) * 9])
class SortsInPython(Linear):
    """``sorted`` compares rows by a key."""

    def forward(self, x: Tensor) -> Tensor:
        columns = sorted(range(6), key=lambda i: x[:, i].sum().item() if i > 2 else -1.0 + i / 9)
        return self.layer(x[:, columns])


@collection.module(branches, randn(4, 6), [QUIET, LOUD])
class ComparesWithEqual(Linear):
    """``torch.equal`` says whether clamping did anything."""

    def forward(self, x: Tensor) -> Tensor:
        held = x.clamp(-100, 100)
        return self.layer(x) if torch.equal(held, x) else self.layer(held) * 0


@collection.module(branches, randn(4, 6), [QUIET, LOUD])
class BuildsARange(nn.Module):
    """A number out of the data becomes the length of a range."""

    def forward(self, x: Tensor) -> Tensor:
        steps = torch.arange(int(x.abs().max().clamp(max=30)))
        return x.mean(1, keepdim=True) + steps


@collection.module(branches, randn(4, 6), [QUIET, LOUD])
class DecidesInAnAutogradFunction(Linear):
    """The decision is inside a custom autograd function."""

    class Guard(torch.autograd.Function):
        @staticmethod
        def forward(ctx: object, x: Tensor) -> Tensor:
            return x * 0 if bool(x.abs().sum() > 1e3) else x.clone()

        @staticmethod
        def backward(ctx: object, gradient: Tensor) -> Tensor:
            return gradient

    def forward(self, x: Tensor) -> Tensor:
        return self.Guard.apply(self.layer(x))
