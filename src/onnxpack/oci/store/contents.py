"""List what a layout or archive contains: every blob once, and the two tables of contents."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TypeAlias

from onnxpack.errors import ImageError
from onnxpack.oci import media
from onnxpack.oci.digest import hex_of
from onnxpack.oci.document import encode
from onnxpack.oci.image import Image
from onnxpack.oci.index import Index
from onnxpack.oci.layer.layer import Layer
from onnxpack.oci.reference import Reference
from onnxpack.oci.store.blobs import FOLDER

Content: TypeAlias = Image | Index
Names: TypeAlias = Reference | Sequence[Reference] | None
"""No name of an image, one, or several."""

LAYOUT_FILE, INDEX_FILE, DOCKER_FILE = "oci-layout", "index.json", "manifest.json"
LAYOUT = encode({"imageLayoutVersion": "1.0.0"})
REF_NAME, CONTAINERD_NAME = "org.opencontainers.image.ref.name", "io.containerd.image.name"


def images_of(content: Content) -> tuple[Image, ...]:
    """Return the image itself, or the images of an index."""
    return content.images if isinstance(content, Index) else (content,)


def documents_of(content: Content) -> dict[str, bytes]:
    """Return each manifest, index and config by its digest."""
    found = {content.digest: content.manifest}
    for image in images_of(content):
        found[image.digest] = image.manifest
        found[image.config_descriptor.digest] = image.config
    return found


def layers_of(content: Content) -> dict[str, Layer]:
    """Return each layer by the digest of its blob."""
    return {
        layer.descriptor.digest: layer for image in images_of(content) for layer in image.layers
    }


def files_of(content: Content) -> Iterator[tuple[str, bytes | Layer]]:
    """Yield each blob with the name of its file, sorted by name."""
    every: dict[str, bytes | Layer] = {**layers_of(content), **documents_of(content)}
    for digest in sorted(every):
        yield f"{FOLDER}/{hex_of(digest)}", every[digest]


def index_json(content: Content, name: Names) -> bytes:
    """Return ``index.json``, the table of contents of an OCI layout: an entry for each name."""
    about, tags, every = content.descriptor, set[str](), []
    for each in _each(name):
        tag = each.tag or "latest"
        # Tools look an image up by its tag: two entries of one tag would be ambiguous.
        tagged = {} if tag in tags else {REF_NAME: tag}
        tags.add(tag)
        every.append(replace(about, annotations={**tagged, CONTAINERD_NAME: _tagged(each)}))
    listed = [each.to_json() for each in every or [about]]
    return encode({"schemaVersion": 2, "mediaType": media.INDEX, "manifests": listed})


def manifest_json(content: Content, name: Names) -> bytes:
    """Return Docker's ``manifest.json``; only the first image gets the names."""
    found = []
    tags = [_tagged(each) for each in _each(name)]
    for at, image in enumerate(images_of(content)):
        if image.config_descriptor.media_type not in media.CONFIGS:
            raise ImageError("an artifact is not an image for docker load: write it as a layout.")
        found.append(
            {
                "Config": f"{FOLDER}/{hex_of(image.config_descriptor.digest)}",
                "RepoTags": tags if tags and at == 0 else None,
                "Layers": [f"{FOLDER}/{hex_of(each.descriptor.digest)}" for each in image.layers],
            }
        )
    return json.dumps(found, separators=(",", ":")).encode()


def _each(name: Names) -> Sequence[Reference]:
    if name is None:
        return ()
    return (name,) if isinstance(name, Reference) else name


def _tagged(name: Reference) -> str:
    return str(replace(name, tag=name.tag or "latest", digest=""))
