"""Tests that every exporter must pass, for the test suites of plug-ins.

::

    from onnxpack.testing import ExporterContract, Given

    class TestMine(ExporterContract):
        def given(self, folder):
            return Given("mine", MyExporter(), make_model(), sample)

pytest collects the methods of the class; this package itself needs no pytest.
"""

from __future__ import annotations

import subprocess
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from onnxpack.comparison.tolerance import Tolerance, compare
from onnxpack.errors import ExportError, UsageError
from onnxpack.exporters.export import export
from onnxpack.pack.validate import validate
from onnxpack.parity.axes import name_axes
from onnxpack.parity.subject import Attempt, Exporter, Strategy, Subject
from onnxpack.plugins import exporters
from onnxpack.runtime.model import Model
from onnxpack.testing.state import changes, object_state, process_state

__all__ = [
    "FOREIGN",
    "LOOSE",
    "ExporterContract",
    "Given",
    "changes",
    "object_state",
    "process_state",
]

FOREIGN: tuple[object, ...] = (None, 3, object(), [], {}, (), np.zeros(2), b"bytes")
"""Objects that are not a model of any framework."""
LOOSE = Tolerance(rtol=1e-3, atol=1e-4)


@dataclass(frozen=True)
class Given:
    """An exporter with a small model of its framework.

    Attributes:
        name: the name of the exporter's entry point.
        exporter: the exporter.
        model: a model that accepts a batch of any size and answers quickly.
        sample: a sample of at least two rows, in the form in which a user gives it.
        misfits: samples that the model refuses.
    """

    name: str
    exporter: Exporter
    model: Any
    sample: Any
    misfits: Sequence[Any] = ()


class ExporterContract(ABC):
    """The tests of an exporter; a subclass provides the exporter and a model.

    Attributes:
        framework_modules: modules that must not be imported when ``accepts`` says no.
    """

    framework_modules: Sequence[str] = ()

    @abstractmethod
    def given(self, folder: Path) -> Given:
        """Return the exporter with a fresh model; files may be written to ``folder``."""

    def state(self, model: Any) -> Any:
        """Return what must be the same after an export: all that Python reaches from the model.

        A subclass adds what a framework keeps outside of Python.
        """
        return object_state(model)

    def test_it_takes_its_own_and_nothing_else(self, tmp_path: Path) -> None:
        """Check that ``accepts`` accepts the framework's models and nothing else."""
        given = self.given(tmp_path)
        _hold(given.exporter.accepts(given.model), "accepts() refuses its own model")
        for other in FOREIGN:
            _hold(not given.exporter.accepts(other), f"accepts() accepts {other!r}")

    def test_it_can_be_timed(self, tmp_path: Path) -> None:
        """Check that the first baseline answers the sample, also on one thread if supported."""
        given = self.given(tmp_path)
        with given.exporter.open(given.model, given.sample) as subject:
            usual = next(subject.baselines())
            _hold(usual.prepare(subject.sample)() is not None, f"{usual.name} returns nothing")
            try:
                with subject.limited(1):
                    usual.prepare(subject.sample)()
            except UsageError as exc:
                _hold(bool(exc.remedy), f"no remedy for {exc.message}")

    def test_it_says_no_without_importing_its_framework(self, tmp_path: Path) -> None:
        """Check in a fresh process that ``accepts`` says no without importing the framework."""
        name = self.given(tmp_path).name
        code = (
            "import sys; from onnxpack.plugins import exporters; "
            f"assert not exporters()[{name!r}].load()().accepts(object()); "
            f"print([m for m in {tuple(self.framework_modules)!r} if m in sys.modules])"
        )
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=False
        )
        _hold(done.returncode == 0, done.stderr)
        _hold(
            done.stdout.strip() == "[]",
            f"accepts() imported modules to refuse an object: {done.stdout.strip()}",
        )

    def test_it_is_the_one_that_is_chosen(self, tmp_path: Path) -> None:
        """Check that this exporter is chosen, whether or not another one accepts the model."""
        given = self.given(tmp_path)
        _hold(given.name in exporters(), f"no entry point is called {given.name!r}")
        manifest = export(given.model, given.sample, tmp_path / "pack").manifest
        _hold(
            manifest is not None and manifest.source.framework == given.name,
            "another exporter was chosen: set refines to its name",
        )

    def test_open_gives_a_subject_that_answers(self, tmp_path: Path) -> None:
        """Check that ``open`` gives a described subject that answers the same twice."""
        given = self.given(tmp_path)
        with given.exporter.open(given.model, given.sample) as subject:
            _hold(isinstance(subject, Subject), "open() does not return a Subject")
            _hold(subject.framework == given.name, "subject.framework is not the exporter's name")
            _hold(bool(subject.framework_version), "subject.framework_version is empty")
            _hold(bool(subject.model_class), "subject.model_class is empty")
            _hold(bool(subject.sample), "subject.sample is empty")
            first, second = subject.run(subject.sample), subject.run(subject.sample)
            _same(first, second)
            exact = subject.run_float64(subject.sample)
            _hold(
                exact is None or exact.keys() == first.keys(),
                "run_float64() returns other outputs than run()",
            )
            traced = subject.trace(subject.sample).values()
            _hold(
                all(isinstance(each, np.ndarray) for each in traced),
                "trace() returns values that are not arrays",
            )
            nothing = [Attempt("none", error="no words that anyone knows")]
            _hold(
                subject.diagnose(nothing) is None,
                "diagnose() returns a cause for an unknown error",
            )

    def test_strategies_give_graphs(self, tmp_path: Path) -> None:
        """Check that at least one strategy writes a graph that answers as the model does."""
        given = self.given(tmp_path)
        with given.exporter.open(given.model, given.sample) as subject:
            axes = subject.axes or name_axes(subject.sample, subject.dynamic, static=False)
            wanted = subject.run(subject.sample)
            strategies = list(subject.strategies(axes, 18, list(wanted)))
            names = [strategy.name for strategy in strategies]
            _hold(bool(names), "strategies() returns none")
            _hold(len(set(names)) == len(names), f"two strategies have one name: {names}")
            made = _first_made(strategies, tmp_path / "candidate.onnx")
            _same(wanted, Model(made, provider="cpu").run(subject.sample), LOOSE)

    def test_edges_are_inputs(self, tmp_path: Path) -> None:
        """Check that each edge has a name of its own and the sample's inputs."""
        given = self.given(tmp_path)
        with given.exporter.open(given.model, given.sample) as subject:
            edges = list(subject.edges())
            names = [name for name, _ in edges]
            _hold(len(set(names)) == len(names), f"two edges have one name: {names}")
            for name, feeds in edges:
                _hold(
                    feeds.keys() == subject.sample.keys(),
                    f"edge {name!r} has other inputs than the sample",
                )

    def test_the_model_is_put_back(self, tmp_path: Path) -> None:
        """Check that an export, also a failed one, leaves the model and the process unchanged."""
        given = self.given(tmp_path)
        model = self.state(given.model)
        with given.exporter.open(given.model, given.sample) as subject:
            process = process_state()  # once the framework is loaded
            subject.run(subject.sample)
        before = model, process
        self._hold_unchanged(given, before, "by running it")
        for phase in ("running the model", "trying"):
            try:
                export(given.model, given.sample, tmp_path / "pack", progress=_failing_at(phase))
            except KeyError:
                self._hold_unchanged(given, before, f"by an export that failed at {phase!r}")

    def _states(self, given: Given) -> tuple[Any, dict[str, Any]]:
        return self.state(given.model), process_state()

    def _hold_unchanged(self, given: Given, before: tuple[Any, dict[str, Any]], how: str) -> None:
        _hold(self.state(given.model) == before[0], f"the model was changed {how}")
        differing = changes(before[1], process_state())
        _hold(not differing, f"the process was changed {how}:\n" + "\n".join(differing))

    def test_the_pack_is_whole(self, tmp_path: Path) -> None:
        """Check that the pack is valid, proven, and answers other batches as the model does."""
        given = self.given(tmp_path)
        before = self._states(given)
        pack = export(given.model, given.sample, tmp_path / "pack")
        self._hold_unchanged(given, before, "by an export")
        _hold(validate(pack).ok, "the pack is not valid")
        _hold(pack.manifest is not None and pack.manifest.parity.passed, "nothing was proven")
        model = Model(pack, provider="cpu")
        _hold(model.prove().ok, "the pack does not reproduce its golden data")
        with given.exporter.open(given.model, given.sample) as subject:
            for rows in (1, 9):
                feeds = {name: _rows(array, rows) for name, array in subject.sample.items()}
                _same(subject.run(feeds), model.run(feeds), LOOSE)

    def test_a_sample_that_does_not_fit(self, tmp_path: Path) -> None:
        """Check that a bad sample raises UsageError with a message and leaves nothing behind."""
        given = self.given(tmp_path)
        before = self._states(given)
        for misfit in given.misfits:
            try:
                export(given.model, misfit, tmp_path / "pack")
            except UsageError as error:
                _hold(bool(error.message), "an error without a message")
            else:
                raise AssertionError(f"the exporter accepts a sample that does not fit: {misfit!r}")
            _hold(not list(tmp_path.glob("pack*")), "a failed export left files behind")
            self._hold_unchanged(given, before, "by a bad sample")


def _failing_at(phase: str) -> Callable[[str], None]:
    """Return an ``on_progress`` function that raises when an export reaches a phase."""

    def say(line: str) -> None:
        if line.startswith(phase):
            raise KeyError(phase)

    return say


def _first_made(strategies: Sequence[Strategy], to: Path) -> Path:
    """Return the first graph that a strategy makes; a strategy that refuses raises ExportError."""
    said = []
    for strategy in strategies:
        try:
            strategy.make(to)
        except ExportError as error:
            _hold(bool(error.message), f"{strategy.name} refuses without a message")
            said.append(f"{strategy.name}: {error.message}")
        else:
            return to
    raise AssertionError("no strategy makes a graph:\n" + "\n".join(said))


def _rows(array: Any, rows: int) -> Any:
    return array.take(np.arange(rows) % len(array), axis=0)


def _same(wanted: Any, found: Any, tolerance: Tolerance | None = None) -> None:
    _hold(wanted.keys() == found.keys(), f"the outputs are {list(found)}, not {list(wanted)}")
    for name, array in wanted.items():
        _hold(isinstance(array, np.ndarray), f"output {name!r} is not an array")
        evidence = compare(name, array, found[name], tolerance or Tolerance(rtol=0, atol=0))
        _hold(evidence.passed, f"output {name!r} {evidence.reason}")


def _hold(true: bool, otherwise: str) -> None:
    if not true:
        raise AssertionError(otherwise)
