"""Sizes that Python learns by other ways than ``x.shape``, and decides from."""

from __future__ import annotations

import functools
import math

import torch
from tests.hostile.given import Collection, Linear, randn, sizes
from torch import Tensor, nn

collection = Collection()
read = "sizes-read"

SAMPLE = randn(4, 6)
PROBES = sizes(None, 6, of=(1, 3, 9, 100, 700))
SQUARES = [randn(2, n, n, seed=n) for n in (2, 5, 9)]


@collection.module(read, SAMPLE, PROBES)
class Numel(Linear):
    def forward(self, x: Tensor) -> Tensor:
        y = self.layer(x)
        if torch.numel(y) > 256:
            return torch.cat([part - part.mean() for part in y.split(32)])
        return y - y.mean()


@collection.module(read, SAMPLE, PROBES)
class Nelement(Linear):
    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x) * (1 if x.nelement() < 50 else 2)


@collection.module(read, SAMPLE, PROBES)
class Nbytes(Linear):
    """A budget in bytes."""

    def forward(self, x: Tensor) -> Tensor:
        step = x.shape[0] if x.nbytes < 1024 else 16
        return torch.cat([torch.softmax(self.layer(part), 0) for part in x.split(step)])


@collection.module(read, SAMPLE, PROBES)
class LengthByLen(Linear):
    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x)[: max(1, len(x) // 2)] if len(x) > 5 else self.layer(x)


@collection.module(read, SAMPLE, PROBES)
class ByStride(Linear):
    """The stride of a transposed tensor is the batch's size."""

    def forward(self, x: Tensor) -> Tensor:
        columns = x.t().contiguous()
        y = self.layer(x)
        return y.flip(1) if columns.stride(0) > 8 else y


@collection.module(read, SAMPLE, PROBES)
class ElementSize(Linear):
    """Elements times their size, and a sum over a dict of buffers."""

    def forward(self, x: Tensor) -> Tensor:
        memory = sum(each.element_size() * each.nelement() for each in {"x": x}.values())
        return self.layer(x) / (1 + (memory > 2000))


@collection.module(read, SAMPLE, PROBES)
class ShapeAsAKey(Linear):
    """A cache that is keyed by a shape."""

    def __init__(self) -> None:
        super().__init__()
        self.known = {torch.Size([4, 6]): 1.0, torch.Size([1, 6]): 0.5}

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x) * self.known.get(x.shape, 3.0)


@functools.lru_cache
def window(length: int) -> float:
    return 1.0 if length < 8 else 1 / length


@collection.module(read, SAMPLE, PROBES)
class CachedByLength(Linear):
    """lru_cache hashes the size."""

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x) * window(x.size(0))


@collection.module(read, SAMPLE, PROBES)
class Unpacked(Linear):
    """Sizes unpacked into names, and divmod of one."""

    def forward(self, x: Tensor) -> Tensor:
        n, _ = x.size()
        full, rest = divmod(n, 4)
        return self.layer(x) + (full if rest else -full)


@collection.module(read, SAMPLE, PROBES)
class MathOfASize(Linear):
    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x) * math.sqrt(x.shape[0]) + math.log1p(x.shape[0])


@collection.module(read, SAMPLE, PROBES)
class InAString(Linear):
    """The number of digits of a size."""

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x) * len(str(x.shape[0]))


@collection.module(read, SAMPLE, PROBES)
class ParameterOfASize(Linear):
    """A layer is picked by a size, out of a ModuleList."""

    def __init__(self) -> None:
        super().__init__()
        self.heads = nn.ModuleList(nn.Linear(6, 2) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        return self.heads[min(x.shape[0] // 8, 2)](x)


@collection.module(read, SAMPLE, PROBES)
class ZippedWithTheBatch(Linear):
    """zip stops at the shorter of the two."""

    def forward(self, x: Tensor) -> Tensor:
        rows = [row * weight for row, weight in zip(x, (1.0, 0.5, 0.25, 0.1), strict=False)]
        return self.layer(torch.stack(rows)).sum(0)


@collection.module(read, SAMPLE, PROBES)
class MemoryFormat(Linear):
    """is_contiguous and the equality of two sizes."""

    def forward(self, x: Tensor) -> Tensor:
        pairs = x @ x.t()
        return self.layer(x) + (1.0 if pairs.shape == (4, 4) else pairs.mean())


@collection.module(read, randn(2, 4, 4), SQUARES, dynamic={"x": {1: "height", 2: "width"}})
class SquareOrNot(nn.Module):
    """Whether two dynamic sizes are equal decides."""

    def forward(self, x: Tensor) -> Tensor:
        return x @ x.transpose(1, 2) if x.shape[1] == x.shape[2] else x.sum(2, keepdim=True)


@collection.module(read, SAMPLE, PROBES)
class BroadcastShapes(Linear):
    """torch.broadcast_shapes gives plain integers."""

    def forward(self, x: Tensor) -> Tensor:
        n = torch.broadcast_shapes(x.shape, (1, 6))[0]
        return torch.where(torch.tensor(n > 8), self.layer(x).cumsum(0), self.layer(x))


@collection.module(read, SAMPLE, PROBES)
class UntypedStorageBytes(Linear):
    """The bytes of the storage."""

    def forward(self, x: Tensor) -> Tensor:
        y = self.layer(x)
        return y * (0.1 if y.untyped_storage().nbytes() > 1000 else 1.0)
