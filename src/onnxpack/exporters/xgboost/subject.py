"""The subject of an XGBoost model: it runs the model and writes its graph."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import cached_property, partial
from typing import Any

import numpy as np
import xgboost

from onnxpack.errors import ExportError, TargetError
from onnxpack.exporters.trees.column_order import is_reordered
from onnxpack.exporters.trees.columns import Columns
from onnxpack.exporters.trees.ensemble import Ensemble, Mode
from onnxpack.exporters.trees.graph import Graph
from onnxpack.exporters.trees.rows import Matrix, read_rows
from onnxpack.exporters.trees.subject import LABEL, PREDICTION, PROBABILITIES, BoosterSubject
from onnxpack.exporters.trees.write import add_ensemble
from onnxpack.exporters.xgboost.categories import read_categories, refuse_missing_category
from onnxpack.exporters.xgboost.links import SOFTMAX, link_of, margin_of
from onnxpack.exporters.xgboost.model import CATEGORICAL, Description, said
from onnxpack.signature import Array


class XGBoostSubject(BoosterSubject):
    """A ``Booster``, or an estimator of XGBoost's scikit-learn interface.

    A classifier's outputs are ``label`` and ``probabilities``, all other models' output is
    ``prediction``. They equal the results of ``predict`` and ``predict_proba``.
    """

    framework = "xgboost"
    framework_version = xgboost.__version__

    def __init__(self, model: Any, sample: Any) -> None:
        self.model_class = f"{type(model).__module__}.{type(model).__qualname__}"
        self.model = model
        self.is_estimator = not isinstance(model, xgboost.Booster)
        self.booster = _booster(model)
        self.own_objective = self.is_estimator and callable(model.objective)
        self.description = Description.of(self.booster, self._rounds())
        known = read_categories(self.description, sample)
        self.rows = read_rows(sample, self.description.features, known)
        self.missing = float(model.missing) if self.is_estimator else math.nan
        if self.rows.categories:
            refuse_missing_category(self.missing)

    @property
    def is_classifier(self) -> bool:  # type: ignore[override]
        """Whether the model gives labels and probabilities."""
        return isinstance(self.model, xgboost.XGBClassifier)

    def answer(self, data: object) -> dict[str, Array]:
        """Return the results of ``predict`` and, for a classifier, of ``predict_proba``.

        Raises:
            ValueError: XGBoost refuses the data.
        """
        try:
            return self._answer(data)
        except xgboost.core.XGBoostError as exc:
            raise ValueError(said(exc)) from exc

    def cure(self, exc: Exception) -> str:
        """Return a remedy if the sample's columns are in another order, which XGBoost refuses."""
        names = self.booster.feature_names or []
        reordered = "mismatch" in str(exc) and is_reordered(list(self.rows.feeds), names)
        return f"sample = sample[{names}]" if reordered else ""

    def prepare(self, method: str, feeds: Mapping[str, Array]) -> Callable[[], object]:
        """Return a call of the estimator's method; a booster's call also makes its matrix."""
        data = self.rows.restore(feeds)
        if not self.is_estimator:
            return partial(self._booster_answer, data)
        named = isinstance(data, np.ndarray)
        return partial(getattr(self.model, method), data, validate_features=not named)

    def _answer(self, data: object) -> dict[str, Array]:
        if not self.is_estimator:
            return {PREDICTION: self._booster_answer(data)}
        named = isinstance(data, np.ndarray)
        label = np.asarray(self.model.predict(data, validate_features=not named))
        if not self.is_classifier:
            return {PREDICTION: label}
        shares = self.model.predict_proba(data, validate_features=not named)
        return {LABEL: label, PROBABILITIES: np.asarray(shares)}

    def ensemble(self) -> Ensemble:
        """Return the trees; none if the booster is linear."""
        if self.description.is_linear:
            return Ensemble((), self.description.targets, Mode.LT)
        return self._trees[1]

    def write(self, graph: Graph, x: str) -> None:
        """Write the graph: features as XGBoost reads them, trees, base score, objective, labels."""
        objective = self.description.objective
        base = margin_of(objective, self.description.base_score).astype(np.float64)
        margin = graph.add("Add", self._sum(graph, self._seen(graph, x)), graph.constant(base))
        margin = graph.cast(margin, np.float32)
        value = link_of(objective)(graph, margin)
        if self.is_classifier:
            self._write_classes(graph, margin, value)
        else:
            targets = 1 if objective == SOFTMAX else self.description.targets
            self.put(graph, PREDICTION, value, targets, np.float32)

    @cached_property
    def _trees(self) -> tuple[Columns, Ensemble]:
        columns = Columns(self.description.features)
        return columns, self.description.ensemble(columns)

    def _rounds(self) -> tuple[int, int]:
        """Return the rounds to use: an estimator stops at its best round, a booster does not."""
        best = self.booster.attr("best_iteration") if self.is_estimator else None
        return (0, 0) if best is None else (0, int(best) + 1)

    def _booster_answer(self, data: Any) -> Array:
        names = self.booster.feature_names
        if isinstance(self.rows, Matrix):
            known: Mapping[str, Any] = {
                "feature_names": names,
                "feature_types": self.booster.feature_types,
            }
        else:
            known = {}
        given = xgboost.DMatrix(data, enable_categorical=True, **known)
        return np.asarray(self.booster.predict(given))

    def _seen(self, graph: Graph, x: str) -> str:
        """Write the features in float32; missing values are NaN, unknown categories are -1."""
        x = graph.cast(x, np.float32)
        if not math.isnan(self.missing):
            gone = graph.add("Equal", x, graph.constant(self.missing, np.float32))
            x = graph.add("Where", gone, graph.constant(np.nan, np.float32), x)
        x = graph.cast(x, np.float64)
        categorical = self.description.categorical()
        if categorical.any():
            negative = graph.add("Less", x, graph.constant(0.0))
            unknown = graph.add("And", negative, graph.constant(categorical[None]))
            x = graph.add("Where", unknown, graph.constant(-1.0), x)
        return x

    def _sum(self, graph: Graph, x: str) -> str:
        if not self.description.is_linear:
            columns, ensemble = self._trees
            return add_ensemble(graph, columns.write(graph, x), ensemble)
        weights = self.description.weights
        present = graph.add("Where", graph.add("IsNaN", x), graph.constant(0.0), x)
        product = graph.add("MatMul", present, graph.constant(weights[:-1]))
        return graph.add("Add", product, graph.constant(weights[-1:]))

    def _write_classes(self, graph: Graph, margin: str, value: str) -> None:
        """Write labels and probabilities as XGBClassifier makes them from the booster's answer."""
        half, one = graph.constant(0.5, np.float32), graph.constant(1, np.float32)
        targets = self.description.targets
        if self.description.objective == SOFTMAX:
            self.put(graph, LABEL, graph.cast(value, np.int32), 1, np.int32)
            shares = graph.add("Softmax", margin, axis=1)
            self.put(graph, PROBABILITIES, shares, targets, np.float32)
        elif targets > 1 and self.model.n_classes_ != 2:
            label = graph.add("ArgMax", value, axis=1, keepdims=1)
            self.put(graph, LABEL, label, 1, np.int64)
            self.put(graph, PROBABILITIES, value, targets, np.float32)
        elif targets > 1:
            label = graph.cast(graph.add("Greater", value, half), np.float64)
            self.put(graph, LABEL, label, targets, np.float64)
            self.put(graph, PROBABILITIES, value, targets, np.float32)
        else:
            label = graph.cast(graph.add("Greater", value, half), np.int64)
            self.put(graph, LABEL, label, 1, np.int64)
            both = graph.add("Concat", graph.add("Sub", one, value), value, axis=1)
            self.put(graph, PROBABILITIES, both, 2, np.float32)


def _booster(model: Any) -> Any:
    if isinstance(model, xgboost.Booster):
        return model
    from sklearn.exceptions import NotFittedError

    if callable(model.objective) and isinstance(model, xgboost.XGBClassifier):
        raise ExportError(
            "the objective is a custom function, so XGBoost does not know what its margins mean.",
            remedy="name the objective, such as objective='binary:logistic'; or export "
            "model.get_booster()",
        )
    try:
        return model.get_booster()
    except NotFittedError as exc:
        raise TargetError(
            f"the {type(model).__name__} is not fitted.", remedy="model.fit(X, y)"
        ) from exc


def random_sample(booster: Any) -> Array:
    """Return two rows of normal numbers, one for each feature; categories are 0.

    Raises:
        TargetError: the booster was trained on a data frame's categories, which random numbers
            cannot replace.
    """
    description = Description.of(booster, (0, 0))
    random = np.random.default_rng(0)
    rows = random.standard_normal((2, description.features)).astype(np.float32)
    if description.known_categories():
        raise TargetError(
            "the booster was trained on a data frame with categories, so no sample can be "
            "generated.",
            remedy="give rows of the frame that it was trained on: --sample rows.csv, or "
            "rows.parquet",
        )
    for at, kind in enumerate(description.types):
        if kind == CATEGORICAL:
            rows[:, at] = 0
    return rows
