"""Open the base of an image: packages from Debian, or any image that contains Python."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from onnxpack.image.base import debian
from onnxpack.image.base.interpreter import find_python
from onnxpack.image.cache import Cache, Tree, key_of
from onnxpack.image.target import Target
from onnxpack.oci.image import Image, make_image
from onnxpack.oci.layer.compress import Compression
from onnxpack.oci.layer.entry import Entry, Folder, walk
from onnxpack.oci.layer.layer import Layer, write_layer
from onnxpack.oci.platform import Platform
from onnxpack.oci.reference import Reference
from onnxpack.oci.store.read import read_image

if TYPE_CHECKING:
    from onnxpack.oci.registry.connection import Connection

DEBIAN = "debian"
OCI = "oci:"


@dataclass(frozen=True, slots=True)
class Base:
    """An image that contains Python.

    Attributes:
        name: name of the base in the image's labels.
        image: the image itself.
        target: platform and Python version of the base.
        interpreter: absolute path of its Python.
        tree: folder that the base was made from; None if it was an image already.
    """

    name: str
    image: Image
    target: Target
    interpreter: str
    tree: Tree | None = None


def default_base() -> tuple[str, str]:
    """Return the base that needs only what is installed here, and the reason for the choice."""
    if debian.is_at_hand():
        return DEBIAN, "mmdebstrap is installed: the smallest base, without a registry"
    python = debian.default_python()
    return f"python:{python}-slim", "mmdebstrap, which makes a smaller one, is not installed"


def open_base(
    name: str,
    platform: Platform,
    cache: Cache,
    *,
    compression: Compression,
    mtime: int,
    anew: bool = False,
    connection: Connection | None = None,
) -> Base:
    """Return the base of a name: ``debian``, ``oci:`` with a layout or tar, or a reference.

    Args:
        name: name of the base.
        platform: platform of the image.
        cache: cache of trees and layers.
        compression: compression of the layers of a Debian base.
        mtime: time of every file of a Debian base, in seconds since 1970.
        anew: fetch Debian's packages even if they are in the cache.
        connection: how to connect to the registry of a reference.

    Raises:
        ImageError: the base cannot be made or read, or its Python is missing, too old, or cannot
            be started.
        RegistryError: the registry does not answer, or refuses.
    """
    if name == DEBIAN:
        return _debian(platform, cache, compression, mtime, anew=anew)
    if name.startswith(OCI):
        image = read_image(Path(name.removeprefix(OCI)), platform=platform)
    else:
        from onnxpack.oci.registry.pull import pull

        image = pull(
            Reference.parse(name), cache.folder(), platform=platform, connection=connection,
            damaged=lambda exc: cache.report(exc, "it is pulled again"),
        )  # fmt: skip
        cache.touch(image.layers)
    # Facts under "python-" were found by releases that did not check them.
    found = cache.fact(f"interpreter-{image.digest[7:]}", lambda: find_python(image, name))
    interpreter, python = found["interpreter"], found["version"]
    return Base(name, image, Target(image.platform, python), interpreter)


def _debian(
    platform: Platform, cache: Cache, compression: Compression, mtime: int, *, anew: bool
) -> Base:
    python = debian.default_python()
    tree = debian.debian_tree(python, platform, cache)
    if anew:
        tree.renew()
    key = key_of(tree=tree.digest, compression=compression, mtime=mtime)

    def make(to: Path) -> Layer:
        entries = map(_open_to_all, walk(tree.path()))
        return write_layer(entries, to, compression=compression, mtime=mtime)

    image = make_image(
        [cache.layer(f"base-{key}", make)],
        config={
            "Env": [
                "PATH=/usr/local/bin:/usr/bin:/bin", "LANG=C.UTF-8",
                "SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt",
            ]
        },
        platform=platform, created=mtime, history=[f"mmdebstrap {debian.SUITES[python]}"],
    )  # fmt: skip
    suite = f"{DEBIAN}:{debian.SUITES[python]}"
    return Base(suite, image, Target(platform, python), f"/usr/bin/python{python}", tree)


def _open_to_all(entry: Entry) -> Entry:
    return Entry("tmp", Folder(), 0o1777) if entry.path == "tmp" else entry
