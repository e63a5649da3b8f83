"""A booster under export: what XGBoost, LightGBM and CatBoost have in common."""

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
"""Rows in which near ties between classes are looked for, and how many of these are asked."""
UNKNOWN_NOTE = "a category that the model does not know counts as missing, not as an error"
OWN_NOTE = (
    "the objective is a function of the user's own: the prediction is the sum of the trees, as "
    "predict() gives it"
)


class BoosterSubject(Subject):
    """Trees with rows as their sample.

    Attributes:
        model: the booster or the estimator.
        rows: the sample.
        unknown_is_missing: whether a category that the model does not know is as good as none.
        is_classifier: whether there are labels and probabilities.
        own_objective: whether it was trained by a function of the user's.
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
        """Return the trees, of which the thresholds are tried."""

    def put(self, graph: Graph, name: str, value: str, width: int, dtype: DTypeLike) -> None:
        """An output; one number a row has no second axis."""
        flat = value if width > 1 else graph.add("Reshape", value, graph.constant([-1]))
        graph.output(name, flat, dtype)

    @property
    def sample(self) -> Mapping[str, Array]:  # type: ignore[override]
        """The rows as named arrays."""
        return self.rows.feeds

    @property
    def notes(self) -> Sequence[str]:  # type: ignore[override]
        """What the user should know of categories, of an objective, and of names."""
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
        """One way alone: the trees as the booster itself states them."""

        def make(to: Path) -> Probes:
            graph = Graph(opset)
            self.write(graph, self.rows.write(graph))
            graph.save(to)
            return ()

        yield Strategy("trees", make)

    def baselines(self) -> Iterator[Baseline]:
        """Yield what the model's users call, the method that tells most first."""
        for method in ("predict_proba", "predict") if self.is_classifier else ("predict",):
            yield Baseline(method, partial(self.prepare, method))

    def prepare(self, method: str, feeds: Mapping[str, Array]) -> Callable[[], object]:
        """Return a call of one of the model's methods, with its rows at hand."""
        return partial(getattr(self.model, method), self.rows.restore(feeds))

    def edges(self) -> Iterator[tuple[str, Mapping[str, Array]]]:
        """See :func:`edges.edge_matrices`; then the rows that are hardest to label."""
        for name, matrix in edge_matrices(
            self.ensemble(), self.rows.matrix(), self.rows.categories
        ):
            yield name, self.rows.feed(matrix)
        if self._probes is not None:
            matrix, gaps = self._probes
            yield "near ties", self.rows.feed(matrix[np.argsort(gaps)[:NEAREST]])

    def has_ties(self, gap: float) -> bool:
        """Return whether rows turned up of which the two largest shares are no further apart."""
        return len(self.nearest(gap)) > 0

    def nearest(self, gap: float) -> Array:
        """These rows."""
        matrix, gaps = self._probes or (self.rows.matrix()[:0], np.zeros(0))
        return matrix[gaps <= gap]

    @cached_property
    def _probes(self) -> tuple[Array, Array] | None:
        """Rows, with the gap between the two largest shares of each; None without shares."""
        matrix = mixed_rows(self.ensemble(), self.rows.matrix(), PROBES)
        shares = self.answer(self.rows.restore(self.rows.feed(matrix))).get(PROBABILITIES)
        if shares is None or shares.shape[1] < 2:
            return None
        ordered = np.sort(shares, axis=1)
        return matrix, ordered[:, -1] - ordered[:, -2]
