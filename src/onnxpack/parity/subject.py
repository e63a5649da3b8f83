"""What an exporter must offer, so that :func:`onnxpack.export` can do the rest."""

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
from onnxpack.parity.threads import limit_threads
from onnxpack.signature import Array

Probes: TypeAlias = Sequence[Mapping[str, int]]
"""Sizes of all the dynamic dims, for each further case."""


@dataclass(frozen=True, slots=True)
class Strategy:
    """One way to make a graph.

    Attributes:
        name: as the manifest will record it.
        make: writes a candidate to a path, and gives the sizes of the dynamic dims at which it
            may be wrong, to be tried besides the usual cases. It raises ExportError, in plain
            words, where the model will not, or must not, be exported this way.
        notes: says what users must know about the graph, once it is made.
    """

    name: str
    make: Callable[[Path], Probes]
    notes: Callable[[], Sequence[str]] = tuple


@dataclass(frozen=True, slots=True)
class Attempt:
    """What became of one strategy.

    Attributes:
        error: why there is no graph, or why it does not load; None where it was run.
        evidence: of the cases, where it was run.
        divergence: the first node that differs, where it could be told.
    """

    strategy: str
    error: str | None = None
    evidence: tuple[CaseEvidence, ...] = ()
    divergence: Divergence | None = None

    @property
    def passed(self) -> bool:
        """Whether the graph was run over every case and answered right each time."""
        return bool(self.evidence) and all(case.passed for case in self.evidence)

    @property
    def is_right_at_all_sizes(self) -> bool:
        """Whether the graph only differs in values that are far from the sample.

        What other strategies met is then not the cause of the refusal.
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
    """One way in which users run the framework's own model, to be timed beside a pack.

    Attributes:
        name: in the framework's words: ``eager``, ``torch.compile``, ``predict_proba``.
        prepare: makes inputs ready, and gives the call that answers them: what users do once is
            done here, and is not timed.
    """

    name: str
    prepare: Callable[[Mapping[str, Array]], Callable[[], object]]


class Subject(ABC):
    """A model under export, with its sample, ready to be asked.

    Attributes:
        framework: the exporter's name.
        framework_version: the version of the framework.
        model_class: ``module.Class`` of the model.
        sample: the sample, flattened to named arrays; its order is the graph's.
        root: the module path that candidates put before every name; empty where there is none.
        axes: the dynamic axes that the model itself states; None where the user decides.
        dynamic: axes to name besides the first, where the user decides and names none.
        batched: whether the first axis of an input is a batch, where nobody says otherwise.
        notes: what the user should know, such as arguments held constant.
        labels: the names of the classes, where the model knows them.
        weights: how many numbers the model has learned; a large model is asked fewer cases.
        loops: whether it has a loop that ends by values, so that it may not end at inputs far from
            the sample; it is not asked any.
        per_size: what it costs to run the model at a new size, in elements of input besides its
            own; for frameworks that compile anew for each.
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
        """The framework's answer, flattened to named arrays."""

    @abstractmethod
    def strategies(self, axes: Axes, opset: int, outputs: Sequence[str]) -> Iterator[Strategy]:
        """The ladder, best first."""

    def baselines(self) -> Iterator[Baseline]:
        """The ways in which users run the model, the usual one first."""
        yield Baseline(self.framework, lambda feeds: partial(self.run, feeds))

    @contextmanager
    def limited(self, threads: int) -> Iterator[None]:
        """Let the framework compute on so many threads, and no more.

        Raises:
            UsageError: this framework cannot be told.
        """
        with limit_threads(self.framework, threads):
            yield

    def edges(self) -> Iterator[tuple[str, Mapping[str, Array]]]:
        """Inputs at which a graph of this very model may go wrong, each with a name.

        They are asked besides the usual cases: rows at and beside the thresholds of a tree, NaN
        where the model takes it, categories that it never saw.
        """
        yield from ()

    def unordered(self, outputs: Mapping[str, Array]) -> Sets:
        """The groups of outputs whose rows are a set, such as the boxes that a detector finds.

        Only the exporter of a model whose rows have no order by its own definition may say so:
        the names of outputs prove nothing.
        """
        return ()

    def run_float64(self, feeds: Mapping[str, Array]) -> dict[str, Array] | None:
        """The framework's answer in float64; None where it has none."""
        return None

    def run_perturbed(self, feeds: Mapping[str, Array]) -> Iterator[Mapping[str, Array]]:
        """The answers of models beside this one.

        Each number that the model is given or has learned is off by a rounding, at random
        (Parker, *Monte Carlo Arithmetic*, 1997): how far the answers lie apart shows what float32
        costs where a single answer in float64 is close by chance, or where there is none.
        """
        yield from ()

    def trace(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """The output of each module by its path, in the order of execution."""
        return {}

    def unsteadiness(self, feeds: Mapping[str, Array]) -> Cause | None:
        """Why the model answers differently to the same input, where it can be told."""
        return None

    def cure(self, exc: Exception) -> str:
        """What to write where the model refuses its sample so; empty where it is not known."""
        return ""

    def diagnose(self, attempts: Sequence[Attempt]) -> Cause | None:
        """The likely cause of a failure of every strategy."""
        return None


class Exporter(Protocol):
    """A framework's way in, found by its entry point.

    Attributes:
        refines: the exporter that would take the same models, and take less care of them; empty
            where there is none.
    """

    refines: str

    def accepts(self, model: object) -> bool:
        """Whether the model is this framework's; must not import the framework to say no."""
        ...

    def open(self, model: Any, sample: Any) -> AbstractContextManager[Subject]:
        """Make the model ready for inference, and put it back as it was at the end.

        Args:
            sample: None where the user gave none and the model itself may have one.
        """
        ...
