"""``onnxpack cache prune``: remove parts of images from the cache."""

from __future__ import annotations

import time

import click

from onnxpack.cli import parameters, say
from onnxpack.cli.command import Command
from onnxpack.errors import UsageError

NAME = "cache prune"
EXAMPLE = """Example:
  onnxpack cache prune --days 30
  onnxpack cache prune --all"""
DAY = 24 * 60 * 60


@click.command(NAME, cls=Command, example=EXAMPLE)
@click.option(
    "--days",
    type=parameters.FiniteRange(min=0),
    metavar="N",
    help="Remove the parts that no build used for so many days.",
)
@parameters.flag("--all", "Remove everything.")
@parameters.json("Print what was removed as JSON.")
def command(days: float | None, all: bool, json: bool) -> None:  # noqa: A002 - the option's name
    """Remove parts of images from the cache.

    Without an option, only leftovers of killed builds and replaced parts are removed. Nothing is
    removed while a build runs.
    """
    if all and days is not None:
        raise UsageError("--all and --days cannot be combined.")
    from onnxpack.image.cache import Cache
    from onnxpack.image.cache.upkeep import prune_cache

    cache = Cache()
    before = time.time() - days * DAY if days is not None else None
    pruned = prune_cache(cache, unused_since=float("inf") if all else before)
    if json:
        say.emit({"folder": str(cache.root), "removed": pruned.parts, "size": pruned.size})
        return
    say.out(f"{cache.root}: removed {pruned.parts} parts, {say.size(pruned.size)}")
