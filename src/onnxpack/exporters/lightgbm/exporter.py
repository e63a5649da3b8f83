"""The exporter for LightGBM models, and the loader of their files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from onnxpack.errors import MissingExtraError, TargetError
from onnxpack.exporters.target.child import try_in_child
from onnxpack.exporters.target.loaded import LoadedTarget, MadeUp
from onnxpack.exporters.trees.exporter import BoosterExporter

if TYPE_CHECKING:
    from onnxpack.exporters.lightgbm.subject import LightGBMSubject


class LightGBMExporter(BoosterExporter):
    """Exports every ``Booster`` and every estimator: classifiers, regressors, rankers."""

    module, a_model = "lightgbm", "a LightGBM model"

    def kinds(self, framework: Any) -> tuple[type, ...]:
        """Return the classes of models that this exporter accepts."""
        return (framework.Booster, framework.LGBMModel)

    def make_subject(self, model: Any, sample: Any) -> LightGBMSubject:
        """Return the subject of a model and its sample."""
        from onnxpack.exporters.lightgbm.subject import LightGBMSubject

        return LightGBMSubject(model, sample)


_TRIED = """import lightgbm
    booster = lightgbm.Booster(model_str=open(sys.argv[1], errors="replace").read())
    ask(lambda: booster.predict(rows(booster.num_feature()), num_threads=1))"""


def load(path: Path, _class_name: str | None, _trust: bool) -> LoadedTarget:
    """Load a ``.txt`` file that ``save_model`` wrote; a sample of random numbers can be made.

    Raises:
        TargetError: the file is not a LightGBM model.
        MissingExtraError: LightGBM is not installed.
    """
    try:
        import lightgbm
    except ImportError as exc:
        raise MissingExtraError("lightgbm", extra="lightgbm") from exc
    from onnxpack.exporters.lightgbm.subject import random_sample

    text = path.read_text(errors="replace")
    if not text.startswith("tree\n"):
        raise TargetError(f"{path} is not a LightGBM model: it does not begin with 'tree'.")
    try_in_child(path, "a LightGBM model", _TRIED)
    try:
        booster = lightgbm.Booster(model_str=text)
    except lightgbm.basic.LightGBMError as exc:
        raise TargetError(f"{path} is not a LightGBM model: {exc}") from exc
    note = "the sample is random numbers, one for each feature of the booster"
    made_up = MadeUp(lambda: random_sample(booster), note)
    return LoadedTarget(booster, path.stem, made_up=made_up)
