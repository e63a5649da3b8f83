"""Conversion of a fitted estimator's method to nodes of a graph."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from onnxpack.errors import ExportError
from onnxpack.exporters.sklearn import numeric as n
from onnxpack.exporters.sklearn.tensor import Graph, Tensor


@dataclass(frozen=True, eq=False)
class Frame:
    """The columns of a data frame, each [batch, 1]."""

    columns: Mapping[str, Tensor]

    @property
    def graph(self) -> Graph:
        """The graph that the columns belong to."""
        return next(iter(self.columns.values())).graph

    @property
    def name(self) -> str:
        """A name that identifies this frame within the graph."""
        return "\0".join(tensor.name for tensor in self.columns.values())

    def matrix(self) -> Tensor:
        """Return the columns side by side, in their common dtype, [batch, columns].

        Raises:
            ExportError: some columns hold texts and others hold numbers.
        """
        kinds = {tensor.dtype for tensor in self.columns.values()}
        if "str" in kinds and len(kinds) > 1:
            texts = [name for name, tensor in self.columns.items() if tensor.dtype == "str"]
            raise ExportError(f"column {texts[0]!r} holds text, and others hold numbers")
        return n.concat(list(self.columns.values()))


Table: TypeAlias = "Tensor | Frame"
Answer: TypeAlias = "Tensor | list[Tensor]"


class Family:
    """Converts the methods of a group of estimators to nodes of a graph.

    A subclass has methods with scikit-learn's names, such as ``predict(model, x)``. Each method
    returns a tensor, or a list of tensors if scikit-learn returns a list.

    Attributes:
        columnwise: whether the methods accept a :class:`Frame`; otherwise they get one matrix.
    """

    columnwise = False

    def unwritable(self, model: Any) -> str:
        """Return why no graph can hold this estimator, as a clause; empty if one can.

        This is called before the model runs, because the model's answer could exhaust the memory.
        """
        return ""


def call(model: Any, method: str, x: Table) -> Answer:
    """Add the nodes that compute a method of a fitted estimator; return its result.

    Raises:
        ExportError: no converter supports the estimator or its method.
    """
    from onnxpack.exporters.sklearn.registry import family_of, refuse_own_code

    graph = x.graph
    key = (id(model), method, x.name)
    if key not in graph.known:
        family = family_of(model)
        if family is None:
            raise ExportError(f"{_class_of(model)}: onnxpack does not support this class")
        refuse_own_code(model)
        function = getattr(family, method, None)
        if function is None:
            raise ExportError(f"{type(model).__name__} has no converter for {method}()")
        table = x if family.columnwise or isinstance(x, Tensor) else x.matrix()
        graph.known[key] = function(model, table)
    return graph.known[key]  # type: ignore[no-any-return]


def _class_of(model: Any) -> str:
    kind = type(model)
    return f"{kind.__module__}.{kind.__qualname__}"


def ask(model: Any, method: str, x: Table) -> Tensor:
    """Return the result of :func:`call` for a method that gives one tensor.

    Raises:
        ExportError: the method gives several tensors, or no converter supports it.
    """
    answer = call(model, method, x)
    if isinstance(answer, list):
        raise ExportError(f"{type(model).__name__}.{method}() returns several arrays")
    return answer


def parts(model: Any) -> Iterator[Any]:
    """Yield an estimator and everything inside its pipelines, unions and column transformers."""
    yield model
    inner = [
        *getattr(model, "steps", ()),
        *getattr(model, "transformer_list", ()),
        *getattr(model, "transformers_", ()),
    ]
    for _, each, *_ in inner:
        if each is not None and not isinstance(each, str):
            yield from parts(each)


@contextmanager
def within(place: str) -> Iterator[None]:
    """Prefix errors with the place in the model where they arose, such as ``step 2, "clf"``."""
    try:
        yield
    except ExportError as exc:
        raise ExportError(f"{place}: {exc.message}") from exc


def private(model: Any, name: str) -> Any:
    """Return a private attribute of a fitted estimator; used where no public one has the value."""
    return getattr(model, name)


def labels_at(model: Any, index: Tensor) -> Tensor:
    """Return the classes with these numbers, [batch]."""
    return n.take(index.graph, np.asarray(model.classes_), index)


def label_if(model: Any, positive: Tensor) -> Tensor:
    """Return the second class where ``positive`` is true, else the first class, [batch]."""
    return labels_at(model, positive.cast("int64"))


def two_columns(positive: Tensor) -> Tensor:
    """Return the probabilities of both classes from those of the second, [batch, 2]."""
    column = n.as_column(positive)
    return n.concat([1.0 - column, column])


def normalized(x: Tensor) -> Tensor:
    """Return rows divided by their sums; rows of zeros become uniform."""
    sums = n.total(x, keepdims=True)
    empty = n.equal(sums, 0.0)
    width = n.total(x * 0.0 + 1.0, keepdims=True)
    return n.where(empty, 1.0 / width, x / n.where(empty, 1.0, sums))
