"""Handle NaN and infinities by one rule for JAX, PyTorch, and Keras on any backend.

A model of JAX or Keras that takes floating-point numbers is always run with NaN and with infinities
among them (:mod:`onnxpack.parity.nonfinite`). If a graph differs there, the same graph is tried
with NaN kept (:mod:`onnxpack.exporters.keep_nan`). If that differs too, the export is refused, and
the user can accept the case by its name. A model of PyTorch is run with NaN only if its code
handles NaN; for others a note says that the graph may lose NaN.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from onnxpack.exporters.keep_nan import (
    keep_nan,
    keep_nan_in_scatters,
    loses_nan,
    operators_losing_nan,
)
from onnxpack.parity.subject import Probes, Strategy

SUFFIX = ", NaN kept"
LOSING = (
    "no case with NaN was tested: where an input is NaN, the model may return NaN and the pack "
    "a number ({})"
)


@dataclass
class _Made:
    """A strategy that remembers the graph that it wrote."""

    strategy: Strategy
    saturating: bool
    asked: bool
    candidate: Path | None = None
    probes: Probes = ()

    def make(self, to: Path) -> Probes:
        """Make the strategy's graph, and remember its path and sizes to try.

        A scatter loses NaN or keeps it by the order of the rows that meet in one place, which few
        cases would show: where NaN is asked for at all, it keeps NaN from the start.
        """
        self.probes = self.strategy.make(to)
        if self.asked:
            keep_nan_in_scatters(to)
        self.candidate = to
        return self.probes

    def notes(self) -> tuple[str, ...]:
        """Return the strategy's notes, and one about NaN if the graph may lose it."""
        losing = () if self.candidate is None else operators_losing_nan(self.candidate)
        return (*self.strategy.notes(), *((LOSING.format(", ".join(losing)),) if losing else ()))

    def make_keeping_nan(self, to: Path) -> Probes:
        """Make the same graph with NaN kept."""
        candidate = self.candidate or to
        if self.candidate is None:
            self.make(candidate)
        keep_nan(candidate, to, saturating=self.saturating)
        return self.probes


def with_nan_kept(
    strategies: Iterable[Strategy], *, saturating: bool = False, asked: bool = True
) -> Iterator[Strategy]:
    """Yield each strategy, and the same with NaN kept if its graph was not proven.

    The next strategy is requested only after the last one failed.

    Args:
        saturating: whether the framework casts to integers as XLA does.
        asked: whether there is a case with NaN; if not, a note is added for graphs that lose it.
    """
    for strategy in strategies:
        made = _Made(strategy, saturating, asked)
        yield replace(strategy, make=made.make, notes=strategy.notes if asked else made.notes)
        if made.candidate is not None and loses_nan(made.candidate, saturating=saturating):
            yield replace(strategy, name=strategy.name + SUFFIX, make=made.make_keeping_nan)
