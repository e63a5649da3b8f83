"""``onnxpack image compare``: compare a model's ONNX image with its PyTorch image."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import click

from onnxpack.cli import complete, parameters, say, show
from onnxpack.cli.command import Command
from onnxpack.notebook import in_json

if TYPE_CHECKING:
    from onnxpack.image.compare.table import Comparison
    from onnxpack.pack.model import Pack

NAME = "image compare"
EXAMPLE = """Example:
  onnxpack image compare resnet18 --against torchvision:resnet18 --no-cache -o comparison"""


@click.command(NAME, cls=Command, example=EXAMPLE)
@parameters.pack
@click.option(
    "--against",
    required=True,
    metavar="TARGET",
    shell_complete=complete.target,
    help="The PyTorch model of the pack, in the form that onnxpack export takes.",
)
@click.option(
    "-o",
    "--output",
    type=parameters.PATH,
    metavar="DIR",
    help="Folder to save JSON, Markdown and a chart in.",
)
@parameters.flag("--cuda", "Also build the CUDA images.")
@parameters.flag("--no-cache", "Build every layer again, except the base's.")
@click.option(
    "--runs",
    type=parameters.COUNT,
    metavar="N",
    default=3,
    help="How often to start each container; the median is reported.",
)
@click.option(
    "--torch",
    metavar="REQUIREMENT",
    help="PyTorch for CPU; by default the version installed here.",
)
@click.option(
    "--torch-cuda",
    metavar="REQUIREMENT",
    help="PyTorch for --cuda; by default the version installed here.",
)
@click.option(
    "--wheels",
    type=parameters.PATH,
    metavar="DIR",
    help="Install PyTorch's wheels, and those of the engine's builds, only from this folder.",
)
@click.option("--base", metavar="BASE", help="Base of the images built by onnxpack.")
@click.option(
    "--docker-base", metavar="IMAGE", help="Base of the Dockerfiles; by default python:X.Y-slim."
)
@parameters.class_name
@parameters.flag("--trust", "Allow unpickling of the target: this can run any code in it.")
@parameters.json("Print the comparison as JSON.")
def command(
    pack: Path,
    against: str,
    output: Path | None,
    cuda: bool,
    no_cache: bool,
    runs: int,
    torch: str | None,
    torch_cuda: str | None,
    wheels: Path | None,
    base: str | None,
    docker_base: str | None,
    class_name: str | None,
    trust: bool,
    json: bool,
) -> None:
    """Compare a model's ONNX image with its PyTorch image.

    Each image is built by onnxpack, and by docker or podman if one of them answers. The PyTorch
    image is a fair one: a slim base, CPU wheels, no compiler. A plain Dockerfile, with a compiler,
    has a row of its own. The answers of every container must agree with the pack's golden data.
    """
    from onnxpack.image.base.open import default_base
    from onnxpack.image.cache import Cache
    from onnxpack.image.compare.measure import Plan, compare_images
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
        found = compare_images(opened, program, plan, cache=Cache(told=say.note), told=told)
    if output is not None:
        _save(found, output)
    for name, why in found.failed.items():
        say.note(f"not built: {name}: {why.splitlines()[-1]}")
    for name, why in found.unstarted.items():
        say.note(f"not started: {name}: {why.splitlines()[-1]}")
    if json:
        print(in_json(found.to_json()), end="")
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
    from onnxpack.exporters.silence import descriptors_hidden
    from onnxpack.exporters.target.load import load_target
    from onnxpack.exporters.torch.program import Example, save_program
    from onnxpack.pack.tensor import read_tensor

    def read(paths: Sequence[Path]) -> tuple[Any, ...]:
        return tuple(read_tensor(path)[1] for path in paths)

    with descriptors_hidden():
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
    from onnxpack.image.compare.chart import draw

    draw(found, output / "plot.svg")


def _show(found: Comparison) -> None:
    from onnxpack.image.compare.table import HEADS, RATIO_HEADS, cells, ratio_cells

    show.table(HEADS, [cells(row) for row in found.rows], right=HEADS[3:])
    say.out()
    show.table(RATIO_HEADS, ratio_cells(found.rows), right=RATIO_HEADS[1:])
    say.out()
    show.facts(list(found.versions.items()))
