"""Write an OCI image layout: a folder of blobs by digest, and an index."""

from __future__ import annotations

import re
from pathlib import Path

from onnxpack.errors import ImageError
from onnxpack.oci.digest import digest_stream
from onnxpack.oci.layer.layer import Layer
from onnxpack.oci.store.atomic import atomic_folder
from onnxpack.oci.store.blobs import FOLDER
from onnxpack.oci.store.contents import (
    INDEX_FILE,
    LAYOUT,
    LAYOUT_FILE,
    Content,
    Names,
    files_of,
    index_json,
)

_HEX = re.compile(r"[0-9a-f]{64}")


def write_layout(
    content: Content,
    to: Path,
    *,
    name: Names = None,
    force: bool = False,
) -> None:
    """Write an image or an index as a layout, completely or not at all.

    Args:
        content: the image or index; the digests of its layers are checked while they are read.
        to: the folder to create.
        name: one or several names that ``docker load``, podman and containerd give to the image.
        force: replace an existing folder.

    Raises:
        ImageError: ``to`` exists or cannot be written, or a layer's file has changed.
    """
    with atomic_folder(to, is_ours=is_of_layout, force=force) as made:
        (made / FOLDER).mkdir(parents=True)
        _write(made / LAYOUT_FILE, LAYOUT)
        _write(made / INDEX_FILE, index_json(content, name))
        for path, source in files_of(content):
            if isinstance(source, bytes):
                _write(made / path, source)
            else:
                put_layer(source, made / path)


def is_of_layout(_folder: Path, relative: str) -> bool:
    """Return whether a file has a name that a layout has."""
    folder, _, name = relative.rpartition("/")
    return relative in (LAYOUT_FILE, INDEX_FILE) or (
        folder == FOLDER and _HEX.fullmatch(name) is not None
    )


def put_layer(layer: Layer, to: Path) -> None:
    """Copy a layer's blob to a file of its own, and check the digest of the copied bytes.

    Raises:
        ImageError: the layer's file has changed.
    """
    with layer.open() as source, to.open("xb") as target:
        found, _ = digest_stream(source, copy_to=target)
    check_layer(layer, found)


def check_layer(layer: Layer, found: str) -> None:
    """Check that the digest of a layer's bytes is the one that the image states.

    Raises:
        ImageError: the digest differs.
    """
    if found != layer.descriptor.digest:
        raise ImageError(
            f"{layer.path} holds {found}, but the image says {layer.descriptor.digest}.",
            remedy="create the layer again",
        )


def _write(path: Path, content: bytes) -> None:
    with path.open("xb") as target:
        target.write(content)
