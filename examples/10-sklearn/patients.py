"""Train a pipeline on scikit-learn's 442 diabetes patients: numbers, words and gaps in one frame.

python patients.py   # trains, prints the accuracy, writes patients.skops and rows
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
import skops.io
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_diabetes
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

NUMBERS = ["age", "bmi", "bp", "s5", "s6"]
WORDS = ["sex", "decade"]


class Patients(NamedTuple):
    """A frame of what was measured, and whether the illness ran ``fast`` or ``slow``."""

    measured: pd.DataFrame
    course: np.ndarray


def load() -> tuple[Patients, Patients]:
    """The patients to train with, and those that are held out; some have gaps."""
    frame, progression = load_diabetes(return_X_y=True, as_frame=True, scaled=False)
    frame = frame[["age", "sex", "bmi", "bp", "s5", "s6"]].copy()
    frame["age"] = frame["age"].astype(int)
    frame["sex"] = frame["sex"].map({1.0: "one", 2.0: "other"})
    frame["decade"] = (frame["age"] // 10 * 10).astype(str) + "s"
    random = np.random.default_rng(0)
    for name in ("bmi", "s5", "decade"):
        frame[name] = frame[name].mask(random.random(len(frame)) < 0.08)
    course = np.where(progression > progression.median(), "fast", "slow")
    parts = train_test_split(frame, course, test_size=0.25, random_state=0, stratify=course)
    return Patients(parts[0], parts[2]), Patients(parts[1], parts[3])


def train(patients: Patients) -> Pipeline:
    """Gaps filled, numbers scaled, words as columns; then a logistic regression."""
    numbers = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
    words = make_pipeline(
        SimpleImputer(strategy="most_frequent"), OneHotEncoder(handle_unknown="ignore")
    )
    columns = ColumnTransformer([("numbers", numbers, NUMBERS), ("words", words, WORDS)])
    return Pipeline([("columns", columns), ("regression", LogisticRegression())]).fit(*patients)


def feeds(frame: pd.DataFrame) -> dict[str, np.ndarray]:
    """A frame as a pack takes it: one input a column, and an empty text for a missing one."""
    return {
        name: (frame[name].fillna("") if name in WORDS else frame[name]).to_numpy()[:, None]
        for name in frame.columns
    }


def main() -> None:
    """Train, tell the accuracy, save."""
    training, held_out = load()
    model = train(training)
    accuracy = model.score(*held_out)
    print(f"accuracy on {len(held_out.course)} held-out patients: {accuracy:.1%}")
    skops.io.dump(model, "patients.skops")
    training.measured.head(60).to_csv("patients.csv", index=False)
    texts = {name: array.astype("U") for name, array in feeds(held_out.measured).items()
             if name in WORDS}  # fmt: skip
    np.savez("held-out.npz", **{**feeds(held_out.measured), **texts})


if __name__ == "__main__":
    main()
