"""Conversion of a sample of rows to named inputs of a graph, and back to the user's container."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from sklearn.compose import ColumnTransformer

from onnxpack.errors import SampleError
from onnxpack.exporters.sklearn.columns import column_array, series_like
from onnxpack.exporters.sklearn.convert import Frame, Table
from onnxpack.exporters.sklearn.families.compose import is_idle, read_places
from onnxpack.exporters.sklearn.fitted import (
    empty_categories,
    filled_columns,
    known_gaps,
    refuse_other_kinds,
)
from onnxpack.exporters.sklearn.tensor import Graph
from onnxpack.exporters.value_names import input_names
from onnxpack.runtime.frames import MISSING_TEXT
from onnxpack.signature import Array, dtype_name

X = "X"
SPARSE_NOTE = (
    "the sparse sample is converted to a dense one: 0 stands for what the sparse matrix does "
    "not store"
)


class Rows(ABC):
    """A sample of rows that can be converted in both directions.

    Attributes:
        feeds: the rows as named arrays.
        notes: what the user should know about the conversion.
    """

    feeds: Mapping[str, Array]
    notes: Sequence[str] = ()

    @property
    def categories(self) -> Mapping[str, Array]:
        """All categories of each column with pandas' dtype ``category``, [categories, 1]."""
        return {}

    @abstractmethod
    def restore(self, feeds: Mapping[str, Array]) -> Any:
        """Return named arrays as the container that scikit-learn takes."""

    @abstractmethod
    def enter(self, graph: Graph) -> Table:
        """Add the inputs to a graph, and return them."""


@dataclass(frozen=True)
class Matrix(Rows):
    """A 2-D array, or a 1-D array with one value per row.

    Attributes:
        kind: converts an array to what the model takes, such as the class of a sparse matrix.
    """

    feeds: Mapping[str, Array]
    notes: Sequence[str] = ()
    kind: Callable[[Array], Any] = np.asarray

    def restore(self, feeds: Mapping[str, Array]) -> Any:
        """Return the array, or a sparse matrix that stores the array's nonzero values."""
        return self.kind(feeds[X])

    def enter(self, graph: Graph) -> Table:
        """Add a single input ``X`` to a graph, and return it."""
        array = self.feeds[X]
        return graph.input(X, dtype_name(array.dtype), ["batch", *array.shape[1:]])


@dataclass(frozen=True)
class Columns(Rows):
    """A data frame: one input [batch, 1] for each column.

    Attributes:
        frame: the user's frame, which has the names and dtypes of the columns.
        gaps: the missing text that the model knows, None or NaN, by column.
    """

    feeds: Mapping[str, Array]
    frame: Any
    notes: Sequence[str] = ()
    gaps: Mapping[str, Any] = field(default_factory=dict)

    @property
    def own(self) -> Any:
        """The rows as the user gave them."""
        return self.frame

    @property
    def categories(self) -> Mapping[str, Array]:
        """All categories in the dtype of each column, including those that the rows do not show."""
        columns = zip(self.feeds.items(), self.frame.items(), strict=True)
        return {
            name: np.asarray(series.cat.categories.to_numpy(), array.dtype)[:, None]
            for (name, array), (_, series) in columns
            if hasattr(series, "cat")
        }

    def restore(self, feeds: Mapping[str, Array]) -> Any:
        """Return a frame with the user's column names and kinds of columns."""
        import pandas as pd

        columns = zip(self.frame.columns, feeds.values(), strict=True)
        series = {
            name: series_like(self.frame[name], array[:, 0], self.gaps.get(name, np.nan))
            for name, array in columns
        }
        return pd.DataFrame(series, columns=self.frame.columns)

    def enter(self, graph: Graph) -> Table:
        """Add one input for each column to a graph, and return them."""
        return Frame(
            {
                name: graph.input(name, dtype_name(array.dtype), ["batch", 1])
                for name, array in self.feeds.items()
            }
        )


@dataclass(frozen=True)
class Mixed(Columns):
    """A 2-D array of objects with texts and numbers: one input for each column, ``x0``, ``x1``.

    Attributes:
        given: the array, as scikit-learn makes it from nested lists.
    """

    given: Any = None

    @property
    def own(self) -> Any:
        """The array that the user gave."""
        return self.given

    def restore(self, feeds: Mapping[str, Array]) -> Any:
        """Return an array of objects whose values have the types of their columns."""
        return super().restore(feeds).to_numpy(dtype=object)


def read_rows(model: Any, sample: Any) -> Rows:
    """Return the sample as :class:`Rows`.

    Args:
        model: the estimator; its ``feature_names_in_`` select the columns of a frame.
        sample: a data frame, a 2-D array, a list of texts, or a mapping of columns.

    Raises:
        SampleError: the sample is something else, or no tensor can hold one of its columns.
    """
    if hasattr(sample, "columns") and hasattr(sample, "iloc"):
        return _read_frame(model, sample)
    if isinstance(sample, Mapping):
        return _read_frame(model, _framed(sample))
    if hasattr(sample, "toarray"):
        return Matrix({X: sample.toarray()}, (SPARSE_NOTE,), type(sample))
    if isinstance(sample, str | bytes | tuple):
        raise SampleError(
            f"a {type(sample).__name__} is not a sample of rows.",
            remedy="give a 2-D array, a DataFrame, or a list of texts: model.predict(sample) "
            "must work",
        )
    array = _array(sample)
    return _mixed(array) if _is_mixed(array) else Matrix({X: array})


def _array(sample: Any) -> Array:
    """Return the sample as an array of numbers, of texts, or of objects that mix both.

    Raises:
        SampleError: the sample cannot be an array of rows.
    """
    try:
        array = np.asarray(sample)
        if array.dtype.kind == "U":  # NumPy turns numbers beside texts into texts
            array = np.asarray(sample, dtype=object)
    except (TypeError, ValueError) as exc:
        raise SampleError(f"the sample cannot be an array: {exc}.") from exc
    texts_or_columns = array.ndim == 2 or _all_texts(array)
    if array.dtype.kind not in "biufO" or (array.dtype.kind == "O" and not texts_or_columns):
        raise SampleError(
            f"an array of dtype {array.dtype} is not supported, expected only numbers or only "
            "texts.",
            remedy="give a DataFrame: each column has a dtype of its own",
        )
    if array.dtype == np.float16 or array.dtype.itemsize > 8:
        raise SampleError(
            f"the sample is {array.dtype}, for which ONNX Runtime lacks kernels.",
            remedy="sample.astype('float32')",
        )
    if array.ndim not in (1, 2) or not array.size:
        raise SampleError(f"the sample has the shape {array.shape}, expected rows of features.")
    return array


def _is_mixed(array: Array) -> bool:
    return array.dtype.kind == "O" and array.ndim == 2 and not _all_texts(array)


def _mixed(array: Array) -> Mixed:
    """Return an array of objects as columns, each in its own dtype."""
    import pandas as pd

    names = [f"x{at}" for at in range(array.shape[1])]
    frame = pd.DataFrame({name: _typed(array[:, at]) for at, name in enumerate(names)})
    notes: list[str] = []
    feeds = {name: column_array(name, frame[name], notes)[:, None] for name in names}
    return Mixed(feeds, frame, notes, given=array)


def _typed(values: Array) -> Any:
    """Return a column of objects in the dtype of its numbers; texts and None stay objects."""
    import pandas as pd

    plain = pd.Series(values, dtype=object)
    numbers = plain.infer_objects()
    return numbers if numbers.dtype.kind in "biuf" else plain


def _all_texts(array: Array) -> bool:
    return all(isinstance(item, str) for item in array.flat)


def _framed(sample: Mapping[Any, Any]) -> Any:
    """Return a mapping of columns as a data frame."""
    import pandas as pd

    columns = {name: np.asarray(values) for name, values in sample.items()}
    for name, array in columns.items():
        if not (array.ndim == 1 or (array.ndim == 2 and array.shape[1] == 1)):
            raise SampleError(
                f"column {name!r} has the shape {array.shape}, expected one value a row."
            )
    try:
        return pd.DataFrame({name: array.ravel() for name, array in columns.items()})
    except ValueError as exc:
        raise SampleError(f"the columns do not make a frame: {exc}.") from exc


def _read_frame(model: Any, frame: Any) -> Columns:
    notes: list[str] = []
    input_names(frame.columns)  # rejects duplicate names before columns are selected by name
    frame = _known_columns(model, frame, notes).reset_index(drop=True)
    if not len(frame) or not len(frame.columns):
        raise SampleError(f"the frame has the shape {frame.shape}, expected rows and columns.")
    refuse_other_kinds(model, frame)
    names, unnamed = input_names(frame.columns)
    notes += unnamed
    feeds = {
        name: column_array(name, frame.iloc[:, at], notes)[:, None] for at, name in enumerate(names)
    }
    return Columns(feeds, frame, notes, {**known_gaps(model), **_empty_texts(model, frame)})


def _empty_texts(model: Any, frame: Any) -> dict[str, str]:
    """Return an empty text as the gap of each column in which it is a category by itself.

    Raises:
        SampleError: the model also answers to missing texts in the column.
    """
    names = [*map(str, frame.columns)]
    found, filled = empty_categories(model, names), filled_columns(model, names)
    for name in frame.columns:
        if str(name) in found and (str(name) in filled or frame[name].isna().any()):
            raise SampleError(
                f"column {name!r}: the model was fitted with empty texts as a category, and with "
                "missing ones, which a graph cannot tell apart.",
                remedy=f"before fit and here: frame[{name!r}] = frame[{name!r}].replace('', None)",
            )
    return dict.fromkeys(found, MISSING_TEXT)


def _known_columns(model: Any, frame: Any, notes: list[str]) -> Any:
    """Return the columns that the model reads, in the order in which it was fitted."""
    known = _read_names(model)
    if known is None:
        return frame
    missing = [name for name in known if name not in frame.columns]
    if missing:
        raise SampleError(
            f"the sample has no column {missing[0]!r}; found: {_listed(frame.columns)}; "
            f"expected: {_listed(known)}."
        )
    unknown = [name for name in frame.columns if name not in set(known)]
    if unknown:
        notes.append(f"the model does not read these columns, so they are left out: {unknown}")
    return frame[list(known)]


def _read_names(model: Any) -> Any:
    """Return the columns that the model was fitted with, save those that its first step drops.

    scikit-learn takes a frame without these, and a date or an identifier has no place in a graph.
    """
    known = getattr(model, "feature_names_in_", None)
    first = model
    while first is not None and hasattr(first, "steps"):
        first = next((step for _, step in first.steps if not is_idle(step)), None)
    read = None if not isinstance(first, ColumnTransformer) else read_places(first)
    return known if known is None or not read else [known[place] for place in read]


def _listed(names: Any) -> str:
    return ", ".join(map(str, names))
