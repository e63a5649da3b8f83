"""One rule for NaN and infinities, for JAX and for Keras on any backend.

A model that takes floating-point numbers is always asked with NaN and with infinities among them
(:mod:`onnxpack.parity.nonfinite`). Where a graph differs there, the same graph is tried with NaN
kept (:mod:`onnxpack.exporters.keep_nan`). Where that differs too, the export is refused, and the
user can accept the case by its name.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from onnxpack.exporters.keep_nan import keep_nan, loses_nan
from onnxpack.parity.subject import Probes, Strategy

SUFFIX = ", NaN kept"


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

    def make_keeping_nan(self, to: Path) -> Probes:
        """The same graph with NaN kept."""
        candidate = self.candidate or to
        if self.candidate is None:
            self.make(candidate)
        keep_nan(candidate, to, saturating=self.saturating)
        return self.probes


def with_nan_kept(
    strategies: Iterable[Strategy], *, saturating: bool = False
) -> Iterator[Strategy]:
    """Each strategy; and where its graph was not proven, the same graph with NaN kept.

    A ladder asks for the next strategy only after the last one failed.

    Args:
        saturating: whether the framework casts to integers as XLA does.
    """
    for strategy in strategies:
        made = _Made(strategy, saturating)
        yield replace(strategy, make=made.make)
        if made.candidate is not None and loses_nan(made.candidate, saturating=saturating):
            yield replace(strategy, name=strategy.name + SUFFIX, make=made.make_keeping_nan)
