"""Convert a booster's sample of rows to named inputs of a graph, and back for ``predict``.

An array is one input, ``X``. A data frame is one input a column, [batch, 1]. A column of pandas
categories is fed as the categories themselves, strings or integers. A category that the model does
not know counts as missing.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from onnxpack.errors import SampleError
from onnxpack.exporters.trees.graph import ML, Graph
from onnxpack.exporters.value_names import input_names
from onnxpack.parity.dims import BATCH
from onnxpack.signature import Array

X = "X"
UNKNOWN = "a category that nobody knows"
UNKNOWN_NUMBER = -987654321

Categories = Mapping[str, Sequence[Any]]
"""The categories that a model knows, for each categorical column of a frame."""


class Rows(ABC):
    """A sample of rows, and its conversions.

    Attributes:
        feeds: the rows as named arrays.
        dtype: the dtype of the matrix of all rows.
        notes: notes about the rows for the user.
    """

    feeds: Mapping[str, Array]
    dtype: np.dtype[Any]
    notes: Sequence[str] = ()

    @abstractmethod
    def restore(self, feeds: Mapping[str, Array]) -> Any:
        """Return named arrays in the form that the framework takes."""

    @abstractmethod
    def write(self, graph: Graph) -> str:
        """Add the inputs to a graph, and return their name as float64 [batch, features]."""

    @abstractmethod
    def matrix(self) -> Array:
        """Return the sample as floating-point numbers; categories are numbered, NaN is missing."""

    @abstractmethod
    def feed(self, matrix: Array) -> dict[str, Array]:
        """Return such a matrix as named arrays."""

    @property
    @abstractmethod
    def categories(self) -> Mapping[int, int]:
        """The number of known categories of each categorical column."""


@dataclass(frozen=True)
class Matrix(Rows):
    """A 2-D array of floating-point numbers."""

    array: Array

    @property
    def feeds(self) -> Mapping[str, Array]:  # type: ignore[override]
        """The rows as a single input, ``X``."""
        return {X: self.array}

    @property
    def dtype(self) -> np.dtype[Any]:  # type: ignore[override]
        """The dtype of the array."""
        return self.array.dtype

    def restore(self, feeds: Mapping[str, Array]) -> Any:
        """Return the array of the input ``X``."""
        return feeds[X]

    def write(self, graph: Graph) -> str:
        """Add the single input, ``X``."""
        return graph.cast(
            graph.input(X, self.array.dtype, [BATCH, self.array.shape[1]]), np.float64
        )

    def matrix(self) -> Array:
        """Return the array itself."""
        return self.array

    def feed(self, matrix: Array) -> dict[str, Array]:
        """Return the matrix as the input ``X``."""
        return {X: matrix}

    @property
    def categories(self) -> Mapping[int, int]:
        """An empty mapping, since an array holds only numbers."""
        return {}


@dataclass(frozen=True)
class Column:
    """One column of a frame.

    Attributes:
        dtype: the dtype of the input; strings are ``object``.
        known: the categories that the model knows, in the order of their numbers; None if the
            column holds numbers.
        ordered: whether pandas orders the categories.
        plain: whether the frame holds the categories as plain values, not as pandas' categories.
    """

    dtype: np.dtype[Any]
    known: tuple[Any, ...] | None = None
    ordered: bool = False
    plain: bool = False

    def restore(self, values: Array) -> Any:
        """Return the values as a column of a frame."""
        import pandas as pd

        if self.known is None or self.plain:
            return pd.Series(values[:, 0])
        return pd.Series(
            pd.Categorical(
                [value if value in self.known else None for value in values[:, 0].tolist()],
                categories=list(self.known),
                ordered=self.ordered,
            )
        )

    def write(self, graph: Graph, name: str) -> str:
        """Add the column's input, and return it as float64 [batch, 1]."""
        given = graph.input(name, self.dtype, [BATCH, 1])
        if self.known is None:
            return graph.cast(given, np.float64)
        keys = "keys_strings" if self.dtype == object else "keys_int64s"
        code = graph.add(
            "LabelEncoder",
            given if self.dtype == object else graph.cast(given, np.int64),
            domain=ML,
            values_int64s=list(range(len(self.known))),
            default_int64=-1,
            **{keys: list(self.known)},
        )
        unknown = graph.add("Less", code, graph.constant(0))
        return graph.add("Where", unknown, graph.constant(np.nan), graph.cast(code, np.float64))

    def numbers(self, values: Array) -> Array:
        """Return the column as float64."""
        if self.known is None:
            return values[:, 0].astype(np.float64)
        number = {category: float(at) for at, category in enumerate(self.known)}
        return np.array([number.get(value, np.nan) for value in values[:, 0].tolist()])

    def feed(self, numbers: Array) -> Array:
        """Return numbers as the input; for integer dtypes some are rounded down, some up."""
        if self.known is not None:
            other = UNKNOWN if self.dtype == object else UNKNOWN_NUMBER
            valid = (numbers >= 0) & (numbers < len(self.known))
            codes = np.where(valid, numbers, -1).astype(int)
            chosen = [self.known[code] if code >= 0 else other for code in codes]
            return np.array(chosen, self.dtype)[:, None]
        if self.dtype.kind == "f":
            with np.errstate(over="ignore"):
                return numbers.astype(self.dtype)[:, None]
        return _whole(numbers, self.dtype)[:, None]


@dataclass(frozen=True)
class Frame(Rows):
    """A data frame, one input for each column."""

    feeds: Mapping[str, Array]
    columns: Mapping[str, Column]
    names: Sequence[Any]
    notes: Sequence[str] = ()

    @property
    def dtype(self) -> np.dtype[Any]:  # type: ignore[override]
        """The widest dtype of the floating-point columns."""
        kinds = [c.dtype for c in self.columns.values() if c.dtype.kind == "f"]
        return np.result_type(*kinds) if kinds else np.dtype(np.float64)

    def restore(self, feeds: Mapping[str, Array]) -> Any:
        """Return a frame with the user's names and dtypes."""
        import pandas as pd

        series = [column.restore(feeds[name]) for name, column in self.columns.items()]
        frame = pd.concat(series, axis=1)
        frame.columns = pd.Index(self.names)
        return frame

    def write(self, graph: Graph) -> str:
        """Add one input for each column."""
        graph.reserve(self.columns)
        columns = [column.write(graph, name) for name, column in self.columns.items()]
        return graph.add("Concat", *columns, axis=1)

    def matrix(self) -> Array:
        """Return the columns joined to a matrix."""
        numbers = [column.numbers(self.feeds[name]) for name, column in self.columns.items()]
        return np.stack(numbers, axis=1).astype(self.dtype)

    def feed(self, matrix: Array) -> dict[str, Array]:
        """Return a column of the matrix for each input."""
        return {
            name: column.feed(matrix[:, at])
            for at, (name, column) in enumerate(self.columns.items())
        }

    @property
    def categories(self) -> Mapping[int, int]:
        """The number of known categories of each categorical column."""
        columns = enumerate(self.columns.values())
        return {at: len(column.known) for at, column in columns if column.known is not None}


def read_rows(sample: Any, features: int, categories: Categories, *, plain: bool = False) -> Rows:
    """Return the sample as rows.

    Args:
        sample: a data frame, a 2-D array of floats, or a mapping of columns.
        features: the number of columns that the model takes.
        categories: the known categories of a frame's categorical columns.
        plain: whether these columns hold texts or integers rather than pandas' categories.

    Raises:
        SampleError: the sample is of another kind, has more or fewer columns, or holds values that
            the graph cannot take.
    """
    rows = _read(sample, categories, plain=plain)
    found = rows.matrix().shape[1]
    if found != features:
        raise SampleError(f"the sample has {found} columns, expected {features} features.")
    return rows


def _read(sample: Any, categories: Categories, *, plain: bool) -> Rows:
    if hasattr(sample, "columns") and hasattr(sample, "iloc"):
        return read_frame(sample, categories, plain=plain)
    if isinstance(sample, Mapping):
        return Matrix(_array(sample[X])) if list(sample) == [X] else _framed(sample, categories)
    if isinstance(sample, str | bytes | tuple):
        raise SampleError(
            f"a {type(sample).__name__} is not a sample of rows.",
            remedy="give a 2-D array of floats or a DataFrame: model.predict(sample) must work",
        )
    return Matrix(_array(sample))


def read_frame(frame: Any, categories: Categories, *, plain: bool = False) -> Frame:
    """Return a data frame as rows, column by column; see :func:`read_rows`.

    Raises:
        SampleError: two columns have one name, or a column holds values that no graph takes.
    """
    names, notes = input_names(frame.columns)
    if not len(frame) or not names:
        raise SampleError(f"the frame has the shape {frame.shape}, expected rows and columns.")
    columns, feeds = {}, {}
    for at, name in enumerate(names):
        series = frame.iloc[:, at]
        if hasattr(series, "cat") or name in categories:
            columns[name], feeds[name] = _read_categories(name, series, categories, plain=plain)
        else:
            columns[name], feeds[name] = _read_numbers(name, series)
    return Frame(feeds, columns, list(frame.columns), notes)


def _read_numbers(name: str, series: Any) -> tuple[Column, Array]:
    dtype = getattr(series.dtype, "numpy_dtype", series.dtype)
    kind = getattr(dtype, "kind", "O")
    if kind not in "biuf" or dtype == np.float16:
        raise SampleError(
            f"column {name!r} has the dtype {series.dtype}, expected numbers or categories.",
            remedy=f"frame[{name!r}] = frame[{name!r}].astype('category') before fit and here",
        )
    if kind != "f" and series.isna().any():
        dtype = np.dtype(np.float64)
    values = series.to_numpy(dtype, na_value=np.nan) if series.isna().any() else series
    return Column(np.dtype(dtype)), np.asarray(values, dtype)[:, None]


def _read_categories(
    name: str, series: Any, categories: Categories, *, plain: bool
) -> tuple[Column, Array]:
    known = tuple(categories[name]) if name in categories else tuple(series.cat.categories)
    texts = all(isinstance(value, str) for value in known)
    whole = all(isinstance(value, int | np.integer) for value in known)
    if not known or not (texts or whole):
        raise SampleError(
            f"the categories of column {name!r} are {known[:3]}, expected strings or integers.",
            remedy=f"frame[{name!r}] = frame[{name!r}].astype(str).astype('category') before fit "
            "and here",
        )
    dtype: DTypeLike = object if texts else np.int64
    plainly = series.astype(object)
    _check_categories(name, plainly.dropna(), known, is_category=hasattr(series, "cat"))
    missing = UNKNOWN if texts else UNKNOWN_NUMBER
    values = plainly.where(series.notna(), missing).to_numpy()
    ordered = hasattr(series, "cat") and bool(series.cat.ordered)
    known = known if texts else tuple(map(int, known))
    return Column(np.dtype(dtype), known, ordered, plain), np.asarray(values, dtype)[:, None]


def _check_categories(name: str, values: Any, known: tuple[Any, ...], *, is_category: bool) -> None:
    """Check that a column holds texts or integers, like its categories in training.

    Raises:
        SampleError: the column holds other values, or an integer that does not fit int64.
    """
    texts = isinstance(known[0], str)
    held = values.infer_objects().dtype.kind  # a column of objects may hold bools
    strange = (held in "OUT") != texts if is_category else (held in "biu") == texts
    if len(values) and strange:
        raise SampleError(
            f"column {name!r} of the sample contains {values.iloc[0]!r}, but its categories in "
            f"training were {known[:3]}.",
            remedy="give the rows of the frame that the model was trained on, its columns in the "
            "same order",
        )
    huge = () if texts else (v for v in (*known, *values) if not -(2**63) <= int(v) < 2**63)
    for value in huge:
        raise SampleError(
            f"column {name!r} has the category {value}, which does not fit into int64.",
            remedy=f"frame[{name!r}] = frame[{name!r}].astype(str).astype('category') before fit "
            "and here",
        )


def _array(sample: Any) -> Array:
    if hasattr(sample, "toarray"):
        raise SampleError(
            "the sample is sparse, and the values that it does not store mean zero to some "
            "libraries and missing to others.",
            remedy="sample.toarray(); for XGBoost, with np.nan for values that are not stored",
        )
    try:
        array = np.asarray(sample)
    except ValueError as exc:
        raise SampleError(f"the sample cannot be an array: {exc}.") from exc
    if array.dtype not in (np.float32, np.float64):
        raise SampleError(
            f"the sample has dtype {array.dtype}, expected float32 or float64.",
            remedy="sample.astype('float32')"
            if hasattr(sample, "astype")
            else "numpy.asarray(sample, 'float32')",
        )
    if array.ndim != 2 or not array.size:
        raise SampleError(f"the sample has the shape {array.shape}, expected [rows, features].")
    return array


def _framed(sample: Mapping[Any, Any], categories: Categories) -> Frame:
    """Return a mapping of columns as a frame; texts become categories."""
    import pandas as pd

    columns = {name: np.asarray(values) for name, values in sample.items()}
    for name, array in columns.items():
        if not (array.ndim == 1 or (array.ndim == 2 and array.shape[1] == 1)):
            raise SampleError(
                f"column {name!r} has the shape {array.shape}, expected one value a row."
            )
    try:
        frame = pd.DataFrame({name: array.ravel() for name, array in columns.items()})
    except ValueError as exc:
        raise SampleError(f"the columns do not make a frame: {exc}.") from exc
    known = {str(name): "category" for name in frame if str(name) in categories}
    return read_frame(frame.astype(known), categories)


def _whole(numbers: Array, dtype: np.dtype[Any]) -> Array:
    """Round to integers or bools: in turn down, to the nearest, and up."""
    turn = np.arange(len(numbers)) % 3
    rounded = np.choose(turn, [np.floor(numbers), np.rint(numbers), np.ceil(numbers)])
    rounded = np.nan_to_num(rounded, nan=0.0, posinf=127.0, neginf=0.0)
    if dtype.kind == "b":
        return np.asarray(rounded > 0)
    info = np.iinfo(dtype)
    return np.asarray(rounded.clip(max(info.min, -(2**31)), min(info.max, 2**31)).astype(dtype))
