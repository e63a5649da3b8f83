"""One rule for NaN and infinities, for JAX, for Keras on any backend, and for PyTorch.

A model of JAX or Keras that takes floating-point numbers is always asked with NaN and with
infinities among them (:mod:`onnxpack.parity.nonfinite`). Where a graph differs there, the same
graph is tried with NaN kept (:mod:`onnxpack.exporters.keep_nan`). Where that differs too, the
export is refused, and the user can accept the case by its name. A model of PyTorch is asked where
it reckons with NaN; of any other the user is told that its graph may lose NaN.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from onnxpack.exporters.keep_nan import keep_nan, loses_nan, operators_losing_nan
from onnxpack.parity.subject import Probes, Strategy

SUFFIX = ", NaN kept"
LOSING = (
    "nothing was asked with NaN: where an input holds NaN, the model may answer NaN and the pack a "
    "number ({})"
)


@dataclass
class _Made:
    """A strategy that remembers what it wrote."""

    strategy: Strategy
    saturating: bool
    candidate: Path | None = None
    probes: Probes = ()

    def make(self, to: Path) -> Probes:
        """As the strategy does."""
        self.probes = self.strategy.make(to)
        self.candidate = to
        return self.probes

    def notes(self) -> tuple[str, ...]:
        """Return the strategy's own, and one of NaN where the graph may lose it."""
        losing = () if self.candidate is None else operators_losing_nan(self.candidate)
        return (*self.strategy.notes(), *((LOSING.format(", ".join(losing)),) if losing else ()))

    def make_keeping_nan(self, to: Path) -> Probes:
        """Return the same graph with NaN kept."""
        candidate = self.candidate or to
        if self.candidate is None:
            self.make(candidate)
        keep_nan(candidate, to, saturating=self.saturating)
        return self.probes


def with_nan_kept(
    strategies: Iterable[Strategy], *, saturating: bool = False, asked: bool = True
) -> Iterator[Strategy]:
    """Yield each strategy; and where its graph was not proven, the same graph with NaN kept.

    A ladder asks for the next strategy only after the last one failed.

    Args:
        saturating: whether the framework casts to integers as XLA does.
        asked: whether there is a case with NaN; if not, a note tells of graphs that lose it.
    """
    for strategy in strategies:
        made = _Made(strategy, saturating)
        yield replace(strategy, make=made.make, notes=strategy.notes if asked else made.notes)
        if made.candidate is not None and loses_nan(made.candidate, saturating=saturating):
            yield replace(strategy, name=strategy.name + SUFFIX, make=made.make_keeping_nan)
