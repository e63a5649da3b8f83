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
    """The family of an estimator of scikit-learn's own; a subclass may do anything else."""
    kind = type(model)
    if kind.__module__.partition(".")[0] != "sklearn":
        return None
    return families().get(kind.__name__)


@cache
def families() -> Mapping[str, Family]:
    """Every family by the class that it writes."""
    found: dict[str, Family] = {}
    for name in MODULES:
        found |= import_module(f"onnxpack.exporters.sklearn.families.{name}").FAMILIES
    return found
