"""``onnxpack bench``: measure how fast a pack is, and how fast its framework is."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from onnxpack.cli import complete, parameters, say, show
from onnxpack.cli.command import Command
from onnxpack.cli.speed import times

if TYPE_CHECKING:
    from onnxpack.benchmark.outcome import Outcome, Point, Row

NAME = "bench"
EXAMPLE = """Example:
  onnxpack bench resnet18 --against torchvision:resnet18
  onnxpack bench tagger --against train.py:make_model --batch 1,8,32 --size tokens=32,128
  onnxpack bench resnet18 --profile"""

HEADS = ("", "median", "p95", "rows/s", "faster", "95 % interval", "differs by")
COUNTS = "N,N,…"
MOST = 8
"""Most operators of a profile that are printed."""


@click.command(NAME, cls=Command, example=EXAMPLE)
@parameters.pack
@click.option(
    "--against",
    metavar="TARGET",
    shell_complete=complete.target,
    help="The model that the pack was exported from, in the form that onnxpack export takes.",
)
@click.option(
    "--sample",
    multiple=True,
    metavar="SPEC",
    shell_complete=complete.sample,
    help="The sample given at export, if the golden data cannot replace it.",
)
@click.option("--batch", metavar=COUNTS, help="Batch sizes (default: 1).")
@click.option(
    "--size",
    multiple=True,
    metavar=f"NAME={COUNTS}",
    help="Sizes of another dynamic dim; may be repeated.",
)
@click.option(
    "--threads",
    type=parameters.COUNT,
    metavar="N",
    help="Threads per operator, for everything that is timed; by default as many as the CPU "
    "quota allows.",
)
@parameters.provider
@parameters.variant
@click.option(
    "--seconds",
    type=parameters.FiniteRange(min=0, min_open=True),
    metavar="S",
    default=3.0,
    help="About how long to time each runner at each size.",
)
@parameters.flag("--profile", "Also print which operators take the time.")
@parameters.flag("--record", "Record the timings in the pack; its digest changes.")
@click.option(
    "--chart",
    type=parameters.PATH,
    metavar="FILE",
    help="Save a chart of the timings: .svg or .png.",
)
@parameters.class_name
@parameters.flag("--trust", "Allow unpickling of the target: this can run any code in it.")
@parameters.json("Print all figures as JSON.")
def command(
    pack: Path,
    against: str | None,
    sample: tuple[str, ...],
    batch: str | None,
    size: tuple[str, ...],
    threads: int | None,
    provider: str,
    variant: str,
    seconds: float,
    profile: bool,
    record: bool,
    chart: Path | None,
    class_name: str | None,
    trust: bool,
    json: bool,
) -> None:
    """Time a pack and the model that it was made from.

    Both take turns on the same inputs and threads. The framework is also timed in its faster modes:
    channels last, bfloat16 and torch.compile. The time to the first prediction of a fresh process
    and its memory are measured too.
    """
    from onnxpack.benchmark.bench import bench
    from onnxpack.benchmark.chart import check_chart, draw_chart
    from onnxpack.benchmark.record import record_outcome
    from onnxpack.benchmark.start import Source
    from onnxpack.cli import recipe
    from onnxpack.exporters.silence import descriptors_hidden
    from onnxpack.exporters.target.load import load_target
    from onnxpack.exporters.target.sample import read_sample
    from onnxpack.runtime.threads import read_budget

    if chart is not None:
        check_chart(chart)
    asked = dict(recipe.parse_sizes(text) for text in size)
    count = threads or read_budget().threads
    starts = [Source("pack", str(pack), count, variant=variant)]
    with (
        redirect_stdout(sys.stderr),
        descriptors_hidden(),
        show.progress(verbose=False) as progress,
    ):
        model = None
        if against is not None:
            model = load_target(against, class_name=class_name, trust=trust).model
            starts.append(
                Source(
                    "framework", str(pack), count,
                    target=against, class_name=class_name, trust=trust, sample=sample,
                )
            )  # fmt: skip
        found = bench(
            pack,
            model,
            sample=read_sample(sample) if sample else None,
            batch=recipe.parse_counts("--batch", batch) if batch is not None else (),
            sizes=asked,
            threads=threads,
            provider=provider,
            variant=variant,
            seconds=seconds,
            profile=profile,
            starts=starts,
            progress=progress,
        )
    if record:
        record_outcome(pack, found)
    for line in found.notes:
        say.note(f"note: {line}")
    if json:
        say.emit(_document(found))
    else:
        _print(found)
    if chart is not None:  # last, so that a full disk loses no figure
        draw_chart(found, chart)


def _print(found: Outcome) -> None:
    from onnxpack.pack.describe import describe_seconds

    beside = f" beside {found.framework}" if found.framework else ""
    variant = f" as {found.variant}" if found.variant else ""
    threads = f"{found.threads} {'thread' if found.threads == 1 else 'threads'}"
    say.out(f"{found.pack}{variant}{beside}, {threads}, {found.provider}, {found.processor}")
    for point in found.points:
        say.out()
        say.out(_at(point))
        show.table(HEADS, [_cells(row) for row in point.rows], right=HEADS[1:])
        for row in point.rows:
            if row.failure:
                say.out(f"{row.name} was not timed: {row.failure}")
    if found.starts:
        say.out()
        show.table(
            ("fresh process", "to the first prediction", "memory"),
            [
                (start.name, f"{start.seconds:.2f} s", say.size(start.memory))
                for start in found.starts
            ],
            right=("to the first prediction", "memory"),
        )
    if found.operators:
        say.out()
        show.table(
            ("operator", "nodes", "time", "share"),
            [
                (each.name, str(each.nodes), describe_seconds(each.seconds), f"{each.share:.1%}")
                for each in found.operators[:MOST]
            ],
            right=("nodes", "time", "share"),
        )
    say.out()
    for line in verdicts(found):
        say.out(line)


def _at(point: Point) -> str:
    return ", ".join(f"{name}={size}" for name, size in point.dims.items()) or "its fixed sizes"


def _cells(row: Row) -> tuple[str, ...]:
    from onnxpack.pack.describe import describe_seconds

    timing = row.timing
    if timing is None:
        return (row.name, "not run", "", "", "", "", "")
    ratio = "" if timing.ratio is None else f"{times(timing.ratio)} ×"
    low, high = timing.interval or (0.0, 0.0)
    return (
        row.name,
        describe_seconds(timing.seconds),
        describe_seconds(row.percentiles[95]),
        "" if row.rate is None else f"{row.rate:,.0f}" if row.rate >= 10 else f"{row.rate:.1f}",
        ratio,
        f"{times(low)} – {times(high)}" if timing.interval else "",
        "" if row.difference is None else f"{row.difference:.1g}",
    )


def verdicts(found: Outcome) -> list[str]:
    """Return a sentence for each size that states the result."""
    return [line for point in found.points if (line := _verdict(point))]


def _verdict(point: Point) -> str:
    pack, fastest = point.row("pack").timing, point.fastest
    if pack is None or pack.ratio is None:
        return ""
    reference = point.rows[0].name.removeprefix("pack, ")
    low, high = pack.interval or (0.0, 0.0)
    same = low <= 1 <= high
    ratio = f"as fast as {reference}, within the noise" if same else _faster(pack.ratio, reference)
    line = f"{_at(point)}: the pack is {ratio}"
    if fastest is not None and fastest.timing is not None and fastest.name != reference:
        line += (
            f", and {_faster(fastest.timing.seconds / pack.seconds, fastest.name)}, the "
            "framework's fastest"
        )
    return f"{line}."


def _faster(ratio: float, than: str) -> str:
    if ratio >= 1:
        return f"{times(ratio)} × as fast as {than}"
    return f"{times(1 / ratio)} × slower than {than}"


def _document(found: Outcome) -> dict[str, Any]:
    import msgspec

    document: dict[str, Any] = msgspec.to_builtins(found)
    return {**document, "verdicts": verdicts(found)}
