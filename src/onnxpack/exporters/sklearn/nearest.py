"""The nearest of many points, in bounded memory.

All distances of a batch of 20,000 rows to 10,000 points are 1.6 GB. So rows are taken some at a
time, and what is held at once is at most about ``4 × AT_ONCE`` numbers of 8 bytes (256 MiB),
or four rows of distances, whatever the size of the batch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from onnxpack.exporters.sklearn import numeric as n
from onnxpack.exporters.sklearn.distance import squares_in_order
from onnxpack.exporters.sklearn.tensor import Tensor
from onnxpack.signature import Array

AT_ONCE = 2**23
"""The distances, or their parts, that are computed at a time."""
SPARE = 16
"""How many more points than wanted are on the shortlist, for ties and rounding."""


def in_chunks(
    x: Tensor, most: int, step: Callable[[Tensor], Sequence[Tensor]]
) -> tuple[Tensor, ...]:
    """What a function of rows gives, computed for some rows at a time.

    Args:
        x: [batch, features].
        most: rows at a time.
        step: gives tensors [rows, width]; the width is the same for any rows.
    """
    graph = x.graph
    zero, one = graph.constant(np.int64(0)), graph.constant(np.int64(1))
    rows = n.squeeze(n.row_count(x), 0)
    # Chunks of one size, at least one chunk: 1,000 rows of at most 838 are twice 500.
    count = n.maximum(_ceil(rows, graph.constant(np.int64(max(1, most)))), one)
    size = _ceil(rows, count)
    last = rows - one

    def chunk(number: Tensor) -> Sequence[Tensor]:
        within = graph.op("Range", zero, size, one, dtype="int64")
        return step(n.gather(x, n.minimum(number * size + within, last)))

    stacked = graph.collect(count, chunk)
    return tuple(
        n.gather(_unstacked(each), graph.op("Range", zero, rows, one, dtype="int64"))
        for each in stacked
    )


def _ceil(value: Tensor, by: Tensor) -> Tensor:
    graph = value.graph
    return graph.op("Div", value + by - np.int64(1), by, dtype="int64")


def _unstacked(x: Tensor) -> Tensor:
    """[chunks, rows, width] as [chunks × rows, width]; the width is known to be no chunk's."""
    graph = x.graph
    shape = graph.op("Shape", x, dtype="int64")
    width = n.gather(shape, [2])
    rows = n.gather(shape, [0]) * n.gather(shape, [1])
    return graph.op("Reshape", x, n.concat([rows, width], axis=0), dtype=x.dtype, allowzero=1)


def smallest(far: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The smallest of each row and their places, in order; of equals the first."""
    near, places = far.graph.ops(
        "TopK",
        far,
        far.graph.constant(np.array([count], np.int64)),
        dtypes=[far.dtype, "int64"],
        axis=1,
        largest=0,
        sorted=1,
    )
    return near, places


def nearest_squares(x: Tensor, points: Array, count: int) -> tuple[Tensor, Tensor]:
    """The squared distances to the nearest points and their numbers; of equals the first.

    They are those of :func:`distance.squares_in_order`. That takes three passes over all
    distances for each feature, so a product of matrices chooses a shortlist first. Where its
    rounding could hide a point that is as near as the last one wanted, in any row of a chunk,
    all distances are computed after all.

    Args:
        x: float64 [batch, features].
        points: float64 [points, features].
    """
    size, width = points.shape
    listed = count + SPARE
    if 4 * listed >= size:
        most = AT_ONCE // size
        near, places = in_chunks(x, most, lambda r: smallest(squares_in_order(r, points), count))
        return near, places
    most = AT_ONCE // max(size, listed * width)

    def step(rows: Tensor) -> Sequence[Tensor]:
        return _by_shortlist(rows, points, count, listed)

    near, places = in_chunks(x, most, step)
    return near, places


def _by_shortlist(rows: Tensor, points: Array, count: int, listed: int) -> Sequence[Tensor]:
    graph = rows.graph
    centre = points.mean(axis=0)  # so that the product of large numbers loses little
    apart = points - centre
    lengths = (apart * apart).sum(axis=1)
    moved = rows - centre
    own = n.total(moved * moved, keepdims=True)
    rough, places = smallest(moved @ (-2.0 * apart.T) + lengths[None], listed)
    ascending, _ = smallest(places, listed)  # so that of equals the first of all points is taken
    near, at = smallest(_squares_at(rows, points, ascending), count)
    chosen = graph.op("GatherElements", ascending, at, dtype="int64", axis=1)
    # Twice the bounds on the rounding of both ways, in units of (|x| + |y|)² ≤ 2 (|x|² + |y|²).
    error = (own + float(lengths.max())) * ((8.0 * points.shape[1] + 64) * 2.0**-52)
    beyond = n.gather(rough, [listed - 1], axis=1) + own - error
    safe = beyond > n.gather(near, [count - 1], axis=1)
    unsafe = graph.op("Not", safe, dtype="bool").cast("int64")
    sure = n.equal(graph.op("ReduceSum", unsafe, dtype="int64", keepdims=0), np.int64(0))
    return graph.choose(
        sure,
        # The branch of an If gives values of its own, not those around it.
        lambda: [graph.op("Identity", each, dtype=each.dtype) for each in (near, chosen)],
        lambda: smallest(squares_in_order(rows, points), count),
    )


def _squares_at(rows: Tensor, points: Array, places: Tensor) -> Tensor:
    """Squared distances to the points at these places, summed feature after feature."""
    gap = n.unsqueeze(rows, 1) - n.take(rows.graph, points, places)
    return n.gather(n.cumsum(gap * gap, 2), points.shape[1] - 1, axis=2)
