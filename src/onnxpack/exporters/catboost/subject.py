"""The subject of a CatBoost model: it runs the model and writes its graph."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property, partial
from typing import Any

import catboost
import numpy as np

from onnxpack.errors import ExportError, SampleError, TargetError
from onnxpack.exporters.catboost.categories import number_categories, read_categories
from onnxpack.exporters.catboost.links import (
    BINARY,
    MANY_LABELS,
    ONE_VS_ALL,
    SOFTMAX,
    with_absent,
    write_absent_shares,
    write_prediction,
    write_shares,
)
from onnxpack.exporters.catboost.model import Description
from onnxpack.exporters.trees.classes import class_names
from onnxpack.exporters.trees.column_order import by_name
from onnxpack.exporters.trees.columns import Columns
from onnxpack.exporters.trees.ensemble import Ensemble
from onnxpack.exporters.trees.graph import Graph
from onnxpack.exporters.trees.rows import read_rows
from onnxpack.exporters.trees.subject import LABEL, PREDICTION, PROBABILITIES, BoosterSubject
from onnxpack.exporters.trees.write import add_ensemble
from onnxpack.signature import Array


class CatBoostSubject(BoosterSubject):
    """A ``CatBoost``, ``CatBoostRegressor``, ``CatBoostClassifier`` or ``CatBoostRanker``.

    A classifier's outputs are ``label`` and ``probabilities``, all other models' output is
    ``prediction``. They equal the results of ``predict`` and ``predict_proba``.
    """

    framework = "catboost"
    framework_version = catboost.__version__
    unknown_is_missing = False
    _threads = -1

    def __init__(self, model: Any, sample: Any) -> None:
        self.model_class = f"{type(model).__module__}.{type(model).__qualname__}"
        self.model = model
        if not model.is_fitted():
            raise TargetError(
                f"the {type(model).__name__} is not fitted.", remedy="model.fit(X, y)"
            )
        self.is_classifier = isinstance(model, catboost.CatBoostClassifier)
        self.labels = class_names(model.classes_) if self.is_classifier else None
        self.loss = _loss_of(model)
        self.description = Description.of(model)
        given, sample = sample, _in_training_order(model, sample)
        self._reordered = sample is not given
        known = read_categories(self.description, sample)
        self._codes = number_categories(model, self.description, known)
        self.rows = read_rows(sample, self.description.features, known, plain=True)

    @property
    def notes(self) -> Sequence[str]:  # type: ignore[override]
        """The notes of all boosters, and one if the order of the inputs is not the sample's."""
        order = f"the inputs are in the order of training: {', '.join(self.rows.feeds)}"
        return (*super().notes, *((order,) if self._reordered else ()))

    def answer(self, data: object) -> dict[str, Array]:
        """Return the results of ``predict`` and, for a classifier, of ``predict_proba``."""
        if not self.is_classifier:
            return {PREDICTION: np.asarray(self.model.predict(data))}
        label = np.asarray(self.model.predict(data))
        shares = np.asarray(self.model.predict_proba(data))
        return {LABEL: label, PROBABILITIES: shares}

    def prepare(self, method: str, feeds: Mapping[str, Array]) -> Callable[[], object]:
        """Return a call of the model's method on the allowed number of threads."""
        data = self.rows.restore(feeds)
        return partial(getattr(self.model, method), data, thread_count=self._threads)

    @contextmanager
    def limited(self, threads: int) -> Iterator[None]:
        """Limit the threads of CatBoost, which takes their number with each call."""
        before, self._threads = self._threads, threads
        try:
            yield
        finally:
            self._threads = before

    def ensemble(self) -> Ensemble:
        """Return the trees of the model."""
        return self._trees[1]

    def write(self, graph: Graph, x: str) -> None:
        """Write the graph: features as CatBoost reads them, trees, scale and bias, loss, labels."""
        columns, ensemble = self._trees
        x = graph.cast(graph.cast(x, np.float32), np.float64)
        total = add_ensemble(graph, columns.write(graph, x), ensemble)
        scale = graph.constant(self.description.scale)
        scaled = graph.add("Mul", total, scale)
        score = graph.add("Add", scaled, graph.constant(self.description.bias[None]))
        if self._width > self.description.targets:
            score = with_absent(graph, score, self.description.present, self._width)
        if self.is_classifier:
            self._write_classes(graph, score)
            return
        estimators = catboost.CatBoostRegressor, catboost.CatBoostRanker
        raw = not isinstance(self.model, estimators)
        value = score if raw else write_prediction(graph, score, self.loss)
        self.put(graph, PREDICTION, value, self._width, np.float64)

    @property
    def _width(self) -> int:
        """The number of scores in a row; classes that training lacked have a score too."""
        many = self.loss in (SOFTMAX, ONE_VS_ALL)
        return len(self.model.classes_) if many else self.description.targets

    @cached_property
    def _trees(self) -> tuple[Columns, Ensemble]:
        columns = Columns(self.description.features)
        return columns, self.description.ensemble(columns, self._codes)

    def _write_classes(self, graph: Graph, score: str) -> None:
        classes = np.asarray(self.model.classes_)
        shares = write_shares(graph, score, self.loss)
        if self.loss == SOFTMAX and self._width > self.description.targets:
            shares = write_absent_shares(graph, score, shares)
        known = graph.constant(classes)
        if self.loss in BINARY:
            border = float(self.model.get_probability_threshold())
            bound = graph.constant(np.log(border / (1 - border)))
            second = graph.cast(graph.add("Greater", score, bound), np.int64)
            label = graph.add("Gather", known, graph.add("Reshape", second, graph.constant([-1])))
            graph.output(LABEL, label, classes.dtype)
            first = graph.add("Sub", graph.constant(1.0), shares)
            shares = graph.add("Concat", first, shares, axis=1)
        elif self.loss in MANY_LABELS:
            present = graph.cast(graph.add("Greater", score, graph.constant(0.0)), classes.dtype)
            graph.output(LABEL, present, classes.dtype)
        else:
            best = graph.add("ArgMax", score, axis=1, keepdims=1)
            graph.output(LABEL, graph.add("Gather", known, best), classes.dtype)
        graph.output(PROBABILITIES, shares, np.float64)


def _in_training_order(model: Any, sample: Any) -> Any:
    """Return the sample's columns in the order of training: CatBoost matches columns by name.

    A model that was trained on an array calls its features "0", "1" and so on, and takes the
    columns of a frame by position, whatever their names.

    Raises:
        SampleError: CatBoost refuses the order, for example because a number is in a category's
            column.
    """
    names = list(model.feature_names_)
    trained_on_array = names == [str(place) for place in range(len(names))]
    ordered = sample if trained_on_array else by_name(sample, names)
    if ordered is sample or isinstance(sample, Mapping):
        return ordered
    try:
        model.predict(sample)
    except catboost.CatBoostError as exc:
        raise SampleError(
            "CatBoost refuses the sample, whose columns are in a different order than in "
            f"training: {str(exc).splitlines()[0]}",
            remedy=f"sample = sample[{names}]",
        ) from exc
    return ordered


def random_sample(model: Any) -> Array:
    """Return two rows of normal numbers, one for each feature of the model.

    Raises:
        TargetError: it has categorical features, whose categories it does not keep.
    """
    description = Description.of(model)
    if description.categorical:
        raise TargetError(
            "the model has categorical features and stores only hashes of their categories, so "
            "no sample can be generated.",
            remedy="give the frame that it was trained on: --sample rows.csv, or rows.parquet",
        )
    rows = np.random.default_rng(0).standard_normal((2, description.features))
    return rows.astype(np.float32)


def _loss_of(model: Any) -> str:
    """Return the name of the loss, without its parameters.

    Raises:
        ExportError: the model has no training parameters.
    """
    try:
        known = model.get_all_params()
    except catboost.CatBoostError as exc:
        raise ExportError(
            "this CatBoost model has no training parameters, like a model made by sum_models(), "
            "so it is not known what its raw values mean.",
            remedy="export the models that it was made from, each to its own pack",
        ) from exc
    return str(known.get("loss_function", "RMSE")).partition(":")[0]
