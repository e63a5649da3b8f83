"""Write one tar archive that ``docker load``, podman, skopeo and containerd all read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from onnxpack.oci.digest import digest_stream
from onnxpack.oci.layer.entry import Entry, Folder
from onnxpack.oci.layer.layer import Layer
from onnxpack.oci.layer.tarball import END, header, padding
from onnxpack.oci.store.atomic import atomic_file
from onnxpack.oci.store.blobs import FOLDER
from onnxpack.oci.store.contents import (
    DOCKER_FILE,
    INDEX_FILE,
    LAYOUT,
    LAYOUT_FILE,
    Content,
    Names,
    files_of,
    index_json,
    manifest_json,
)
from onnxpack.oci.store.layout import check_layer


def write_archive(content: Content, to: Path, *, name: Names = None) -> None:
    """Write an image or an index as a tar; the same content gives the same bytes.

    Args:
        content: the image or index; the digests of its layers are checked while they are read.
        to: file to create or to replace; unchanged if writing fails.
        name: one or several names that ``docker load`` gives to the image.

    Raises:
        ImageError: the file cannot be written, or a layer's file has changed.
    """
    with atomic_file(to) as target:
        stream_archive(content, target, name=name)


def stream_archive(content: Content, target: BinaryIO, *, name: Names = None) -> None:
    """Write the tar to a stream, such as the standard input of ``docker load``.

    Raises:
        ImageError: a layer's file has changed; the tar written so far is incomplete.
    """
    for path, source in _members(content, name):
        if source is None:
            target.write(header(Entry(path, Folder()), 0))
        elif isinstance(source, bytes):
            target.write(header(Entry(path, b""), 0, size=len(source)))
            target.write(source + padding(len(source)))
        else:
            size = source.descriptor.size
            target.write(header(Entry(path, b""), 0, size=size))
            with source.open() as blob:
                found, _ = digest_stream(blob, copy_to=target)
            check_layer(source, found)
            target.write(padding(size))
    target.write(END)


def _members(content: Content, name: Names) -> Iterator[tuple[str, bytes | Layer | None]]:
    yield LAYOUT_FILE, LAYOUT
    yield INDEX_FILE, index_json(content, name)
    yield DOCKER_FILE, manifest_json(content, name)
    yield FOLDER.partition("/")[0], None
    yield FOLDER, None
    yield from files_of(content)
