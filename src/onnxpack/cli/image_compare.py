"""``onnxpack image compare``: the ONNX image beside the PyTorch image of the same model."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from onnxpack.cli import say, show
from onnxpack.cli.parameters import PackPath

if TYPE_CHECKING:
    from onnxpack.image.comparison import Comparison
    from onnxpack.pack.model import Pack

NAME = "image compare"
EXAMPLE = """Example:
  onnxpack image compare resnet18 --against torchvision:resnet18 --no-cache -o comparison"""

Against = Annotated[
    str,
    typer.Option(
        metavar="TARGET", help="The PyTorch model of the pack, as onnxpack export takes it."
    ),
]
Torch = Annotated[
    Optional[str],
    typer.Option(metavar="REQUIREMENT", help="PyTorch, for CPU; else the version here."),
]
TorchCuda = Annotated[
    Optional[str],
    typer.Option(metavar="REQUIREMENT", help="PyTorch, for --cuda; else the version here."),
]
Wheels = Annotated[
    Optional[Path],
    typer.Option(metavar="DIR", help="Take PyTorch's and the engine's wheels from here alone."),
]
Output = Annotated[
    Optional[Path],
    typer.Option("-o", "--output", metavar="DIR", help="Save JSON, Markdown and a chart."),
]


def command(
    pack: PackPath,
    against: Against,
    output: Output = None,
    cuda: Annotated[bool, typer.Option("--cuda", help="The CUDA images as well.")] = False,
    no_cache: Annotated[
        bool, typer.Option("--no-cache", help="Build every layer but the base's.")
    ] = False,
    runs: Annotated[
        int, typer.Option(metavar="N", min=1, help="Starts of each container; the median counts.")
    ] = 3,
    torch: Torch = None,
    torch_cuda: TorchCuda = None,
    wheels: Wheels = None,
    base: Annotated[
        Optional[str], typer.Option(metavar="BASE", help="Of the images by onnxpack.")
    ] = None,
    docker_base: Annotated[
        Optional[str], typer.Option(metavar="IMAGE", help="Of the Dockerfiles; python:X.Y-slim.")
    ] = None,
    class_name: Annotated[
        Optional[str], typer.Option("--class", metavar="MODULE:CLASS", help="The class of a .ckpt.")
    ] = None,
    trust: Annotated[
        bool, typer.Option("--trust", help="Unpickle the target: this runs whatever is in it.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the comparison as JSON.")] = False,
) -> None:
    """Compare a model's ONNX image with its PyTorch image.

    Each is built by onnxpack, and by docker or podman where one answers. The PyTorch image is a
    fair one: a slim base, CPU wheels, no compiler; a plain Dockerfile, with a compiler, is a row
    of its own. Every container has to answer as the pack's golden data says.
    """
    from onnxpack.image.base import default_base
    from onnxpack.image.compare import Plan, compare
    from onnxpack.pack.read import open_pack

    opened = open_pack(pack)
    requirements = {"cpu": torch or _installed()}
    if cuda:
        requirements["cuda"] = torch_cuda or _installed()
    plan = Plan(
        base or default_base()[0], requirements, image=docker_base, wheels=wheels,
        cache=not no_cache, runs=runs,
    )  # fmt: skip
    with TemporaryDirectory(prefix="onnxpack-") as work, show.progress(verbose=not json) as told:
        program = _save_program(opened, against, class_name, Path(work), trust=trust)
        found = compare(opened, program, plan, told=told)
    if output is not None:
        _save(found, output)
    for name, why in found.failed.items():
        say.note(f"not built: {name}: {why.splitlines()[-1]}")
    if json:
        print(found.to_json(), end="")
    else:
        _show(found)


def _installed() -> str:
    from importlib.metadata import PackageNotFoundError, version

    from onnxpack.errors import MissingExtraError

    try:
        return f"torch=={version('torch').partition('+')[0]}"
    except PackageNotFoundError as exc:
        raise MissingExtraError("torch", extra="torch") from exc


def _save_program(
    pack: Pack, against: str, class_name: str | None, to: Path, *, trust: bool
) -> Path:
    from onnxpack.exporters.target import load_target
    from onnxpack.exporters.torch.program import Example, save_program
    from onnxpack.pack.tensor import read_tensor

    def read(paths: Sequence[Path]) -> tuple[Any, ...]:
        return tuple(read_tensor(path)[1] for path in paths)

    loaded = load_target(against, class_name=class_name, trust=trust)
    examples = [Example(read(golden.inputs), read(golden.outputs)) for golden in pack.golden]
    return save_program(loaded.model, examples, to, tolerance=pack.tolerance)


def _save(found: Comparison, output: Path) -> None:
    output.mkdir(parents=True, exist_ok=True)
    (output / "results.json").write_text(found.to_json())
    (output / "table.md").write_text(found.to_markdown())
    if find_spec("matplotlib") is None:
        say.note("no chart: matplotlib is not installed")
        return
    from onnxpack.image.figure import draw

    draw(found, output / "plot.svg")


def _show(found: Comparison) -> None:
    from onnxpack.image.comparison import HEADS, RATIO_HEADS, cells, ratio_cells

    show.table(HEADS, [cells(row) for row in found.rows], right=HEADS[3:])
    say.out()
    show.table(RATIO_HEADS, ratio_cells(found.rows), right=RATIO_HEADS[1:])
    say.out()
    show.facts(list(found.versions.items()))
