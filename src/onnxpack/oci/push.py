"""Pushing images and indexes: what the registry lacks, and each manifest to the byte."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from onnxpack.errors import RegistryError, UsageError
from onnxpack.oci.connection import Patience
from onnxpack.oci.contents import Content, images_of, layers_of
from onnxpack.oci.credentials import Credential
from onnxpack.oci.index import Index
from onnxpack.oci.layer import Layer
from onnxpack.oci.reference import Reference
from onnxpack.oci.refusal import refused
from onnxpack.oci.repository import Repository
from onnxpack.oci.upload import Outcome, Progress, put_blob

AT_ONCE = 3


@dataclass(frozen=True, slots=True)
class Pushed:
    """What a push did, blob by blob.

    Args:
        reference: the image by its digest.
        sent: digests of the blobs that were sent.
        mounted: of those that came from another repository.
        present: of those that were there.
        size: bytes of the blobs that were sent.
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
    progress: Progress | None = None,
) -> Pushed:
    """Push an image, or an index with all of its images.

    Args:
        content: what to push.
        to: where to; by tag, or by the digest that it has.
        mount_from: repositories of the same registry that may have some of the blobs.
        credential: who one is there; None looks where docker and podman keep it.
        patience: how long to try.
        progress: told of each blob as it gets there, from several threads.

    Raises:
        RegistryError: the registry refuses, or cannot be reached.
        UsageError: ``to`` has another digest.
    """
    if to.digest and to.digest != content.digest:
        raise UsageError(f"{to} cannot name what has the digest {content.digest}.")
    with Repository(to, credential=credential, patience=patience) as repository:
        outcomes = put_blobs(repository, content, mount_from=mount_from, progress=progress)
        if isinstance(content, Index):
            for image in content.images:
                put_manifest(repository, image, image.digest)
        put_manifest(repository, content, to.target)
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


def put_manifest(repository: Repository, content: Content, target: str) -> str:
    """Send a manifest as it is, under a tag or its digest.

    Gives the digest of the subject that the registry itself lists it under, if it does.

    Raises:
        RegistryError: the registry refuses it, or says that it is another.
    """
    what = f"the manifest {repository.name}:{target}"
    with repository.connection.send(
        "PUT",
        repository.url(f"manifests/{target}"),
        scopes=repository.writing,
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
            f"{repository.connection.root.host} took {what} for {told[:80]}, not {content.digest}."
        )
    return subject


def put_blobs(
    repository: Repository,
    content: Content,
    *,
    mount_from: Sequence[str] = (),
    progress: Progress | None = None,
) -> dict[str, Outcome]:
    """Send the blobs that a repository lacks, several at once; gives what became of each.

    Raises:
        RegistryError: the registry does not take one.
    """
    pool = ThreadPoolExecutor(AT_ONCE)
    try:
        under_way = {
            digest: pool.submit(
                put_blob, repository, blob, mount_from=mount_from, progress=progress
            )
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
