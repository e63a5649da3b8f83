"""Parse the command line of ``python -m onnxpack.server``.

Every setting of :class:`onnxpack.server.settings.Settings` is an option of the same name, except
for keys, which would show in ``ps``, and for digests and origins: ``--digest`` and
``--cors-origin`` are repeated for each of them.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from onnxpack.server.settings import Settings

_READERS: dict[str, Any] = {
    "str": str, "int": int, "int | None": int, "float": float, "Path | None": Path,
}  # fmt: skip


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Return ``packs``, ``api_key_file`` and all settings of the command line by their names.

    A command line that cannot be parsed ends the process with code 2 and a message.
    """
    parser = argparse.ArgumentParser("onnxpack.server", description="Serve packs over HTTP.")
    parser.add_argument("packs", nargs="+", type=Path, metavar="PACK")
    parser.add_argument("--api-key-file", type=Path)
    parser.add_argument("--digest", dest="digests", action="append", default=[])
    parser.add_argument("--cors-origin", dest="cors_origins", action="append", default=[])
    for field in fields(Settings):
        option = f"--{field.name.replace('_', '-')}"
        if field.type == "bool":
            parser.add_argument(
                option, action=argparse.BooleanOptionalAction, default=field.default
            )
        elif field.type in _READERS:
            parser.add_argument(option, type=_READERS[field.type], default=field.default)
    return parser.parse_args(argv)
