"""Which family writes which of scikit-learn's estimators."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from importlib import import_module
from typing import Any

import numpy as np

from onnxpack.exporters.overrides import library_class, refuse_overrides
from onnxpack.exporters.sklearn.convert import Family

MODULES = (
    "bayes", "cluster", "compose", "decomposition", "encode", "ensemble", "hashing", "impute",
    "kernel", "linear", "meta", "neighbors", "neural", "scale", "select", "series", "svm",
    "text", "trees",
)  # fmt: skip
BOOSTERS = {"catboost", "lightgbm", "xgboost"}
"""Packages whose estimators take the rows that scikit-learn's do."""
LIBRARIES = {"sklearn", *BOOSTERS}


def family_of(model: Any) -> Family | None:
    """The family of an estimator of scikit-learn's, or of a booster's package.

    A subclass of the user's has the family of the class that it inherits from. What it overrides
    is refused by :func:`refuse_own_code`, which every conversion calls.
    """
    from onnxpack.exporters.sklearn.families.foreign import Foreign

    home = package_of(model)
    if home == "sklearn":
        return families().get(library_class(model, LIBRARIES).__name__)
    return Foreign() if home else None


def package_of(model: Any) -> str:
    """The package whose class a model is, or inherits from first; empty where there is none."""
    kind = library_class(model, LIBRARIES)
    return "" if kind is object else kind.__module__.partition(".")[0]


def refuse_own_code(model: Any) -> None:
    """Refuse an estimator that answers by code of the user's own, or one of whose members does.

    Members are the fitted estimators of an ensemble. A forest's trees are read without a
    conversion of their own, so they are looked at here.

    Raises:
        ExportError: there is such code.
    """
    members = _flat(getattr(model, "estimators_", ()))
    refuse_overrides([model, *(each for each in members if package_of(each))], LIBRARIES)


def _flat(nested: Any) -> Iterator[Any]:
    """What lists and arrays hold; a pipeline, which has a length too, is one thing."""
    if isinstance(nested, list | tuple | np.ndarray):
        for each in nested:
            yield from _flat(each)
    else:
        yield nested


@cache
def families() -> Mapping[str, Family]:
    """Every family by the class that it writes."""
    found: dict[str, Family] = {}
    for name in MODULES:
        found |= import_module(f"onnxpack.exporters.sklearn.families.{name}").FAMILIES
    return found
