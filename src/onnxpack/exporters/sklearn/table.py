"""A sample of rows: as named inputs of a graph, and back as what scikit-learn takes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from onnxpack.errors import SampleError
from onnxpack.exporters.sklearn.columns import column_array, series_like
from onnxpack.exporters.sklearn.convert import Frame, Table
from onnxpack.exporters.sklearn.fitted import known_gaps, refuse_other_kinds
from onnxpack.exporters.sklearn.tensor import Graph
from onnxpack.exporters.value_names import input_names
from onnxpack.signature import Array, dtype_name

X = "X"
SPARSE_NOTE = (
    "the sparse sample is taken as a dense one: 0 stands for what the sparse matrix does not store"
)


class Rows(ABC):
    """A sample of rows.

    Attributes:
        feeds: the rows as named arrays.
        notes: what the user should know of them.
    """

    feeds: Mapping[str, Array]
    notes: Sequence[str] = ()

    @property
    def categories(self) -> Mapping[str, Array]:
        """All categories of each column of pandas' categories, [categories, 1]."""
        return {}

    @abstractmethod
    def restore(self, feeds: Mapping[str, Array]) -> Any:
        """Named arrays as what scikit-learn takes."""

    @abstractmethod
    def enter(self, graph: Graph) -> Table:
        """Add the inputs to a graph."""


@dataclass(frozen=True)
class Matrix(Rows):
    """A 2-D array, or one value a row.

    Attributes:
        kind: what makes of an array what the model takes: the class of a sparse matrix.
    """

    feeds: Mapping[str, Array]
    notes: Sequence[str] = ()
    kind: Callable[[Array], Any] = np.asarray

    def restore(self, feeds: Mapping[str, Array]) -> Any:
        """The array, or the sparse matrix that stores what is not zero in it."""
        return self.kind(feeds[X])

    def enter(self, graph: Graph) -> Table:
        """One input, ``X``."""
        array = self.feeds[X]
        return graph.input(X, dtype_name(array.dtype), ["batch", *array.shape[1:]])


@dataclass(frozen=True)
class Columns(Rows):
    """A data frame: one input a column, [batch, 1].

    Attributes:
        frame: the user's own, which tells names and dtypes.
        gaps: by column, what the model knows as a missing text.
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
        """What the columns' dtypes list, whether or not the rows show it."""
        columns = zip(self.feeds.items(), self.frame.items(), strict=True)
        return {
            name: np.asarray(series.cat.categories.to_numpy(), array.dtype)[:, None]
            for (name, array), (_, series) in columns
            if hasattr(series, "cat")
        }

    def restore(self, feeds: Mapping[str, Array]) -> Any:
        """A frame with the user's names and kinds of columns."""
        import pandas as pd

        columns = zip(self.frame.columns, feeds.values(), strict=True)
        series = {
            name: series_like(self.frame[name], array[:, 0], self.gaps.get(name, np.nan))
            for name, array in columns
        }
        return pd.DataFrame(series, columns=self.frame.columns)

    def enter(self, graph: Graph) -> Table:
        """One input a column."""
        return Frame(
            {
                name: graph.input(name, dtype_name(array.dtype), ["batch", 1])
                for name, array in self.feeds.items()
            }
        )


@dataclass(frozen=True)
class Mixed(Columns):
    """Rows of texts and numbers in one array of objects: one input a column, ``x0``, ``x1``.

    Attributes:
        given: the array, as scikit-learn makes it of nested lists.
    """

    given: Any = None

    @property
    def own(self) -> Any:
        """The user's array."""
        return self.given

    def restore(self, feeds: Mapping[str, Array]) -> Any:
        """An array of objects, each of its column's own type."""
        return super().restore(feeds).to_numpy(dtype=object)


def read_rows(model: Any, sample: Any) -> Rows:
    """The sample as rows.

    Args:
        model: whose ``feature_names_in_`` choose the columns of a frame.
        sample: a data frame, a 2-D array, a list of texts, or a mapping of columns.

    Raises:
        SampleError: it is none of them, or a column holds what no tensor can.
    """
    if hasattr(sample, "columns") and hasattr(sample, "iloc"):
        return _read_frame(model, sample)
    if isinstance(sample, Mapping):
        return _read_frame(model, _framed(sample))
    if hasattr(sample, "toarray"):
        return Matrix({X: sample.toarray()}, (SPARSE_NOTE,), type(sample))
    if isinstance(sample, str | bytes | tuple):
        raise SampleError(
            f"a {type(sample).__name__} is no sample of rows.",
            remedy="give a 2-D array, a DataFrame, or a list of texts: model.predict(sample) "
            "must work",
        )
    array = _array(sample)
    return _mixed(array) if _is_mixed(array) else Matrix({X: array})


def _array(sample: Any) -> Array:
    """Numbers, texts, or objects of both kinds.

    Raises:
        SampleError: it cannot be an array of rows.
    """
    try:
        array = np.asarray(sample)
        if array.dtype.kind == "U":  # NumPy makes texts of the numbers beside them
            array = np.asarray(sample, dtype=object)
    except (TypeError, ValueError) as exc:
        raise SampleError(f"the sample cannot be an array: {exc}.") from exc
    texts_or_columns = array.ndim == 2 or _all_texts(array)
    if array.dtype.kind not in "biufO" or (array.dtype.kind == "O" and not texts_or_columns):
        raise SampleError(
            f"an array of dtype {array.dtype} is not one of numbers or of texts alone.",
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
    """The columns of an array of objects, each in its own dtype."""
    import pandas as pd

    names = [f"x{at}" for at in range(array.shape[1])]
    frame = pd.DataFrame({name: _typed(array[:, at]) for at, name in enumerate(names)})
    notes: list[str] = []
    feeds = {name: column_array(name, frame[name], notes)[:, None] for name in names}
    return Mixed(feeds, frame, notes, given=array)


def _typed(values: Array) -> Any:
    """A column of objects in the dtype of its numbers; texts stay objects, and None stays None."""
    import pandas as pd

    plain = pd.Series(values, dtype=object)
    numbers = plain.infer_objects()
    return numbers if numbers.dtype.kind in "biuf" else plain


def _all_texts(array: Array) -> bool:
    return all(isinstance(item, str) for item in array.flat)


def _framed(sample: Mapping[Any, Any]) -> Any:
    """A mapping of columns as a frame."""
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
    input_names(frame.columns)  # refuses names that stand twice, before columns are chosen by name
    frame = _known_columns(model, frame, notes).reset_index(drop=True)
    if not len(frame) or not len(frame.columns):
        raise SampleError(f"the frame has the shape {frame.shape}, expected rows and columns.")
    refuse_other_kinds(model, frame)
    names, unnamed = input_names(frame.columns)
    notes += unnamed
    feeds = {
        name: column_array(name, frame.iloc[:, at], notes)[:, None] for at, name in enumerate(names)
    }
    return Columns(feeds, frame, notes, known_gaps(model))


def _known_columns(model: Any, frame: Any, notes: list[str]) -> Any:
    """The columns that the model was fitted with, in its order."""
    known = getattr(model, "feature_names_in_", None)
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
        notes.append(f"the model does not know these columns, which are left out: {unknown}")
    return frame[list(known)]


def _listed(names: Any) -> str:
    return ", ".join(map(str, names))
