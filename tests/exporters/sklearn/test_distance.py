"""Distances in a graph, held against SciPy's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.spatial.distance import cdist
from tests.exporters.sklearn.test_tensor import run

from onnxpack.errors import ExportError
from onnxpack.exporters.sklearn.distance import between

random = np.random.default_rng(0)
ROWS, POINTS = random.normal(size=(9, 4)).round(1), random.normal(size=(7, 4)).round(1)
WEIGHTS = np.arange(1.0, 5)


@pytest.mark.parametrize(
    ("metric", "settings"),
    [
        ("braycurtis", {}),
        ("canberra", {}),
        ("chebyshev", {}),
        ("cityblock", {}),
        ("cosine", {}),
        ("euclidean", {}),
        ("hamming", {}),
        ("mahalanobis", {"VI": np.diag(WEIGHTS) + 0.1}),
        ("minkowski", {"p": 3}),
        ("minkowski", {"p": 3, "w": WEIGHTS}),
        ("minkowski", {"p": 1}),
        ("seuclidean", {"V": WEIGHTS}),
        ("sqeuclidean", {}),
    ],
)
def test_metrics(tmp_path: Path, metric: Any, settings: Any) -> None:
    rows = np.concatenate([ROWS, POINTS[:2], [[0, 0, 0.5, 0]]])
    given = dict(settings)
    power = given.pop("p", 2)
    found = run(tmp_path, rows, lambda x: between(x, POINTS, metric, power, given))
    if metric == "braycurtis":  # SciPy's denominator is |u + v|, scikit-learn's |u| + |v|
        gap, both = np.abs(rows[:, None] - POINTS), np.abs(rows)[:, None] + np.abs(POINTS)
        expected = gap.sum(axis=2) / both.sum(axis=2)
    else:
        expected = cdist(rows, POINTS, metric, **settings)
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("settings", [{}, {"w": WEIGHTS}])
@pytest.mark.parametrize("metric", ["jaccard", abs])
def test_others_are_refused(tmp_path: Path, metric: Any, settings: Any) -> None:
    with pytest.raises(ExportError, match=r"the metric .* is not supported"):
        run(tmp_path, ROWS, lambda x: between(x, POINTS, metric, 2, settings))
