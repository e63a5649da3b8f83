"""``onnxpack image``: build a container image of a pack, without a daemon."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from onnxpack.cli import parameters, say
from onnxpack.cli.command import Command
from onnxpack.errors import UsageError

if TYPE_CHECKING:
    from onnxpack.image.build import Recipe
    from onnxpack.oci.layer.compress import Compression
    from onnxpack.oci.reference import Reference
    from onnxpack.oci.registry.connection import Connection
    from onnxpack.pack.model import Pack

NAME = "image"
EXAMPLE = """Example:
  onnxpack image resnet18 -t resnet18:1 --load
  onnxpack image resnet18 -t registry.example.com/resnet18:1 --push \\
    --platform linux/amd64,linux/arm64"""


@click.command(NAME, cls=Command, example=EXAMPLE)
@parameters.packs("Packs, model-zoo folders or .onnx files; each gets a layer of its own.")
@click.option(
    "-t",
    "--tag",
    "tags",
    multiple=True,
    metavar="NAME",
    help="Name of the image, by default the pack's; may be repeated.",
)
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
@parameters.flag("--grpc", "Include what gRPC needs, and serve it on port 8001.")
@click.option(
    "--env",
    multiple=True,
    metavar="NAME=VALUE",
    help="Set an environment variable; may be repeated. Whoever has the image can read it.",
)
@click.option("--label", multiple=True, metavar="NAME=VALUE", help="Add a label; may be repeated.")
@parameters.flag("--tls", "Use TLS for the registry, also on this machine.")
@parameters.flag("--plain-http", "Use plain HTTP for the registry, also on another machine.")
@click.option(
    "--ca",
    type=parameters.PATH,
    metavar="FILE",
    help="PEM file with more certificates to accept from the registry.",
)
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
@click.option(
    "--digest",
    "digests",
    metavar="SHA256",
    multiple=True,
    help="Digest of a pack that is expected, as onnxpack inspect prints it; other packs are "
    "refused; repeat it for each pack.",
)
@parameters.flag("--force", "Replace an existing folder.")
@parameters.json("Print what was built as JSON.")
def command(
    packs: tuple[Path, ...],
    tags: tuple[str, ...],
    output: Path | None,
    load: bool,
    push: bool,
    base: str | None,
    platform: str | None,
    variant: tuple[str, ...],
    runtime: str,
    compression: Compression,
    pull: bool,
    grpc: bool,
    env: tuple[str, ...],
    label: tuple[str, ...],
    tls: bool,
    plain_http: bool,
    ca: Path | None,
    dockerfile: Path | None,
    engine: str | None,
    wheels: Path | None,
    digests: tuple[str, ...],
    force: bool,
    json: bool,
) -> None:
    """Build a container image that serves packs.

    The server proves each pack before it answers. No daemon is needed. Base, runtime and each model
    are one cached layer each, so a new model costs only one layer. The same packs and versions give
    the same image, bit for bit.

    --tls, --plain-http and --ca are for the registries that --push sends to, and for a base in one
    of them; without --push, for the base's.
    """
    from onnxpack.cli.image_delivery import Delivery, as_json, show_built
    from onnxpack.image.additions import Additions, read_pairs
    from onnxpack.image.build import build_image
    from onnxpack.image.cache import Cache

    opened = _open(packs, digests, variant, quiet=json)
    names = _names(opened, tags)
    additions = Additions(read_pairs("--env", env), read_pairs("--label", label), grpc)
    connection = _connection(tls, plain_http, ca)
    if dockerfile is not None or engine is not None:
        if output or load or push or platform or connection:
            raise UsageError(
                "-o, --load, --push, --platform, --tls, --plain-http and --ca cannot be combined "
                "with --dockerfile or --engine: the engine has its own ways for these."
            )
        from onnxpack.cli.engine_build import by_dockerfile

        by_dockerfile(
            opened, names, folder=dockerfile, engine=engine, base=base, runtime=runtime,
            wheels=wheels, additions=additions, force=force, json=json,
        )  # fmt: skip
        return
    if wheels is not None:
        raise UsageError("--wheels works only with --engine; other builds use uv's settings.")
    recipe = _recipe(base, platform, runtime, compression, pull=pull, quiet=json)
    recipe = replace(recipe, additions=additions)
    if connection is not None:
        own = _connection_of_base(connection, recipe.base, names if push else ())
        recipe = replace(recipe, connection=own)
    to = Delivery(names, output, load or not (output or push), push, force, connection)
    by = to.check(recipe)
    built = build_image(opened, recipe, cache=Cache(told=say.note), told=None if json else say.note)
    where = to.deliver(built, by)
    if json:
        say.emit(as_json(built, names, where))
    else:
        show_built(built, names, where)


def _open(
    paths: Sequence[Path], digests: Sequence[str], variants: tuple[str, ...], *, quiet: bool
) -> list[Pack]:
    from onnxpack.image.build import in_order
    from onnxpack.pack.read import open_pack, trust

    opened = [open_pack(path) for path in paths]
    if digests:
        opened = [trust(pack, *digests) for pack in opened]
    known = {name for pack in opened for name in pack.variants} | {"base"}
    missing = [name for name in variants if name not in known]
    chosen = []
    for pack in in_order(opened):
        # A name that no pack has is refused by the first; one that another has is left to it.
        own = tuple(each for each in variants if each in (*pack.variants, "base", *missing))
        chosen.append(_choose_variants(pack, own or (variants and ("base",)), quiet=quiet))
    return chosen


def _names(packs: Sequence[Pack], tags: Sequence[str]) -> tuple[Reference, ...]:
    from onnxpack.image.name import name_of
    from onnxpack.oci.reference import Reference

    if not tags and len(packs) > 1:
        raise UsageError(
            f"an image of {len(packs)} packs has no name by itself.", remedy="name it with -t"
        )
    return tuple(dict.fromkeys(map(Reference.parse, tags or [name_of(packs[0])])))


def _connection(tls: bool, plain_http: bool, ca: Path | None) -> Connection | None:
    """Return how to connect to registries, or None if no option says so."""
    if tls and plain_http:
        raise UsageError("--tls and --plain-http exclude each other.")
    if not (tls or plain_http or ca):
        return None
    from onnxpack.oci.registry.connection import Connection

    found = Connection(tls=True if tls else False if plain_http else None, ca=ca)
    found.context()  # a file that cannot be used is reported before the build
    return found


def _connection_of_base(
    connection: Connection, base: str, pushed: Sequence[Reference]
) -> Connection | None:
    """Return the connection for the base's registry, or None if it is meant for another one.

    Raises:
        UsageError: no registry is used.
    """
    from onnxpack.image.base.open import DEBIAN, OCI
    from onnxpack.oci.reference import Reference

    is_named = base != DEBIAN and not base.startswith(OCI)
    if not is_named and not pushed:
        raise UsageError(
            "--tls, --plain-http and --ca are for a registry, but none is used.",
            remedy="--push, or --base with the name of an image",
        )
    if is_named and (not pushed or Reference.parse(base).registry in {p.registry for p in pushed}):
        return connection
    return None


def _choose_variants(pack: Pack, names: tuple[str, ...], *, quiet: bool) -> Pack:
    from onnxpack.image.build import with_variants

    chosen = with_variants(pack, [name for name in names if name != "base"] if names else None)
    left_out = sorted(pack.variants.keys() - chosen.variants.keys())
    if left_out and not names and not quiet:
        say.note(
            f"left out, because images contain only onnxruntime: variant {', '.join(left_out)}"
        )
    return chosen


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
