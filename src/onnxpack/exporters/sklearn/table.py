"""A sample of rows: as named inputs of a graph, and back as what scikit-learn takes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from onnxpack.errors import SampleError
from onnxpack.exporters.sklearn.convert import Frame, Table
from onnxpack.exporters.sklearn.tensor import Graph
from onnxpack.exporters.value_names import input_names
from onnxpack.signature import Array, dtype_name

X = "X"
MISSING = ""
"""What stands for a missing text in a column of a frame whose sample has no empty text."""


class Rows(ABC):
    """A sample of rows.

    Attributes:
        feeds: the rows as named arrays.
        notes: what the user should know of them.
    """

    feeds: Mapping[str, Array]
    notes: Sequence[str] = ()

    @abstractmethod
    def restore(self, feeds: Mapping[str, Array]) -> Any:
        """Named arrays as what scikit-learn takes."""

    @abstractmethod
    def enter(self, graph: Graph) -> Table:
        """Add the inputs to a graph."""


@dataclass(frozen=True)
class Matrix(Rows):
    """A 2-D array, or one value a row."""

    feeds: Mapping[str, Array]
    notes: Sequence[str] = ()

    def restore(self, feeds: Mapping[str, Array]) -> Any:
        """The array."""
        return feeds[X]

    def enter(self, graph: Graph) -> Table:
        """One input, ``X``."""
        array = self.feeds[X]
        return graph.input(X, dtype_name(array.dtype), ["batch", *array.shape[1:]])


@dataclass(frozen=True)
class Columns(Rows):
    """A data frame: one input a column, [batch, 1].

    Attributes:
        frame: the user's own, which tells names and dtypes.
    """

    feeds: Mapping[str, Array]
    frame: Any
    notes: Sequence[str] = ()

    def restore(self, feeds: Mapping[str, Array]) -> Any:
        """A frame with the user's names and kinds of columns."""
        import pandas as pd

        columns = zip(self.frame.columns, feeds.values(), strict=True)
        series = {name: _series(self.frame[name], array[:, 0]) for name, array in columns}
        return pd.DataFrame(series, columns=self.frame.columns)

    def enter(self, graph: Graph) -> Table:
        """One input a column."""
        return Frame(
            {
                name: graph.input(name, dtype_name(array.dtype), ["batch", 1])
                for name, array in self.feeds.items()
            }
        )


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
        return Matrix({X: sample.toarray()}, ("the sparse sample is taken as a dense one",))
    if isinstance(sample, str | bytes | tuple):
        raise SampleError(
            f"a {type(sample).__name__} is no sample of rows.",
            remedy="give a 2-D array, a DataFrame, or a list of texts: model.predict(sample) "
            "must work",
        )
    return Matrix({X: _array(sample)})


def _array(sample: Any) -> Array:
    try:
        array = np.asarray(sample)
    except ValueError as exc:
        raise SampleError(f"the sample cannot be an array: {exc}.") from exc
    if array.dtype.kind == "U" or (array.dtype.kind == "O" and _all_texts(array)):
        array = array.astype(object)
    elif array.dtype.kind not in "biuf":
        raise SampleError(
            f"an array of dtype {array.dtype} is not one of numbers or of texts alone.",
            remedy="give a DataFrame: each column has a dtype of its own",
        )
    elif array.dtype == np.float16 or array.dtype.itemsize > 8:
        raise SampleError(
            f"the sample is {array.dtype}, for which ONNX Runtime lacks kernels.",
            remedy="sample.astype('float32')",
        )
    if array.ndim not in (1, 2) or not array.size:
        raise SampleError(f"the sample has the shape {array.shape}, expected rows of features.")
    return array


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
    names, unnamed = input_names(frame.columns)
    notes += unnamed
    feeds = {
        name: _column(name, frame.iloc[:, at], notes)[:, None] for at, name in enumerate(names)
    }
    return Columns(feeds, frame, notes)


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


def _column(name: str, series: Any, notes: list[str]) -> Array:
    """A column as an array of numbers, of bools, or of texts."""
    kind = getattr(series.dtype, "kind", "O")
    missing = series.isna()
    if isinstance(series.dtype, _pandas().CategoricalDtype):
        kind = series.cat.categories.dtype.kind
        if kind in "biu" and missing.any():
            kind = "f"
        return _plain(name, series.astype(object), kind, missing, notes)
    if kind in "biu" and missing.any():
        kind = "f"
        notes.append(f"column {name!r} has missing values: it is float64, and NaN is missing")
    return _plain(name, series, kind, missing, notes)


def _plain(name: str, series: Any, kind: str, missing: Any, notes: list[str]) -> Array:
    if kind == "f":
        wide = "float32" if str(series.dtype).lower() == "float32" else "float64"
        return np.asarray(series.to_numpy(wide, na_value=np.nan))
    if kind in "iu":
        dtype = np.dtype(str(series.dtype).lower()) if series.dtype != object else np.int64
        return np.asarray(series.to_numpy(dtype))
    if kind == "b":
        return np.asarray(series.to_numpy(bool))
    present = series[~missing]
    if kind in "OUT" and len(present) and all(isinstance(item, str) for item in present):
        if missing.any():
            notes.append(f"column {name!r} has missing texts: an empty text stands for them")
        if missing.any() and (present == MISSING).any():
            raise SampleError(
                f"column {name!r} has missing texts and empty ones, which a graph cannot tell "
                "apart.",
                remedy=f"frame[{name!r}] = frame[{name!r}].replace('', None), before fit and here",
            )
        return np.asarray(series.astype(object).where(~missing, MISSING).to_numpy(object))
    bools = len(present) == len(series) and all(type(item) is bool for item in present)
    if kind == "O" and bools:
        return np.asarray(series.to_numpy(bool))
    raise SampleError(
        f"column {name!r} of dtype {series.dtype} holds {_kinds(present)}, expected numbers, "
        "bools or texts.",
        remedy=f"frame[{name!r}] = frame[{name!r}].astype(str), or .astype(float), before fit "
        "and here",
    )


def _kinds(values: Any) -> str:
    return " and ".join(sorted({type(item).__name__ for item in values})) or "nothing"


def _series(like: Any, values: Array) -> Any:
    """An array as a column of the kind that the user's is."""
    pd = _pandas()
    plain = like.astype(object)
    if values.dtype.kind == "O" and not (plain == MISSING).any():
        gap = next((item for item in plain if pd.isna(item)), np.nan)
        values = np.array([gap if item == MISSING else item for item in values], object)
    if isinstance(like.dtype, pd.CategoricalDtype):
        known = like.cat.categories
        present = pd.Index([item for item in pd.unique(values) if not pd.isna(item)])
        return pd.Series(pd.Categorical(values, categories=known.union(present, sort=False)))
    return pd.Series(values)


def _pandas() -> Any:
    import pandas as pd

    return pd
