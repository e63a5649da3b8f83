"""Platforms: operating system and architecture that an image is for."""

from __future__ import annotations

import platform as machine
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from onnxpack.errors import ImageError, UsageError

_NAMES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "i686": "386"}


@dataclass(frozen=True, slots=True)
class Platform:
    """An architecture and operating system by Go's names, and a variant."""

    architecture: str = "amd64"
    os: str = "linux"
    variant: str = ""

    def __str__(self) -> str:
        return "/".join(part for part in (self.os, self.architecture, self.variant) if part)

    @classmethod
    def parse(cls, text: str) -> Platform:
        """Read a platform such as ``linux/arm64`` or ``linux/arm/v7``.

        Raises:
            UsageError: the text does not have this form.
        """
        parts = text.split("/")
        if not 2 <= len(parts) <= 3 or not all(part.isascii() and part.isalnum() for part in parts):
            raise UsageError(
                f"{text!r} is not a valid platform.", remedy="linux/amd64 or linux/arm64"
            )
        return cls(parts[1], parts[0], parts[2] if len(parts) == 3 else "")

    @classmethod
    def host(cls) -> Platform:
        """Return the platform of this machine."""
        name = machine.machine()
        return cls(_NAMES.get(name, name))

    @classmethod
    def from_json(cls, found: Mapping[str, Any], *, what: str) -> Platform:
        """Read a platform from a config or a descriptor.

        Raises:
            ImageError: a part of it is not a string.
        """
        parts = [found.get(key, "") for key in ("architecture", "os", "variant")]
        if not all(isinstance(part, str) for part in parts):
            raise ImageError(f"{what} has a platform that is not made of strings.")
        return cls(*parts)

    def to_json(self) -> dict[str, str]:
        """Return the platform as a JSON object for configs and descriptors."""
        found = {"architecture": self.architecture, "os": self.os}
        return {**found, "variant": self.variant} if self.variant else found

    def runs(self, other: Platform) -> bool:
        """Return whether an image for ``other`` runs here; no variant here matches any variant."""
        return (self.os, self.architecture) == (other.os, other.architecture) and (
            not self.variant or self.variant == other.variant
        )
