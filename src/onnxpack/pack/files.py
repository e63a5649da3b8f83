"""Check that a pack's files are those that its manifest names, byte for byte."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from onnxpack.errors import PackError
from onnxpack.pack import paths
from onnxpack.pack.digest import measure
from onnxpack.pack.external import external_references
from onnxpack.pack.manifest import MAX_FILES, FileEntry, Manifest
from onnxpack.pack.model import GoldenSet, Pack
from onnxpack.pack.read import GENERATED, MANIFEST, MODEL, SIGNATURE, VARIANTS
from onnxpack.report import Finding, error


def check_files(folder: Path, named: dict[str, FileEntry]) -> Iterator[Finding]:
    """Yield a finding for each file that is missing, altered, or not in the manifest."""
    yield from check_named(folder, named)
    found: set[str] = set()
    for relative in walk(folder):
        if len(found) == MAX_FILES:
            yield error("files", f"there are more than {MAX_FILES} files.")
            return
        found.add(relative)
    for relative in sorted(found - named.keys() - {MANIFEST, SIGNATURE}):
        yield error(relative, "it is in the folder, but pack.json does not list it.")


def check_named(folder: Path, named: Mapping[str, FileEntry]) -> Iterator[Finding]:
    """Yield a finding for each of these files that is missing or altered."""
    for relative, entry in sorted(named.items()):
        yield from _file(folder, relative, entry)


def check_names(pack: Pack, manifest: Manifest) -> Iterator[Finding]:
    """Yield an error for each file that the manifest lists and the format does not know.

    Whoever unpacks a pack next to a program could run such a file.
    """
    known = {MODEL, *GENERATED, *_names_in(pack.path, pack.golden)}
    known.update(_weights(pack.path, pack.model_path))
    for variant in pack.variants.values():
        known.add(f"{VARIANTS}/{variant.name}/{MODEL}")
        known.update(_names_in(pack.path, variant.golden))
        known.update(_weights(pack.path, variant.model_path))
    for relative in sorted(manifest.files.keys() - known):
        yield error(relative, "pack.json lists it, but no part of a pack has this name.")


def _weights(folder: Path, graph: Path) -> Iterator[str]:
    """Yield the files beside a graph that it refers to; a faulty graph is reported elsewhere."""
    with suppress(PackError):
        for reference in external_references(graph):
            yield (graph.parent / reference.location).relative_to(folder).as_posix()


def _names_in(folder: Path, golden: Iterable[GoldenSet]) -> Iterator[str]:
    for data in golden:
        for path in (*data.inputs, *data.outputs):
            yield path.relative_to(folder).as_posix()


def _file(folder: Path, relative: str, entry: FileEntry) -> Iterator[Finding]:
    try:
        with paths.open_inside(folder, relative) as stream:
            # The size is compared first, so that no more than the expected bytes are hashed.
            if paths.size(stream) != entry.size:
                message = f"it has {paths.size(stream)} bytes, expected {entry.size}."
                yield error(relative, message)
                return
            found = measure(stream)
    except PackError as exc:
        yield error(relative, exc.message)
    except OSError as exc:
        yield error(relative, f"it cannot be read: {exc.strerror}.")
    else:
        if found != entry:
            yield error(
                relative, f"it was altered: sha256 {found.sha256}, expected {entry.sha256}."
            )


def walk(folder: Path) -> Iterator[str]:
    """Yield the path of everything in a folder except folders; symlinks to folders are included."""
    for place, folders, names in os.walk(folder):
        links = [name for name in folders if _is_link(Path(place, name))]
        for name in (*names, *links):
            yield Path(place, name).relative_to(folder).as_posix()


def _is_link(path: Path) -> bool:
    return stat.S_ISLNK(path.lstat().st_mode)
