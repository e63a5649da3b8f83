"""The exporter for CatBoost models, and the loader of their files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from onnxpack.errors import MissingExtraError, TargetError
from onnxpack.exporters.target.child import try_in_child
from onnxpack.exporters.target.loaded import LoadedTarget, MadeUp
from onnxpack.exporters.trees.exporter import BoosterExporter

if TYPE_CHECKING:
    from onnxpack.exporters.catboost.subject import CatBoostSubject


class CatBoostExporter(BoosterExporter):
    """Exports every ``CatBoost`` model: classifiers, regressors, rankers."""

    module, a_model = "catboost", "a CatBoost model"

    def kinds(self, framework: Any) -> tuple[type, ...]:
        """Return the classes of models that this exporter accepts."""
        return (framework.CatBoost,)

    def make_subject(self, model: Any, sample: Any) -> CatBoostSubject:
        """Return the subject of a model and its sample."""
        from onnxpack.exporters.catboost.subject import CatBoostSubject

        return CatBoostSubject(model, sample)


_TRIED = """import catboost
    model = catboost.CatBoost().load_model(sys.argv[1])
    ask(lambda: model.predict(rows(len(model.feature_names_))))"""


def load(path: Path, _class_name: str | None, _trust: bool) -> LoadedTarget:
    """Load a ``.cbm`` file that ``save_model`` wrote; a sample of random numbers can be made.

    Raises:
        TargetError: the file is not a CatBoost model.
        MissingExtraError: CatBoost is not installed.
    """
    try:
        import catboost
    except ImportError as exc:
        raise MissingExtraError("catboost", extra="catboost") from exc
    from onnxpack.exporters.catboost.subject import random_sample

    try_in_child(path, "a CatBoost model", _TRIED)
    try:
        model = catboost.CatBoost().load_model(str(path))
        if len(model.classes_) > 1:
            model = catboost.CatBoostClassifier().load_model(str(path))
        else:
            model = catboost.CatBoostRegressor().load_model(str(path))
    except catboost.CatBoostError as exc:
        raise TargetError(f"{path} is not a CatBoost model: {str(exc).splitlines()[0]}") from exc
    note = "the sample is random numbers, one for each feature of the model"
    made_up = MadeUp(lambda: random_sample(model), note)
    return LoadedTarget(model, path.stem, made_up=made_up)
