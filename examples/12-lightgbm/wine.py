"""Train a LightGBM classifier on scikit-learn's wines; the classes have names.

python wine.py     # trains, prints the accuracy, writes wine.txt
"""

from __future__ import annotations

import lightgbm
import numpy as np
from sklearn.datasets import load_wine
from sklearn.model_selection import train_test_split

VINEYARDS = np.array(["Barolo", "Grignolino", "Barbera"])


def load() -> list[np.ndarray]:
    """Measurements to train with and held out, then the vineyards of both."""
    measured, vineyard = load_wine(return_X_y=True)
    names = VINEYARDS[vineyard]
    return train_test_split(measured, names, test_size=0.3, random_state=0, stratify=names)


def train(measured: np.ndarray, vineyard: np.ndarray) -> lightgbm.LGBMClassifier:
    """Forty rounds, a tree of each for each vineyard."""
    model = lightgbm.LGBMClassifier(n_estimators=40, n_jobs=1, random_state=0, verbose=-1)
    return model.fit(measured, vineyard)


def main() -> None:
    """Train, tell the accuracy, save."""
    measured, held_out, vineyard, wanted = load()
    model = train(measured, vineyard)
    right = (model.predict(held_out) == wanted).mean()
    print(f"accuracy on {len(wanted)} held-out wines: {right:.1%}")
    model.booster_.save_model("wine.txt")


if __name__ == "__main__":
    main()
