"""``onnxpack run``: run a model on an input, and show its outputs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from onnxpack.cli import parameters, say
from onnxpack.cli.command import Command

if TYPE_CHECKING:
    from onnxpack.cli.answers import Ranking
    from onnxpack.runtime.model import Model
    from onnxpack.signature import Array

NAME = "run"
EXAMPLE = """Example:
  onnxpack run resnet18 --input cat.jpg
  onnxpack run churn --input customers.csv
  onnxpack run bert --input ids=ids.npy --input mask=mask.npy -o out.npz
  onnxpack run resnet18 --input random --json"""


@click.command(NAME, cls=Command, example=EXAMPLE)
@parameters.pack
@click.option(
    "--input",
    "-i",
    multiple=True,
    required=True,
    metavar="[NAME=]WHAT",
    help="x.npy, x.npz (its arrays bind by name), rows.csv or rows.parquet (columns bind by "
    "name), a picture, or random; repeat it for each input, in order or by name.",
)
@click.option(
    "--output",
    "-o",
    type=parameters.PATH,
    metavar="FILE",
    help="Save all outputs: .npz, or .npy.",
)
@click.option(
    "--top",
    type=parameters.COUNT,
    metavar="K",
    default=5,
    help="How many classes of a classifier to print.",
)
@parameters.provider
@parameters.variant
@parameters.threads
@parameters.digest
@click.option(
    "--seed", type=click.IntRange(min=0), metavar="N", default=0, help="Seed of random inputs."
)
@parameters.json("Print every number as JSON.")
def command(
    pack: Path,
    input: tuple[str, ...],  # noqa: A002 - the option's name
    output: Path | None,
    top: int,
    provider: str,
    variant: str,
    threads: int | None,
    digest: str | None,
    seed: int,
    json: bool,
) -> None:
    """Run a pack on one input and print its outputs.

    If the pack has labels, the likeliest classes are printed, else a summary of each output.
    """
    from onnxpack.cli import answers, feeds, keep
    from onnxpack.pack.read import open_pack
    from onnxpack.runtime.model import Model

    opened = open_pack(pack, digest=digest)
    model = Model(opened, provider=provider, threads=threads, variant=variant)
    for note in model.notes:
        say.note(f"note: {note}")
    if output is not None:
        keep.check_path(output, len(model.signature.outputs))
    if model.pack.manifest is None:
        say.note(f"note: {pack} has no evidence: nothing shows that its answers are right.")
    outputs = model.run(feeds.read_feeds(input, model, seed=seed))
    rankings = answers.rank(outputs, model.labels, top=top)
    if output is not None:
        keep.keep(outputs, output)
    if json:
        say.emit(_document(model, outputs, rankings))
    else:
        _print(outputs, rankings)


def _print(outputs: Mapping[str, Array], rankings: tuple[Ranking, ...]) -> None:
    from onnxpack.cli.answers import ranking_lines, summary_line

    ranked = {ranking.output: ranking for ranking in rankings}
    for name, array in outputs.items():
        lines = ranking_lines(ranked[name]) if name in ranked else [summary_line(name, array)]
        for line in lines:
            say.out(line)


def _document(
    model: Model, outputs: Mapping[str, Array], rankings: tuple[Ranking, ...]
) -> dict[str, Any]:
    return {
        "name": model.pack.name,
        "digest": model.pack.digest,
        "variant": model.variant,
        "runtime": model.runtime,
        "notes": model.notes,
        "provider": model.provider,
        "placement": model.placement,
        "threads": model.threads,
        "predictions": rankings,
        "outputs": [
            {
                "name": name,
                "dtype": "str" if array.dtype.kind == "O" else str(array.dtype),
                "shape": array.shape,
                "data": array.reshape(-1).tolist(),
            }
            for name, array in outputs.items()
        ],
    }
