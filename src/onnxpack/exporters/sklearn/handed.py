"""Records what each booster inside a model is handed: a sparse matrix, a frame or an array.

A booster answers differently to the same numbers in another container. XGBoost takes entries that a
sparse matrix does not store, which are all zeros, as missing. All boosters number the categories of
a frame. The fitted model shows neither, so its calls are recorded while it answers the sample.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from importlib import import_module
from types import ModuleType
from typing import Any

from onnxpack.exporters.replaced import replaced
from onnxpack.exporters.sklearn.registry import BOOSTERS, package_of

METHODS = ("predict", "predict_proba")
"""The methods of a booster to which scikit-learn passes rows."""
TRANSFORMERS: Mapping[str, Callable[[Handed], bool]] = {
    "sklearn.feature_extraction.FeatureHasher": lambda h: h.by.alternate_sign,
    "sklearn.feature_extraction.text.HashingVectorizer": lambda h: (
        h.by.alternate_sign and not h.by.binary
    ),
    "sklearn.impute.SimpleImputer": lambda h: h.sparse,
    "sklearn.preprocessing.FunctionTransformer": lambda h: h.sparse and h.by.func is not None,
    "sklearn.preprocessing.QuantileTransformer": lambda h: h.sparse,
    "sklearn.preprocessing.SplineTransformer": lambda h: h.by.sparse_output,
}
"""Estimators that can store a zero in a sparse matrix, each with a test of whether it does.

Two hashes of opposite sign sum to a stored zero; a median of 0 and a spline at a knot store one.
"""


@dataclass(frozen=True)
class Handed:
    """The rows that an estimator was handed.

    Attributes:
        by: the estimator.
        rows: the first rows that it was handed: an array, a sparse matrix or a data frame.
        varied: whether it was also handed rows of another kind.
    """

    by: Any
    rows: Any
    varied: bool = False

    @property
    def sparse(self) -> bool:
        """Whether the rows are a sparse matrix."""
        return hasattr(self.rows, "toarray")

    @property
    def framed(self) -> bool:
        """Whether the rows are a data frame."""
        return hasattr(self.rows, "iloc") and hasattr(self.rows, "columns")

    @property
    def categories(self) -> bool:
        """Whether the rows are a frame with a column of pandas' dtype ``category``."""
        return self.framed and any(hasattr(column, "cat") for _, column in self.rows.items())

    @property
    def stores_zeros(self) -> bool:
        """Whether the estimator can return a sparse matrix that stores a zero."""
        tests = ((_class(path), test) for path, test in TRANSFORMERS.items())
        return any(isinstance(self.by, kind) and test(self) for kind, test in tests)


Record = Mapping[int, Handed]
"""What each estimator was handed, by the estimator's ``id``."""


def coded_columns(record: Record, packages: Collection[str]) -> set[str]:
    """Return the categorical columns that boosters of these packages are handed."""
    handed = (each for each in record.values() if package_of(each.by) in packages)
    return {
        str(name)
        for each in handed
        if each.framed
        for name, column in each.rows.items()
        if hasattr(column, "cat")
    }


def watched(answer: Callable[[], object]) -> Record:
    """Return what the boosters and :data:`TRANSFORMERS` are handed while a model answers.

    Everything runs in this thread: calls in other threads and processes are not recorded.
    """
    import joblib

    record: dict[int, Handed] = {}
    with ExitStack() as stack:
        stack.enter_context(joblib.parallel_config(backend="sequential"))
        for kind, name in _methods():
            stack.enter_context(replaced(kind, name, _noting(vars(kind)[name], record)))
        answer()
    return record


def _methods() -> Iterator[tuple[type, str]]:
    """Yield the recorded methods, each with the class that defines it."""
    for package in sorted(BOOSTERS & sys.modules.keys()):
        for kind in set(_classes(sys.modules[package])):
            yield from ((kind, name) for name in METHODS if name in vars(kind))
    for path in TRANSFORMERS:
        yield _class(path), "transform"


def _classes(package: ModuleType) -> Iterator[type]:
    """Return the classes that a package has under its public names."""
    return (each for each in vars(package).values() if isinstance(each, type))


def _class(path: str) -> type:
    module, _, name = path.rpartition(".")
    found: type = getattr(import_module(module), name)
    return found


def _noting(plain: Callable[..., Any], record: dict[int, Handed]) -> Callable[..., Any]:
    """Return a method that records the rows that it is called with."""

    def method(by: Any, *args: Any, **kwargs: Any) -> Any:
        now = Handed(by, args[0] if args else next(iter(kwargs.values()), None))
        first = record.setdefault(id(by), now)
        if (first.sparse, first.framed) != (now.sparse, now.framed):
            record[id(by)] = Handed(by, first.rows, varied=True)
        return plain(by, *args, **kwargs)

    return method
