"""The exporter for scikit-learn's estimators."""

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
    """Takes every fitted estimator, and what is composed of them."""

    refines = ""

    def accepts(self, model: object) -> bool:
        """Whether it is one; scikit-learn is not imported to say no."""
        base = sys.modules.get("sklearn.base")
        return base is not None and isinstance(model, base.BaseEstimator)

    @contextmanager
    def open(self, model: Any, sample: Any) -> Iterator[SklearnSubject]:
        """The estimator, out of the search that found it.

        Raises:
            ExportError: the estimator answers by code of the user's own.
            SampleError: no sample was given, or it holds no rows.
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
                "a scikit-learn model is exported with a sample of its rows.",
                remedy="onnxpack.export(model, X[:100], ...) (--sample rows.csv)",
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
    """Refuse at once what no graph can hold: to ask it would fill the memory.

    Raises:
        ExportError: there is such an estimator inside.
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
                f"{cause.reason}, so no graph can answer as it does.", remedy=cause.remedy
            )


def _is_derived(model: Any) -> bool:
    """Whether the model's class is, or inherits from, an estimator of a library.

    The bases that every estimator has answer nothing.
    """
    from onnxpack.exporters.sklearn.registry import LIBRARIES

    return library_class(model, LIBRARIES).__module__ not in ("sklearn.base", "builtins")


def _searches(model: Any) -> Iterator[Any]:
    """The model, and where it is a search the best estimator that it found, which comes last."""
    yield model
    while hasattr(model, "best_estimator_"):
        model = model.best_estimator_
        yield model
