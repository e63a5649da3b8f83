"""Reading images: from a layout's folder, from a tar of one, or from ``docker save``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from onnxpack.errors import ImageError
from onnxpack.oci import media
from onnxpack.oci.blobs import ArchiveBlobs, Blobs, FolderBlobs, document, layer
from onnxpack.oci.contents import (
    CONTAINERD_NAME,
    DOCKER_FILE,
    INDEX_FILE,
    LAYOUT_FILE,
    REF_NAME,
    Content,
    layers_of,
)
from onnxpack.oci.descriptor import Descriptor
from onnxpack.oci.digest import check_digest, digest_stream
from onnxpack.oci.docker import read_docker
from onnxpack.oci.document import decode, objects
from onnxpack.oci.image import Image
from onnxpack.oci.index import Index, choose, members
from onnxpack.oci.layer import Layer
from onnxpack.oci.layout import check_layer
from onnxpack.oci.platform import Platform

MAX_DEPTH = 4


def read_image(
    path: Path, *, name: str = "", platform: Platform | None = None, verify: bool = True
) -> Image:
    """One image of a layout or an archive.

    Args:
        path: a layout's folder, a tar of one, or a tar by ``docker save``.
        name: the tag or name of the image, where there are several.
        platform: what it is for; where it is not told, a single one is taken as it is, and else
            the one for this machine.
        verify: check the digests of the layers as well.

    Raises:
        ImageError: there is none, or it is malformed or hostile.
    """
    blobs = open_blobs(path)
    if blobs.find(INDEX_FILE) is None:
        image = read_docker(blobs, name=name)
    else:
        image = _one(blobs, _named(blobs, name), platform)
    if verify:
        verify_layers(image)
    return image


def read_content(path: Path, *, name: str = "", verify: bool = True) -> Content:
    """The same, but an index with all of its images where there is one.

    Raises:
        ImageError: there is none, or it is malformed or hostile.
    """
    blobs = open_blobs(path)
    if blobs.find(INDEX_FILE) is None:
        content: Content = read_docker(blobs, name=name)
    else:
        content = load(blobs, _named(blobs, name))
    if verify:
        verify_layers(content)
    return content


def open_blobs(path: Path) -> Blobs:
    """The files of a layout or an archive, by their names.

    Raises:
        ImageError: it is neither.
    """
    blobs: Blobs = FolderBlobs(path) if path.is_dir() else ArchiveBlobs.of(path)
    if blobs.find(LAYOUT_FILE) is None and blobs.find(DOCKER_FILE) is None:
        raise ImageError(
            f"{path} is neither an OCI layout nor a tar by docker save.",
            remedy="skopeo copy docker://IMAGE oci:FOLDER makes a layout",
        )
    return blobs


def listed(blobs: Blobs) -> tuple[Descriptor, ...]:
    """What the layout's own index lists.

    Raises:
        ImageError: it is missing or malformed.
    """
    found = blobs.find(INDEX_FILE)
    if found is None:
        raise ImageError(f"{blobs} has no {INDEX_FILE}.")
    return members(found.read(), what=f"{INDEX_FILE} of {blobs}")


def load(blobs: Blobs, descriptor: Descriptor) -> Content:
    """An image or an index by its descriptor.

    Raises:
        ImageError: it is missing, malformed, or neither.
    """
    if descriptor.media_type not in media.INDEXES:
        return load_image(blobs, descriptor)
    content = document(blobs, descriptor, what="the index")
    return Index(
        content,
        tuple(load_image(blobs, each) for each in members(content, what="the index")),
    )


def load_image(blobs: Blobs, descriptor: Descriptor) -> Image:
    """An image by its descriptor.

    Raises:
        ImageError: it is missing, malformed, or no image.
    """
    if descriptor.media_type not in media.MANIFESTS:
        raise ImageError(f"{descriptor.digest} is {descriptor.media_type}, no image's manifest.")
    parts = read_manifest(document(blobs, descriptor, what="the manifest"))
    config = document(blobs, parts.config, what="the config")
    layers = tuple(
        layer(blobs, each, diff_id, what=f"layer {at}")
        for at, (each, diff_id) in enumerate(
            zip(parts.layers, diff_ids(config, parts), strict=True)
        )
    )
    return Image(parts.content, config, layers)


@dataclass(frozen=True, slots=True)
class Parts:
    """A manifest, read."""

    content: bytes
    config: Descriptor
    layers: tuple[Descriptor, ...]


def read_manifest(content: bytes) -> Parts:
    """What an image's manifest says.

    Raises:
        ImageError: it is malformed.
    """
    found = decode(content, what="the manifest")
    return Parts(
        content,
        Descriptor.from_json(found.get("config"), what="the config"),
        tuple(
            Descriptor.from_json(each, what=f"layer {at}")
            for at, each in enumerate(objects(found.get("layers"), what="the list of layers"))
        ),
    )


def diff_ids(config: bytes, parts: Parts) -> Sequence[str]:
    """The digests of the layers' tars, by the config; blobs of an artifact have their own.

    Raises:
        ImageError: they are malformed, or not as many as the layers.
    """
    if parts.config.media_type not in media.CONFIGS:
        return [each.digest for each in parts.layers]
    rootfs: Any = decode(config, what="the config").get("rootfs")
    found = rootfs.get("diff_ids") if isinstance(rootfs, dict) else None
    if not isinstance(found, list) or len(found) != len(parts.layers):
        told = len(found) if isinstance(found, list) else "no"
        raise ImageError(
            f"the config tells of {told} layers, and the manifest of {len(parts.layers)}."
        )
    return [check_digest(each, what=f"diff_id {at}") for at, each in enumerate(found)]


def verify_layers(content: Content) -> None:
    """Read every layer, and check its digest.

    Raises:
        ImageError: one has another.
    """
    for each in layers_of(content).values():
        verify_layer(each)


def verify_layer(found: Layer) -> None:
    """Read a layer, and check its digest.

    Raises:
        ImageError: it has another.
    """
    with found.open() as source:
        digest, _ = digest_stream(source)
    check_layer(found, digest)


def _one(blobs: Blobs, descriptor: Descriptor, platform: Platform | None) -> Image:
    for _ in range(MAX_DEPTH):
        if descriptor.media_type not in media.INDEXES:
            return load_image(blobs, descriptor)
        content = document(blobs, descriptor, what="the index")
        found = members(content, what="the index")
        descriptor = choose(found, platform, what=f"the index in {blobs}")
    raise ImageError(f"{blobs} has indexes in indexes, more than {MAX_DEPTH} deep.")


def _named(blobs: Blobs, name: str) -> Descriptor:
    found = listed(blobs)
    names = [
        {each.annotations.get(key) for key in (REF_NAME, CONTAINERD_NAME)} - {None}
        for each in found
    ]
    chosen = [each for each, known in zip(found, names, strict=True) if not name or name in known]
    if len(chosen) == 1:
        return chosen[0]
    offered = ", ".join(sorted({str(one) for known in names for one in known}))
    raise ImageError(
        f"{blobs} has {len(chosen)} images{f' called {name}' if name else ''}.",
        remedy=f"name one of {offered}" if offered else "",
    )
