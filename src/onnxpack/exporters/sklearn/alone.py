"""Check that a model gives the same answer for a row by itself as for the row within a batch.

A feature that never varied can get a weight of 1e13. The result then depends on the order in which
terms are summed, which differs for a batch of one. A graph that passed every case can fail on the
next row.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from onnxpack.comparison.tolerance import Tolerance, compare
from onnxpack.errors import ExportError
from onnxpack.signature import Array

ROWS = 4
CLOSE = Tolerance(rtol=1e-3, atol=1e-4)
"""Wider than the tolerance of the parity check, which judges the rounding of float32."""

Feeds = Mapping[str, Array]


def refuse_uneven(run: Callable[[Feeds], Feeds], sample: Feeds) -> None:
    """Raise an error if the model's answer for a row depends on the other rows of the batch.

    Args:
        run: returns the model's outputs for named inputs.
        sample: the named inputs; their first :data:`ROWS` rows are used.

    Raises:
        ExportError: the answers for a row differ.
    """
    size = len(next(iter(sample.values())))
    rows = [{k: v[at % size : at % size + 1] for k, v in sample.items()} for at in range(ROWS)]
    together = run({name: np.concatenate([row[name] for row in rows]) for name in sample})
    try:
        alone = [run(row) for row in rows]
    except Exception:  # noqa: BLE001 - an estimator can refuse a batch of one, as its case reports
        return
    for name, array in together.items():
        parts = [answer[name] for answer in alone]
        if any(part.shape != array[:1].shape for part in parts):
            continue  # the number of rows differs, which the other cases report
        found = compare(name, array, np.concatenate(parts), CLOSE)
        if not found.passed:
            raise ExportError(
                "the model answers differently to a row alone and to the same row among "
                f"others, so its answer depends on how sums are rounded: output {name!r}: "
                f"{found.reason}"
            )
