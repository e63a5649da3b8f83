"""The exporter for XGBoost models, and the loader of their files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from onnxpack.errors import MissingExtraError, TargetError
from onnxpack.exporters.target.child import try_in_child
from onnxpack.exporters.target.loaded import LoadedTarget, MadeUp
from onnxpack.exporters.trees.exporter import BoosterExporter

if TYPE_CHECKING:
    from onnxpack.exporters.xgboost.subject import XGBoostSubject


class XGBoostExporter(BoosterExporter):
    """Exports every ``Booster`` and every estimator: classifiers, regressors, rankers."""

    module, a_model = "xgboost", "an XGBoost model"

    def kinds(self, framework: Any) -> tuple[type, ...]:
        """Return the classes of models that this exporter accepts."""
        return (framework.Booster, framework.XGBModel)

    def make_subject(self, model: Any, sample: Any) -> XGBoostSubject:
        """Return the subject of a model and its sample."""
        from onnxpack.exporters.xgboost.subject import XGBoostSubject

        return XGBoostSubject(model, sample)


_TRIED = """import xgboost
    booster = xgboost.Booster()
    booster.load_model(sys.argv[1])
    ask(lambda: booster.predict(xgboost.DMatrix(
        rows(booster.num_features()), feature_names=booster.feature_names,
        feature_types=booster.feature_types,
    )))"""


def load(path: Path, _class_name: str | None, _trust: bool) -> LoadedTarget:
    """Load a ``.json`` or ``.ubj`` file of ``save_model``; a random sample can be generated.

    Raises:
        TargetError: the file is not an XGBoost model.
        MissingExtraError: XGBoost is not installed.
    """
    try:
        import xgboost
    except ImportError as exc:
        raise MissingExtraError("xgboost", extra="xgboost") from exc
    from onnxpack.exporters.xgboost.subject import random_sample

    try_in_child(path, "an XGBoost model", _TRIED)
    booster = xgboost.Booster()
    try:
        booster.load_model(path)
    except (xgboost.core.XGBoostError, ValueError) as exc:
        line = str(exc).splitlines()[0]
        raise TargetError(f"{path} is not an XGBoost model: {line}") from exc
    note = "the sample is random numbers, one for each feature of the booster"
    made_up = MadeUp(lambda: random_sample(booster), note)
    return LoadedTarget(booster, path.stem, made_up=made_up)
