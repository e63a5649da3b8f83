"""The exporter for XGBoost, and the loader of its files."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from onnxpack.errors import MissingExtraError, SampleError, TargetError
from onnxpack.exporters.loaded import LoadedTarget

if TYPE_CHECKING:
    from onnxpack.exporters.xgboost.subject import XGBoostSubject


class XGBoostExporter:
    """Takes every ``Booster`` and every estimator: classifiers, regressors, rankers."""

    refines = "sklearn"

    def accepts(self, model: object) -> bool:
        """Whether it is one of them; XGBoost is not imported to say no."""
        xgboost = sys.modules.get("xgboost")
        return xgboost is not None and isinstance(model, xgboost.Booster | xgboost.XGBModel)

    @contextmanager
    def open(self, model: Any, sample: Any) -> Iterator[XGBoostSubject]:
        """The model with its sample, left as it is.

        Raises:
            SampleError: no sample was given.
        """
        from onnxpack.exporters.xgboost.subject import XGBoostSubject

        if sample is None:
            raise SampleError(
                "an XGBoost model is exported with a sample of its rows.",
                remedy="onnxpack.export(model, X[:5], ...) (--sample rows.npy)",
            )
        yield XGBoostSubject(model, sample)


def load(path: Path, _class_name: str | None, _trust: bool) -> LoadedTarget:
    """A ``.json`` or ``.ubj`` that ``save_model`` wrote; the sample is of random numbers.

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
    return LoadedTarget(booster, path.stem, notes=(note,), sample=random_sample(booster))
