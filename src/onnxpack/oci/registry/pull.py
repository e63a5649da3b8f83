"""Pull images into a store of layers, where another pull finds the layers again."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeAlias

from onnxpack.errors import ImageError, RegistryError
from onnxpack.oci import media
from onnxpack.oci.descriptor import Descriptor
from onnxpack.oci.digest import hex_of
from onnxpack.oci.document import decode
from onnxpack.oci.image import Image
from onnxpack.oci.index import choose, members
from onnxpack.oci.layer.layer import Layer
from onnxpack.oci.platform import Platform
from onnxpack.oci.reference import Reference
from onnxpack.oci.registry.client import Client
from onnxpack.oci.registry.connection import Connection
from onnxpack.oci.registry.credentials import Credential
from onnxpack.oci.registry.transport import Patience
from onnxpack.oci.store.blobs import FOLDER, FolderBlobs, layer
from onnxpack.oci.store.read import MAX_DEPTH, Parts, check_blob, diff_ids, read_manifest

AT_ONCE = 3

Damaged: TypeAlias = Callable[[ImageError], object]
"""Called with what is wrong with a layer of the store, which is pulled again."""


def pull(
    reference: Reference,
    store: Path,
    *,
    platform: Platform | None = None,
    credential: Credential | None = None,
    patience: Patience | None = None,
    connection: Connection | None = None,
    damaged: Damaged = str,
) -> Image:
    """Pull an image from its registry.

    Args:
        reference: the image, by tag or by digest.
        store: folder of layers by digest; each layer is written completely or not at all.
        platform: platform of the image; see :func:`onnxpack.oci.index.choose`.
        credential: credential for the registry; None looks where docker and podman keep it.
        patience: how often and how long to retry.
        connection: whether to use TLS, and whose certificates to accept.
        damaged: called, from a thread, for each layer of the store that has another digest than its
            name says; it is pulled again.

    Raises:
        RegistryError: the registry refuses, cannot be reached, or sends something false.
        ImageError: the registry has none for the platform, or a malformed one.
    """
    with Client(
        reference, credential=credential, patience=patience, connection=connection
    ) as client:
        parts = _chosen(client, reference, platform)
        config = client.read_blob(parts.config)
        ids = diff_ids(config, parts)
        _fetch(client, parts, store, damaged)
    here = FolderBlobs(store)
    layers = tuple(
        layer(here, each, diff_id, what=f"layer {at}")
        for at, (each, diff_id) in enumerate(zip(parts.layers, ids, strict=True))
    )
    return Image(parts.content, config, layers)


def resolve(
    reference: Reference,
    *,
    credential: Credential | None = None,
    patience: Patience | None = None,
    connection: Connection | None = None,
) -> Descriptor:
    """Return the descriptor of the manifest or index that a name stands for now.

    Raises:
        RegistryError: the registry does not have it, or cannot be reached.
    """
    with Client(
        reference, credential=credential, patience=patience, connection=connection
    ) as client:
        return client.resolve(reference.target)


def _chosen(client: Client, reference: Reference, platform: Platform | None) -> Parts:
    target, size = reference.target, None
    for _ in range(MAX_DEPTH):
        about, content = client.manifest(target)
        if size is not None and size != about.size:
            raise RegistryError(f"{target} has {about.size} bytes, but {size} were announced.")
        told = decode(content, what="the manifest").get("mediaType") or about.media_type
        if told != about.media_type:
            raise RegistryError(f"{target} is sent as {about.media_type}, but says it is {told!r}.")
        if about.media_type in media.MANIFESTS:
            return read_manifest(content)
        if about.media_type not in media.INDEXES:
            raise ImageError(f"{reference} is {about.media_type}, not an image.")
        found = choose(members(content, what=str(reference)), platform, what=str(reference))
        target, size = found.digest, found.size
    raise ImageError(f"{reference} has indexes in indexes, more than {MAX_DEPTH} deep.")


def _fetch(client: Client, parts: Parts, store: Path, damaged: Damaged) -> None:
    folder = store / FOLDER
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise ImageError(f"{folder} cannot be made: {exc.strerror or exc}.") from exc

    def fetch(each: Descriptor) -> None:
        path = folder / hex_of(each.digest)
        if not _is_here(path, each, damaged):
            client.fetch_blob(each, path)

    wanted = {each.digest: each for each in parts.layers}
    pool = ThreadPoolExecutor(AT_ONCE)
    try:
        under_way = [pool.submit(fetch, each) for each in wanted.values()]
        for one in under_way:
            one.result()
    finally:
        pool.shutdown(cancel_futures=True)


def _is_here(path: Path, descriptor: Descriptor, damaged: Damaged) -> bool:
    """Return whether the store has a blob, after a check of its size and digest."""
    if not path.is_file():
        return False
    try:
        check_blob(Layer(path, descriptor, descriptor.digest))
    except ImageError as exc:
        damaged(exc)
        return False
    return True
