"""The interface that an exporter implements; :func:`onnxpack.export` does the rest."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol, TypeAlias

from onnxpack.comparison.detections import Sets
from onnxpack.pack.manifest import CaseEvidence
from onnxpack.parity.axes import Dynamic
from onnxpack.parity.cases import Axes
from onnxpack.parity.locate import Divergence
from onnxpack.parity.refused import Limits
from onnxpack.parity.threads import limit_threads
from onnxpack.signature import Array

Probes: TypeAlias = Sequence[Mapping[str, int]]
"""Sizes of all the dynamic dims for each further case."""


@dataclass(frozen=True, slots=True)
class Strategy:
    """One way to make a graph of a model.

    Attributes:
        name: the name that the manifest records.
        make: writes a candidate to a path, and returns sizes of the dynamic dims at which it may be
            wrong; they are tried in addition to the usual cases. It raises ExportError with a plain
            message if the model cannot, or must not, be exported this way.
        notes: returns what users must know about the graph; called after ``make``.
        limits: returns the sizes of the dims for which the graph was made, if the exporter states
            any; called after ``make``.
    """

    name: str
    make: Callable[[Path], Probes]
    notes: Callable[[], Sequence[str]] = tuple
    limits: Callable[[], Limits] = dict


@dataclass(frozen=True, slots=True)
class Attempt:
    """The result of one strategy.

    Attributes:
        error: why the graph was not made, or does not load; None if the graph was run.
        evidence: the evidence of each case, if the graph was run.
        divergence: the first node that differs, if it was found.
    """

    strategy: str
    error: str | None = None
    evidence: tuple[CaseEvidence, ...] = ()
    divergence: Divergence | None = None

    @property
    def passed(self) -> bool:
        """Whether the graph was run over every case and answered correctly each time."""
        return bool(self.evidence) and all(case.passed for case in self.evidence)

    @property
    def is_right_at_all_sizes(self) -> bool:
        """Whether the graph differs only in values that are far from the sample.

        The errors of other strategies are then not the cause of the refusal.
        """
        sized = [case for case in self.evidence if case.name == "sample" or "=" in case.name]
        return bool(sized) and all(case.passed for case in sized)


@dataclass(frozen=True, slots=True)
class Cause:
    """Why a model cannot be exported, and what to write instead.

    Attributes:
        certain: whether the reason was shown; otherwise it is printed as a possible cause.
    """

    reason: str
    remedy: str
    certain: bool = True


@dataclass(frozen=True, slots=True)
class Baseline:
    """One way in which users run the framework's own model, to be timed against a pack.

    Attributes:
        name: in the framework's words: ``eager``, ``torch.compile``, ``predict_proba``.
        prepare: prepares inputs, and returns the call that answers them. What users do only once is
            done here, and is not timed.
    """

    name: str
    prepare: Callable[[Mapping[str, Array]], Callable[[], object]]


class Subject(ABC):
    """A model under export, together with its sample.

    Attributes:
        framework: the exporter's name.
        framework_version: the version of the framework.
        model_class: ``module.Class`` of the model.
        sample: the sample, flattened to named arrays; its order is the graph's.
        root: the module path that candidates put before every name; empty where there is none.
        axes: the dynamic axes that the model itself states; None if the user decides.
        dynamic: axes to name in addition to the first, if the user decides and names none.
        batched: whether the first axis of an input is a batch, unless stated otherwise.
        notes: what the user should know, such as arguments held constant.
        labels: the names of the classes, where the model knows them.
        weights: how many numbers the model has learned; a large model gets fewer cases.
        loops: whether the model has a loop whose end depends on values. Inputs far from the sample
            are not tried, because the loop might not end.
        per_size: the additional cost of running the model at a new size, in elements of input; for
            frameworks that compile for each size.
    """

    framework: str
    framework_version: str
    model_class: str
    sample: Mapping[str, Array]
    root: str = ""
    axes: Axes | None = None
    dynamic: Dynamic | None = None
    batched: bool = True
    notes: Sequence[str] = ()
    labels: Sequence[str] | None = None
    weights: int = 0
    loops: bool = False
    per_size: int = 0

    @abstractmethod
    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """Return the framework's answer, flattened to named arrays."""

    @abstractmethod
    def strategies(self, axes: Axes, opset: int, outputs: Sequence[str]) -> Iterator[Strategy]:
        """Yield the strategies to try, best first."""

    def baselines(self) -> Iterator[Baseline]:
        """Yield the ways in which users run the model, the usual one first."""
        yield Baseline(self.framework, lambda feeds: partial(self.run, feeds))

    @contextmanager
    def limited(self, threads: int) -> Iterator[None]:
        """Limit the framework to at most ``threads`` threads.

        Raises:
            UsageError: the threads of this framework cannot be limited.
        """
        with limit_threads(self.framework, threads):
            yield

    def edges(self) -> Iterator[tuple[str, Mapping[str, Array]]]:
        """Yield inputs, each with a name, at which a graph of this very model may go wrong.

        They are tried in addition to the usual cases: rows at and beside the thresholds of a tree,
        NaN where the model accepts it, unseen categories.
        """
        yield from ()

    def unordered(self, outputs: Mapping[str, Array]) -> Sets:
        """Return groups of outputs whose rows have no order, such as a detector's boxes.

        Return a group only if the rows have no order by the model's own definition: the names of
        outputs prove nothing.
        """
        return ()

    def run_float64(self, feeds: Mapping[str, Array]) -> dict[str, Array] | None:
        """Return the framework's answer in float64; None if it has none."""
        return None

    def run_perturbed(self, feeds: Mapping[str, Array]) -> Iterator[Mapping[str, Array]]:
        """Yield the answers of copies of the model that are perturbed by rounding errors.

        Each input and each weight is changed by a random rounding error (Parker, *Monte Carlo
        Arithmetic*, 1997). The spread of the answers shows what float32 costs if the answer in
        float64 is close by chance, or if there is none.
        """
        yield from ()

    def trace(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """Return the output of each module by its path, in the order of execution."""
        return {}

    def unsteadiness(self, feeds: Mapping[str, Array]) -> Cause | None:
        """Return why the model answers differently to the same input; None if it is not known."""
        return None

    def cure(self, exc: Exception) -> str:
        """Return a remedy for the error of a model that refuses its sample; empty if unknown."""
        return ""

    def fix_of_size(self, dim: str, size: int) -> str:
        """Return a command that fixes a size which the model declares; empty if it declares none.

        Args:
            dim: name of the dynamic dim.
            size: the only size that the model takes.
        """
        return ""

    def diagnose(self, attempts: Sequence[Attempt]) -> Cause | None:
        """Return the likely cause of a failure of every strategy; None if it is not known."""
        return None


class Exporter(Protocol):
    """The interface of a framework's exporter, found by its entry point.

    Attributes:
        refines: the name of a more general exporter that accepts the same models; empty if there is
            none.
    """

    refines: str

    def accepts(self, model: object) -> bool:
        """Return whether the model is this framework's; do not import the framework to say no."""
        ...

    def open(self, model: Any, sample: Any) -> AbstractContextManager[Subject]:
        """Prepare the model for inference, and restore it at the end.

        Args:
            sample: None if the user gave none and the model itself may have one.
        """
        ...
