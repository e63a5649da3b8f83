"""The exporter for XGBoost, and the loader of its files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from onnxpack.errors import MissingExtraError, TargetError
from onnxpack.exporters.target.loaded import LoadedTarget, MadeUp
from onnxpack.exporters.trees.exporter import BoosterExporter

if TYPE_CHECKING:
    from onnxpack.exporters.xgboost.subject import XGBoostSubject


class XGBoostExporter(BoosterExporter):
    """Takes every ``Booster`` and every estimator: classifiers, regressors, rankers."""

    module, a_model = "xgboost", "an XGBoost model"

    def kinds(self, framework: Any) -> tuple[type, ...]:
        """Boosters and estimators."""
        return (framework.Booster, framework.XGBModel)

    def make_subject(self, model: Any, sample: Any) -> XGBoostSubject:
        """Return the model with its sample."""
        from onnxpack.exporters.xgboost.subject import XGBoostSubject

        return XGBoostSubject(model, sample)


def load(path: Path, _class_name: str | None, _trust: bool) -> LoadedTarget:
    """A ``.json`` or ``.ubj`` that ``save_model`` wrote; a sample can be made up of random numbers.

    Raises:
        TargetError: it is no model of XGBoost's.
        MissingExtraError: XGBoost is not installed.
    """
    try:
        import xgboost
    except ImportError as exc:
        raise MissingExtraError("xgboost", extra="xgboost") from exc
    from onnxpack.exporters.xgboost.subject import random_sample

    booster = xgboost.Booster()
    try:
        booster.load_model(path)
    except (xgboost.core.XGBoostError, ValueError) as exc:
        line = str(exc).splitlines()[0]
        raise TargetError(f"{path} is no model of XGBoost's: {line}") from exc
    note = "the sample is of random numbers, as many as the booster has features"
    made_up = MadeUp(lambda: random_sample(booster), note)
    return LoadedTarget(booster, path.stem, made_up=made_up)
