"""Build without cached layers, but with bases and wheels at hand, for ``--no-cache``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from onnxpack.image.cache import Cache
from onnxpack.oci.store.blobs import FOLDER


@contextmanager
def cold(cache: Cache) -> Iterator[Cache]:
    """Yield a temporary cache with the bases of another cache, but not its layers and wheels."""
    with TemporaryDirectory(prefix=".cold-", dir=cache.root) as folder:
        root = Path(folder)
        (root / "trees").mkdir()
        for tree in (cache.root / "trees").glob("debian-*"):
            (root / "trees" / tree.name).symlink_to(tree)
        (cache.root / "facts").mkdir(exist_ok=True)
        (root / "facts").symlink_to(cache.root / "facts")
        blobs = root / FOLDER
        blobs.mkdir(parents=True)
        for blob in (cache.root / FOLDER).glob("*"):  # includes the layers of the bases
            (blobs / blob.name).hardlink_to(blob)
        yield Cache(root)
