"""Yield a cache that has the bases of another cache and nothing else, to measure cold builds."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from onnxpack.image.cache.cache import Cache
from onnxpack.image.cache.tree import KIND
from onnxpack.oci.store.blobs import FOLDER


@contextmanager
def cold_cache(cache: Cache) -> Iterator[Cache]:
    """Yield a temporary cache with the bases of another cache, but not its layers and wheels."""
    with cache.work() as root:
        trees = cache.folder(KIND)
        (root / KIND).mkdir()
        for tree in trees.glob("debian-*"):
            if tree.is_dir():
                (root / KIND / tree.name).symlink_to(tree)
            else:
                shutil.copy(tree, root / KIND)
        shutil.copytree(cache.folder("facts"), root / "facts")
        # Includes the layers of the bases. A blob is replaced and never written to.
        (root / FOLDER).mkdir(parents=True)
        for blob in cache.folder(FOLDER).iterdir():
            os.link(blob, root / FOLDER / blob.name)
        yield Cache(root)
