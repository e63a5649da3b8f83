"""The subject of a LightGBM model: it runs the model and writes its graph."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any

import lightgbm
import numpy as np

from onnxpack.errors import ExportError, SampleError, TargetError
from onnxpack.exporters.lightgbm.linear import add_linear
from onnxpack.exporters.lightgbm.links import write_link
from onnxpack.exporters.lightgbm.model import CUSTOM, NAN, ZERO, Description
from onnxpack.exporters.trees.classes import class_names, put_classes
from onnxpack.exporters.trees.column_order import is_reordered
from onnxpack.exporters.trees.columns import Columns
from onnxpack.exporters.trees.ensemble import Ensemble
from onnxpack.exporters.trees.graph import Graph
from onnxpack.exporters.trees.in_order import add_in_order
from onnxpack.exporters.trees.rows import read_rows
from onnxpack.exporters.trees.subject import (
    LABEL,
    PREDICTION,
    PROBABILITIES,
    PROBES,
    SCORES,
    BoosterSubject,
)
from onnxpack.exporters.trees.write import add_ensemble
from onnxpack.signature import Array

TINY = float(np.float32(1e-35))
"""LightGBM treats numbers up to this magnitude as zero."""
TIE = 1e-9
"""Probabilities no further apart than this may differ only by the order of their sums."""
LAST_BITS = 1e-13
"""Difference of scores, as a fraction of the largest, that ``exp`` may round to equal
probabilities."""


class LightGBMSubject(BoosterSubject):
    """A ``Booster``, or an estimator of LightGBM's scikit-learn interface.

    A classifier's outputs are ``label`` and ``probabilities``, all other models' output is
    ``prediction``. They equal the results of ``predict`` and ``predict_proba``.
    """

    framework = "lightgbm"
    framework_version = lightgbm.__version__

    def __init__(self, model: Any, sample: Any) -> None:
        self.model_class = f"{type(model).__module__}.{type(model).__qualname__}"
        self.model = model
        self.is_classifier = isinstance(model, lightgbm.LGBMClassifier)
        self.booster = _booster(model)
        self.description = Description.of(self.booster)
        self.own_objective = self.description.objective[0] == CUSTOM
        self.labels = class_names(model.classes_) if self.is_classifier else None
        self.rows = read_rows(
            sample, self.description.features, _known_categories(self.booster, sample)
        )

    @property
    def notes(self) -> Sequence[str]:  # type: ignore[override]
        """The notes of all boosters, and one if LightGBM reads columns by another order."""
        return (*super().notes, *_notes_of_order(self.booster, list(self.rows.feeds)))

    def answer(self, data: object) -> dict[str, Array]:
        """Return the results of ``predict`` and, for a classifier, of ``predict_proba``."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # names that were known in training
            if not self.is_classifier:
                return {PREDICTION: np.asarray(self.model.predict(data))}
            label = np.asarray(self.model.predict(data))
            shares = np.asarray(self.model.predict_proba(data))
        return {LABEL: label.astype(object) if label.dtype.kind == "U" else label,
                PROBABILITIES: shares}  # fmt: skip

    def ensemble(self) -> Ensemble:
        """Return the trees, with indices of the given features."""
        return self.description.of_features(self._trees[1])

    def write(self, graph: Graph, x: str) -> None:
        """Write the graph: features as LightGBM reads them, trees, average, objective, labels."""
        value = write_link(graph, self._score(graph, x), *self.description.objective)
        if self.is_classifier:
            self._refuse_last_bit()
            put_classes(graph, value, self.description.targets, self.model.classes_)
        else:
            self.put(graph, PREDICTION, value, self.description.targets, np.float64)

    def write_scores(self, graph: Graph, x: str) -> None:
        """Write a graph of what ``decision_function`` returns."""
        self.put(graph, SCORES, self._score(graph, x), self.description.targets, np.float64)

    def _score(self, graph: Graph, x: str) -> str:
        """Return the sum or the average of the trees, [batch, targets]."""
        columns, ensemble = self._trees
        tiny = graph.add("LessOrEqual", graph.add("Abs", x), graph.constant(TINY))
        x = graph.add("Where", tiny, graph.constant(0.0), x)
        tested = columns.write(graph, self._views(graph, x))
        if self.description.is_linear:
            score = add_linear(graph, tested, x, ensemble, self.description)
        elif self.has_ties(TIE):
            score = add_in_order(graph, tested, ensemble)
        else:
            score = add_ensemble(graph, tested, ensemble)
        if self.description.averages:
            score = graph.add("Div", score, graph.constant(float(self.description.iterations)))
        return score

    def _refuse_last_bit(self) -> None:
        """Raise an error if scores differ only in their last bits: rounding decides the label."""
        if self.description.targets == 1 or not self.has_ties(TIE):
            return
        rows = self.rows.restore(self.rows.feed(self.nearest(TIE)))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            scores = np.sort(self.model.predict(rows, raw_score=True), axis=1)
        gap = scores[:, -1] - scores[:, -2]
        undecided = (gap > 0) & (gap <= LAST_BITS * np.abs(scores).max())
        if undecided.any():
            raise ExportError(
                f"in {int(undecided.sum())} of {PROBES} rows the scores of two classes differ "
                "only in their last bits, so the label depends on how LightGBM rounds.",
                remedy="train with more rows, or with features that have more values, so that "
                "classes differ more clearly",
            )

    @cached_property
    def _trees(self) -> tuple[Columns, Ensemble]:
        columns = Columns(len(self.description.views) * self.description.features)
        return columns, self.description.ensemble(columns)

    def _views(self, graph: Graph, x: str) -> str:
        """Return the features once for each meaning of a missing value."""
        parts = []
        for kind in self.description.views:
            if kind == NAN:
                parts.append(x)
            elif kind == ZERO:
                zero = graph.add("Equal", x, graph.constant(0.0))
                parts.append(graph.add("Where", zero, graph.constant(np.nan), x))
            else:
                missing = graph.add("IsNaN", x)
                parts.append(graph.add("Where", missing, graph.constant(0.0), x))
        return graph.add("Concat", *parts, axis=1) if len(parts) > 1 else parts[0]


def _booster(model: Any) -> Any:
    if isinstance(model, lightgbm.Booster):
        return model
    if not model.__sklearn_is_fitted__():
        raise TargetError(f"the {type(model).__name__} is not fitted.", remedy="model.fit(X, y)")
    if callable(model.objective) and isinstance(model, lightgbm.LGBMClassifier):
        raise ExportError(
            "the objective is a custom function, so it is not known what its scores mean.",
            remedy="name the objective: objective='binary'",
        )
    if str(model.get_params().get("pred_early_stop", False)).lower() in ("true", "1"):
        raise ExportError(
            "the model has pred_early_stop, so LightGBM skips trees for rows that it is already "
            "sure of.",
            remedy="model.set_params(pred_early_stop=False)",
        )
    return model.booster_


def _known_categories(booster: Any, sample: Any) -> dict[str, list[Any]]:
    """Return the categories of each categorical column, in the order that the booster keeps.

    A column of texts can only be categorical, for example if a sample was read from a table.

    A column of texts can only be one of them, as where a sample was read from a table.

    Raises:
        SampleError: the sample has more or fewer categorical columns.
    """
    columns = [n for n in getattr(sample, "columns", ()) if _is_category(sample[n])]
    kept = booster.pandas_categorical or []
    if columns and len(columns) != len(kept):
        raise SampleError(
            f"the sample has {len(columns)} columns of categories or of texts, expected "
            f"{len(kept)}, as in training.",
            remedy="give rows of the frame that it was trained on; a .parquet file keeps the "
            "category dtype",
        )
    return {str(name): values for name, values in zip(columns, kept, strict=False)}


def _notes_of_order(booster: Any, columns: Sequence[str]) -> Iterator[str]:
    """Yield a note if LightGBM reads columns by position as other features than their names say."""
    names = booster.feature_name()
    kept = {name.replace(" ", "_"): name for name in columns}  # as LightGBM keeps names
    if is_reordered(list(kept), names):
        place = next(at for at, name in enumerate(kept) if name != names[at])
        yield (
            "the sample's columns are in a different order than in training, but LightGBM "
            f"matches them by position: input {columns[place]!r} is its feature "
            f"{names[place]!r}; in the order of training they are "
            f"sample[{[kept[name] for name in names]}]"
        )


def _is_category(column: Any) -> bool:
    return hasattr(column, "cat") or column.dtype.kind not in "biuf"


def random_sample(booster: Any) -> Array:
    """Return two rows of normal numbers, one for each feature of the booster.

    Raises:
        TargetError: the booster was trained on a data frame's categories, which random numbers
            cannot replace.
    """
    if booster.pandas_categorical:
        raise TargetError(
            "the booster was trained on a data frame with categories, so no sample can be "
            "generated.",
            remedy="give rows of the frame that it was trained on: --sample rows.csv, or "
            "rows.parquet",
        )
    random = np.random.default_rng(0)
    return random.standard_normal((2, booster.num_feature()))
