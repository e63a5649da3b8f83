"""Descriptors: the media type, digest and size by which a manifest refers to a blob."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from onnxpack.errors import ImageError
from onnxpack.oci.digest import check_digest, digest_of
from onnxpack.oci.document import strings
from onnxpack.oci.platform import Platform

MAX_SIZE = 2**40


@dataclass(frozen=True, slots=True)
class Descriptor:
    """A reference to a blob by its content."""

    media_type: str
    digest: str
    size: int
    annotations: Mapping[str, str] = field(default_factory=dict, hash=False)
    platform: Platform | None = None
    artifact_type: str = ""

    def __post_init__(self) -> None:
        check_digest(self.digest)

    @classmethod
    def of(cls, content: bytes, media_type: str, **more: Any) -> Descriptor:
        """Return the descriptor of bytes in memory."""
        return cls(media_type, digest_of(content), len(content), **more)

    @classmethod
    def from_json(cls, found: object, *, what: str) -> Descriptor:
        """Read a descriptor from a manifest or an index.

        Raises:
            ImageError: it is malformed.
        """
        if not isinstance(found, dict):
            raise ImageError(f"{what} is not a descriptor.")
        media_type, size = found.get("mediaType"), found.get("size")
        if not isinstance(media_type, str) or not media_type:
            raise ImageError(f"{what} has no media type.")
        if type(size) is not int or not 0 <= size <= MAX_SIZE:
            raise ImageError(f"{what} has a size that is not valid: {str(size)[:40]}.")
        at, kind = found.get("platform"), found.get("artifactType", "")
        if not isinstance(kind, str):
            raise ImageError(f"{what} has an artifact type that is not a string.")
        return cls(
            media_type,
            check_digest(found.get("digest"), what=f"the digest of {what}"),
            size,
            strings(found.get("annotations"), what=f"{what}: its annotations"),
            Platform.from_json(at, what=what) if isinstance(at, dict) else None,
            kind,
        )

    def to_json(self) -> dict[str, Any]:
        """Return the descriptor as a JSON object for a manifest."""
        found: dict[str, Any] = {
            "mediaType": self.media_type,
            "digest": self.digest,
            "size": self.size,
        }
        if self.artifact_type:
            found["artifactType"] = self.artifact_type
        if self.annotations:
            found["annotations"] = dict(self.annotations)
        if self.platform is not None:
            found["platform"] = self.platform.to_json()
        return found
