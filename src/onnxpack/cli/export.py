"""``onnxpack export``: a trained model becomes a pack, and the proof is shown."""

from __future__ import annotations

import shlex
import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from onnxpack.cli import evidence, say

if TYPE_CHECKING:
    from onnxpack.pack.model import Pack

NAME = "export"
EXAMPLE = """Example:
  onnxpack export torchvision:resnet18 --sample 1x3x224x224 -o resnet18
  onnxpack export train.py:make_model --sample ids=int64[2,16] --dynamic ids:1=tokens -o tagger
  onnxpack export digits.ckpt --class train:LitDigits -o digits"""

Target = Annotated[
    str,
    typer.Argument(
        metavar="TARGET",
        help="module:attr or file.py:attr, torchvision:NAME[@DEFAULT], a Lightning .ckpt, a "
        "torch.export .pt2, a TorchScript .pt, an .onnx file or a model-zoo folder.",
    ),
]
Sample = Annotated[
    Optional[list[str]],
    typer.Option(
        metavar="SPEC",
        help="One input: 1x3x224x224, ids=int64[1,128], x.npy, x.npz, a picture, or "
        "module:attr; once for each input. A Lightning module may bring its own.",
    ),
]
Output = Annotated[
    Optional[Path],
    typer.Option("--output", "-o", metavar="DIR", help="The pack to write."),
]
Axes = Annotated[
    Optional[list[str]],
    typer.Option(
        metavar="INPUT:AXIS=NAME,…",
        help="Axes to name besides the first, which is batch: ids:1=tokens,mask:1=tokens; "
        "may be repeated.",
    ),
]
Static = Annotated[
    bool, typer.Option("--static", help="Fix every size that --dynamic does not name.")
]
Opset = Annotated[
    Optional[int], typer.Option(metavar="N", min=1, help="Version of the operator set (18).")
]
Rtol = Annotated[
    Optional[float],
    typer.Option(metavar="X", min=0, help="Tolerance relative to each element (1e-3)."),
]
Atol = Annotated[
    Optional[float],
    typer.Option(metavar="X", min=0, help="Tolerance relative to the output's scale (1e-5)."),
]
Labels = Annotated[
    Optional[Path],
    typer.Option(metavar="FILE", help="Names of the classes: a line each, or a JSON list."),
]
Recipe = Annotated[
    Optional[str],
    typer.Option(
        metavar="FILE.json|imagenet",
        help="How a picture becomes the input: resize, crop, mean, std, interpolation.",
    ),
]
Name = Annotated[
    Optional[str], typer.Option(metavar="TEXT", help="Name of the pack; else the folder's.")
]
Version = Annotated[str, typer.Option(metavar="TEXT", help="Version of the pack.")]
Description = Annotated[str, typer.Option(metavar="TEXT", help="One line for the model card.")]
License = Annotated[
    str, typer.Option(metavar="SPDX", help="Licence of the weights, such as Apache-2.0.")
]
ClassName = Annotated[
    Optional[str],
    typer.Option("--class", metavar="MODULE:CLASS", help="The class of a .ckpt."),
]
Trust = Annotated[
    bool,
    typer.Option("--trust", help="Unpickle the target: this runs whatever code is in it."),
]
Force = Annotated[bool, typer.Option("--force", help="Replace a pack that is already there.")]
Verbose = Annotated[bool, typer.Option("--verbose", help="Tell each step, and show tracebacks.")]
Json = Annotated[bool, typer.Option("--json", help="Print what was written as JSON.")]


def command(
    target: Target,
    sample: Sample = None,
    output: Output = None,
    dynamic: Axes = None,
    static: Static = False,
    opset: Opset = None,
    rtol: Rtol = None,
    atol: Atol = None,
    labels: Labels = None,
    preprocess: Recipe = None,
    name: Name = None,
    pack_version: Version = "1",
    description: Description = "",
    license: License = "",  # noqa: A002 - the option's name
    class_name: ClassName = None,
    trust: Trust = False,
    force: Force = False,
    verbose: Verbose = False,
    json: Json = False,
) -> None:
    """Export a trained model to a proven pack.

    Several graphs are tried; the first that answers as the model does, on the sample and on
    other sizes and values, is kept. When none does, nothing is written and the exit code is 1.
    """
    from onnxpack.cli import recipe, show
    from onnxpack.exporters.base import DEFAULT_OPSET, export
    from onnxpack.exporters.sample import read_sample
    from onnxpack.exporters.target import load_target

    labelled = None if labels is None else recipe.read_labels(labels)
    prepared = None if preprocess is None else recipe.read_preprocess(preprocess)
    named = recipe.parse_axes(",".join(dynamic or ()))
    tolerance = recipe.make_tolerance(rtol, atol)
    # What the model's own code prints must not mix with the answer.
    with redirect_stdout(sys.stderr), show.progress(verbose=verbose) as progress:
        loaded = load_target(target, class_name=class_name, trust=trust)
        pack = export(
            loaded.model,
            read_sample(sample) if sample else loaded.sample,
            output or Path(loaded.name),
            dynamic=named,
            static=static,
            opset=opset or DEFAULT_OPSET,
            tolerance=tolerance,
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
    for line in loaded.notes:
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
    say.out(f"{pack.path}, {say.size(evidence.pack_size(pack))}, {pack.digest}")
    say.out()
    say.out(f"next: {_next(pack)}")


def _document(pack: Pack) -> dict[str, Any]:
    return {
        "path": str(pack.path),
        "digest": pack.digest,
        "size": evidence.pack_size(pack),
        "manifest": pack.manifest,
        "next": _next(pack),
    }


def _next(pack: Pack) -> str:
    return shlex.join(["onnxpack", "run", str(pack.path), "--input", "random"])
