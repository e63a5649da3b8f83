"""Serve packs without the command line: ``python -m onnxpack.server``, which images run."""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from onnxpack.errors import OnnxpackError
from onnxpack.notebook import indented, one_line
from onnxpack.server.arguments import parse
from onnxpack.server.settings import Settings

if TYPE_CHECKING:
    from onnxpack.server.ready import Ready, ReadyModel


def main(argv: Sequence[str] | None = None) -> int:
    """Serve packs until a signal comes; return 1 if they cannot be served or answer differently."""
    try:
        packs, settings = _read(argv)
        from onnxpack.server.process import leave_if_opening
        from onnxpack.server.run import serve

        serve(packs, settings, announce=_announce)
        leave_if_opening()
    except OnnxpackError as exc:
        print(f"error: {indented(str(exc))}", file=sys.stderr)
        return 1
    return 0


def _read(argv: Sequence[str] | None) -> tuple[list[Path], Settings]:
    given = vars(parse(argv))
    packs, keys = given.pop("packs"), given.pop("api_key_file")
    for several in ("digests", "cors_origins"):
        given[several] = tuple(given[several])
    if keys is None:
        return packs, Settings(**given)
    from onnxpack.server.api_keys import read_keys

    return packs, Settings(**given, api_keys=read_keys(keys))


def _announce(ready: Ready) -> None:
    for each in ready.models:
        for note in each.notes:
            print(f"note: {each.name} {each.version}: {one_line(note)}", file=sys.stderr)
    names = ", ".join(map(_describe, ready.models))
    print(f"ready: {ready.address} serves {names}", file=sys.stderr)


def _describe(model: ReadyModel) -> str:
    variant = f", variant {model.variant}" if model.variant else ""
    return f"{model.name} {model.version} ({model.words}) on {model.provider}{variant}"


if __name__ == "__main__":
    # Process 1 of a container ignores signals without a handler, and the imports take time.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    sys.exit(main())
