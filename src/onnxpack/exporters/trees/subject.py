"""The base class of subjects for XGBoost, LightGBM and CatBoost."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from onnxpack.exporters.trees.edges import edge_matrices, mixed_rows
from onnxpack.exporters.trees.ensemble import Ensemble
from onnxpack.exporters.trees.graph import Graph
from onnxpack.exporters.trees.rows import Rows
from onnxpack.exporters.value_names import notes_of_renamed, rename_outputs
from onnxpack.parity.cases import Axes
from onnxpack.parity.subject import Baseline, Probes, Strategy, Subject
from onnxpack.signature import Array

PREDICTION, LABEL, PROBABILITIES, SCORES = "prediction", "label", "probabilities", "scores"
PROBES, NEAREST = 5000, 300
"""Number of rows in which near ties between classes are searched, and number of ties to try."""
UNKNOWN_NOTE = "a category that the model does not know counts as missing, not as an error"
OWN_NOTE = (
    "the objective is a custom function: the prediction is the sum of the trees, as predict() "
    "returns it"
)


class BoosterSubject(Subject):
    """A model of trees with rows as its sample.

    Attributes:
        model: the booster or the estimator.
        rows: the sample.
        unknown_is_missing: whether an unknown category counts as missing.
        is_classifier: whether the model gives labels and probabilities.
        own_objective: whether the objective is a function of the user's.
    """

    model: Any
    rows: Rows
    unknown_is_missing = True
    own_objective = False
    is_classifier: bool

    @abstractmethod
    def answer(self, data: object) -> dict[str, Array]:
        """Return the framework's answer to an array or a data frame."""

    @abstractmethod
    def write(self, graph: Graph, x: str) -> None:
        """Add everything after the inputs; ``x`` is float64 [batch, features]."""

    @abstractmethod
    def ensemble(self) -> Ensemble:
        """Return the trees whose thresholds are tried."""

    def put(self, graph: Graph, name: str, value: str, width: int, dtype: DTypeLike) -> None:
        """Add an output; an output with one number a row has no second axis."""
        flat = value if width > 1 else graph.add("Reshape", value, graph.constant([-1]))
        graph.output(name, flat, dtype)

    @property
    def sample(self) -> Mapping[str, Array]:  # type: ignore[override]
        """The rows as named arrays."""
        return self.rows.feeds

    @property
    def notes(self) -> Sequence[str]:  # type: ignore[override]
        """Notes about categories, the objective and renamed outputs."""
        outputs = (LABEL, PROBABILITIES) if self.is_classifier else (PREDICTION,)
        unknown = self.rows.categories and self.unknown_is_missing
        return (
            *((UNKNOWN_NOTE,) if unknown else ()),
            *((OWN_NOTE,) if self.own_objective else ()),
            *self.rows.notes,
            *notes_of_renamed(outputs, self.rows.feeds),
        )

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """Return the framework's answer."""
        return rename_outputs(self.answer(self.rows.restore(feeds)), self.rows.feeds)

    def strategies(self, axes: Axes, opset: int, outputs: Sequence[str]) -> Iterator[Strategy]:
        """Yield the only strategy: the trees as the booster itself states them."""

        def make(to: Path) -> Probes:
            graph = Graph(opset)
            self.write(graph, self.rows.write(graph))
            graph.save(to)
            return ()

        yield Strategy("trees", make)

    def baselines(self) -> Iterator[Baseline]:
        """Yield the methods that users call, the one with the most detailed result first."""
        for method in ("predict_proba", "predict") if self.is_classifier else ("predict",):
            yield Baseline(method, partial(self.prepare, method))

    def prepare(self, method: str, feeds: Mapping[str, Array]) -> Callable[[], object]:
        """Return a call of one of the model's methods on prepared rows."""
        return partial(getattr(self.model, method), self.rows.restore(feeds))

    def edges(self) -> Iterator[tuple[str, Mapping[str, Array]]]:
        """Yield rows at and next to thresholds, then the rows that are hardest to label."""
        for name, matrix in edge_matrices(
            self.ensemble(), self.rows.matrix(), self.rows.categories
        ):
            yield name, self.rows.feed(matrix)
        if self._probes is not None:
            matrix, gaps = self._probes
            yield "near ties", self.rows.feed(matrix[np.argsort(gaps)[:NEAREST]])

    def has_ties(self, gap: float) -> bool:
        """Return whether probe rows were found whose two largest probabilities are this close."""
        return len(self.nearest(gap)) > 0

    def nearest(self, gap: float) -> Array:
        """Return the probe rows whose two largest probabilities differ by at most ``gap``."""
        matrix, gaps = self._probes or (self.rows.matrix()[:0], np.zeros(0))
        return matrix[gaps <= gap]

    @cached_property
    def _probes(self) -> tuple[Array, Array] | None:
        """Probe rows with the gap of their two best probabilities; None without probabilities."""
        matrix = mixed_rows(self.ensemble(), self.rows.matrix(), PROBES)
        shares = self.answer(self.rows.restore(self.rows.feed(matrix))).get(PROBABILITIES)
        if shares is None or shares.shape[1] < 2:
            return None
        ordered = np.sort(shares, axis=1)
        return matrix, ordered[:, -1] - ordered[:, -2]
