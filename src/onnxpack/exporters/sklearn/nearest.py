"""Search for the nearest of many points in bounded memory.

All distances of a batch of 20,000 rows to 10,000 points take 1.6 GB. So rows are processed in
chunks. The peak is about ``4 × AT_ONCE`` numbers of 8 bytes (256 MiB), or four rows of distances
if those are larger, whatever the size of the batch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from onnxpack.exporters.sklearn import numeric as n
from onnxpack.exporters.sklearn.distance import squares_in_order
from onnxpack.exporters.sklearn.tensor import Tensor
from onnxpack.signature import Array

AT_ONCE = 2**23
"""How many distances, or terms of distances, are computed at a time."""
SPARE = 16
"""How many points the shortlist has beyond the wanted number, for ties and rounding."""


def in_chunks(
    x: Tensor, most: int, step: Callable[[Tensor], Sequence[Tensor]]
) -> tuple[Tensor, ...]:
    """Return the result of a function of rows, computed for a chunk of rows at a time.

    Args:
        x: [batch, features].
        most: the largest number of rows in a chunk.
        step: returns tensors [rows, width]; the width does not depend on the rows.
    """
    graph = x.graph
    zero, one = graph.constant(np.int64(0)), graph.constant(np.int64(1))
    rows = n.squeeze(n.row_count(x), 0)
    # All chunks have one size, and there is at least one: 1,000 rows in chunks of at most 838 rows
    # become twice 500.
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
    """Return [chunks, rows, width] as [chunks × rows, width].

    The width does not depend on the chunk.
    """
    graph = x.graph
    shape = graph.op("Shape", x, dtype="int64")
    width = n.gather(shape, [2])
    rows = n.gather(shape, [0]) * n.gather(shape, [1])
    return graph.op("Reshape", x, n.concat([rows, width], axis=0), dtype=x.dtype, allowzero=1)


def smallest(far: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Return the ``count`` smallest values of each row and their places, ascending.

    In a tie, the value that comes first in the row counts as smaller.
    """
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
    """Return the squared distances to the nearest points, and the points' numbers.

    The distances are those of :func:`distance.squares_in_order`, and the first point wins a tie.
    That function makes three passes over all distances for each feature, so a matrix product first
    selects a shortlist. If the product's rounding could hide a point as near as the last one
    wanted, in any row of a chunk, all distances of that chunk are computed.

    Args:
        x: float64 [batch, features].
        points: float64 [points, features].
        count: how many points to find for each row.
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
    centre = points.mean(axis=0)  # centred, a product of large numbers loses fewer digits
    apart = points - centre
    lengths = (apart * apart).sum(axis=1)
    moved = rows - centre
    own = n.total(moved * moved, keepdims=True)
    rough, places = smallest(moved @ (-2.0 * apart.T) + lengths[None], listed)
    ascending, _ = smallest(places, listed)  # so that in a tie the first of all points is taken
    near, at = smallest(_squares_at(rows, points, ascending), count)
    chosen = graph.op("GatherElements", ascending, at, dtype="int64", axis=1)
    # Twice the rounding bounds of both ways, in units of (|x| + |y|)² ≤ 2 (|x|² + |y|²).
    error = (own + float(lengths.max())) * ((8.0 * points.shape[1] + 64) * 2.0**-52)
    beyond = n.gather(rough, [listed - 1], axis=1) + own - error
    safe = beyond > n.gather(near, [count - 1], axis=1)
    unsafe = graph.op("Not", safe, dtype="bool").cast("int64")
    sure = n.equal(graph.op("ReduceSum", unsafe, dtype="int64", keepdims=0), np.int64(0))
    return graph.choose(
        sure,
        # A branch of an If can only return values that are computed inside it.
        lambda: [graph.op("Identity", each, dtype=each.dtype) for each in (near, chosen)],
        lambda: smallest(squares_in_order(rows, points), count),
    )


def _squares_at(rows: Tensor, points: Array, places: Tensor) -> Tensor:
    """Return squared distances to the points at these places, summed feature by feature."""
    gap = n.unsqueeze(rows, 1) - n.take(rows.graph, points, places)
    return n.gather(n.cumsum(gap * gap, 2), points.shape[1] - 1, axis=2)
