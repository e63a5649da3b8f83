"""Which family writes which of scikit-learn's estimators."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import import_module
from typing import Any

from onnxpack.exporters.sklearn.convert import Family

MODULES = (
    "bayes", "cluster", "compose", "decomposition", "encode", "ensemble", "impute", "kernel",
    "linear", "meta", "neighbors", "neural", "scale", "select", "series", "svm", "text", "trees",
)  # fmt: skip


def family_of(model: Any) -> Family | None:
    """The family of an estimator of scikit-learn's own, or of a booster's package.

    A subclass of the user's may do anything else, and has none.
    """
    from onnxpack.exporters.sklearn.families.foreign import PACKAGES, Foreign

    kind = type(model)
    home = kind.__module__.partition(".")[0]
    if home in PACKAGES:
        return Foreign()
    return families().get(kind.__name__) if home == "sklearn" else None


@cache
def families() -> Mapping[str, Family]:
    """Every family by the class that it writes."""
    found: dict[str, Family] = {}
    for name in MODULES:
        found |= import_module(f"onnxpack.exporters.sklearn.families.{name}").FAMILIES
    return found
