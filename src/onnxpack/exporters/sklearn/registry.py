"""The table of scikit-learn's estimators and their converters."""

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
"""Packages whose estimators take the same rows as scikit-learn's."""
LIBRARIES = {"sklearn", *BOOSTERS}


def family_of(model: Any) -> Family | None:
    """Return the converter of an estimator of scikit-learn or of a booster's package, or None.

    A user's subclass has the converter of the class that it inherits from.
    :func:`refuse_own_code`, which every conversion calls, rejects what the subclass overrides.
    """
    from onnxpack.exporters.sklearn.families.foreign import Foreign

    home = package_of(model)
    if home == "sklearn":
        return families().get(library_class(model, LIBRARIES).__name__)
    return Foreign() if home else None


def package_of(model: Any) -> str:
    """Return the package of a model's class, or of the first library class it inherits from.

    The result is empty if neither scikit-learn nor a booster's package defines such a class.
    """
    kind = library_class(model, LIBRARIES)
    return "" if kind is object else kind.__module__.partition(".")[0]


def refuse_own_code(model: Any) -> None:
    """Raise an error if the user's own code computes the answers of an estimator or of its members.

    Members are the fitted estimators of an ensemble. The trees of a forest are read without a
    conversion of their own, so they are checked here.

    Raises:
        ExportError: an answering method is not the library's own.
    """
    members = _flat(getattr(model, "estimators_", ()))
    refuse_overrides([model, *(each for each in members if package_of(each))], LIBRARIES)


def _flat(nested: Any) -> Iterator[Any]:
    """Yield the items of nested lists and arrays; a pipeline, which has a length, is one item."""
    if isinstance(nested, list | tuple | np.ndarray):
        for each in nested:
            yield from _flat(each)
    else:
        yield nested


@cache
def families() -> Mapping[str, Family]:
    """Return the converters by the name of the class that they convert."""
    found: dict[str, Family] = {}
    for name in MODULES:
        found |= import_module(f"onnxpack.exporters.sklearn.families.{name}").FAMILIES
    return found
