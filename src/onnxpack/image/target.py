"""The target of an image: a platform and a version of Python."""

from __future__ import annotations

from dataclasses import dataclass

from onnxpack.errors import UsageError
from onnxpack.oci.platform import Platform

WHEELS = {"amd64": "x86_64-manylinux_2_28", "arm64": "aarch64-manylinux_2_28"}
"""uv's name for each architecture that onnxruntime has wheels for."""


@dataclass(frozen=True, slots=True)
class Target:
    """A platform and a version of Python, such as ``3.13``."""

    platform: Platform
    python: str

    @property
    def wheels(self) -> str:
        """The platform's name in uv.

        Raises:
            UsageError: onnxruntime has no wheels for it.
        """
        return check_platform(self.platform)


def check_platform(platform: Platform) -> str:
    """Return uv's name of a platform.

    Raises:
        UsageError: onnxruntime has no wheels for it.
    """
    name = WHEELS.get(platform.architecture)
    if platform.os != "linux" or name is None:
        raise UsageError(
            f"onnxruntime has no wheels for {platform}.",
            remedy="--platform linux/amd64 or linux/arm64",
        )
    return name
