"""Make the runtime layer: pruned wheels for serving, onnxpack itself, and byte code.

It is placed below ``/opt/rt``, which is on PYTHONPATH, so one blob serves every base with the same
Python.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from importlib.metadata import distribution
from pathlib import Path

from onnxpack.image.cache import Cache, key_of
from onnxpack.image.runtime.bytecode import compiled, find_interpreter
from onnxpack.image.runtime.elf import stripped
from onnxpack.image.runtime.prune import has_grpc, is_kept
from onnxpack.image.runtime.wheels import install
from onnxpack.image.target import Target
from onnxpack.oci.layer.compress import Compression
from onnxpack.oci.layer.entry import Entry, Folder, walk
from onnxpack.oci.layer.layer import Layer, write_layer

PREFIX = "opt/rt"
SERVING = ("comparison", "pack", "runtime", "server")
"""The packages of onnxpack that serving imports; top-level modules are always included."""

_HOW = [
    Entry(name, Path(__file__).with_name(name))
    for name in ("bytecode.py", "compiler.py", "elf.py", "prune.py")
]
"""The modules that shape the layer; their content is part of the cache key."""


def runtime_layer(
    pins: Sequence[str], target: Target, cache: Cache, *, compression: Compression, mtime: int
) -> Layer:
    """Return the layer of these requirements on this target, from the cache if it is there.

    Args:
        pins: pinned requirements.
        target: platform and Python version.
        cache: cache of trees and layers.
        compression: compression of the layer.
        mtime: time of every file, in seconds since 1970.

    Raises:
        MissingExtraError: uv is not installed.
        ImageError: uv found no such wheels.
    """
    own = {entry.path: entry for entry in own_files()}
    key = key_of(
        pins=pins, target=target, own=_digest(own.values()), how=_digest(_HOW),
        compression=compression, mtime=mtime, interpreter=find_interpreter(target.python),
    )  # fmt: skip

    def make(to: Path) -> Layer:
        wheels = install(pins, target, cache)
        grpc = has_grpc(wheels)
        found = [_lean(entry) for entry in walk(wheels) if is_kept(entry.path, grpc=grpc)]
        entries = [_below(entry) for entry in (*_without_empty(found), *own.values())]
        with compiled(entries, target.python, work=to.parent) as everything:
            return write_layer(everything, to, compression=compression, mtime=mtime)

    return cache.layer(f"runtime-{key}", make)


def own_files() -> Iterator[Entry]:
    """Yield the files of onnxpack that serving needs, with the metadata that states its version."""
    root = Path(__file__).parents[2]
    for entry in walk(root):
        first, _, rest = entry.path.partition("/")
        is_served = first in SERVING if rest else first.endswith(".py") or first == "py.typed"
        if isinstance(entry.source, Path) and is_served and is_kept(entry.path):
            yield Entry(f"onnxpack/{entry.path}", entry.source)
    about = distribution("onnxpack")
    metadata = f"Metadata-Version: 2.1\nName: onnxpack\nVersion: {about.version}\n"
    yield Entry(f"onnxpack-{about.version}.dist-info/METADATA", metadata.encode())


def _lean(entry: Entry) -> Entry:
    """Return a shared library without debug information, and any other entry unchanged."""
    if not isinstance(entry.source, Path) or ".so" not in entry.source.name:
        return entry
    content = stripped(entry.source.read_bytes())
    return entry if content is None else Entry(entry.path, content, entry.mode)


def _below(entry: Entry) -> Entry:
    return Entry(f"{PREFIX}/{entry.path}", entry.source, entry.mode)


def _without_empty(entries: Sequence[Entry]) -> list[Entry]:
    """Return the entries without folders; ``write_layer`` adds those that contain something."""
    return [entry for entry in entries if not isinstance(entry.source, Folder)]


def _digest(entries: Iterable[Entry]) -> str:
    found = hashlib.sha256()
    for entry in entries:
        content = entry.source.read_bytes() if isinstance(entry.source, Path) else b""
        found.update(f"{entry.path}\0".encode() + hashlib.sha256(content).digest())
    return found.hexdigest()
