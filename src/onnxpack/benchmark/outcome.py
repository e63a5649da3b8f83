"""The data structures of a benchmark's result."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from onnxpack.pack.manifest import Measurement, Timing

PACK = "pack"
BASE = "pack, its proven graph"
"""Name of the row of the proven graph, if a variant is timed."""


@dataclass(frozen=True, slots=True)
class Row:
    """The result of one way to run the model, at one size.

    Attributes:
        name: name of the way.
        timing: its timing; None if it could not be run.
        percentiles: seconds within which this percentage of the calls ended.
        rate: rows per second; None if the pack has no batch.
        difference: distance of its answers from the pack's: the Euclidean norm of the difference,
            divided by the norm of the pack's answers, the largest of all outputs; None if it has
            other outputs.
        failure: why it could not be run.
    """

    name: str
    timing: Timing | None = None
    percentiles: Mapping[int, float] = field(default_factory=dict)
    rate: float | None = None
    difference: float | None = None
    failure: str = ""


@dataclass(frozen=True, slots=True)
class Point:
    """All rows that were timed at one size; the first row is the reference."""

    dims: Mapping[str, int]
    rows: tuple[Row, ...]

    def row(self, name: str) -> Row:
        """Return the row of this name."""
        return next(row for row in self.rows if row.name == name)

    @property
    def fastest(self) -> Row | None:
        """The row of the fastest of the framework's own ways; None if none was timed."""
        timed = [row for row in self.rows if row.timing and row.name not in (PACK, BASE)]
        return min(timed, key=lambda row: row.timing.seconds if row.timing else 0, default=None)


@dataclass(frozen=True, slots=True)
class Start:
    """The start of a process that loads the model and answers once.

    Attributes:
        name: name of the row.
        seconds: from the start of the process to the answer, the median of a few starts.
        memory: peak memory of the process, in bytes.
    """

    name: str
    seconds: float
    memory: int


@dataclass(frozen=True, slots=True)
class Operator:
    """The nodes of one operator, as ONNX Runtime ran them: fused, and with its own names.

    Attributes:
        name: name of the operator.
        nodes: number of nodes.
        share: share of the time of all nodes.
        seconds: seconds in one call of the model.
    """

    name: str
    nodes: int
    share: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of a benchmark.

    Attributes:
        pack: name of the pack.
        variant: name of the variant that was timed; None for the proven graph.
        digest: digest of the pack; None without a manifest.
        framework: framework that the pack was compared with, and its version; empty if only the
            pack was timed.
        threads: threads of one operator, for everything that was timed.
        provider: execution provider of the pack.
        processor: processor by the machine's name for it.
        versions: versions of the libraries that ran.
        points: results, one for each size.
        starts: the pack's start, then the framework's if it could be started.
        operators: the most expensive first; empty without a profile.
        notes: what the reader should know.
    """

    pack: str
    variant: str | None
    digest: str | None
    framework: str
    threads: int
    provider: str
    processor: str
    versions: Mapping[str, str]
    points: tuple[Point, ...]
    starts: tuple[Start, ...] = ()
    operators: tuple[Operator, ...] = ()
    notes: tuple[str, ...] = ()

    def measurements(self) -> Iterator[Measurement]:
        """Yield the measurement that a pack records, for each size."""
        for point in self.points:
            yield Measurement(
                dims=dict(point.dims),
                threads=self.threads,
                provider=self.provider,
                processor=self.processor,
                versions=dict(self.versions),
                timings=tuple(row.timing for row in point.rows if row.timing),
            )
