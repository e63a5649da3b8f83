"""Converters of encoders of categories, bins and labels."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from onnxpack.errors import ExportError
from onnxpack.exporters.sklearn import numeric as n
from onnxpack.exporters.sklearn.convert import Family, Frame, Table, private
from onnxpack.exporters.sklearn.tensor import Tensor
from onnxpack.signature import Array

UNKNOWN = "a category is unknown, which the model refuses"


def matches(x: Tensor, categories: Array) -> Tensor:
    """Return whether each value equals each category, bool [batch, categories]."""
    categories = np.asarray(categories)
    missing = np.array([_is_missing(item) for item in categories])
    if x.dtype == "str":
        texts = ["" if gone else item for item, gone in zip(categories, missing, strict=True)]
        if not all(isinstance(item, str) for item in texts):
            raise ExportError("a column of text has categories that are not text")
        return n.equal(x, np.array(texts, object)[None])
    try:
        plain = [np.nan if gone else item for item, gone in zip(categories, missing, strict=True)]
        numbers = np.array(plain)
        numbers = numbers if numbers.dtype.kind in "biuf" else numbers.astype(np.float64)
    except (TypeError, ValueError) as exc:
        raise ExportError("a column of numbers has categories that are not numbers") from exc
    found = n.equal(x, numbers[None])
    if not missing.any():
        return found
    return found | (n.isnan(x) & x.graph.constant(missing[None]))


def _is_missing(item: Any) -> bool:
    return item is None or item != item  # NaN


def refused_unless(known: Tensor, place: Tensor) -> Tensor:
    """Return the places, after a check at run time that every value has a category.

    Where the model raises an error for an unknown category, ``Gather`` fails in the graph.
    """
    graph = place.graph
    only = graph.constant(np.zeros(1, np.int64))
    checked = graph.op("Gather", only, n.where(known, 0, 1), dtype="int64", title=UNKNOWN, axis=0)
    return place + checked


class Encoder(Family):
    """Finds the place of each value among the categories; base of the encoders of features."""

    columnwise = True

    def places(self, model: Any, x: Table) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield each feature's places and whether each value is known, both [batch].

        The place of an unknown value is 0. If the model rejects unknown values, so does the graph.
        """
        columns = list(split(model, x))
        for column, categories in zip(columns, model.categories_, strict=True):
            found = matches(column, categories)
            place, known = n.argmax(found.cast("int32")), n.any_of(found)
            if getattr(model, "handle_unknown", "") == "error":
                place = refused_unless(known, place)
            yield place, known


def split(model: Any, x: Table) -> list[Tensor]:
    """Return each feature as one [batch, 1] column in its own dtype."""
    if isinstance(x, Frame):
        return list(x.columns.values())
    return [n.column(x, place) for place in range(model.n_features_in_)]


class OneHot(Encoder):
    """Converts ``OneHotEncoder``."""

    def transform(self, model: Any, x: Table) -> Tensor:
        """Return one column per category: 1 in the column of the value's category, else 0."""
        dtype = np.dtype(model.dtype).name
        drops = private(model, "_drop_idx_after_grouping")
        parts = []
        for i, (first, known) in enumerate(self.places(model, x)):
            place, kept, size = _grouped(model, i, first, known)
            table = np.eye(size, dtype=dtype)
            if drops is not None and drops[i] is not None:
                table = np.delete(table, int(drops[i]), axis=1)
            hot = n.take(place.graph, table, place)
            parts.append(n.where(n.as_column(kept), hot, np.zeros((1, 1), dtype)))
        return n.concat(parts)


def _grouped(model: Any, i: int, place: Tensor, known: Tensor) -> tuple[Tensor, Tensor, int]:
    """Return the places after rare categories are merged, whether each counts, and their number."""
    size = len(model.categories_[i])
    mapping = _infrequent(model, i)
    if mapping is None:
        return place, known, size
    rare = int(mapping[private(model, "_infrequent_indices")[i][0]])
    grouped = n.take(place.graph, np.asarray(mapping, np.int64), place)
    if model.handle_unknown in ("infrequent_if_exist", "warn"):
        grouped = n.where(known, grouped, rare)
        known = known | ~known
    return grouped, known, int(max(mapping)) + 1


def _infrequent(model: Any, i: int) -> Any:
    if not getattr(model, "_infrequent_enabled", False):
        return None
    return private(model, "_default_to_infrequent_mappings")[i]


class Ordinal(Encoder):
    """Converts ``OrdinalEncoder``."""

    def transform(self, model: Any, x: Table) -> Tensor:
        """Return the number of each value's category, [batch, features]."""
        dtype = np.dtype(model.dtype).name
        gaps = private(model, "_missing_indices")
        parts = []
        for i, (place, known) in enumerate(self.places(model, x)):
            numbers = np.arange(len(model.categories_[i]))
            mapping = _infrequent(model, i)
            if mapping is not None:
                mapped = np.asarray(mapping)
                numbers = np.array([k if gaps.get(i) == k else mapped[k] for k in numbers])
            values = numbers.astype(np.float64)
            if i in gaps:
                values[gaps[i]] = model.encoded_missing_value
            code = n.take(place.graph, values, place)
            if model.handle_unknown == "use_encoded_value":
                code = n.where(known, code, float(model.unknown_value))
            parts.append(n.as_column(code).cast(dtype))
        return n.concat(parts)


class Target(Encoder):
    """Converts ``TargetEncoder``, which replaces a category by the mean of its targets."""

    def transform(self, model: Any, x: Table) -> Tensor:
        """Return the target means, float64; one column per feature, or per feature and class.

        There is one column for each class only if the target has more than two classes.
        """
        many = model.target_type_ == "multiclass"
        width = len(model.classes_) if many else 1
        means = np.atleast_1d(model.target_mean_)
        parts = []
        for i, (place, known) in enumerate(self.places(model, x)):
            own = model.encodings_[i * width : (i + 1) * width]
            code = n.take(place.graph, np.stack(own, axis=1), place)
            parts.append(n.where(n.as_column(known), code, means[None]))
        return n.concat(parts).cast("float64")


class Bins(Family):
    """Converts ``KBinsDiscretizer``."""

    def transform(self, model: Any, x: Tensor) -> Tensor:
        """Return the number of each value's bin, or one column per bin."""
        x = n.floats(x)
        dtype = x.dtype if model.dtype is None else np.dtype(model.dtype).name
        x = x.cast(dtype)
        places = [_bin(n.column(x, i), edges) for i, edges in enumerate(model.bin_edges_)]
        if model.encode == "ordinal":
            return n.concat([n.as_column(place).cast(dtype) for place in places])
        tables = [np.eye(int(count), dtype=dtype) for count in model.n_bins_]
        return n.concat(
            [n.take(x.graph, table, place) for table, place in zip(tables, places, strict=True)]
        )


def _bin(column: Tensor, edges: Array) -> Tensor:
    inner = np.asarray(edges)[1:-1]
    if not len(inner):
        return n.flat(column * 0.0).cast("int64")
    return n.total(column >= inner[None])


class LabelPlace(Family):
    """Converts ``LabelEncoder``."""

    def transform(self, model: Any, x: Tensor) -> Tensor:
        """Return the number of each label, int64 [batch]."""
        found = matches(n.as_column(x), model.classes_)
        return refused_unless(n.any_of(found), n.argmax(found.cast("int32")))


class LabelBits(Family):
    """Converts ``LabelBinarizer``."""

    def transform(self, model: Any, x: Tensor) -> Tensor:
        """Return the positive value in the label's column and the negative value in all others."""
        if model.y_type_.startswith("multilabel"):
            raise ExportError("its labels are indicators already")
        found = matches(n.as_column(x), model.classes_)
        if len(model.classes_) == 2:
            found = n.column(found, 1)
        return n.where(found, int(model.pos_label), int(model.neg_label))


FAMILIES: dict[str, Family] = {
    "KBinsDiscretizer": Bins(),
    "LabelBinarizer": LabelBits(),
    "LabelEncoder": LabelPlace(),
    "OneHotEncoder": OneHot(),
    "OrdinalEncoder": Ordinal(),
    "TargetEncoder": Target(),
}
