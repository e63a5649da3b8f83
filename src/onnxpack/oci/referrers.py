"""Attach artifacts to an image and list them: bills of materials, signatures and others.

An attached artifact names the image as its subject. A registry with the API of the distribution
spec 1.1 lists such artifacts itself. For any other registry, a tag made from the image's digest
points to an index of them.
"""

from __future__ import annotations

from dataclasses import replace

from onnxpack.errors import ImageError, RegistryError, UsageError
from onnxpack.oci import media
from onnxpack.oci.address import follow, httpx, same_origin
from onnxpack.oci.connection import Patience
from onnxpack.oci.credentials import Credential
from onnxpack.oci.descriptor import Descriptor
from onnxpack.oci.digest import hex_of
from onnxpack.oci.document import decode, encode, strings
from onnxpack.oci.image import Image
from onnxpack.oci.index import Index, members
from onnxpack.oci.push import put_blobs, put_manifest
from onnxpack.oci.reference import Reference
from onnxpack.oci.refusal import read, refused
from onnxpack.oci.repository import Repository, bare

MAX_PAGES = 20


def attach(
    artifact: Image,
    to: Reference,
    *,
    credential: Credential | None = None,
    patience: Patience | None = None,
) -> Reference:
    """Push an artifact that has a subject, list it there, and return its reference by digest.

    No registry updates the tag in one step: it is read and written again. If two artifacts are
    attached to one image at the same moment, the tag may miss one of them.

    Args:
        artifact: an artifact made with its ``subject``.
        to: repository of the subject; tag and digest are ignored.
        credential: credential for the registry; None looks where docker and podman keep it.
        patience: how often and how long to retry.

    Raises:
        UsageError: the artifact has no subject.
        RegistryError: the registry refuses, or cannot be reached.
        ImageError: the list of attached artifacts is malformed.
    """
    subject = artifact.subject
    if subject is None:
        raise UsageError("an artifact without a subject is attached to nothing.")
    with Repository(to, credential=credential, patience=patience) as repository:
        put_blobs(repository, artifact)
        if put_manifest(repository, artifact, artifact.digest) != subject.digest:
            _add(repository, subject, _listed_as(artifact))
    return replace(to, tag="", digest=artifact.digest)


def attached(
    to: Reference,
    subject: str,
    *,
    artifact_type: str = "",
    credential: Credential | None = None,
    patience: Patience | None = None,
) -> tuple[Descriptor, ...]:
    """Return the descriptors of the artifacts attached to a manifest.

    Args:
        to: repository of the manifest.
        subject: digest of the manifest.
        artifact_type: media type of the artifacts to return; empty returns all.
        credential: credential for the registry; None looks where docker and podman keep it.
        patience: how often and how long to retry.

    Raises:
        RegistryError: the registry refuses, or cannot be reached.
        ImageError: the list of attached artifacts is malformed.
    """
    with Repository(to, credential=credential, patience=patience) as repository:
        found = _by_api(repository, subject)
        if found is None:
            found = members(_by_tag(repository, subject), what=tag_of(subject))
    return tuple(each for each in found if artifact_type in ("", each.artifact_type))


def tag_of(subject: str) -> str:
    """Return the tag of the index of attached artifacts, for registries without an API for it.

    Raises:
        ImageError: the subject is not a digest.
    """
    return f"sha256-{hex_of(subject)}"


def _listed_as(artifact: Image) -> Descriptor:
    document = decode(artifact.manifest, what="the manifest")
    return Descriptor(
        artifact.media_type,
        artifact.digest,
        len(artifact.manifest),
        annotations=strings(document.get("annotations"), what="the annotations"),
        artifact_type=document.get("artifactType") or artifact.config_descriptor.media_type,
    )


def _add(repository: Repository, subject: Descriptor, artifact: Descriptor) -> None:
    """Add an artifact to the tag's index; its other entries are kept."""
    tag = tag_of(subject.digest)
    content = _by_tag(repository, subject.digest)
    known = members(content, what=tag)
    if any(each.digest == artifact.digest for each in known):
        return
    document = decode(content, what=tag)
    document["manifests"] = [*document["manifests"], artifact.to_json()]
    put_manifest(repository, Index(encode(document), ()), tag)


def _by_tag(repository: Repository, subject: str) -> bytes:
    """Return the tag's index, or an empty index if there is none yet."""
    tag = tag_of(subject)
    found = repository.find_manifest(tag)
    if found is None:
        return encode({"schemaVersion": 2, "mediaType": media.INDEX, "manifests": []})
    about, content = found
    if about.media_type != media.INDEX:
        raise ImageError(
            f"{repository.name}:{tag} is {about.media_type}, not an index of what is attached.",
            remedy="delete this tag: it is reserved for that index",
        )
    return content


def _by_api(repository: Repository, subject: str) -> tuple[Descriptor, ...] | None:
    """Return what the registry lists, from all pages; None if it has no such API."""
    root = repository.connection.root
    url, found = root.join(repository.url(f"referrers/{subject}")), list[Descriptor]()
    for _ in range(MAX_PAGES):
        with repository.connection.send(
            "GET", url, scopes=repository.reading, headers={"Accept": media.INDEX}
        ) as answer:
            if answer.status_code == 404:
                return None
            if answer.status_code != 200:
                raise refused(answer, f"the list of what is attached to {subject}")
            if bare(answer.headers.get("content-type", "")) != media.INDEX:
                return None
            found += members(read(answer), what=f"the list of {root.host}")
            following = answer.links.get("next", {}).get("url")
        if following is None:
            return tuple(found)
        url = _next(url, following)
    raise RegistryError(f"{root.host} lists what is attached on more than {MAX_PAGES} pages.")


def _next(url: httpx.URL, following: str) -> httpx.URL:
    found = follow(url, following, why="a list")
    if not same_origin(found, url):
        raise RegistryError(f"{url.host} continues a list at {found.host}, which is refused.")
    return found
