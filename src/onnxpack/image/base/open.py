"""Open the base of an image: packages from Debian, or any image that contains Python."""

from __future__ import annotations

import re
import tarfile
from dataclasses import dataclass
from pathlib import Path

from onnxpack.errors import ImageError
from onnxpack.image.base import debian
from onnxpack.image.cache import Cache, Tree, key_of
from onnxpack.image.target import Target
from onnxpack.oci.image import Image, make_image
from onnxpack.oci.layer.compress import Compression
from onnxpack.oci.layer.entry import Entry, Folder, walk
from onnxpack.oci.layer.layer import Layer, write_layer
from onnxpack.oci.platform import Platform
from onnxpack.oci.reference import Reference
from onnxpack.oci.store.read import read_image

DEBIAN = "debian"
OCI = "oci:"
_PYTHON = re.compile(r"(?:\./)?((?:usr/local|usr|opt/[^/]+)/bin/python)(3\.\d+)")
_OLDEST = (3, 11)


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
) -> Base:
    """Return the base of a name: ``debian``, ``oci:`` with a layout or tar, or a reference.

    Args:
        name: name of the base.
        platform: platform of the image.
        cache: cache of trees and layers.
        compression: compression of the layers of a Debian base.
        mtime: time of every file of a Debian base, in seconds since 1970.
        anew: fetch Debian's packages even if they are in the cache.

    Raises:
        ImageError: the base cannot be made or read, or its Python is missing or too old.
        RegistryError: the registry does not answer, or refuses.
    """
    if name == DEBIAN:
        return _debian(platform, cache, compression, mtime, anew=anew)
    if name.startswith(OCI):
        image = read_image(Path(name.removeprefix(OCI)), platform=platform)
    else:
        from onnxpack.oci.registry.pull import pull

        image = pull(
            Reference.parse(name), cache.folder(), platform=platform,
            damaged=lambda exc: cache.report(exc, "it is pulled again"),
        )  # fmt: skip
        cache.touch(image.layers)
    found = cache.fact(f"python-{image.digest[7:]}", lambda: _find_python(image, name))
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


def _find_python(image: Image, name: str) -> dict[str, str]:
    """Return the newest Python in an image: its path and its version."""
    found = {version: path for layer in image.layers for path, version in _pythons(layer)}
    if not found:
        raise ImageError(
            f"the base {name} has no Python in usr/bin or usr/local/bin.",
            remedy="--base python:3.13-slim",
        )
    newest = max(found, key=_number)
    if _number(newest) < _OLDEST:
        raise ImageError(
            f"the base {name} has Python {newest}, expected 3.11 or newer.",
            remedy="--base python:3.13-slim",
        )
    return {"interpreter": found[newest], "version": newest}


def _pythons(layer: Layer) -> list[tuple[str, str]]:
    found = []
    with layer.unpacked() as plain:
        try:
            with tarfile.open(fileobj=plain, mode="r|") as members:
                for member in members:
                    match = _PYTHON.fullmatch(member.name)
                    if match:
                        found.append((f"/{match[1]}{match[2]}", match[2]))
        except tarfile.TarError as exc:
            raise ImageError(f"a layer of the base is not a tar: {exc}.") from exc
    return found


def _number(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))
