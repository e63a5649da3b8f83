"""Recompute everything that an image states about itself, and report every fault."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from onnxpack.errors import ImageError
from onnxpack.oci import media
from onnxpack.oci.descriptor import Descriptor
from onnxpack.oci.digest import is_digest
from onnxpack.oci.document import decode, objects
from onnxpack.oci.index import Index, members
from onnxpack.oci.layer.layer import Layer
from onnxpack.oci.layer.scan import scan_layer
from onnxpack.oci.platform import Platform
from onnxpack.oci.store.blobs import Blobs, blob, document
from onnxpack.oci.store.contents import DOCKER_FILE, INDEX_FILE, LAYOUT_FILE, Content
from onnxpack.oci.store.docker import every_docker
from onnxpack.oci.store.read import MAX_DEPTH, Parts, listed, open_blobs, read_manifest

_VERSION = "1.0.0"


def validate(content: Content) -> tuple[str, ...]:
    """Return the faults of an image, or of an index and its images; empty if there are none."""
    faults = _Faults()
    if not isinstance(content, Index):
        _image(_Read(content.manifest, content.config, content.layers), faults)
        return faults.found
    with faults.kept():
        told = [each.digest for each in members(content.manifest, what="the index")]
        if told != [image.digest for image in content.images]:
            faults.add("the index lists images that differ from those it has.")
    for image in content.images:
        with faults.within(f"image {image.digest}"):
            _image(_Read(image.manifest, image.config, image.layers), faults)
    return faults.found


def validate_layout(path: Path) -> tuple[str, ...]:
    """Return the faults of a layout or archive and its contents; empty if there are none."""
    faults = _Faults()
    with faults.kept():
        blobs = open_blobs(path)
        if blobs.find(LAYOUT_FILE) is not None or blobs.find(INDEX_FILE) is not None:
            _layout(blobs, faults)
        if blobs.find(DOCKER_FILE) is not None:
            _docker(blobs, faults)
    return faults.found


class _Faults:
    """The faults found so far, and the place that is being checked."""

    def __init__(self) -> None:
        self._found: list[str] = []
        self._where = ""

    @property
    def found(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(self._found))

    def add(self, message: str) -> None:
        self._found.append(f"{self._where}{message}")

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Record an ImageError as a fault, and continue the check."""
        try:
            yield
        except ImageError as exc:
            self.add(exc.message)

    @contextmanager
    def within(self, where: str) -> Iterator[None]:
        before, self._where = self._where, f"{self._where}{where}: "
        try:
            with self.kept():
                yield
        finally:
            self._where = before


@dataclass(frozen=True, slots=True)
class _Read:
    """An image as far as it could be read; unreadable parts are None."""

    manifest: bytes
    config: bytes | None
    layers: Sequence[Layer | None]


def _layout(blobs: Blobs, faults: _Faults) -> None:
    with faults.kept():
        found = blobs.find(LAYOUT_FILE)
        if found is None:
            faults.add(f"{blobs} has no {LAYOUT_FILE}.")
        elif decode(found.read(), what=LAYOUT_FILE).get("imageLayoutVersion") != _VERSION:
            faults.add(f"{LAYOUT_FILE} names a version other than {_VERSION}.")
    with faults.kept():
        for each in listed(blobs):
            _listed(blobs, each, faults, depth=MAX_DEPTH)


def _listed(blobs: Blobs, about: Descriptor, faults: _Faults, *, depth: int) -> None:
    with faults.within(about.digest):
        if about.media_type in media.INDEXES:
            if depth == 0:
                raise ImageError(f"indexes in indexes, more than {MAX_DEPTH} deep.")
            for each in members(document(blobs, about, what="the index"), what="the index"):
                _listed(blobs, each, faults, depth=depth - 1)
        elif about.media_type in media.MANIFESTS:
            _image(_read(blobs, document(blobs, about, what="the manifest"), faults), faults)
        else:
            blob(blobs, about, what=f"a blob of type {about.media_type}")


def _read(blobs: Blobs, manifest: bytes, faults: _Faults) -> _Read:
    config, layers = None, []
    parts = read_manifest(manifest)
    with faults.kept():
        config = document(blobs, parts.config, what="the config")
    for at, each in enumerate(parts.layers):
        found = None
        with faults.kept():
            place = blob(blobs, each, what=f"layer {at}")
            found = Layer(place.path, each, each.digest, place.offset)
        layers.append(found)
    return _Read(manifest, config, layers)


def _docker(blobs: Blobs, faults: _Faults) -> None:
    with faults.within(DOCKER_FILE):
        every_docker(blobs)


def _image(image: _Read, faults: _Faults) -> None:
    parts = read_manifest(image.manifest)
    told = decode(image.manifest, what="the manifest")
    if told.get("schemaVersion") != 2:
        faults.add("the manifest's schemaVersion is not 2.")
    if told.get("mediaType", media.MANIFEST) not in media.MANIFESTS:
        faults.add(f"the manifest says that it is {str(told['mediaType'])[:100]!r}.")
    diff_ids: Sequence[str | None] = [None] * len(parts.layers)
    if image.config is not None:
        with faults.kept():
            diff_ids = _config(image.config, parts, faults)
    if len(image.layers) != len(parts.layers):
        faults.add(f"the manifest lists {len(parts.layers)} layers, not {len(image.layers)}.")
    for at, (found, about, diff_id) in enumerate(
        zip(image.layers, parts.layers, diff_ids, strict=False)
    ):
        if found is not None:
            with faults.within(f"layer {at}"):
                _layer(found, about, diff_id, faults)


def _config(content: bytes, parts: Parts, faults: _Faults) -> Sequence[str | None]:
    """Check a config; return the diff_id of each layer, None where the config does not state it."""
    about = Descriptor.of(content, parts.config.media_type)
    if (about.digest, about.size) != (parts.config.digest, parts.config.size):
        faults.add(f"the config is {about.digest}, the manifest says {parts.config.digest}.")
    nothing: list[str | None] = [None] * len(parts.layers)
    if parts.config.media_type not in media.CONFIGS:
        return nothing
    document = decode(content, what="the config")
    with faults.kept():
        platform = Platform.from_json(document, what="the config")
        if not platform.os or not platform.architecture:
            faults.add("the config does not name the platform.")
    with faults.kept():
        _history(document, len(parts.layers), faults)
    rootfs = document.get("rootfs")
    told: Any = rootfs.get("diff_ids") if isinstance(rootfs, dict) else None
    if not isinstance(told, list) or not all(is_digest(each) for each in told):
        raise ImageError("the config's diff_ids are not a list of digests.")
    if len(told) != len(parts.layers):
        faults.add(f"the config lists {len(told)} layers, expected {len(parts.layers)}.")
        return nothing
    return list(told)


def _history(document: dict[str, Any], layers: int, faults: _Faults) -> None:
    if document.get("history") is None:
        return
    told = objects(document["history"], what="the config's history")
    count = sum(not each.get("empty_layer") for each in told)
    if count != layers:
        faults.add(f"the history lists {count} layers, expected {layers}.")


def _layer(found: Layer, about: Descriptor, diff_id: str | None, faults: _Faults) -> None:
    if (found.descriptor.digest, found.descriptor.size) != (about.digest, about.size):
        faults.add(f"it is described both as {found.descriptor.digest} and as {about.digest}.")
    compression = media.compression_of(about.media_type)
    if compression is None and diff_id is not None:
        faults.add(f"{about.media_type} is not a layer of an image.")
    result = scan_layer(found, compression)
    if result.digest != about.digest:
        faults.add(f"the blob has the digest {result.digest}, not {about.digest}.")
    if result.size != about.size:
        faults.add(f"the blob has {result.size} bytes, not {about.size}.")
    if diff_id is not None and compression is not None and result.diff_id != diff_id:
        faults.add(f"the tar has the digest {result.diff_id}, the config says {diff_id}.")
    for each in result.faults:
        faults.add(each)
