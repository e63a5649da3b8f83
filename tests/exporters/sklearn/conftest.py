"""A pack is held against the estimator on rows that the export did not see."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import onnxpack
from onnxpack.errors import OnnxpackError
from onnxpack.pack.model import Pack

METHODS = {
    "label": "predict",
    "prediction": "predict",
    "probabilities": "predict_proba",
    "scores": "decision_function",
    "transformed": "transform",
}


@dataclass(frozen=True)
class Check:
    """Export an estimator; then hold the pack against its own answers."""

    folder: Path

    def proven(
        self, model: Any, sample: Any, rows: Any = None, *, fine: float = 0, **options: Any
    ) -> Pack:
        pack = onnxpack.export(model, sample, self.folder / "pack", **options)
        rows = sample if rows is None else rows
        found = run_with_what_is_read(pack, feeds_of(rows))
        for name, array in found.items():
            usual = 1e-4 if has_float32(rows) else 1e-8
            same(own_answer(model, name, rows), array, fine=fine or usual)
        return pack

    def refused(self, model: Any, sample: Any, word: str, **options: Any) -> OnnxpackError:
        with pytest.raises(OnnxpackError) as caught:
            onnxpack.export(model, sample, self.folder / "pack", **options)
        assert word in str(caught.value)
        assert not (self.folder / "pack").exists()
        return caught.value


def run_with_what_is_read(pack: Pack, feeds: Mapping[str, Any]) -> dict[str, Any]:
    """Run a pack on those columns that are its inputs; the model drops the others."""
    model = onnxpack.Model(pack, provider="cpu")
    read = {spec.name for spec in model.signature.inputs}
    return model.run({name: each for name, each in feeds.items() if name in read})


@pytest.fixture
def check(tmp_path: Path) -> Check:
    return Check(tmp_path)


def own_answer(model: Any, output: str, rows: Any) -> Any:
    """What scikit-learn itself answers; ``probabilities_1`` is the second of a list."""
    name, _, number = output.partition("_")
    with warnings.catch_warnings(action="ignore"):
        found = getattr(model, METHODS[name])(rows)
    found = found[int(number)] if number else found
    return found.toarray() if hasattr(found, "toarray") else np.asarray(found)


def has_float32(rows: Any) -> bool:
    return any(array.dtype == np.float32 for array in feeds_of(rows).values())


def same(expected: Any, found: Any, *, fine: float) -> None:
    if expected.dtype.kind == "f":
        size = np.abs(expected[np.isfinite(expected)]).max(initial=0)
        np.testing.assert_allclose(found, expected, fine, fine * size / 10)
    else:
        np.testing.assert_array_equal(found, expected)


def feeds_of(rows: Any) -> Mapping[str, Any]:
    if hasattr(rows, "columns"):
        return {str(name): column_of(rows[name]) for name in rows.columns}
    array = np.asarray(rows)
    return {"X": array.astype(object) if array.dtype.kind in "UO" else array}


def column_of(series: Any) -> Any:
    if series.dtype.kind in "biuf" and not series.isna().any():
        return series.to_numpy()[:, None]
    if series.dtype.kind in "biuf":
        return series.to_numpy("float64", na_value=np.nan)[:, None]
    return series.astype(object).where(series.notna(), "").to_numpy(object)[:, None]
