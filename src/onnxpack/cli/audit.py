"""``onnxpack audit``: check whether faster graphs made by other tools are still right."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from onnxpack.cli import parameters, say, show
from onnxpack.cli.command import Argument, Command, NotOkError
from onnxpack.cli.speed import speed_cells

if TYPE_CHECKING:
    from onnxpack.optimizer.audit import Audited

NAME = "audit"
EXAMPLE = """Example:
  onnxpack audit downloads/ --reference downloads/model.onnx --data rows.npz
  onnxpack audit variants/ --reference tagger --data rows.npz --max-loss 0.05 --json"""

HEADS = ("graph", "verdict", "faster", "95 % interval", "MB", "figures")


@click.command(NAME, cls=Command, example=EXAMPLE)
@click.argument(
    "folder",
    cls=Argument,
    type=parameters.PATH,
    metavar="DIR",
    meaning="A folder of .onnx files: float16, int8, q4, quantized.",
)
@click.option(
    "--reference",
    type=parameters.PATH,
    metavar="PACK",
    required=True,
    help="The float model that they were made from: a pack or an .onnx file.",
)
@click.option(
    "--data",
    metavar="WHAT",
    required=True,
    help="Rows to evaluate on: a folder of pictures, .npz, .npy, .csv, .parquet, or module:fn.",
)
@parameters.max_loss
@parameters.metric
@parameters.threads
@parameters.json("Print all figures as JSON.")
def command(
    folder: Path,
    reference: Path,
    data: str,
    max_loss: float,
    metric: str,
    threads: int | None,
    json: bool,
) -> None:
    """Compare the graphs of a folder with their float original.

    Each graph is right, right and no faster, noisy (it loses more than --max-loss), or broken. The
    exit code is 1 if a graph is noisy or broken.
    """
    from onnxpack.optimizer.audit import Finding, audit

    with show.progress(verbose=False) as progress:
        found = audit(
            folder,
            reference,
            data,
            max_loss=max_loss,
            metric=metric,
            threads=threads,
            progress=progress,
        )
    if json:
        say.emit([_document(each) for each in found])
    else:
        show.table(HEADS, [_cells(each, folder) for each in found], right=("faster", "MB"))
    if any(each.finding in (Finding.NOISY, Finding.BROKEN) for each in found):
        raise NotOkError


def _cells(each: Audited, folder: Path) -> tuple[str, ...]:
    return (
        str(each.path.relative_to(folder)),
        each.finding.value,
        *speed_cells(each.speed),
        f"{each.size / 1e6:.1f}",
        each.why,
    )


def _document(each: Audited) -> dict[str, Any]:
    import msgspec

    plain: dict[str, Any] = msgspec.to_builtins(each, enc_hook=str)
    return plain
