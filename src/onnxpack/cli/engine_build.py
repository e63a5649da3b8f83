"""Write a Dockerfile for ``onnxpack image``, or build it with an engine."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from onnxpack.cli import say
from onnxpack.cli.image_delivery import short

if TYPE_CHECKING:
    from onnxpack.image.additions import Additions
    from onnxpack.oci.reference import Reference
    from onnxpack.pack.model import Pack


def by_dockerfile(
    packs: Sequence[Pack],
    names: Sequence[Reference],
    *,
    folder: Path | None,
    engine: str | None,
    base: str | None,
    runtime: str,
    wheels: Path | None,
    additions: Additions,
    force: bool,
    json: bool,
) -> None:
    """Write the Dockerfile if a folder is given; build it if an engine is given."""
    from onnxpack.image.dockerfile import write_dockerfile
    from onnxpack.image.engine import build_with

    told: dict[str, Any] = {}
    tags = list(map(short, names))
    with TemporaryDirectory(prefix="onnxpack-") as work:
        context = folder or Path(work) / "context"
        write_dockerfile(packs, context, runtime=runtime, force=force, additions=additions)
        if folder is not None:
            told["dockerfile"] = str(folder / "Dockerfile")
        if engine is not None:
            arguments = {"RUNTIME": runtime, **({"BASE": base} if base else {})}
            seconds = build_with(engine, context, tags, arguments=arguments, wheels=wheels)
            told |= {"name": tags[0], "names": tags, "engine": engine, "seconds": seconds}
    if json:
        say.emit(told)
        return
    if folder is not None:
        say.out(f"written: {folder / 'Dockerfile'}")
    if engine is not None:
        say.out(f"{', '.join(tags)} built by {engine} in {told['seconds']:.1f} s")
    else:
        say.out(f"try: docker build {' '.join(f'-t {tag}' for tag in tags)} {folder}")
