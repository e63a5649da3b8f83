"""Read archives written by ``docker save``: tars with uncompressed layers and no OCI manifest."""

from __future__ import annotations

import json
from typing import Any

from onnxpack.errors import ImageError
from onnxpack.oci import media
from onnxpack.oci.descriptor import Descriptor
from onnxpack.oci.digest import check_digest, digest_of, digest_stream, is_digest
from onnxpack.oci.document import decode
from onnxpack.oci.image import Image, image_of
from onnxpack.oci.layer.compress import detect
from onnxpack.oci.layer.layer import Layer
from onnxpack.oci.store.blobs import Blobs, Place
from onnxpack.oci.store.contents import DOCKER_FILE


def read_docker(blobs: Blobs, *, name: str = "") -> Image:
    """Return the image with a new manifest and its original config.

    Raises:
        ImageError: the archive is malformed, or has several images and no name was given.
    """
    return _read(blobs, _chosen(blobs, name))


def every_docker(blobs: Blobs) -> tuple[Image, ...]:
    """Return all images of the archive.

    Raises:
        ImageError: an image is malformed.
    """
    return tuple(_read(blobs, each) for each in _listed(blobs))


def _read(blobs: Blobs, chosen: dict[str, Any]) -> Image:
    config = _config(blobs, chosen)
    names, rootfs = chosen.get("Layers"), decode(config, what="the config").get("rootfs")
    known = rootfs.get("diff_ids") if isinstance(rootfs, dict) else None
    if not isinstance(names, list) or not isinstance(known, list) or len(names) != len(known):
        raise ImageError(f"{blobs}: its config and {DOCKER_FILE} list different layers.")
    layers = [
        _layer(_file(blobs, each), check_digest(diff_id, what="a diff_id"), str(blobs))
        for each, diff_id in zip(names, known, strict=True)
    ]
    return image_of(config, layers)


def _listed(blobs: Blobs) -> list[dict[str, Any]]:
    try:
        found = json.loads(_file(blobs, DOCKER_FILE).read())
    except (ValueError, RecursionError) as exc:
        raise ImageError(f"{DOCKER_FILE} of {blobs} is not JSON: {exc}.") from exc
    if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
        raise ImageError(f"{DOCKER_FILE} of {blobs} is not a list of images.")
    return found


def _chosen(blobs: Blobs, name: str) -> dict[str, Any]:
    found = _listed(blobs)
    chosen = [each for each in found if not name or name in (each.get("RepoTags") or ())]
    if len(chosen) == 1:
        return chosen[0]
    offered = ", ".join(str(tag) for each in found for tag in each.get("RepoTags") or ())
    raise ImageError(
        f"{blobs} has {len(chosen)} images{f' called {name}' if name else ''}.",
        remedy=f"name one of {offered}" if offered else "",
    )


def _config(blobs: Blobs, chosen: dict[str, Any]) -> bytes:
    name = chosen.get("Config")
    content = _file(blobs, name).read()
    announced = f"sha256:{str(name).rpartition('/')[2].removesuffix('.json')}"
    if is_digest(announced) and digest_of(content) != announced:
        raise ImageError(f"{name} of {blobs} has the digest {digest_of(content)}.")
    return content


def _file(blobs: Blobs, name: object) -> Place:
    found = blobs.find(name) if isinstance(name, str) else None
    if found is None:
        raise ImageError(f"{blobs} lacks {str(name)[:200]}.")
    return found


def _layer(place: Place, diff_id: str, what: str) -> Layer:
    guess = Descriptor(media.LAYER, diff_id, place.size)
    with Layer(place.path, guess, diff_id, place.offset).open() as source:
        digest, size = digest_stream(source)
    with Layer(place.path, guess, diff_id, place.offset).open() as source:
        compression = detect(source.read(4))
    if compression == "none" and digest != diff_id:
        raise ImageError(f"a layer of {what} has the digest {digest}, not {diff_id}.")
    about = Descriptor(media.layer_type(compression), digest, size)
    return Layer(place.path, about, diff_id, place.offset)
