"""``onnxpack image``: build a container image of a pack, without a daemon."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from onnxpack.cli import parameters, say
from onnxpack.cli.command import Command
from onnxpack.errors import UsageError

if TYPE_CHECKING:
    from onnxpack.image.build import Built, Recipe
    from onnxpack.image.engine import Engine
    from onnxpack.image.publish import Published
    from onnxpack.oci.layer.compress import Compression
    from onnxpack.oci.reference import Reference
    from onnxpack.pack.model import Pack

NAME = "image"
EXAMPLE = """Example:
  onnxpack image resnet18 -t resnet18:1 --load
  onnxpack image resnet18 -t registry.example.com/resnet18:1 --push \\
    --platform linux/amd64,linux/arm64"""


@click.command(NAME, cls=Command, example=EXAMPLE)
@parameters.pack
@click.option("-t", "--tag", metavar="NAME", help="Name of the image; by default the pack's name.")
@click.option(
    "-o",
    "--output",
    type=parameters.PATH,
    metavar="DIR|FILE.tar",
    help="Write an OCI layout, or a tar that docker load, podman and skopeo read.",
)
@parameters.flag("--load", "Load the image into docker or podman.")
@parameters.flag("--push", "Push the image to the registry in NAME.")
@click.option(
    "--base",
    metavar="BASE",
    help="debian, an image reference such as python:3.13-slim, or oci:DIR; by default debian if "
    "mmdebstrap is installed.",
)
@click.option(
    "--platform",
    metavar="OS/ARCH",
    help="linux/amd64 or linux/arm64; several build a multi-platform image.",
)
@click.option(
    "--variant",
    multiple=True,
    metavar="NAME",
    help="Include this variant next to the base; may be repeated, and base includes none. By "
    "default all variants that onnxruntime runs.",
)
@parameters.one_of("--runtime", ("cpu", "cuda"), "The onnxruntime build to include.", default="cpu")
@parameters.one_of(
    "--compression",
    ("gzip", "zstd"),
    "Compression of the base and runtime layers; older engines need gzip.",
    default="gzip",
)
@parameters.flag("--pull", "Download Debian's packages again.")
@click.option(
    "--dockerfile",
    type=parameters.PATH,
    metavar="DIR",
    help="Write a Dockerfile with the same content instead.",
)
@parameters.one_of(
    "--engine", ("docker", "podman", "buildah"), "Build from that Dockerfile with this engine."
)
@click.option(
    "--wheels",
    type=parameters.PATH,
    metavar="DIR",
    help="With --engine: install wheels only from this folder.",
)
@parameters.digest
@parameters.flag("--force", "Replace an existing folder.")
@parameters.json("Print what was built as JSON.")
def command(
    pack: Path,
    tag: str | None,
    output: Path | None,
    load: bool,
    push: bool,
    base: str | None,
    platform: str | None,
    variant: tuple[str, ...],
    runtime: str,
    compression: Compression,
    pull: bool,
    dockerfile: Path | None,
    engine: str | None,
    wheels: Path | None,
    digest: str | None,
    force: bool,
    json: bool,
) -> None:
    """Build a container image that serves a pack.

    The server proves the pack before it answers. No daemon is needed. Base, runtime and model are
    one cached layer each, so a new model costs only one layer. The same pack and versions give the
    same image, bit for bit.
    """
    from onnxpack.image.build import build_image
    from onnxpack.image.cache import Cache
    from onnxpack.oci.reference import Reference
    from onnxpack.pack.read import open_pack

    opened = _choose_variants(open_pack(pack, digest=digest), variant, quiet=json)
    name = Reference.parse(tag or _name_of(opened))
    if dockerfile is not None or engine is not None:
        if output or load or push or platform:
            raise UsageError(
                "-o, --load, --push and --platform cannot be combined with --dockerfile or "
                "--engine."
            )
        from onnxpack.cli.engine_build import by_dockerfile

        by_dockerfile(
            opened, _short(name), folder=dockerfile, engine=engine, base=base, runtime=runtime,
            wheels=wheels, force=force, json=json,
        )  # fmt: skip
        return
    if wheels is not None:
        raise UsageError("--wheels works only with --engine; other builds use uv's settings.")
    recipe = _recipe(base, platform, runtime, compression, pull=pull, quiet=json)
    to = _Delivery(output, load or not (output or push), push, force)
    by = to.check(recipe)
    built = build_image(opened, recipe, cache=Cache(told=say.note), told=None if json else say.note)
    where = to.deliver(built, name, by)
    if json:
        say.emit(_as_json(built, name, where))
    else:
        _show(built, name, where)


def _choose_variants(pack: Pack, names: tuple[str, ...], *, quiet: bool) -> Pack:
    from onnxpack.image.build import with_variants

    chosen = with_variants(pack, [name for name in names if name != "base"] if names else None)
    left_out = sorted(pack.variants.keys() - chosen.variants.keys())
    if left_out and not names and not quiet:
        say.note(
            f"left out, because images contain only onnxruntime: variant {', '.join(left_out)}"
        )
    return chosen


def _name_of(pack: Pack) -> str:
    version = pack.manifest.version if pack.manifest else "1"
    return f"{pack.name.lower()}:{version}"


def _recipe(
    base: str | None,
    platform: str | None,
    runtime: str,
    compression: Compression,
    *,
    pull: bool,
    quiet: bool,
) -> Recipe:
    from onnxpack.image.base.open import default_base
    from onnxpack.image.build import Recipe, source_date
    from onnxpack.oci.platform import Platform

    if base is None:
        base, why = default_base()
        if not quiet:
            say.note(f"base {base}: {why}")
    given = platform.split(",") if platform else []
    platforms = tuple(map(Platform.parse, given)) or (Platform.host(),)
    return Recipe(base, platforms, runtime, compression, source_date(), pull)


@dataclass(frozen=True)
class _Delivery:
    """Where a built image goes; by default to a container engine."""

    output: Path | None
    load: bool
    push: bool
    force: bool

    def check(self, recipe: Recipe) -> Engine | None:
        """Check the destination before the build, and return the engine that loads the image."""
        if self.load and len(recipe.platforms) > 1:
            raise UsageError(
                "an engine can load only one platform.", remedy="--push, or -o FILE.tar"
            )
        if self.output is not None:
            self._check_output(self.output)
        if not self.load:
            return None
        from onnxpack.image.engine import get_engine

        return get_engine()

    def deliver(self, built: Built, name: Reference, engine: Engine | None) -> dict[str, Any]:
        """Deliver the image, and return facts about where it went."""
        where: dict[str, Any] = {}
        if self.output is not None:
            _write(built, name, self.output, force=self.force)
            where["output"] = str(self.output)
        if self.push:
            made = _publish(built, name)
            done, bills = made.pushed, list(map(str, made.bills))
            where["pushed"] = {
                "reference": str(done.reference), "sent": done.sent, "bytes": done.size,
                "bills": bills,
            }  # fmt: skip
        if engine is not None:
            engine.load(built.images[0], name)
            where["engine"] = engine.name
        return where

    def _check_output(self, output: Path) -> None:
        if output.suffix in (".gz", ".tgz", ".zip"):
            raise UsageError(f"-o {output} is neither a folder nor a .tar.")
        if not output.absolute().parent.is_dir():
            raise UsageError(f"-o {output}: the folder {output.absolute().parent} does not exist.")
        if output.suffix != ".tar":
            from onnxpack.oci.store.atomic import check_free
            from onnxpack.oci.store.layout import is_of_layout

            check_free(output, is_ours=is_of_layout, force=self.force)


def _publish(built: Built, name: Reference) -> Published:
    """Push the image, and show progress on a terminal."""
    from onnxpack.cli import show
    from onnxpack.image.publish import publish

    under_way: dict[str, tuple[int, int]] = {}
    with show.progress(verbose=False) as told:

        def tell(digest: str, done: int, size: int) -> None:
            under_way[digest] = done, size
            sent, wanted = map(sum, zip(*tuple(under_way.values()), strict=True))
            if told:
                told(f"pushing {name}: {say.size(sent)} of {say.size(wanted)}")

        return publish(built.content, name, progress=tell)


def _write(built: Built, name: Reference, output: Path, *, force: bool) -> None:
    from onnxpack.oci.store.archive import write_archive
    from onnxpack.oci.store.layout import write_layout

    if output.suffix == ".tar":
        write_archive(built.content, output, name=name)
    else:
        write_layout(built.content, output, name=name, force=force)


def _show(built: Built, name: Reference, where: dict[str, Any]) -> None:
    from onnxpack.cli import show

    for image in built.images:
        lines = [each["created_by"] for each in image.settings["history"]]
        rows = [
            [line, say.size(layer.descriptor.size), layer.descriptor.digest[:19]]
            for line, layer in zip(lines[-len(image.layers) :], image.layers, strict=False)
        ]
        show.table(["layer", "size", "digest"], rows, right=["size"])
        say.out(f"{image.platform} {image.digest}: {say.size(image.size)}")
    say.out(f"{_short(name)} built in {built.seconds:.2f} s")
    if "output" in where:
        say.out(f"written: {where['output']}")
    if "pushed" in where:
        pushed = where["pushed"]
        sent = f"{len(pushed['sent'])} blobs, {say.size(pushed['bytes'])}"
        say.out(f"pushed: {pushed['reference']}, {sent}")
    if "engine" in where:
        say.out(f"try: {where['engine']} run --rm --read-only -p 8000:8000 {_short(name)}")


def _short(name: Reference) -> str:
    return str(name).removeprefix("docker.io/library/").removeprefix("docker.io/")


def _as_json(built: Built, name: Reference, where: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": str(name),
        "digest": built.content.digest,
        "seconds": built.seconds,
        "wheels": built.wheels,
        "images": [
            {
                "platform": str(image.platform),
                "digest": image.digest,
                "size": image.size,
                "layers": [
                    {"digest": layer.descriptor.digest, "size": layer.descriptor.size}
                    for layer in image.layers
                ],
            }
            for image in built.images
        ],
        **where,
    }
