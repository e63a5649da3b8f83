"""The runtime layer: the wheels that serving needs, pruned, onnxpack itself, and byte code.

It lies below ``/opt/rt``, on PYTHONPATH, so that one blob serves every base of one Python.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from importlib.metadata import distribution
from pathlib import Path

from onnxpack.image.bytecode import compiled, find_interpreter
from onnxpack.image.cache import Cache, key_of
from onnxpack.image.elf import stripped
from onnxpack.image.prune import is_kept
from onnxpack.image.target import Target
from onnxpack.image.wheels import install
from onnxpack.oci.compress import Compression
from onnxpack.oci.entry import Entry, Folder, walk
from onnxpack.oci.layer import Layer, write_layer

PREFIX = "opt/rt"
SERVING = ("comparison", "pack", "runtime", "server")
"""The packages of onnxpack that serving imports; the modules beside them come along."""

_HOW = [
    Entry(name, Path(__file__).with_name(name)) for name in ("bytecode.py", "elf.py", "prune.py")
]
"""What makes a layer of the wheels: another release of these makes another layer."""


def runtime_layer(
    pins: Sequence[str], target: Target, cache: Cache, *, compression: Compression, mtime: int
) -> Layer:
    """Return the layer of these requirements on this target, from the cache where it is there.

    Raises:
        MissingExtraError: uv is not installed.
        ImageError: there are no such wheels.
    """
    own = {entry.path: entry for entry in own_files()}
    key = key_of(
        pins=pins, target=target, own=_digest(own.values()), how=_digest(_HOW),
        compression=compression, mtime=mtime, interpreter=find_interpreter(target.python),
    )  # fmt: skip

    def make(to: Path) -> Layer:
        wheels = install(pins, target, cache)
        found = [_lean(entry) for entry in walk(wheels) if is_kept(entry.path)]
        entries = [_below(entry) for entry in (*_without_empty(found), *own.values())]
        with compiled(entries, target.python) as everything:
            return write_layer(everything, to, compression=compression, mtime=mtime)

    return cache.layer(f"runtime-{key}", make)


def own_files() -> Iterator[Entry]:
    """What serving needs of onnxpack, as its wheel places it, and enough to tell its version."""
    root = Path(__file__).parents[1]
    for entry in walk(root):
        first, _, rest = entry.path.partition("/")
        is_served = first in SERVING if rest else first.endswith(".py") or first == "py.typed"
        if isinstance(entry.source, Path) and is_served and is_kept(entry.path):
            yield Entry(f"onnxpack/{entry.path}", entry.source)
    about = distribution("onnxpack")
    metadata = f"Metadata-Version: 2.1\nName: onnxpack\nVersion: {about.version}\n"
    yield Entry(f"onnxpack-{about.version}.dist-info/METADATA", metadata.encode())


def _lean(entry: Entry) -> Entry:
    """Without debug information, where it is a shared library that has much of it."""
    if not isinstance(entry.source, Path) or ".so" not in entry.source.name:
        return entry
    content = stripped(entry.source.read_bytes())
    return entry if content is None else Entry(entry.path, content, entry.mode)


def _below(entry: Entry) -> Entry:
    return Entry(f"{PREFIX}/{entry.path}", entry.source, entry.mode)


def _without_empty(entries: Sequence[Entry]) -> list[Entry]:
    """Folders come from what is in them."""
    return [entry for entry in entries if not isinstance(entry.source, Folder)]


def _digest(entries: Iterable[Entry]) -> str:
    found = hashlib.sha256()
    for entry in entries:
        content = entry.source.read_bytes() if isinstance(entry.source, Path) else b""
        found.update(f"{entry.path}\0".encode() + hashlib.sha256(content).digest())
    return found.hexdigest()
