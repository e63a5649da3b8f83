"""Attach artifacts to an image and list them: bills of materials, signatures and others.

An attached artifact names the image as its subject. A registry with the API of the distribution
spec 1.1 lists such artifacts itself. For any other registry, a tag made from the image's digest
points to an index of them.
"""

from __future__ import annotations

from dataclasses import replace

from onnxpack.errors import ImageError, RegistryError, UsageError
from onnxpack.oci import media
from onnxpack.oci.descriptor import Descriptor
from onnxpack.oci.digest import hex_of
from onnxpack.oci.document import decode, encode, strings
from onnxpack.oci.image import Image
from onnxpack.oci.index import Index, members
from onnxpack.oci.reference import Reference
from onnxpack.oci.registry.address import follow, httpx, same_origin
from onnxpack.oci.registry.client import Client, bare
from onnxpack.oci.registry.connection import Connection
from onnxpack.oci.registry.credentials import Credential
from onnxpack.oci.registry.push import put_blobs, put_manifest
from onnxpack.oci.registry.response import read, refused
from onnxpack.oci.registry.transport import Patience

MAX_PAGES = 20


def attach(
    artifact: Image,
    to: Reference,
    *,
    credential: Credential | None = None,
    patience: Patience | None = None,
    connection: Connection | None = None,
) -> Reference:
    """Push an artifact that has a subject, list it there, and return its reference by digest.

    No registry updates the tag in one step: it is read and written again. If two artifacts are
    attached to one image at the same moment, the tag may miss one of them.

    Args:
        artifact: an artifact made with its ``subject``.
        to: repository of the subject; tag and digest are ignored.
        credential: credential for the registry; None looks where docker and podman keep it.
        patience: how often and how long to retry.
        connection: whether to use TLS, and whose certificates to accept.

    Raises:
        UsageError: the artifact has no subject.
        RegistryError: the registry refuses, or cannot be reached.
        ImageError: the list of attached artifacts is malformed.
    """
    subject = artifact.subject
    if subject is None:
        raise UsageError("an artifact without a subject is attached to nothing.")
    with Client(to, credential=credential, patience=patience, connection=connection) as client:
        put_blobs(client, artifact)
        if put_manifest(client, artifact, artifact.digest) != subject.digest:
            _add(client, subject, _listed_as(artifact))
    return replace(to, tag="", digest=artifact.digest)


def attached(
    to: Reference,
    subject: str,
    *,
    artifact_type: str = "",
    credential: Credential | None = None,
    patience: Patience | None = None,
    connection: Connection | None = None,
) -> tuple[Descriptor, ...]:
    """Return the descriptors of the artifacts attached to a manifest.

    Args:
        to: repository of the manifest.
        subject: digest of the manifest.
        artifact_type: media type of the artifacts to return; empty returns all.
        credential: credential for the registry; None looks where docker and podman keep it.
        patience: how often and how long to retry.
        connection: whether to use TLS, and whose certificates to accept.

    Raises:
        RegistryError: the registry refuses, or cannot be reached.
        ImageError: the list of attached artifacts is malformed.
    """
    with Client(to, credential=credential, patience=patience, connection=connection) as client:
        found = _by_api(client, subject)
        if found is None:
            found = members(_by_tag(client, subject), what=tag_of(subject))
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


def _add(client: Client, subject: Descriptor, artifact: Descriptor) -> None:
    """Add an artifact to the tag's index; its other entries are kept."""
    tag = tag_of(subject.digest)
    content = _by_tag(client, subject.digest)
    known = members(content, what=tag)
    if any(each.digest == artifact.digest for each in known):
        return
    document = decode(content, what=tag)
    document["manifests"] = [*document["manifests"], artifact.to_json()]
    put_manifest(client, Index(encode(document), ()), tag)


def _by_tag(client: Client, subject: str) -> bytes:
    """Return the tag's index, or an empty index if there is none yet."""
    tag = tag_of(subject)
    found = client.find_manifest(tag)
    if found is None:
        return encode({"schemaVersion": 2, "mediaType": media.INDEX, "manifests": []})
    about, content = found
    if about.media_type != media.INDEX:
        raise ImageError(
            f"{client.name}:{tag} is {about.media_type}, not an index of what is attached.",
            remedy="delete this tag: it is reserved for that index",
        )
    return content


def _by_api(client: Client, subject: str) -> tuple[Descriptor, ...] | None:
    """Return what the registry lists, from all pages; None if it has no such API."""
    root = client.transport.root
    url, found = root.join(client.url(f"referrers/{subject}")), list[Descriptor]()
    for _ in range(MAX_PAGES):
        with client.transport.send(
            "GET", url, scopes=client.reading, headers={"Accept": media.INDEX}
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
