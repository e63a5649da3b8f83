"""The exporter for LightGBM, and the loader of its files."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from onnxpack.errors import MissingExtraError, SampleError, TargetError
from onnxpack.exporters.loaded import LoadedTarget

if TYPE_CHECKING:
    from onnxpack.exporters.lightgbm.subject import LightGBMSubject


class LightGBMExporter:
    """Takes every ``Booster`` and every estimator: classifiers, regressors, rankers."""

    refines = "sklearn"

    def accepts(self, model: object) -> bool:
        """Whether it is one of them; LightGBM is not imported to say no."""
        lightgbm = sys.modules.get("lightgbm")
        return lightgbm is not None and isinstance(model, lightgbm.Booster | lightgbm.LGBMModel)

    @contextmanager
    def open(self, model: Any, sample: Any) -> Iterator[LightGBMSubject]:
        """The model with its sample, left as it is.

        Raises:
            SampleError: no sample was given.
        """
        from onnxpack.exporters.lightgbm.subject import LightGBMSubject

        if sample is None:
            raise SampleError(
                "a LightGBM model is exported with a sample of its rows.",
                remedy="onnxpack.export(model, X[:5], ...) (--sample rows.npy)",
            )
        yield LightGBMSubject(model, sample)


def load(path: Path, _class_name: str | None, _trust: bool) -> LoadedTarget:
    """A ``.txt`` that ``save_model`` wrote; the sample is of random numbers.

    Raises:
        TargetError: it is no model of LightGBM's.
        MissingExtraError: LightGBM is not installed.
    """
    try:
        import lightgbm
    except ImportError as exc:
        raise MissingExtraError("lightgbm", extra="lightgbm") from exc
    from onnxpack.exporters.lightgbm.subject import random_sample

    text = path.read_text(errors="replace")
    if not text.startswith("tree\n"):
        raise TargetError(f"{path} is no model of LightGBM's: it does not begin with 'tree'.")
    try:
        booster = lightgbm.Booster(model_str=text)
    except lightgbm.basic.LightGBMError as exc:
        raise TargetError(f"{path} is no model of LightGBM's: {exc}") from exc
    note = "the sample is of random numbers, as many as the booster has features"
    return LoadedTarget(booster, path.stem, notes=(note,), sample=random_sample(booster))
