"""A pack of a booster, held against the booster's own answers on rows that the proof never saw."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import onnxpack
from onnxpack.pack.model import Pack

random = np.random.default_rng(11)
X = random.normal(size=(240, 4))
X[random.random(X.shape) < 0.1] = np.nan
X[random.random(X.shape) < 0.15] = 0
FULL = np.nan_to_num(X)
CLASS = (FULL[:, 0] > 0).astype(int) + (FULL[:, 1] > 0.5)
NUMBER = FULL[:, 0] * 2 + FULL[:, 1] + CLASS
POSITIVE = np.abs(NUMBER) + 0.1


def hold(folder: Path, model: Any, sample: Any, rows: Any, *answers: Callable[[Any], Any]) -> Pack:
    """Export with a sample; then compare on rows, output by output."""
    pack = onnxpack.export(model, sample, folder / "pack")
    given = feeds(rows, [spec.name for spec in onnxpack.Model(pack).signature.inputs])
    found = onnxpack.Model(pack, provider="cpu").run(given)
    for (name, array), answer in zip(found.items(), answers, strict=True):
        wanted = np.asarray(answer(rows))
        assert array.shape == wanted.shape, name
        if wanted.dtype.kind == "f":
            np.testing.assert_allclose(array, wanted, rtol=1e-4, atol=1e-5, err_msg=name)
        else:
            np.testing.assert_array_equal(array, wanted, err_msg=name)
    return pack


def feeds(rows: Any, names: list[str]) -> dict[str, Any]:
    if isinstance(rows, np.ndarray):
        return dict.fromkeys(names, rows)
    columns = {}
    for name in names:
        plain = rows[name]
        texts = plain.astype(object).map(type).eq(str).all()
        whole = hasattr(plain, "cat") and not texts
        dtype = object if texts else np.int64 if whole else plain.dtype
        columns[name] = np.asarray(plain.astype(object).to_numpy(), dtype)[:, None]
    return columns


def table(*, category: bool) -> Any:
    """A frame with a column of each kind."""
    import pandas as pd

    made = np.random.default_rng(12)
    frame = pd.DataFrame(
        {
            "a": made.normal(size=240).astype("float32"),
            "city": made.choice(["Aachen", "Bonn", "Köln", "Trier", "Ulm"], 240),
            "ward": made.choice([3, 7, 20], 240),
            "old": made.random(240) < 0.5,
            "visits": made.integers(0, 9, 240),
        }
    )
    return frame.astype({"city": "category", "ward": "category"}) if category else frame


def of_table(frame: Any) -> Any:
    """A target that depends on every kind of column."""
    number = frame["a"] + 2.0 * (frame["city"] == "Köln") + 1.5 * (frame["ward"] == 7)
    return np.asarray(number + frame["old"] + 0.1 * frame["visits"], dtype=float)
