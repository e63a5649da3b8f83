"""The exporter for CatBoost, and the loader of its files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from onnxpack.errors import MissingExtraError, TargetError
from onnxpack.exporters.target.loaded import LoadedTarget, MadeUp
from onnxpack.exporters.trees.exporter import BoosterExporter

if TYPE_CHECKING:
    from onnxpack.exporters.catboost.subject import CatBoostSubject


class CatBoostExporter(BoosterExporter):
    """Takes every ``CatBoost`` model: classifiers, regressors, rankers."""

    module, a_model = "catboost", "a CatBoost model"

    def kinds(self, framework: Any) -> tuple[type, ...]:
        """Boosters and estimators."""
        return (framework.CatBoost,)

    def make_subject(self, model: Any, sample: Any) -> CatBoostSubject:
        """The model with its sample."""
        from onnxpack.exporters.catboost.subject import CatBoostSubject

        return CatBoostSubject(model, sample)


def load(path: Path, _class_name: str | None, _trust: bool) -> LoadedTarget:
    """A ``.cbm`` that ``save_model`` wrote; a sample can be made up of random numbers.

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
    made_up = MadeUp(lambda: random_sample(model), note)
    return LoadedTarget(model, path.stem, made_up=made_up)
