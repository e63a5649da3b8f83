"""``onnxpack cache verify``: read everything in the cache and check its digests."""

from __future__ import annotations

import click

from onnxpack.cli import parameters, say
from onnxpack.cli.command import Command, NotOkError

NAME = "cache verify"
EXAMPLE = """Example:
  onnxpack cache verify"""


@click.command(NAME, cls=Command, example=EXAMPLE)
@parameters.json("Print the findings as JSON.")
def command(json: bool) -> None:
    """Read every part of the cache and check its digest.

    Builds do this too: each checks the parts that it uses, and makes damaged ones again. The exit
    code is 1 if a part is damaged.
    """
    from onnxpack.image.cache import Cache
    from onnxpack.image.cache.upkeep import verify_cache

    cache = Cache(told=say.note)
    number, damaged = verify_cache(cache)
    if json:
        say.emit({"folder": str(cache.root), "checked": number, "damaged": damaged})
    else:
        for line in damaged:
            say.out(f"damaged: {line}")
        say.out(f"{cache.root}: {number} parts checked, {len(damaged)} damaged")
    if damaged:
        raise NotOkError
