"""``onnxpack view``: show the graph in a browser with netron."""

from __future__ import annotations

import logging
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import click

from onnxpack.cli import parameters, say
from onnxpack.cli.command import Command
from onnxpack.errors import MissingExtraError, UsageError

if TYPE_CHECKING:
    from onnxpack.pack.model import Pack

NAME = "view"
EXAMPLE = """Example:
  onnxpack view resnet18
  onnxpack view resnet18 --no-browser --port 8081"""


@click.command(NAME, cls=Command, example=EXAMPLE)
@parameters.pack
@click.option(
    "--port",
    type=parameters.PORT,
    metavar="N",
    default=0,
    help="Port to listen on; 0 picks a free one.",
)
@click.option(
    "--host",
    metavar="NAME",
    default="localhost",
    help="Address to listen on (default: this machine only).",
)
@click.option("--browser/--no-browser", default=True, help="Open the page in a browser.")
def command(pack: Path, port: int, host: str, browser: bool) -> None:
    """Show the graph in a browser until Ctrl-C.

    This needs Netron: pip install "onnxpack[view]".
    """
    from onnxpack.pack.read import open_pack

    opened = open_pack(pack)
    try:
        netron = import_module("netron")
    except ImportError as exc:
        raise MissingExtraError("netron", extra="view") from exc
    # netron configures logging itself unless the program has done so.
    logging.getLogger().addHandler(logging.NullHandler())
    with TemporaryDirectory() as empty:
        file, data = _content(opened, Path(empty))
        try:
            found, at = netron.serve(str(file), data, address=(host, port), browse=browser)
        except (OSError, ValueError, OverflowError) as exc:
            raise UsageError(
                f"nothing can be served on {host}:{port}: {exc}.",
                remedy=f"onnxpack view {pack} --port 0",
            ) from exc
        say.out(f"{opened.name} at http://{found}:{at} (Ctrl-C stops it)", flush=True)
        netron.wait()


def _content(pack: Pack, empty: Path) -> tuple[Path, bytearray | None]:
    """Return the file for netron, and its content if it is not read from the file.

    Netron also serves the files beside it. A pack has no other files. A bare graph may be in a home
    folder, so its content is served from an empty folder.
    """
    if pack.path.is_dir():
        return pack.model_path, None
    return empty / pack.model_path.name, bytearray(pack.model_path.read_bytes())
