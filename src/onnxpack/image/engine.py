"""Find the container engines on this machine, each by its own command."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from typing import BinaryIO, cast

from onnxpack.errors import ImageError
from onnxpack.oci.reference import Reference
from onnxpack.oci.store.archive import stream_archive
from onnxpack.oci.store.contents import Content

ENGINES = ("docker", "podman")
SECONDS = 10


@dataclass(frozen=True, slots=True)
class Engine:
    """A container engine that answers."""

    name: str

    def load(self, content: Content, name: Reference) -> None:
        """Load an image into the engine, without a file between.

        Raises:
            ImageError: the engine refuses the image.
        """
        with subprocess.Popen(
            [self.name, "load"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        ) as loading:  # fmt: skip
            broken = False
            try:
                with cast(BinaryIO, loading.stdin) as pipe:
                    stream_archive(content, pipe, name=name)
            except BrokenPipeError:
                broken = True
            said = cast(BinaryIO, loading.stdout).read().decode(errors="replace").strip()
        if loading.returncode or broken:
            raise ImageError(f"{self.name} load failed: {said[-2000:]}")


def find_engine() -> Engine | None:
    """Return the first engine that answers, or None."""
    for name in ENGINES:
        if shutil.which(name) and _answers(name):
            return Engine(name)
    return None


def get_engine() -> Engine:
    """Return the first engine that answers.

    Raises:
        ImageError: no engine answers.
    """
    found = find_engine()
    if found is None:
        raise ImageError(
            f"no engine answers here ({' or '.join(ENGINES)}).",
            remedy="-o image.tar writes a file that any engine loads, and --push needs none",
        )
    return found


def _answers(name: str) -> bool:
    try:
        done = subprocess.run([name, "info"], capture_output=True, timeout=SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0
