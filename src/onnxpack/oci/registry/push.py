"""Push images and indexes: only the blobs that the registry lacks, and each manifest unchanged."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from onnxpack.errors import RegistryError, UsageError
from onnxpack.oci.index import Index
from onnxpack.oci.layer.layer import Layer
from onnxpack.oci.reference import Reference
from onnxpack.oci.registry.client import Client
from onnxpack.oci.registry.connection import Connection
from onnxpack.oci.registry.credentials import Credential
from onnxpack.oci.registry.response import refused
from onnxpack.oci.registry.transport import Patience
from onnxpack.oci.registry.upload import Outcome, Progress, put_blob
from onnxpack.oci.store.contents import Content, images_of, layers_of

AT_ONCE = 3


@dataclass(frozen=True, slots=True)
class Pushed:
    """What a push did with each blob.

    Args:
        reference: the image by its digest.
        sent: digests of the blobs that were uploaded.
        mounted: digests of the blobs that were mounted from another repository.
        present: digests of the blobs that the repository already had.
        size: total bytes of the uploaded blobs.
    """

    reference: Reference
    sent: tuple[str, ...]
    mounted: tuple[str, ...]
    present: tuple[str, ...]
    size: int


def push(
    content: Content,
    to: Reference,
    *,
    mount_from: Sequence[str] = (),
    credential: Credential | None = None,
    patience: Patience | None = None,
    connection: Connection | None = None,
    progress: Progress | None = None,
) -> Pushed:
    """Push an image, or an index with all its images.

    Args:
        content: the image or index to push.
        to: where to push, by tag, or by the digest of ``content``.
        mount_from: repositories of the same registry that may have some of the blobs.
        credential: credential for the registry; None looks where docker and podman keep it.
        patience: how often and how long to retry.
        connection: whether to use TLS, and whose certificates to accept.
        progress: called for each blob during its upload, from several threads.

    Raises:
        RegistryError: the registry refuses, or cannot be reached.
        UsageError: ``to`` has another digest.
    """
    if to.digest and to.digest != content.digest:
        raise UsageError(f"{to} cannot name content with the digest {content.digest}.")
    with Client(to, credential=credential, patience=patience, connection=connection) as client:
        outcomes = put_blobs(client, content, mount_from=mount_from, progress=progress)
        if isinstance(content, Index):
            for image in content.images:
                put_manifest(client, image, image.digest)
        put_manifest(client, content, to.target)
    sizes = _blobs(content)
    by_outcome = {
        kind: tuple(digest for digest, outcome in outcomes.items() if outcome == kind)
        for kind in ("sent", "mounted", "present")
    }
    return Pushed(
        reference=to.with_digest(content.digest),
        size=sum(_size(sizes[digest]) for digest in by_outcome["sent"]),
        **by_outcome,
    )


def put_manifest(client: Client, content: Content, target: str) -> str:
    """Upload a manifest unchanged, under a tag or its digest.

    Returns the digest of the subject if the registry itself lists the manifest under it.

    Raises:
        RegistryError: the registry refuses the manifest, or reports another digest.
    """
    what = f"the manifest {client.name}:{target}"
    with client.transport.send(
        "PUT",
        client.url(f"manifests/{target}"),
        scopes=client.writing,
        headers={"Content-Type": content.media_type},
        body=content.manifest,
        repeatable=True,
    ) as answer:
        if answer.status_code != 201:
            raise refused(answer, what)
        told = answer.headers.get("docker-content-digest", content.digest)
        subject: str = answer.headers.get("oci-subject", "")
    if told != content.digest:
        raise RegistryError(
            f"{client.transport.root.host} stored {what} as {told[:80]}, expected {content.digest}."
        )
    return subject


def put_blobs(
    client: Client,
    content: Content,
    *,
    mount_from: Sequence[str] = (),
    progress: Progress | None = None,
) -> dict[str, Outcome]:
    """Upload the blobs that a repository lacks, several at once; return the outcome of each.

    Raises:
        RegistryError: the registry refuses a blob.
    """
    pool = ThreadPoolExecutor(AT_ONCE)
    try:
        under_way = {
            digest: pool.submit(put_blob, client, blob, mount_from=mount_from, progress=progress)
            for digest, blob in _blobs(content).items()
        }
        return {digest: each.result() for digest, each in under_way.items()}
    finally:
        pool.shutdown(cancel_futures=True)


def _blobs(content: Content) -> dict[str, bytes | Layer]:
    configs = {image.config_descriptor.digest: image.config for image in images_of(content)}
    return {**layers_of(content), **configs}


def _size(blob: bytes | Layer) -> int:
    return len(blob) if isinstance(blob, bytes) else blob.descriptor.size
