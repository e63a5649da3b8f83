"""``onnxpack export``: export a trained model to a pack, and show the proof."""

from __future__ import annotations

import shlex
import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from onnxpack.cli import complete, evidence, parameters, say
from onnxpack.cli.command import Argument, Command

if TYPE_CHECKING:
    from onnxpack.pack.model import Pack

NAME = "export"
EXAMPLE = """Example:
  onnxpack export torchvision:resnet18 --sample 1x3x224x224 -o resnet18
  onnxpack export train.py:make_model --sample ids=int64[2,16] --dynamic ids:1=tokens -o tagger
  onnxpack export digits.ckpt --class train:LitDigits -o digits"""

TOLERANCE = parameters.FiniteRange(min=0, max=0.1)


@click.command(NAME, cls=Command, example=EXAMPLE)
@click.argument(
    "target",
    cls=Argument,
    metavar="TARGET",
    shell_complete=complete.target,
    meaning="module:attr or file.py:attr; torchvision:NAME[@DEFAULT]; a file of PyTorch (.ckpt, "
    ".pt2, .pt, .safetensors), scikit-learn (.skops, .joblib), XGBoost (.json, .ubj), LightGBM "
    "(.txt), CatBoost (.cbm), Keras (.keras) or ONNX; a folder of transformers or of the model "
    "zoo.",
)
@click.option(
    "--sample",
    multiple=True,
    metavar="SPEC",
    shell_complete=complete.sample,
    help="One input: 1x3x224x224, ids=int64[1,128], x.npy, x.npz, rows.csv, rows.parquet, a "
    "picture, or module:attr; repeat it for each input. Some models provide their own "
    "sample.",
)
@click.option("--output", "-o", type=parameters.PATH, metavar="DIR", help="The pack to write.")
@click.option(
    "--dynamic",
    multiple=True,
    metavar="INPUT:AXIS=NAME,…",
    help="Names of dynamic axes other than the first, which is batch: "
    "ids:1=tokens,mask:1=tokens; may be repeated.",
)
@parameters.flag("--static", "Fix every size that --dynamic does not name.")
@click.option("--opset", type=parameters.COUNT, metavar="N", help="ONNX opset version (18).")
@click.option(
    "--rtol",
    type=TOLERANCE,
    metavar="X",
    help="Tolerance relative to each element (1e-3); at most 0.1.",
)
@click.option(
    "--atol",
    type=TOLERANCE,
    metavar="X",
    help="Tolerance relative to what is typical around an element (1e-5); at most 0.1.",
)
@click.option(
    "--unordered",
    multiple=True,
    metavar="OUTPUT,…",
    help="Outputs whose rows form one set, such as boxes,scores: their order is ignored; may be "
    "repeated.",
)
@click.option(
    "--accept",
    multiple=True,
    metavar="CASE",
    help="An edge case, as named in the error, in which the graph is allowed to differ; the "
    "pack records by how much.",
)
@click.option(
    "--labels",
    type=parameters.PATH,
    metavar="FILE",
    help="File with the class names: one per line, or a JSON list.",
)
@click.option(
    "--preprocess",
    metavar="FILE.json|imagenet",
    help="How a picture becomes the input, as a JSON file or imagenet: resize, crop, mean, std, "
    "interpolation.",
)
@click.option("--name", metavar="TEXT", help="Name of the pack; by default the folder's name.")
@click.option("--pack-version", metavar="TEXT", default="1", help="Version of the pack.")
@click.option(
    "--description",
    metavar="TEXT",
    default="",
    show_default=False,
    help="One line for the model card.",
)
@click.option(
    "--license",
    metavar="SPDX",
    default="",
    show_default=False,
    help="Licence of the weights, such as Apache-2.0.",
)
@parameters.class_name
@parameters.flag("--trust", "Allow unpickling of the target: this can run any code in it.")
@parameters.flag("--force", "Replace an existing pack.")
@parameters.flag("--verbose", "Print each step, and show tracebacks.")
@parameters.json("Print what was written as JSON.")
def command(
    target: str,
    sample: tuple[str, ...],
    output: Path | None,
    dynamic: tuple[str, ...],
    static: bool,
    opset: int | None,
    rtol: float | None,
    atol: float | None,
    unordered: tuple[str, ...],
    accept: tuple[str, ...],
    labels: Path | None,
    preprocess: str | None,
    name: str | None,
    pack_version: str,
    description: str,
    license: str,  # noqa: A002 - the option's name
    class_name: str | None,
    trust: bool,
    force: bool,
    verbose: bool,
    json: bool,
) -> None:
    """Export a trained model to a proven pack.

    Several ways to export are tried. The first graph that answers as the model does, on the sample
    and on other sizes and values, is kept. If none does, nothing is written and the exit code is 1.
    """
    from onnxpack.cli import recipe, show
    from onnxpack.exporters.export import DEFAULT_OPSET, export
    from onnxpack.exporters.silence import descriptors_hidden
    from onnxpack.exporters.target.load import load_target
    from onnxpack.exporters.target.sample import read_sample

    labelled = None if labels is None else recipe.read_labels(labels)
    prepared = None if preprocess is None else recipe.read_preprocess(preprocess)
    named = recipe.parse_axes(",".join(dynamic))
    tolerance = recipe.make_tolerance(rtol, atol)
    # Output of the model's own code must not mix with the result.
    with (
        redirect_stdout(sys.stderr),
        descriptors_hidden(),
        show.progress(verbose=verbose) as progress,
    ):
        loaded = load_target(target, class_name=class_name, trust=trust)
        rows, notes = (read_sample(sample), ()) if sample else loaded.own_sample()
        pack = export(
            loaded.model,
            rows,
            output or Path(loaded.name),
            dynamic=named or None,
            static=static,
            opset=opset or DEFAULT_OPSET,
            tolerance=tolerance,
            accept=accept,
            unordered=[recipe.parse_names(names) for names in unordered],
            labels=labelled or loaded.labels,
            preprocess=prepared or loaded.preprocess,
            name=name,
            version=pack_version,
            description=description,
            license=license,
            force=force,
            verbose=verbose,
            progress=progress,
        )
    told = () if verbose or pack.manifest is None else pack.manifest.notes
    for line in (*loaded.notes, *notes, *told):
        say.note(f"note: {line}")
    if json:
        say.emit(_document(pack))
    else:
        _print(pack)


def _print(pack: Pack) -> None:
    manifest = pack.manifest
    if manifest is None:
        return
    source = manifest.source
    evidence.show_parity(manifest.parity)
    say.out(
        f"{manifest.name} {manifest.version}: {source.model_class} by {source.strategy}, "
        f"opset {source.opset}"
    )
    say.out(f"{pack.path}, {say.size(pack.size)}, {pack.digest}")
    say.out()
    say.out(f"next: {_next(pack)}")


def _document(pack: Pack) -> dict[str, Any]:
    return {
        "path": str(pack.path),
        "digest": pack.digest,
        "size": pack.size,
        "manifest": pack.manifest,
        "next": _next(pack),
    }


def _next(pack: Pack) -> str:
    return shlex.join(["onnxpack", "run", str(pack.path), "--input", "random"])
