"""Read images from a layout's folder, from a tar of one, or from ``docker save``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from onnxpack.errors import ImageError
from onnxpack.oci import media
from onnxpack.oci.descriptor import Descriptor
from onnxpack.oci.digest import check_digest, digest_stream
from onnxpack.oci.document import decode, objects
from onnxpack.oci.image import Image
from onnxpack.oci.index import Index, choose, members
from onnxpack.oci.layer.layer import Layer
from onnxpack.oci.layer.tarball import opened
from onnxpack.oci.platform import Platform
from onnxpack.oci.store.blobs import ArchiveBlobs, Blobs, FolderBlobs, document, layer
from onnxpack.oci.store.contents import (
    CONTAINERD_NAME,
    DOCKER_FILE,
    INDEX_FILE,
    LAYOUT_FILE,
    REF_NAME,
    Content,
    layers_of,
)
from onnxpack.oci.store.docker import read_docker
from onnxpack.oci.store.layout import check_layer

MAX_DEPTH = 4


def read_image(
    path: Path, *, name: str = "", platform: Platform | None = None, verify: bool = True
) -> Image:
    """Return one image of a layout or an archive.

    Args:
        path: a layout's folder, a tar of one, or a tar by ``docker save``.
        name: tag or name of the image, if there are several.
        platform: platform of the image; by default a single image is taken whatever its platform,
            and of several the one for this machine.
        verify: also check the digests of the layers.

    Raises:
        ImageError: the image is missing, malformed or hostile.
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
    """Return an image, or an index with all its images if the layout has one.

    Raises:
        ImageError: the image is missing, malformed or hostile.
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
    """Return an object that finds the files of a layout or an archive by name.

    Raises:
        ImageError: the path is neither a layout nor an archive.
    """
    blobs: Blobs = FolderBlobs(path) if path.is_dir() else ArchiveBlobs.of(path)
    if blobs.find(LAYOUT_FILE) is None and blobs.find(DOCKER_FILE) is None:
        raise ImageError(
            f"{path} is neither an OCI layout nor a tar by docker save.",
            remedy="skopeo copy docker://IMAGE oci:FOLDER makes a layout",
        )
    return blobs


def listed(blobs: Blobs) -> tuple[Descriptor, ...]:
    """Return the descriptors that the layout's ``index.json`` lists.

    Raises:
        ImageError: ``index.json`` is missing or malformed.
    """
    found = blobs.find(INDEX_FILE)
    if found is None:
        raise ImageError(f"{blobs} has no {INDEX_FILE}.")
    return members(found.read(), what=f"{INDEX_FILE} of {blobs}")


def load(blobs: Blobs, descriptor: Descriptor) -> Content:
    """Return the image or index with this descriptor.

    Raises:
        ImageError: it is missing, malformed, or neither an image nor an index.
    """
    if descriptor.media_type not in media.INDEXES:
        return load_image(blobs, descriptor)
    content = document(blobs, descriptor, what="the index")
    return Index(
        content,
        tuple(load_image(blobs, each) for each in members(content, what="the index")),
    )


def load_image(blobs: Blobs, descriptor: Descriptor) -> Image:
    """Return the image with this descriptor.

    Raises:
        ImageError: it is missing, malformed, or not an image.
    """
    if descriptor.media_type not in media.MANIFESTS:
        raise ImageError(
            f"{descriptor.digest} is {descriptor.media_type}, not the manifest of an image."
        )
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
    """The parts of a parsed manifest."""

    content: bytes
    config: Descriptor
    layers: tuple[Descriptor, ...]


def read_manifest(content: bytes) -> Parts:
    """Parse an image's manifest.

    Raises:
        ImageError: the manifest is malformed.
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
    """Return the digests of the uncompressed layers that the config lists.

    For an artifact, which has no such list, they are the digests of its blobs.

    Raises:
        ImageError: the digests are malformed, or not as many as the layers.
    """
    if parts.config.media_type not in media.CONFIGS:
        return [each.digest for each in parts.layers]
    rootfs: Any = decode(config, what="the config").get("rootfs")
    found = rootfs.get("diff_ids") if isinstance(rootfs, dict) else None
    if not isinstance(found, list) or len(found) != len(parts.layers):
        told = len(found) if isinstance(found, list) else "no"
        raise ImageError(
            f"the config lists {told} layers, but the manifest lists {len(parts.layers)}."
        )
    return [check_digest(each, what=f"diff_id {at}") for at, each in enumerate(found)]


def verify_layers(content: Content) -> None:
    """Read every layer and check its digest.

    Raises:
        ImageError: a layer has another digest.
    """
    for each in layers_of(content).values():
        verify_layer(each)


def verify_layer(found: Layer) -> None:
    """Read a layer and check its digest.

    Raises:
        ImageError: the layer has another digest.
    """
    with found.open() as source:
        digest, _ = digest_stream(source)
    check_layer(found, digest)


def check_blob(found: Layer) -> None:
    """Check that a file holds a layer's blob and nothing else.

    Raises:
        ImageError: the file has another size or digest, or cannot be read.
    """
    with opened(found.path) as (_, size):
        if size != found.descriptor.size:
            raise ImageError(f"{found.path} has {size} bytes, expected {found.descriptor.size}.")
    verify_layer(found)


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
    if len({each.digest for each in chosen}) == 1:  # one image may have several names
        return chosen[0]
    offered = ", ".join(sorted({str(one) for known in names for one in known}))
    raise ImageError(
        f"{blobs} has {len(chosen)} images{f' called {name}' if name else ''}.",
        remedy=f"name one of {offered}" if offered else "",
    )
