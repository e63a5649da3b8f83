"""Building as if for the first time, with bases and wheels at hand, as ``--no-cache`` does it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from onnxpack.image.cache import Cache


@contextmanager
def cold(cache: Cache) -> Iterator[Cache]:
    """A cache that has the bases of another, and no layer and no placed wheel."""
    with TemporaryDirectory(prefix=".cold-", dir=cache.root) as folder:
        root = Path(folder)
        (root / "trees").mkdir()
        for tree in (cache.root / "trees").glob("debian-*"):
            (root / "trees" / tree.name).symlink_to(tree)
        for name in ("blobs", "facts"):
            (cache.root / name).mkdir(exist_ok=True)
            (root / name).symlink_to(cache.root / name)
        yield Cache(root)
