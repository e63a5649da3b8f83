"""The exporter of scikit-learn estimators."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from onnxpack.errors import ExportError, MissingExtraError, SampleError, TargetError
from onnxpack.exporters.overrides import library_class, refuse_overrides
from onnxpack.exporters.unchanged import unchanged

if TYPE_CHECKING:
    from onnxpack.exporters.sklearn.subject import SklearnSubject


class SklearnExporter:
    """Exports fitted scikit-learn estimators and everything composed of them."""

    refines = ""

    def accepts(self, model: object) -> bool:
        """Return whether the model is an estimator, without importing scikit-learn."""
        base = sys.modules.get("sklearn.base")
        return base is not None and isinstance(model, base.BaseEstimator)

    @contextmanager
    def open(self, model: Any, sample: Any) -> Iterator[SklearnSubject]:
        """Yield the estimator as a subject; for a search, the best estimator that it found.

        Raises:
            ExportError: the user's own code computes the estimator's answers.
            SampleError: no sample was given, or it has no rows.
            TargetError: the estimator is not fitted.
        """
        try:
            from onnxpack.exporters.sklearn.registry import LIBRARIES
            from onnxpack.exporters.sklearn.subject import SklearnSubject
        except ImportError as exc:
            raise MissingExtraError(str(exc.name), extra="sklearn") from exc

        _refuse_unfitted(model)
        if sample is None:
            raise SampleError(
                "a scikit-learn model needs a sample of its rows.",
                remedy="onnxpack.export(model, X[:100], ...)",
                option="--sample rows.csv",
            )
        searches = list(_searches(model))
        refuse_overrides(filter(_is_derived, searches), LIBRARIES)
        found = searches[-1]
        _refuse_unwritable(found)
        with unchanged(model):
            yield SklearnSubject(found, sample, shown=model)


def _refuse_unfitted(model: Any) -> None:
    from sklearn.exceptions import NotFittedError
    from sklearn.utils.validation import check_is_fitted

    name = type(model).__name__
    if isinstance(model, type):
        raise TargetError(f"{model.__name__} is a class.", remedy=f"{model.__name__}().fit(X, y)")
    try:
        check_is_fitted(model)
    except NotFittedError as exc:
        raise TargetError(f"this {name} is not fitted.", remedy="model.fit(X, y)") from exc


def _refuse_unwritable(model: Any) -> None:
    """Raise an error for estimators that no graph can hold, before their answer fills the memory.

    Raises:
        ExportError: the model contains such an estimator.
    """
    from onnxpack.exporters.sklearn.causes import cause_of
    from onnxpack.exporters.sklearn.convert import parts
    from onnxpack.exporters.sklearn.registry import family_of

    for part in parts(model):
        family = family_of(part)
        reason = family.unwritable(part) if family is not None else ""
        if reason:
            cause = cause_of(reason)
            raise ExportError(
                f"{cause.reason}, so no graph can give the same answers.", remedy=cause.remedy
            )


def _is_derived(model: Any) -> bool:
    """Return whether the model's class is, or inherits from, an estimator of a library.

    scikit-learn's base classes do not count, because they compute no answers.
    """
    from onnxpack.exporters.sklearn.registry import LIBRARIES

    return library_class(model, LIBRARIES).__module__ not in ("sklearn.base", "builtins")


def _searches(model: Any) -> Iterator[Any]:
    """Yield the model, then the best estimator of each search inside it; the last one predicts."""
    yield model
    while hasattr(model, "best_estimator_"):
        model = model.best_estimator_
        yield model
