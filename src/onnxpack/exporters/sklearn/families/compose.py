"""Converters of composed estimators: pipelines, column transformers, unions, target transforms."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np

from onnxpack.errors import ExportError
from onnxpack.exporters.sklearn import numeric as n
from onnxpack.exporters.sklearn.convert import (
    Answer,
    Family,
    Frame,
    Table,
    ask,
    call,
    private,
    within,
)
from onnxpack.exporters.sklearn.tensor import Tensor
from onnxpack.exporters.sklearn.ufuncs import apply_ufunc


class Pipeline(Family):
    """Converts ``Pipeline``: each step sees what the step before it returned."""

    columnwise = True

    def predict(self, model: Any, x: Table) -> Answer:
        """Transform by all steps but the last, and return the prediction of the last step."""
        return _last(model, "predict", x)

    def predict_proba(self, model: Any, x: Table) -> Answer:
        """Transform by all steps but the last, and return the probabilities of the last step."""
        return _last(model, "predict_proba", x)

    def decision_function(self, model: Any, x: Table) -> Answer:
        """Transform by all steps but the last, and return the scores of the last step."""
        return _last(model, "decision_function", x)

    def transform(self, model: Any, x: Table) -> Answer:
        """Return the rows transformed by every step."""
        return _last(model, "transform", x)


def _last(model: Any, method: str, x: Table) -> Answer:
    steps = [(i, name, each) for i, (name, each) in enumerate(model.steps, 1) if not is_idle(each)]
    for number, name, each in steps[:-1]:
        with within(f'step {number}, "{name}"'):
            x = ask(each, "transform", x)
    if method == "transform" and (not steps or is_idle(model.steps[-1][1])):
        for number, name, each in steps[-1:]:
            with within(f'step {number}, "{name}"'):
                return call(each, "transform", x)
        return x if isinstance(x, Tensor) else x.matrix()
    number, name, each = steps[-1]
    with within(f'step {number}, "{name}"'):
        return call(each, method, x)


def is_idle(step: Any) -> bool:
    """Return whether a step of a pipeline passes its rows on unchanged."""
    return step is None or (isinstance(step, str) and step == "passthrough")


class ColumnTransformer(Family):
    """Converts ``ColumnTransformer``: each transformer sees its own columns."""

    columnwise = True

    def transform(self, model: Any, x: Table) -> Tensor:
        """Return the outputs of the transformers side by side, [batch, outputs]."""
        parts = []
        weights = model.transformer_weights or {}
        for name, each, columns in model.transformers_:
            index = _places(model, columns)
            if _is_dropped(each) or not len(index):
                continue
            with within(f'transformer "{name}"'):
                chosen = _chosen(model, x, index)
                if np.isscalar(columns):
                    chosen = n.flat(chosen if isinstance(chosen, Tensor) else chosen.matrix())
                found = _through(each, chosen)
                parts.append(found * float(weights[name]) if name in weights else found)
        if not parts:
            raise ExportError("every column is dropped")
        return _beside(parts)


def _is_dropped(each: Any) -> bool:
    return isinstance(each, str) and each == "drop"


def _through(each: Any, x: Table) -> Tensor:
    if isinstance(each, str):  # "passthrough"
        return x if isinstance(x, Tensor) else x.matrix()
    return ask(each, "transform", x)


def _beside(parts: list[Tensor]) -> Tensor:
    kinds = {part.dtype == "str" for part in parts}
    if len(kinds) > 1:
        raise ExportError("some of its columns become numbers and others remain text")
    return n.concat(parts)


def _places(model: Any, columns: Any) -> list[int]:
    """Return the numbers of columns chosen by a name, names, numbers, a mask or a slice."""
    if np.isscalar(columns):
        columns = [columns]
    if isinstance(columns, slice):
        return _slice(model, columns)
    columns = list(columns)
    if columns and all(isinstance(column, bool | np.bool_) for column in columns):
        return [int(place) for place in np.flatnonzero(columns)]
    names = list(getattr(model, "feature_names_in_", []))
    return [
        names.index(column) if isinstance(column, str) else int(column) % model.n_features_in_
        for column in columns
    ]


def _slice(model: Any, columns: slice) -> list[int]:
    if not isinstance(columns.start, str) and not isinstance(columns.stop, str):
        return list(range(model.n_features_in_)[columns])
    names = list(model.feature_names_in_)
    start = 0 if columns.start is None else names.index(columns.start)
    stop = len(names) if columns.stop is None else names.index(columns.stop) + 1
    return list(range(start, stop))[:: columns.step]


def _chosen(model: Any, x: Table, index: list[int]) -> Table:
    if isinstance(x, Tensor):
        return n.gather(x, index, axis=1)
    items = list(x.columns.items())
    given = read_places(model) if len(items) < model.n_features_in_ else range(len(items))
    known = dict(zip(given, items, strict=True))
    return Frame(dict(known[place] for place in index))


def read_places(model: Any) -> list[int]:
    """Return the numbers of the columns that a ``ColumnTransformer`` does not drop."""
    read = {
        place
        for _, each, columns in model.transformers_
        if not _is_dropped(each)
        for place in _places(model, columns)
    }
    return sorted(read)


class FeatureUnion(Family):
    """Converts ``FeatureUnion``: every transformer sees all columns."""

    columnwise = True

    def transform(self, model: Any, x: Table) -> Tensor:
        """Return the outputs of the transformers side by side, [batch, outputs]."""
        return _beside(list(self._parts(model, x)))

    def _parts(self, model: Any, x: Table) -> Iterator[Tensor]:
        weights = model.transformer_weights or {}
        for name, each in model.transformer_list:
            if isinstance(each, str) and each == "drop":
                continue
            with within(f'transformer "{name}"'):
                found = _through(each, x)
                yield found * float(weights[name]) if name in weights else found


class Function(Family):
    """Converts ``FunctionTransformer`` with a NumPy function; Python code cannot be converted.

    See :mod:`.ufuncs` for the supported functions.
    """

    def transform(self, model: Any, x: Tensor) -> Tensor:
        """Return the function of the rows."""
        return _apply(model.func, model.kw_args, x)

    def inverse_transform(self, model: Any, x: Tensor) -> Tensor:
        """Return the inverse function of the rows."""
        return _apply(model.inverse_func, model.inv_kw_args, x)


def _apply(function: Any, arguments: Any, x: Tensor) -> Tensor:
    if function is None:
        return x
    if _checks(function):
        return x.cast("float64")
    if isinstance(function, np.ufunc) and not arguments:
        return apply_ufunc(function, x)
    name = getattr(function, "__qualname__", None) or repr(function)
    if getattr(np, name, None) is function:  # a user's function can have the name of a NumPy one
        given = f" with {', '.join(arguments)}" if arguments else ""
        raise ExportError(f"the function {name!r}{given} is not supported in a graph")
    raise ExportError(f"the function {name!r} is Python code, which a graph cannot hold")


def _checks(function: Any) -> bool:
    """Return whether the function only validates rows.

    Histogram gradient boosting adds such a ``check_array`` beside its encoder of categories.
    """
    from sklearn.utils import check_array

    return (
        isinstance(function, partial)
        and function.func is check_array
        and not function.args
        and function.keywords == {"dtype": [np.float64], "ensure_all_finite": False}
    )


class Target(Family):
    """Converts ``TransformedTargetRegressor``."""

    columnwise = True

    def predict(self, model: Any, x: Table) -> Tensor:
        """Return the regressor's prediction after the inverse transform of the target."""
        found = ask(model.regressor_, "predict", x)
        if private(model, "_training_dim") == 1:
            return n.flat(ask(model.transformer_, "inverse_transform", n.as_column(found)))
        return ask(model.transformer_, "inverse_transform", found)


FAMILIES: dict[str, Family] = {
    "ColumnTransformer": ColumnTransformer(),
    "FeatureUnion": FeatureUnion(),
    "FunctionTransformer": Function(),
    "Pipeline": Pipeline(),
    "TransformedTargetRegressor": Target(),
}
