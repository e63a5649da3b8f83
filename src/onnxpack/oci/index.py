"""Indexes: one name for the images of several platforms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from onnxpack.errors import ImageError
from onnxpack.oci import media
from onnxpack.oci.descriptor import Descriptor
from onnxpack.oci.digest import digest_of
from onnxpack.oci.document import decode, encode, objects
from onnxpack.oci.image import Image
from onnxpack.oci.platform import Platform


@dataclass(frozen=True, slots=True)
class Index:
    """Images for several platforms, with the index as exact bytes."""

    manifest: bytes
    images: tuple[Image, ...]

    @property
    def digest(self) -> str:
        """The digest of the index, which identifies it."""
        return digest_of(self.manifest)

    @property
    def media_type(self) -> str:
        """The media type that the index states."""
        return str(decode(self.manifest, what="the index").get("mediaType") or media.INDEX)

    @property
    def descriptor(self) -> Descriptor:
        """The descriptor of the index, as another index lists it."""
        return Descriptor(self.media_type, self.digest, len(self.manifest))


def make_index(images: Sequence[Image], *, annotations: Mapping[str, str] | None = None) -> Index:
    """Return an index of images, each for a different platform.

    Raises:
        ImageError: two images are for the same platform.
    """
    platforms = [image.platform for image in images]
    if len(set(platforms)) != len(platforms):
        raise ImageError(f"two images are for one platform: {', '.join(map(str, platforms))}.")
    document = {
        "schemaVersion": 2,
        "mediaType": media.INDEX,
        "manifests": [image.descriptor.to_json() for image in images],
    }
    if annotations:
        document["annotations"] = dict(annotations)
    return Index(encode(document), tuple(images))


def members(content: bytes, *, what: str) -> tuple[Descriptor, ...]:
    """Return the descriptors that an index lists.

    Raises:
        ImageError: the index is malformed.
    """
    found = objects(decode(content, what=what).get("manifests"), what=f"'manifests' of {what}")
    return tuple(
        Descriptor.from_json(each, what=f"manifest {at} of {what}") for at, each in enumerate(found)
    )


def choose(found: Sequence[Descriptor], platform: Platform | None, *, what: str) -> Descriptor:
    """Return the descriptor of the image for a platform, chosen from an index.

    Without a platform, a single image is taken whatever its platform is; of several, the image for
    this machine. A single image that names no platform is always taken.

    Raises:
        ImageError: the index has no such image.
    """
    images = [each for each in found if each.platform is None or each.platform.os != "unknown"]
    if len(images) == 1 and (platform is None or images[0].platform is None):
        return images[0]
    platform = platform or Platform.host()
    for each in images:
        if each.platform is not None and platform.runs(each.platform):
            return each
    offered = ", ".join(sorted({str(each.platform) for each in images if each.platform}))
    raise ImageError(
        f"{what} has no image for {platform}, only for {offered or 'none'}.",
        remedy="choose a platform that it has, or another image",
    )
