"""What a benchmark found."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from onnxpack.pack.manifest import Measurement, Timing

PACK = "pack"
BASE = "pack, its proven graph"
"""A row of its own where a variant answers."""


@dataclass(frozen=True, slots=True)
class Row:
    """One way to run the model, at one size.

    Attributes:
        timing: None where it could not be run.
        percentiles: the seconds within which so many percent of the calls ended.
        rate: rows a second; None where the pack has no batch.
        difference: how far its answers lie from the pack's: the Euclidean length of the difference
            over that of the pack's answers, the largest of all outputs; None where it has other
            outputs.
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
    """All that was timed at one size; the reference is the first row."""

    dims: Mapping[str, int]
    rows: tuple[Row, ...]

    def row(self, name: str) -> Row:
        """Return the row of a name."""
        return next(row for row in self.rows if row.name == name)

    @property
    def fastest(self) -> Row | None:
        """The fastest of the framework's own ways."""
        timed = [row for row in self.rows if row.timing and row.name not in (PACK, BASE)]
        return min(timed, key=lambda row: row.timing.seconds if row.timing else 0, default=None)


@dataclass(frozen=True, slots=True)
class Start:
    """A process that starts, loads the model, and answers once.

    Attributes:
        seconds: from the start of the process to the answer, the median of a few.
        memory: the most that it held in memory, in bytes.
    """

    name: str
    seconds: float
    memory: int


@dataclass(frozen=True, slots=True)
class Operator:
    """The nodes of one operator, as ONNX Runtime ran them: fused, and renamed by it.

    Attributes:
        share: of the time of all nodes.
        seconds: of one call.
    """

    name: str
    nodes: int
    share: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a benchmark found.

    Attributes:
        pack: its name.
        variant: the name of the variant that answers; None for the proven graph.
        digest: of the pack; None where it has no manifest.
        framework: what the pack was timed against, with its version; empty where it was timed
            alone.
        threads: of one operator, of everything that was timed.
        provider: the execution provider of the pack.
        processor: as the machine names it.
        versions: of the libraries that ran.
        points: one for each size.
        starts: the pack's, then the framework's where it could be started.
        operators: the most expensive first; empty where no profile was asked for.
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
        """What a pack records of it, for each size."""
        for point in self.points:
            yield Measurement(
                dims=dict(point.dims),
                threads=self.threads,
                provider=self.provider,
                processor=self.processor,
                versions=dict(self.versions),
                timings=tuple(row.timing for row in point.rows if row.timing),
            )
