"""A booster under export: what XGBoost, LightGBM and CatBoost have in common."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from numpy.typing import DTypeLike

from onnxpack.exporters.subject import Probes, Strategy, Subject
from onnxpack.exporters.trees.edges import edge_matrices
from onnxpack.exporters.trees.ensemble import Ensemble
from onnxpack.exporters.trees.graph import Graph
from onnxpack.exporters.trees.rows import Rows
from onnxpack.parity.cases import Axes
from onnxpack.signature import Array

PREDICTION, LABEL, PROBABILITIES = "prediction", "label", "probabilities"
UNKNOWN_NOTE = "a category that the model does not know counts as missing, not as an error"


class BoosterSubject(Subject):
    """Trees with rows as their sample.

    Attributes:
        rows: the sample.
        unknown_is_missing: whether a category that the model does not know is as good as none.
    """

    rows: Rows
    unknown_is_missing = True

    @abstractmethod
    def answer(self, data: object) -> dict[str, Array]:
        """The framework's answer to an array or a data frame."""

    @abstractmethod
    def write(self, graph: Graph, x: str) -> None:
        """Add everything after the inputs; ``x`` is float64 [batch, features]."""

    @abstractmethod
    def ensemble(self) -> Ensemble:
        """The trees, of which the thresholds are tried."""

    def put(self, graph: Graph, name: str, value: str, width: int, dtype: DTypeLike) -> None:
        """An output; one number a row has no second axis."""
        if width > 1:
            graph.output(name, value, dtype, width)
        else:
            graph.output(name, graph.add("Reshape", value, graph.constant([-1])), dtype)

    @property
    def sample(self) -> Mapping[str, Array]:  # type: ignore[override]
        """The rows as named arrays."""
        return self.rows.feeds

    @property
    def notes(self) -> Sequence[str]:  # type: ignore[override]
        """What becomes of a category that the model does not know."""
        known = self.rows.categories
        return (UNKNOWN_NOTE,) if known and self.unknown_is_missing else ()

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """The framework's answer."""
        return self.answer(self.rows.restore(feeds))

    def strategies(self, axes: Axes, opset: int, outputs: Sequence[str]) -> Iterator[Strategy]:
        """One way alone: the trees as the booster itself states them."""

        def make(to: Path) -> Probes:
            graph = Graph(opset)
            self.write(graph, self.rows.write(graph))
            graph.save(to)
            return ()

        yield Strategy("trees", make)

    def edges(self) -> Iterator[tuple[str, Mapping[str, Array]]]:
        """See :func:`edges.edge_matrices`."""
        for name, matrix in edge_matrices(
            self.ensemble(), self.rows.matrix(), self.rows.categories
        ):
            yield name, self.rows.feed(matrix)
