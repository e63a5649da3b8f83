"""Train a CatBoost regressor on scikit-learn's diabetes data, as a frame with a text column.

python diabetes.py     # trains, prints the error
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from catboost import CatBoostRegressor
from sklearn.datasets import load_diabetes
from sklearn.model_selection import train_test_split


def load() -> list[pd.DataFrame]:
    """Frames to train with and held out, then the progress of the disease in both.

    The sex is a text here; in the data it is one of two numbers.
    """
    frame, progress = load_diabetes(return_X_y=True, as_frame=True, scaled=False)
    frame["sex"] = np.where(frame["sex"] == 1, "first", "second")
    return train_test_split(frame, progress, test_size=0.25, random_state=0)


def train(frame: pd.DataFrame, progress: pd.Series) -> CatBoostRegressor:
    """A hundred trees. ``one_hot_max_size`` has categories tested one by one."""
    model = CatBoostRegressor(
        iterations=100,
        depth=4,
        cat_features=["sex"],
        one_hot_max_size=255,
        thread_count=1,
        random_seed=0,
        verbose=0,
        allow_writing_files=False,
    )
    return model.fit(frame, progress)


def main() -> None:
    """Train, tell the error."""
    frame, held_out, progress, wanted = load()
    model = train(frame, progress)
    error = np.abs(model.predict(held_out) - wanted).mean()
    print(f"mean error on {len(wanted)} held-out people: {error:.0f}")


if __name__ == "__main__":
    main()
