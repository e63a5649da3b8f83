"""``onnxpack cache ls``: list what the cache of image parts holds."""

from __future__ import annotations

from datetime import UTC, datetime

import click

from onnxpack.cli import parameters, say
from onnxpack.cli.command import Command

NAME = "cache ls"
EXAMPLE = """Example:
  onnxpack cache ls
  onnxpack cache ls --json | jq '[.parts[].size] | add'"""


@click.command(NAME, cls=Command, example=EXAMPLE)
@parameters.json("Print the list as JSON.")
def command(json: bool) -> None:
    """List the parts of images in the cache.

    Those used last are first. A layer's content is the blob of its digest. A leftover was made by
    a build that was killed, or was replaced; the next build removes it, unless another build runs.
    """
    from onnxpack.image.cache import Cache
    from onnxpack.image.cache.upkeep import list_parts

    cache = Cache()
    parts = list_parts(cache)
    size = sum(part.size for part in parts)
    if json:
        say.emit({"folder": str(cache.root), "size": size, "parts": parts})
        return
    from onnxpack.cli import show

    if parts:
        rows = [(part.kind, part.name, say.size(part.size), _time(part.used)) for part in parts]
        show.table(["part", "name", "size", "used"], rows, right=["size"])
    say.out(f"{cache.root}: {len(parts)} parts, {say.size(size)}")


def _time(used: float) -> str:
    return datetime.fromtimestamp(used, UTC).strftime("%Y-%m-%d %H:%M UTC")
