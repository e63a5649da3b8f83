"""Paired timings: two things in turn, and the ratio pair by pair.

The speed of a shared machine drifts, so one figure against another from a different minute says
nothing. A pair is measured within the same moment, and the spread over pairs is part of the answer.
"""

from __future__ import annotations

import os
import platform
import statistics
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path


@dataclass(frozen=True)
class Paired:
    """Seconds of ``ours`` and ``theirs``, pair by pair."""

    ours: tuple[float, ...]
    theirs: tuple[float, ...]

    @property
    def ratios(self) -> list[float]:
        """Ours over theirs."""
        return [a / b for a, b in zip(self.ours, self.theirs, strict=True)]

    def row(self, name: str, unit: float, digits: int = 1) -> str:
        """A line of a Markdown table: medians, and the ratio with its quartiles."""
        low, middle, high = statistics.quantiles(self.ratios, n=4)
        return (
            f"| {name} | {statistics.median(self.ours) / unit:.{digits}f} "
            f"| {statistics.median(self.theirs) / unit:.{digits}f} "
            f"| {middle:.2f} | {low:.2f}–{high:.2f} |"
        )


def pairs(ours: Callable[[], float], theirs: Callable[[], float], count: int) -> Paired:
    """Measure both in turn, ``count`` times, after one turn that is not counted."""
    ours(), theirs()
    measured = [(ours(), theirs()) for _ in range(count)]
    return Paired(tuple(a for a, _ in measured), tuple(b for _, b in measured))


def per_call(function: Callable[[], object], calls: int) -> float:
    """Seconds for one call, over many calls in a row."""
    start = time.perf_counter()
    for _ in range(calls):
        function()
    return (time.perf_counter() - start) / calls


def process(command: Sequence[str]) -> float:
    """Wall seconds of a whole process, with byte code cached as an installed package has it."""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    start = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=environment)
    return time.perf_counter() - start


def machine() -> str:
    """The processor, the cores, and the versions that matter."""
    cpuinfo = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    model = next(
        (line.split(":")[1].strip() for line in cpuinfo.splitlines() if "model name" in line),
        platform.machine(),
    )
    names = ("onnxpack", "onnxruntime", "numpy", "click")
    versions = ", ".join(f"{name} {version(name)}" for name in names)
    cores = len(os.sched_getaffinity(0))
    return f"{model}, {cores} cores; Python {platform.python_version()}, {versions}"
