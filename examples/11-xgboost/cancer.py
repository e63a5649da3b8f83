"""Train an XGBoost classifier on scikit-learn's breast cancer data, with gaps in it.

python cancer.py     # trains, prints the accuracy, writes cancer.ubj and cancer-rows.npz
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import xgboost
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import train_test_split


class Rows(NamedTuple):
    """Measurements as float32[n, 30], some of them NaN; 1 is benign."""

    measured: np.ndarray
    benign: np.ndarray


def load() -> tuple[Rows, Rows]:
    """The rows to train with, and those that are held out; one value in twenty is missing."""
    measured, benign = load_breast_cancer(return_X_y=True)
    measured = measured.astype(np.float32)
    measured[np.random.default_rng(0).random(measured.shape) < 0.05] = np.nan
    parts = train_test_split(measured, benign, test_size=0.25, random_state=0, stratify=benign)
    return Rows(parts[0], parts[2]), Rows(parts[1], parts[3])


def train(rows: Rows) -> xgboost.XGBClassifier:
    """Sixty trees."""
    model = xgboost.XGBClassifier(n_estimators=60, max_depth=4, n_jobs=1, random_state=0)
    return model.fit(rows.measured, rows.benign)


def main() -> None:
    """Train, tell the accuracy, save."""
    training, held_out = load()
    model = train(training)
    right = (model.predict(held_out.measured) == held_out.benign).mean()
    print(f"accuracy on {len(held_out.benign)} held-out rows: {right:.1%}")
    model.save_model("cancer.ubj")
    np.savez("cancer-rows.npz", X=held_out.measured)


if __name__ == "__main__":
    main()
