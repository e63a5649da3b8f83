"""The exporter for CatBoost, and the loader of its files."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from onnxpack.errors import MissingExtraError, SampleError, TargetError
from onnxpack.exporters.loaded import LoadedTarget

if TYPE_CHECKING:
    from onnxpack.exporters.catboost.subject import CatBoostSubject


class CatBoostExporter:
    """Takes every ``CatBoost`` model: classifiers, regressors, rankers."""

    refines = "sklearn"

    def accepts(self, model: object) -> bool:
        """Whether it is one of them; CatBoost is not imported to say no."""
        catboost = sys.modules.get("catboost")
        return catboost is not None and isinstance(model, catboost.CatBoost)

    @contextmanager
    def open(self, model: Any, sample: Any) -> Iterator[CatBoostSubject]:
        """The model with its sample, left as it is.

        Raises:
            SampleError: no sample was given.
        """
        from onnxpack.exporters.catboost.subject import CatBoostSubject

        if sample is None:
            raise SampleError(
                "a CatBoost model is exported with a sample of its rows.",
                remedy="onnxpack.export(model, X[:5], ...) (--sample rows.npy)",
            )
        yield CatBoostSubject(model, sample)


def load(path: Path, _class_name: str | None, _trust: bool) -> LoadedTarget:
    """A ``.cbm`` that ``save_model`` wrote; the sample is of random numbers.

    Raises:
        TargetError: it is no model of CatBoost's.
        MissingExtraError: CatBoost is not installed.
    """
    try:
        import catboost
    except ImportError as exc:
        raise MissingExtraError("catboost", extra="catboost") from exc
    from onnxpack.exporters.catboost.subject import random_sample

    try:
        model = catboost.CatBoost().load_model(str(path))
        if len(model.classes_) > 1:
            model = catboost.CatBoostClassifier().load_model(str(path))
        else:
            model = catboost.CatBoostRegressor().load_model(str(path))
    except catboost.CatBoostError as exc:
        raise TargetError(f"{path} is no model of CatBoost's: {str(exc).splitlines()[0]}") from exc
    note = "the sample is of random numbers, as many as the model has features"
    return LoadedTarget(model, path.stem, notes=(note,), sample=random_sample(model))
