"""Write a Dockerfile for ``onnxpack image``, or build it with an engine."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from onnxpack.cli import say

if TYPE_CHECKING:
    from onnxpack.pack.model import Pack


def by_dockerfile(
    pack: Pack,
    name: str,
    *,
    folder: Path | None,
    engine: str | None,
    base: str | None,
    runtime: str,
    wheels: Path | None,
    force: bool,
    json: bool,
) -> None:
    """Write the Dockerfile if a folder is given; build it if an engine is given."""
    from onnxpack.image.dockerfile import write_dockerfile
    from onnxpack.image.engine import build_with

    told: dict[str, Any] = {}
    with TemporaryDirectory(prefix="onnxpack-") as work:
        context = folder or Path(work) / "context"
        write_dockerfile(pack, context, runtime=runtime, force=force)
        if folder is not None:
            told["dockerfile"] = str(folder / "Dockerfile")
        if engine is not None:
            arguments = {"RUNTIME": runtime, **({"BASE": base} if base else {})}
            seconds = build_with(engine, context, name, arguments=arguments, wheels=wheels)
            told |= {"name": name, "engine": engine, "seconds": seconds}
    if json:
        say.emit(told)
        return
    if folder is not None:
        say.out(f"written: {folder / 'Dockerfile'}")
    if engine is not None:
        say.out(f"{name} built by {engine} in {told['seconds']:.1f} s")
    else:
        say.out(f"try: docker build -t {name} {folder}")
