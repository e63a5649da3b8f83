"""Finds rows that are equally far from several training rows.

scikit-learn chooses among them by its search method: by a tree, by ``numpy.argpartition``, whose
order depends on the processor, or by distances that are rounded in another order from one batch to
the next. Each choice is right, but a graph can give only one of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from onnxpack.exporters.sklearn.convert import private
from onnxpack.signature import Array

CLOSE = 1e-9
"""Squared distances count as equal if they differ by at most this share of the squared scale.

The scale is the largest distance, or for an imputer the largest norm of a training row.
"""
SHOWN = 3


def describe_ties(model: Any, rows: Any) -> str:
    """Return a description of the rows that have ties; empty if none is found."""
    for each, seen in _searches(model, rows):
        found = list(_tied(each, seen))
        if found:
            pairs = [(row, *sorted(places)) for row, *places in found[:SHOWN]]
            shown = "; ".join(f"row {row} from {one} and {two}" for row, one, two in pairs)
            more = f", and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
            return f"some rows are equally far from several training rows ({shown}{more})"
    return ""


def _searches(model: Any, rows: Any) -> Iterator[tuple[Any, Any]]:
    """Yield each estimator that searches for neighbours, with the rows that it is given."""
    for _, step in getattr(model, "steps", [("", model)]):
        if step is None or isinstance(step, str):
            continue
        if hasattr(step, "kneighbors") or hasattr(step, "_mask_fit_X"):
            yield step, rows
        if not hasattr(step, "transform"):
            return
        rows = step.transform(rows)


def _tied(each: Any, rows: Any) -> Iterator[tuple[int, int, int]]:
    """Yield each row with a tie, and the two training rows at its last and next distance.

    The two are equally far from the row, but only one of them is among its nearest neighbours.
    """
    if hasattr(each, "_mask_fit_X"):
        yield from _tied_donors(each, np.asarray(rows, np.float64))
        return
    count = int(getattr(each, "n_neighbors", 0) or 0)
    if not 0 < count < each.n_samples_fit_:
        return
    far, places = each.kneighbors(rows, n_neighbors=count + 1)
    for row in np.flatnonzero(_equal(far[:, -2], far[:, -1], far.max(initial=0))):
        yield int(row), int(places[row, -2]), int(places[row, -1])


def _tied_donors(imputer: Any, rows: Array) -> Iterator[tuple[int, int, int]]:
    from sklearn.metrics.pairwise import nan_euclidean_distances

    known, lacking = private(imputer, "_fit_X"), private(imputer, "_mask_fit_X")
    far = nan_euclidean_distances(rows, known)
    size = float(np.sqrt(np.nansum(np.square(known), axis=1).max(initial=0)))
    for at in range(rows.shape[1]):
        donors = np.flatnonzero(~lacking[:, at])
        count = imputer.n_neighbors
        receivers = np.flatnonzero(np.isnan(rows[:, at]))
        if count >= len(donors) or not len(receivers):
            continue
        own = far[np.ix_(receivers, donors)]
        if imputer.weights == "distance" and len(donors) > 1:
            yield from _at_no_distance(own, receivers, donors, size)
        order = np.argsort(own, axis=1, kind="stable")[:, count - 1 : count + 1]
        last, beyond = np.take_along_axis(own, order, axis=1).T
        for place in np.flatnonzero(_equal(last, beyond, size)):
            one, two = donors[order[place]]
            yield int(receivers[place]), int(one), int(two)


def _at_no_distance(
    far: Array, receivers: Array, donors: Array, size: float
) -> Iterator[tuple[int, int, int]]:
    """Yield rows at distance 0 from two donors; rounding decides which donors count."""
    order = np.argsort(far, axis=1, kind="stable")[:, :2]
    second = np.take_along_axis(far, order, axis=1)[:, 1]
    for place in np.flatnonzero(_equal(second, np.zeros_like(second), size)):
        one, two = donors[order[place]]
        yield int(receivers[place]), int(one), int(two)


def _equal(one: Array, two: Array, size: float) -> Array:
    return np.asarray(np.abs(one**2 - two**2) <= CLOSE * size**2)
