"""A fitted estimator during export: runs the model, and writes it as a graph."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import sklearn

from onnxpack.comparison.tolerance import Tolerance, compare
from onnxpack.errors import ExportError, SampleError
from onnxpack.exporters.labels import refuse_labels
from onnxpack.exporters.sklearn.alone import refuse_uneven
from onnxpack.exporters.sklearn.answers import answer, answered, class_names, spread
from onnxpack.exporters.sklearn.causes import TIES, diagnose
from onnxpack.exporters.sklearn.convert import call
from onnxpack.exporters.sklearn.edges import edge_feeds
from onnxpack.exporters.sklearn.fitted import gap_notes, refuse_unlike_letters, text_notes
from onnxpack.exporters.sklearn.handed import Record, coded_columns, watched
from onnxpack.exporters.sklearn.table import Columns, read_rows
from onnxpack.exporters.sklearn.tensor import Graph, Tensor
from onnxpack.exporters.sklearn.ties import describe_ties
from onnxpack.exporters.trees.subject import UNKNOWN_NOTE
from onnxpack.exporters.value_names import notes_of_renamed, rename_outputs
from onnxpack.parity.cases import Axes
from onnxpack.parity.subject import Attempt, Baseline, Cause, Probes, Strategy, Subject
from onnxpack.signature import Array


class SklearnSubject(Subject):
    """A fitted estimator with its sample.

    Args:
        model: the fitted estimator that predicts, without a search around it.
        sample: rows, see :func:`table.read_rows`.
        shown: the estimator that the user gave.
    """

    framework = "sklearn"
    framework_version = sklearn.__version__

    def __init__(self, model: Any, sample: Any, *, shown: Any = None) -> None:
        kind = type(shown if shown is not None else model)
        self.model_class = f"{kind.__module__}.{kind.__qualname__}"
        self.model = model
        refuse_labels(getattr(model, "classes_", []))
        self.rows = read_rows(model, sample)
        self.sample = self.rows.feeds
        refuse_unlike_letters(model, self.sample)
        with _quiet():
            first = {name: array[:1] for name, array in self.sample.items()}
            self._methods, refused = answered(model, self.rows.restore(first))
        renamed = notes_of_renamed(self._methods, self.sample)
        self.labels = class_names(model)
        self._check_kept()
        self._handed = self._watched()
        coded = coded_columns(self._handed, {"lightgbm", "xgboost"})
        unknown = [UNKNOWN_NOTE] if coded else []
        of_texts = [*text_notes(model), *gap_notes(model, self.sample, self.rows.notes)]
        self.notes = (*self.rows.notes, *refused, *renamed, *of_texts, *unknown)

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """Return the estimator's own answer, without its warnings."""
        return self._answer(self.rows.restore(feeds))

    def run_float64(self, feeds: Mapping[str, Array]) -> dict[str, Array] | None:
        """Return the estimator's answer to the inputs in float64.

        The result is None if the inputs have no float32, or if the estimator fails.
        """
        if all(array.dtype != np.float32 for array in feeds.values()):
            return None
        wide = {
            name: array.astype(np.float64) if array.dtype == np.float32 else array
            for name, array in feeds.items()
        }
        try:
            return self.run(wide)
        except Exception:  # noqa: BLE001 - an estimator can refuse in any way
            return None

    def strategies(self, axes: Axes, opset: int, outputs: Sequence[str]) -> Iterator[Strategy]:
        """Yield the one strategy: converters that compute in scikit-learn's precision."""
        yield Strategy("converters", lambda to: self._write(to, opset))

    def baselines(self) -> Iterator[Baseline]:
        """Yield a baseline for each exported method, the most informative first."""
        for method in (*self._methods.values(),)[::-1]:
            yield Baseline(method, partial(self._prepared, getattr(self.model, method)))

    def edges(self) -> Iterator[tuple[str, Mapping[str, Array]]]:
        """Yield test inputs for this model, see :mod:`onnxpack.exporters.sklearn.edges`."""
        return edge_feeds(
            self.model,
            self.sample,
            self.run,
            categories=self.rows.categories,
            closed=coded_columns(self._handed, {"xgboost"}),
        )

    def cure(self, exc: Exception) -> str:
        """Return code that reshapes the sample if it is a single row; empty for other errors."""
        one_row = "Expected 2D array, got 1D" in str(exc)
        return "sample = numpy.reshape(sample, (1, -1))" if one_row else ""

    def diagnose(self, attempts: Sequence[Attempt]) -> Cause | None:
        """Return the likely cause of a failure, see :mod:`.causes` and :mod:`.ties`."""
        return self._tied(attempts) or diagnose(self.model, attempts)

    def _prepared(
        self, method: Callable[[Any], object], feeds: Mapping[str, Array]
    ) -> Callable[[], object]:
        return partial(method, self.rows.restore(feeds))

    def _tied(self, attempts: Sequence[Attempt]) -> Cause | None:
        """Return a cause if the first failed case has rows equally far from training rows."""
        failed = [case for each in attempts for case in each.evidence if not case.passed]
        if not failed:
            return None
        name = failed[0].name
        feeds = {"sample": self.sample, **dict(self.edges())}.get(name)
        if feeds is None:
            return None
        with _quiet():
            ties = describe_ties(self.model, self.rows.restore(feeds))
        if not ties:
            return None
        return Cause(
            f"in case {name!r} {ties}, and which of these scikit-learn picks depends on how it "
            "searches: both answers are right",
            "" if name != "sample" else TIES.remedy,
        )

    def unsteadiness(self, feeds: Mapping[str, Array]) -> Cause | None:
        """Return the cause of unsteady answers: the estimator draws them at random."""
        return Cause(
            f"a {type(self.model).__name__} or a part of it gives random answers",
            "export an estimator that does not; for a dummy estimator use strategy='prior' or "
            "'most_frequent'",
        )

    def _answer(self, x: Any) -> dict[str, Array]:
        with _quiet():
            return rename_outputs(answer(self.model, self._methods, x), self.sample)

    def _watched(self) -> Record:
        """Return what the boosters inside are handed; empty if the model rejects the sample."""
        try:
            return watched(lambda: self.run(self.sample))
        except Exception:  # noqa: BLE001 - the first case reports how the model fails
            return {}

    def _write(self, to: Path, opset: int) -> Probes:
        graph = Graph(opset, handed=self._handed)
        table = self.rows.enter(graph)
        outputs: dict[str, Tensor] = {}
        for name, method in self._methods.items():
            found = spread(name, call(self.model, method, table))
            outputs |= {key: _as_output(tensor) for key, tensor in found.items()}
        refuse_uneven(self.run, self.sample)
        graph.save(to, rename_outputs(outputs, self.sample))
        return ()

    def _check_kept(self) -> None:
        """Check that the model answers the sample as named arrays like the user's own container.

        Raises:
            SampleError: the answers differ, or the model rejects the sample.
        """
        if not isinstance(self.rows, Columns):
            return
        try:
            own = self._answer(self.rows.own)
        except ExportError:
            raise
        except Exception as exc:
            raise SampleError(f"the model refuses the sample: {type(exc).__name__}: {exc}") from exc
        again = self.run(self.sample)
        for name, array in own.items():
            if not compare(name, array, again[name], Tolerance()).passed:
                raise SampleError(
                    "the model answers differently if the sample has plain numpy dtypes: "
                    f"{name!r} differs.",
                    remedy="fit and export with plain dtypes: frame.astype({'column': 'float64'})",
                )


@contextmanager
def _quiet() -> Iterator[None]:
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        yield


def _as_output(tensor: Tensor) -> Tensor:
    """Return the tensor in the dtype that :func:`answers.as_array` gives its values."""
    integers = tensor.dtype.startswith(("int", "uint")) and tensor.dtype != "uint64"
    return tensor.cast("int64") if integers else tensor
