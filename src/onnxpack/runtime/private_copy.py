"""Copy a graph and its weights into memory that nothing else can change, before they are loaded.

A file could be exchanged between the moment when it is hashed and the moment when it is loaded. And
ONNX Runtime maps weights that are in a file of their own: if that file is truncated later, the next
access ends the process with SIGBUS.
"""

from __future__ import annotations

import fcntl
import mmap
import os
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, TypeAlias

from onnxpack.errors import PackError
from onnxpack.pack import paths
from onnxpack.pack.digest import measure
from onnxpack.pack.external import check_within, find_references
from onnxpack.pack.manifest import FileEntry
from onnxpack.pack.model import Pack
from onnxpack.runtime.rehearsal import rehearse

Content: TypeAlias = "mmap.mmap | bytes"

_SEALS = fcntl.F_SEAL_WRITE | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_SEAL


@dataclass(frozen=True, slots=True)
class PrivateGraph:
    """A graph in private memory.

    Attributes:
        name: file name of the original, for messages.
        path: path of the copy; valid until the context of ``private_copy`` ends.
        weights: content of each file of weights, by the location that the graph gives.
    """

    name: str
    path: str
    weights: Mapping[str, Content]

    def __fspath__(self) -> str:
        return self.path


@contextmanager
def private_copy(pack: Pack, graph: Path) -> Iterator[PrivateGraph]:
    """Copy a graph of a pack, and the files of weights that it refers to, into private memory.

    Args:
        pack: the pack. If it has a manifest, each file must have the digest that is named there.
        graph: path of its graph, or of the graph of one of its variants.

    Raises:
        BoundsError: the graph takes too much memory or time to be opened.
        PackError: a file cannot be read, was altered, or the graph refers to a file outside of its
            folder.
    """
    # The path of a bare graph comes from the user, who may have linked it.
    bare = pack.path == pack.model_path
    source = paths.open_file(graph) if bare else paths.open_inside(graph.parent, graph.name)
    with _copied(pack, graph, source) as copy:
        # The copy is searched, not the file, which may have changed since the pack was opened.
        content = _mapped(copy)
        references = find_references(content)
        with ExitStack() as copies:
            opened = {
                location: copies.enter_context(_weights(pack, graph.parent, location))
                for location in dict.fromkeys(each.location for each in references)
            }
            weights = {location: _mapped(each) for location, each in opened.items()}
            for each in references:
                check_within(each, len(weights[each.location]))
            if not pack.trusted:
                rehearse(graph.name, content, copy, opened)
        yield PrivateGraph(graph.name, f"/proc/self/fd/{copy}", weights)


def _weights(pack: Pack, folder: Path, location: str) -> AbstractContextManager[int]:
    return _copied(pack, folder / location, paths.open_inside(folder, location, alone=True))


def _mapped(copy: int) -> Content:
    # An empty file cannot be mapped.
    return mmap.mmap(copy, 0, access=mmap.ACCESS_READ) if os.fstat(copy).st_size else b""


@contextmanager
def _copied(pack: Pack, path: Path, opening: AbstractContextManager[BinaryIO]) -> Iterator[int]:
    """Copy a file into sealed memory, and close the copy's descriptor at the end."""
    copy = os.memfd_create("onnxpack", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        with opening as source:
            _copy(pack, path, source, copy)
        fcntl.fcntl(copy, fcntl.F_ADD_SEALS, _SEALS)
        yield copy
    finally:
        os.close(copy)


def _copy(pack: Pack, path: Path, source: BinaryIO, copy: int) -> None:
    expected = _expected(pack, path) if pack.manifest else None
    # The size first, so that no more than the expected bytes take memory.
    if expected is not None and paths.size(source) != expected.size:
        fault = f"has {paths.size(source)} bytes, expected {expected.size}"
        raise _altered(pack, path, fault)
    try:
        with open(copy, "wb", buffering=0, closefd=False) as target:
            found = measure(source, copy_to=target)
    except OSError as exc:
        raise PackError(f"{path} cannot be copied: {exc.strerror or exc}.") from exc
    if expected is not None and found != expected:
        raise _altered(pack, path, f"has sha256 {found.sha256}, expected {expected.sha256}")


def _expected(pack: Pack, path: Path) -> FileEntry:
    named = pack.manifest.files if pack.manifest else {}
    entry = named.get(path.relative_to(pack.path).as_posix())
    if entry is None:
        raise _altered(pack, path, "is not listed there")
    return entry


def _altered(pack: Pack, path: Path, fault: str) -> PackError:
    return PackError(
        f"{pack.path} does not match its pack.json: {path.relative_to(pack.path)} {fault}.",
        remedy=f"onnxpack check {pack.path}",
    )
