"""Format speeds, and print the variants and measurements of a pack as tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from onnxpack.cli import say, show

if TYPE_CHECKING:
    from onnxpack.optimizer.speed import Speed
    from onnxpack.pack.manifest import Measurement, Variant


def show_variants(variants: Mapping[str, Variant]) -> None:
    """Print each variant, what it keeps and how fast it was; nothing without variants."""
    from onnxpack.pack import describe as words

    for name, entry in sorted(variants.items()):
        say.out()
        show.facts(
            [
                ("variant", name),
                ("steps", words.describe_steps(entry.steps)),
                ("keeps", words.describe_kept(entry.kept)),
                ("times as fast", words.describe_ratio(entry.timing) or "not measured"),
                ("measured at", words.describe_conditions(entry.speed)),
                ("judged with", words.describe_recipe(entry.recipe)),
            ]
        )


def show_measurements(measurements: Iterable[Measurement]) -> None:
    """Print the timings of a pack, one table for each run; nothing without timings."""
    from onnxpack.pack import describe as words

    for each in measurements:
        say.out()
        say.out(f"speed at {words.describe_conditions(each)}")
        show.table(
            ("what", "median", "quartiles", "times as fast"),
            [words.timing_row(timing) for timing in each.timings],
            right=("median",),
        )


def times(ratio: float) -> str:
    """Return a ratio with useful digits: 0.27, 1.55, 137."""
    return f"{ratio:,.0f}" if ratio >= 100 else f"{ratio:.3g}" if ratio >= 10 else f"{ratio:.2f}"


def speed_cells(speed: Speed | None) -> tuple[str, str]:
    """Return the ratio and its interval as table cells; empty if nothing was timed."""
    if speed is None:
        return "", ""
    return f"{times(speed.ratio)} ×", "{} – {}".format(*map(times, speed.interval))
