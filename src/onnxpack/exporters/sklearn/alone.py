"""Whether a model answers a row alone as it does among others.

A feature that never varied can get a weight of 1e13. What the weights add up to then hangs on the
order of the sums, which is another one in a batch of one; and a graph that passed every case can
be off in the next row.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from onnxpack.comparison.tolerance import Tolerance, compare
from onnxpack.errors import ExportError
from onnxpack.signature import Array

ROWS = 4
CLOSE = Tolerance(rtol=1e-3, atol=1e-4)
"""Wider than that of a proof: what float32 rounds away is weighed there."""

Feeds = Mapping[str, Array]


def refuse_uneven(run: Callable[[Feeds], Feeds], sample: Feeds) -> None:
    """Refuse a model whose answer to a row depends on whether others are beside it.

    Raises:
        ExportError: it does.
    """
    size = len(next(iter(sample.values())))
    rows = [{k: v[at % size : at % size + 1] for k, v in sample.items()} for at in range(ROWS)]
    together = run({name: np.concatenate([row[name] for row in rows]) for name in sample})
    alone = [run(row) for row in rows]
    for name, array in together.items():
        parts = [answer[name] for answer in alone]
        if any(part.shape != array[:1].shape for part in parts):
            continue  # as many rows as the model likes: the other cases tell of it
        found = compare(name, array, np.concatenate(parts), CLOSE)
        if not found.passed:
            raise ExportError(
                "the model answers differently to a row alone and to the same row among others, so "
                f"that its answer hangs on how sums are rounded: output {name!r}: {found.reason}"
            )
