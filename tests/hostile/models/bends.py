"""Places where an operator bends, and where PyTorch's and ONNX's may bend otherwise."""

from __future__ import annotations

import torch
from tests.hostile.given import Collection, rand, randint, randn, sizes
from torch import Tensor, nn
from torch.nn import functional as F

collection = Collection()
integers, bends, ordered = "integers", "bends", "ordered-rows"

DAYS = {"a": torch.tensor([[30, 50, 90]]), "b": torch.tensor([[1, 2, 3]])}
ACROSS = [
    {"a": torch.tensor([[3, 50, 2], [1, 8, 0]]), "b": torch.tensor([[30, 2, 10], [9, 1, 1]])},
    {"a": torch.tensor([[-7, -1, 7]]), "b": torch.tensor([[0, 13, 6]])},
]


@collection.module(integers, DAYS, ACROSS, proven=True)
class WeeksBetween(nn.Module):
    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        return (a - b) // 7


@collection.module(integers, DAYS, ACROSS, proven=True)
class Weekday(nn.Module):
    """The remainder has the sign of the divisor."""

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        return (a - b) % 7


@collection.module(integers, DAYS, ACROSS)
class TruncatedDivision(nn.Module):
    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        return torch.div(a - b, 7, rounding_mode="trunc") + torch.fmod(a - b, 5)


@collection.module(integers, DAYS, ACROSS)
class HashBuckets(nn.Module):
    """Differences are folded into buckets, and looked up."""

    def __init__(self) -> None:
        super().__init__()
        self.buckets = nn.Embedding(8, 3)

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        return self.buckets(torch.remainder((a - b) * 31, 8))


@collection.module(integers, DAYS, ACROSS)
class ShiftedRight(nn.Module):
    """An arithmetic shift keeps the sign."""

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        return (a - b) >> 2


@collection.module(
    integers,
    {"a": rand(3, 4) * 9, "b": rand(3, 4, seed=1) + 0.5},
    [{"a": randn(3, 4, seed=2) * 9, "b": randn(3, 4, seed=3) * 2}],
)
class FloatFloorDivision(nn.Module):
    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        return torch.floor_divide(a, b) + torch.remainder(a, b)


@collection.module(integers, DAYS, ACROSS)
class PowerOfIntegers(nn.Module):
    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        return (a - b) ** 3 + (a - b).sign() * 2


@collection.module(
    integers,
    {"a": randint(0, 100, 2, 3).to(torch.uint8), "b": randint(0, 50, 2, 3).to(torch.uint8)},
    [
        {
            "a": torch.full((2, 3), 5, dtype=torch.uint8),
            "b": torch.full((2, 3), 250, dtype=torch.uint8),
        }
    ],
)
class BytesWrapAround(nn.Module):
    """uint8 wraps; the result is used as a float."""

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        return (a - b).float() / 255


PAIR = {"a": randn(3, 4), "b": randn(3, 4, seed=1)}
FAR = [
    {"a": randn(3, 4, seed=2) * 300, "b": randn(3, 4, seed=3) * 300},
    {"a": torch.zeros(3, 4), "b": torch.full((3, 4), -0.0)},
]


@collection.module(bends, PAIR, FAR, proven=True)
class LogAddExp(nn.Module):
    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        return torch.logaddexp(a, b)


@collection.module(bends, PAIR, FAR)
class LogAddExp2(nn.Module):
    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        return torch.logaddexp2(a, b) - torch.logsumexp(torch.stack([a, b]), 0)


@collection.module(
    bends,
    PAIR,
    [{"a": torch.tensor([[-1.0, 1, -2, 0]]), "b": torch.tensor([[0.0, 0, -0.0, 0]])}],
)
class AngleOfReals(nn.Module):
    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        return torch.angle(torch.complex(a, b)) + torch.angle(a)


@collection.module(
    bends,
    PAIR,
    [{"a": torch.tensor([[-1.0, 1, -2, 0]]), "b": torch.tensor([[0.0, 0, -0.0, 0]])}],
)
class Arctangent2(nn.Module):
    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        return torch.atan2(b, a)


@collection.module(bends, PAIR, FAR)
class CosineOfZeros(nn.Module):
    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        return F.cosine_similarity(a, b * (b.abs() > 0.5), dim=1)


@collection.module(bends, PAIR, FAR)
class SoftplusFar(nn.Module):
    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        return F.softplus(a, beta=2.0) + F.mish(b) + F.logsigmoid(a)


@collection.module(bends, PAIR, FAR)
class RoundsHalves(nn.Module):
    """Halves round to even, also with decimals."""

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        halves = torch.round(a) + 0.5
        return torch.round(halves) + torch.round(b, decimals=-1)


@collection.module(bends, PAIR, FAR)
class SignsOfZero(nn.Module):
    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        return torch.sign(a) + torch.copysign(torch.ones_like(a), b) + torch.heaviside(a, b)


@collection.module(bends, PAIR, FAR)
class Normalised(nn.Module):
    """normalize divides by eps where a row is zero; hardshrink and threshold bend."""

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        return F.normalize(a, dim=1) + F.hardshrink(b) + F.threshold(a, 0.0, -1.0)


@collection.module(bends, PAIR, FAR)
class PowersOfNegatives(nn.Module):
    """A negative base is NaN for most exponents."""

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        return torch.pow(a, 3) + torch.pow(a.abs(), b).clamp(max=9) + torch.xlogy(a.abs(), a.abs())


TIMES = sizes(2, 3, None, of=(1, 2, 13, 14, 30, 52, 100))


@collection.module(bends, randn(2, 3, 16), TIMES, dynamic={"x": {2: "time"}}, proven=True)
class NearestToASize(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return F.interpolate(x, size=64)


@collection.module(bends, randn(2, 3, 16), TIMES, dynamic={"x": {2: "time"}})
class NearestExact(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return F.interpolate(x, size=21, mode="nearest-exact")


@collection.module(bends, randn(2, 3, 16), TIMES, dynamic={"x": {2: "time"}})
class LinearToASize(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return F.interpolate(x, size=21, mode="linear", align_corners=True)


@collection.module(bends, randn(2, 3, 16), TIMES, dynamic={"x": {2: "time"}})
class AdaptiveBins(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return F.adaptive_avg_pool1d(x, 5)


WIDTHS = sizes(2, None, of=(1, 2, 5, 40))
WIDTH = {"dynamic": {"x": {1: "width"}}}


@collection.module(bends, randn(2, 6), WIDTHS, **WIDTH, proven=True)
class Linspace(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x + torch.linspace(-1, 1, x.shape[-1])


@collection.module(bends, randn(2, 6), WIDTHS, **WIDTH)
class ArangeWithAStep(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x[:, : -(-x.shape[1] // 3)] + torch.arange(0, x.shape[1], 3)


@collection.module(bends, randn(2, 6), sizes(2, None, of=(2, 5, 40)), **WIDTH, proven=True)
class Differences(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.diff(x, dim=1)


@collection.module(bends, randn(2, 6), sizes(2, None, of=(2, 5, 40)), **WIDTH)
class LogspaceWindow(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x * torch.logspace(0, -2, x.shape[1]) * torch.hann_window(x.shape[1])


@collection.module(bends, randn(2, 6), WIDTHS, **WIDTH)
class SpreadOfOne(nn.Module):
    """The unbiased spread of one is NaN; the median of an even count is the lower."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.stack([x.std(1), x.median(1).values, x.quantile(0.5, 1)], 1)


BATCHES = sizes(None, 4, of=(1, 2, 6, 9, 12))


@collection.module(ordered, randn(4, 4), BATCHES)
class Tracks(nn.Module):
    """Rows have a meaning by their place, and names of a detector's."""

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        y = torch.roll(x, x.shape[0] // 3, 0)
        return {"boxes": y, "scores": y[:, 0]}


@collection.module(ordered, randn(4, 4), BATCHES)
class LabelledTracks(nn.Module):
    """With labels, as torchvision's detectors name them."""

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        y = x.flip(0) if x.shape[0] > 4 else x
        return {"boxes": y, "labels": y[:, 1].long(), "scores": y[:, 0].sigmoid()}


@collection.module(ordered, randn(4, 4), BATCHES)
class ScoresOfKeypoints(nn.Module):
    """The order of the joints is the answer."""

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        joints = torch.cat([x[x.shape[0] // 2 :], x[: x.shape[0] // 2]])
        return {"keypoints": joints, "boxes": joints, "scores": joints.mean(1)}


@collection.module(ordered, randn(4, 4), BATCHES)
class PrefixedTracks(nn.Module):
    """A dict in a dict, whose names end so."""

    def forward(self, x: Tensor) -> dict[str, dict[str, Tensor]]:
        y = x[torch.arange(x.shape[0]).roll(int(x.shape[0] > 5))]
        return {"left": {"boxes": y, "scores": y[:, 0]}}


@collection.module(
    ordered, {"boxes": rand(5, 4)}, [{"boxes": rand(n, 4, seed=n)} for n in (1, 4, 9)]
)
class SmoothedBoxes(nn.Module):
    """Each box is smoothed with the one before it."""

    def forward(self, boxes: Tensor) -> dict[str, Tensor]:
        before = boxes.roll(max(1, boxes.shape[0] // 4), 0)
        return {"boxes": (boxes + before) / 2, "scores": boxes.amax(1)}
