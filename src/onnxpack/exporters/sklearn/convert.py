"""A method of a fitted estimator becomes part of a graph."""

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
        """The graph that they are part of."""
        return next(iter(self.columns.values())).graph

    @property
    def name(self) -> str:
        """What tells this frame from others."""
        return "\0".join(tensor.name for tensor in self.columns.values())

    def matrix(self) -> Tensor:
        """The columns side by side, in the dtype that they have together."""
        kinds = {tensor.dtype for tensor in self.columns.values()}
        if "str" in kinds and len(kinds) > 1:
            texts = [name for name, tensor in self.columns.items() if tensor.dtype == "str"]
            raise ExportError(f"column {texts[0]!r} holds text, and others hold numbers")
        return n.concat(list(self.columns.values()))


Table: TypeAlias = "Tensor | Frame"
Answer: TypeAlias = "Tensor | list[Tensor]"


class Family:
    """How the methods of some estimators are written as a graph.

    A subclass has methods of scikit-learn's names, ``predict(model, x)``, ``transform(model, x)``
    and so on, each of which gives a tensor, or a list of them where scikit-learn gives a list.

    Attributes:
        columnwise: whether a frame is taken as it is; else it comes as one matrix.
    """

    columnwise = False

    def unwritable(self, model: Any) -> str:
        """Return why no graph can hold this estimator, as a clause; empty if one can.

        The model is not asked before this question, since its answer could fill the memory.
        """
        return ""


def call(model: Any, method: str, x: Table) -> Answer:
    """Add what a method of a fitted estimator computes to the graph.

    Raises:
        ExportError: there is no way to write it.
    """
    from onnxpack.exporters.sklearn.registry import family_of, refuse_own_code

    graph = x.graph
    key = (id(model), method, x.name)
    if key not in graph.known:
        family = family_of(model)
        if family is None:
            raise ExportError(f"{_class_of(model)}: onnxpack does not know this class")
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
    """As :func:`call`, where one tensor is expected.

    Raises:
        ExportError: there are several, or there is no way to write it.
    """
    answer = call(model, method, x)
    if isinstance(answer, list):
        raise ExportError(f"{type(model).__name__}.{method}() gives several arrays")
    return answer


def parts(model: Any) -> Iterator[Any]:
    """An estimator, and those that it is composed of."""
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
    """Say in an error where in the model it arose: ``step 2, "clf"``."""
    try:
        yield
    except ExportError as exc:
        raise ExportError(f"{place}: {exc.message}") from exc


def private(model: Any, name: str) -> Any:
    """What a fitted estimator keeps for itself, where its public attributes do not tell."""
    return getattr(model, name)


def labels_at(model: Any, index: Tensor) -> Tensor:
    """The classes of a classifier at these places."""
    return n.take(index.graph, np.asarray(model.classes_), index)


def label_if(model: Any, positive: Tensor) -> Tensor:
    """The second class where it is true, else the first."""
    return labels_at(model, positive.cast("int64"))


def two_columns(positive: Tensor) -> Tensor:
    """The probabilities of both classes from that of the second."""
    column = n.as_column(positive)
    return n.concat([1.0 - column, column])


def normalized(x: Tensor) -> Tensor:
    """Rows that sum to one; rows of zeros become uniform."""
    sums = n.total(x, keepdims=True)
    empty = n.equal(sums, 0.0)
    width = n.total(x * 0.0 + 1.0, keepdims=True)
    return n.where(empty, 1.0 / width, x / n.where(empty, 1.0, sums))
