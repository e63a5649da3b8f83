"""``onnxpack optimize``: find faster graphs that are still right, and add them to a pack."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from onnxpack.cli import parameters, say, show
from onnxpack.cli.command import Command
from onnxpack.cli.speed import speed_cells, times

if TYPE_CHECKING:
    from onnxpack.optimizer.optimize import Optimized
    from onnxpack.optimizer.trial import Trial

NAME = "optimize"
EXAMPLE = """Example:
  onnxpack optimize resnet18 -o resnet18-fast --data photos/
  onnxpack optimize tagger -o tagger-fast --data rows.npz --max-loss 0.02 --for throughput
  onnxpack optimize resnet18 -o resnet18-fast"""

GOALS = ("latency", "throughput", "size")
HEADS = ("graph", "verdict", "faster", "95 % interval", "MB", "figures")


@click.command(NAME, cls=Command, example=EXAMPLE)
@parameters.pack
@click.option(
    "--output", "-o", type=parameters.PATH, metavar="DIR", required=True, help="The pack to write."
)
@parameters.one_of(
    "--for",
    GOALS,
    "What to optimize: the latency of one row, the throughput of eight rows, or the file size.",
    default="latency",
)
@parameters.max_loss
@click.option(
    "--data",
    metavar="WHAT",
    help="Rows for calibration and evaluation: a folder of pictures, .npz, .npy, .csv, "
    ".parquet, or module:fn; without them only passes that keep float32 accuracy are tried.",
)
@parameters.metric
@click.option(
    "--passes",
    metavar="NAME,…",
    help="Try only this chain of passes: fuse,int8-dynamic.",
)
@click.option(
    "--budget",
    type=parameters.FiniteRange(min=0, min_open=True),
    metavar="SECONDS",
    help="Start no further trial after this time; the best graph found so far is used.",
)
@parameters.threads
@click.option(
    "--seed",
    type=click.IntRange(min=0),
    metavar="N",
    default=0,
    help="Seed of the split into calibration and evaluation rows.",
)
@click.option(
    "--report",
    type=parameters.PATH,
    metavar="FILE",
    help="Write an HTML page with everything that was tried.",
)
@click.option(
    "--replay-on",
    metavar="CPU",
    help="Also report which graph would run on another processor, emulated by qemu-user: haswell.",
)
@parameters.flag("--force", "Replace an existing pack.")
@parameters.json("Print everything that was tried as JSON.")
def command(
    pack: Path,
    output: Path,
    max_loss: float,
    data: str | None,
    metric: str,
    passes: str | None,
    budget: float | None,
    threads: int | None,
    seed: int,
    report: Path | None,
    replay_on: str | None,
    force: bool,
    json: bool,
    **options: Any,
) -> None:
    """Find faster graphs of a pack that are still right.

    Passes such as fusion and int8 are tried on ONNX Runtime, and on OpenVINO if it is installed.
    Everything is measured on this machine. A graph is taken only if the rows that judge it show,
    with 95 % confidence, that it loses no more than --max-loss. The proven graph stays in the pack.
    """
    from onnxpack.cli import recipe
    from onnxpack.optimizer import emulated
    from onnxpack.optimizer.optimize import optimize
    from onnxpack.optimizer.report import check_report, write_report

    if report is not None:
        check_report(report)
    if replay_on is not None:
        emulated.check_emulator(replay_on)
    with show.progress(verbose=False) as progress:
        found = optimize(
            pack,
            output,
            goal=options["for"],
            max_loss=max_loss,
            data=data,
            metric=metric,
            passes=() if passes is None else recipe.parse_names(passes),
            threads=threads,
            budget=budget,
            seed=seed,
            force=force,
            progress=progress,
        )
    if report is not None:
        write_report(found, report)
    elsewhere = tuple(emulated.replay_on(output, replay_on)) if replay_on is not None else ()
    for line in (*found.notes, *elsewhere):
        say.note(f"note: {line}")
    if json:
        say.emit(_document(found))
    else:
        _print(found)


def _print(found: Optimized) -> None:
    from onnxpack.optimizer.trial import Verdict

    made = [each for each in found.trials if each.speed or each.verdict is not Verdict.FAILED]
    show.table(HEADS, [_cells(each) for each in made], right=("faster", "MB"))
    for each in found.trials:
        if each not in made:
            say.out(f"{each.name} was not made: {each.why}")
    say.out()
    say.out(verdict(found))
    say.out()
    say.out(f"next: onnxpack bench {found.pack.path}")


def _cells(trial: Trial) -> tuple[str, ...]:
    return (
        trial.name,
        trial.verdict.value,
        *speed_cells(trial.speed),
        f"{trial.size / 1e6:.1f}" if trial.size else "",
        trial.why,
    )


def verdict(found: Optimized) -> str:
    """Return a sentence that says which variants were taken and what they lose."""
    if not found.variants:
        if any(trial.unfinished for trial in found.trials):
            return (
                f"{found.pack.path}: the search ended before a faster graph was shown to be "
                "right, so the pack holds only its proven graph."
            )
        return (
            f"{found.pack.path}: no graph that was tried is both faster and right, so the pack "
            "holds only its proven graph."
        )
    taken = {trial.name: trial for trial in found.trials}[found.variants[0]]
    speed = times(taken.speed.ratio) if taken.speed else "?"
    others = ", ".join(found.variants[1:])
    return (
        f"{found.pack.path}: {taken.name} is {speed} × as fast as the proven graph; {taken.why}."
        + (f" Also taken: {others}." if others else "")
    )


def _document(found: Optimized) -> dict[str, Any]:
    return {
        "path": str(found.pack.path),
        "digest": found.pack.digest,
        "goal": found.goal,
        "max_loss": found.max_loss,
        "variants": found.variants,
        "trials": [{"name": each.name, **_plain(each)} for each in found.trials],
        "notes": found.notes,
        "verdict": verdict(found),
    }


def _plain(trial: Trial) -> dict[str, Any]:
    import msgspec

    plain: dict[str, Any] = msgspec.to_builtins(trial)
    return plain
