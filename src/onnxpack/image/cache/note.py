"""Notes in the cache: small JSON files that state their own digest."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from onnxpack.atomic import atomic_file
from onnxpack.errors import ImageError
from onnxpack.oci.digest import digest_of
from onnxpack.oci.document import MAX_BYTES, decode, encode
from onnxpack.oci.layer.tarball import opened

SUFFIX = ".json"


@dataclass(frozen=True, slots=True)
class Note:
    """A small JSON file. Its digest covers its name too: a note cannot pass for another one."""

    path: Path

    def read(self) -> dict[str, Any] | None:
        """Return the content; None if the note does not exist.

        Raises:
            ImageError: the note is torn or was altered.
        """
        if not os.path.lexists(self.path):
            return None
        with opened(self.path, flags=os.O_NOFOLLOW) as (source, _):
            told = decode(source.read(MAX_BYTES + 1), what=str(self.path))
        content = told.get("content")
        if not isinstance(content, dict) or told.get("digest") != self._digest(content):
            raise ImageError(f"{self.path} does not have the digest that it states.")
        return content

    def write(self, content: Mapping[str, Any]) -> None:
        """Write the note, completely or not at all.

        Raises:
            OSError: the note cannot be written.
        """
        with atomic_file(self.path) as target:
            target.write(encode({"content": content, "digest": self._digest(content)}))

    def touch(self) -> None:
        """Note the time of use, by which ``prune`` judges; a cache can also be read-only."""
        with suppress(OSError):
            os.utime(self.path)

    def _digest(self, content: Mapping[str, Any]) -> str:
        name = f"{self.path.parent.name}/{self.path.name}"
        return digest_of(encode({"name": name, "content": content}))
