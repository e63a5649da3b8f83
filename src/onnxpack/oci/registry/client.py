"""Read and write the manifests and blobs of one repository, by the OCI distribution spec."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import Self

from onnxpack.errors import RegistryError
from onnxpack.oci import media
from onnxpack.oci.descriptor import Descriptor
from onnxpack.oci.digest import digest_of, is_digest
from onnxpack.oci.document import MAX_BYTES
from onnxpack.oci.reference import Reference
from onnxpack.oci.registry.address import httpx
from onnxpack.oci.registry.auth import Scopes
from onnxpack.oci.registry.connection import Connection
from onnxpack.oci.registry.credentials import Credential, find_credential
from onnxpack.oci.registry.response import BrokenError, pieces, read, refused
from onnxpack.oci.registry.transport import Patience, Transport
from onnxpack.oci.store.atomic import atomic_file

ACCEPT = ", ".join(sorted(media.MANIFESTS | media.INDEXES))
_DIGEST = "docker-content-digest"


class Client:
    """A client of one repository in a registry; safe to use from several threads.

    Args:
        name: an image in the repository; tag and digest are ignored.
        credential: credential for the registry; None looks where docker and podman keep it.
        patience: how often and how long to retry.
        connection: whether to use TLS, and whose certificates to accept.
    """

    def __init__(
        self,
        name: Reference,
        *,
        credential: Credential | None = None,
        patience: Patience | None = None,
        connection: Connection | None = None,
    ) -> None:
        self.name = name.repository
        url = (connection or Connection()).root(name)
        known = credential or find_credential(name.registry)
        self.transport = Transport(url, known, patience, connection)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.transport.close()

    @property
    def reading(self) -> Scopes:
        """The scopes that reading needs."""
        return (f"repository:{self.name}:pull",)

    @property
    def writing(self) -> Scopes:
        """The scopes that writing needs."""
        return (f"repository:{self.name}:pull,push",)

    def url(self, rest: str) -> str:
        """Return the path of a resource in the repository."""
        return f"/v2/{self.name}/{rest}"

    def ping(self) -> None:
        """Check that the registry is there and allows access.

        Raises:
            RegistryError: the registry is not there, or denies access.
        """
        with self.transport.send("GET", "/v2/") as answer:
            if answer.status_code != 200:
                raise refused(answer, "the registry API")

    def resolve(self, target: str) -> Descriptor:
        """Return the descriptor that a tag or a digest stands for.

        Raises:
            RegistryError: the registry does not have it, or does not answer properly.
        """
        url = self.url(f"manifests/{target}")
        with self.transport.send(
            "HEAD", url, scopes=self.reading, headers={"Accept": ACCEPT}
        ) as answer:
            if answer.status_code != 200:
                raise refused(answer, f"{self.name}:{target}")
            digest, size = answer.headers.get(_DIGEST), answer.headers.get("content-length", "")
            kind = answer.headers.get("content-type", "")
        if not is_digest(digest) or not size.isdecimal() or not kind:
            return self.manifest(target)[0]
        self._check(target, digest)
        if int(size) > MAX_BYTES:
            raise RegistryError(
                f"{self.name}:{target} has a manifest of more than {MAX_BYTES} bytes."
            )
        return Descriptor(bare(kind), digest, int(size))

    def manifest(self, target: str) -> tuple[Descriptor, bytes]:
        """Return the descriptor and exact bytes of a manifest or index, by tag or digest.

        Raises:
            RegistryError: the registry does not have it, or sends something else.
        """
        with self._get_manifest(target) as answer:
            return self._manifest(target, answer)

    def find_manifest(self, target: str) -> tuple[Descriptor, bytes] | None:
        """Return a manifest as ``manifest`` does, or None if the registry does not have it.

        Raises:
            RegistryError: the registry sends something else, or does not answer properly.
        """
        with self._get_manifest(target) as answer:
            return None if answer.status_code == 404 else self._manifest(target, answer)

    def _get_manifest(self, target: str) -> AbstractContextManager[httpx.Response]:
        url = self.url(f"manifests/{target}")
        return self.transport.send("GET", url, scopes=self.reading, headers={"Accept": ACCEPT})

    def _manifest(self, target: str, answer: httpx.Response) -> tuple[Descriptor, bytes]:
        if answer.status_code != 200:
            raise refused(answer, f"{self.name}:{target}")
        content = read(answer)
        kind = bare(answer.headers.get("content-type", ""))
        told = answer.headers.get(_DIGEST)
        digest = digest_of(content)
        self._check(target, digest)
        if told is not None and told != digest:
            raise self._false(f"a manifest with the digest {digest}", told[:80])
        return Descriptor(kind or media.MANIFEST, digest, len(content)), content

    def has_blob(self, digest: str) -> bool:
        """Return whether the registry has a blob.

        Raises:
            RegistryError: the registry does not answer properly.
        """
        url = self.url(f"blobs/{digest}")
        with self.transport.send("HEAD", url, scopes=self.writing) as answer:
            if answer.status_code not in (200, 404):
                raise refused(answer, f"information about {digest}")
            return answer.status_code == 200

    def read_blob(self, descriptor: Descriptor) -> bytes:
        """Return a small blob, such as a config, after checking its digest.

        Raises:
            RegistryError: the blob is missing, too big, or has another digest.
        """
        if descriptor.size > MAX_BYTES:
            raise self._false(f"a config of {descriptor.size} bytes", f"at most {MAX_BYTES}")
        content = b"".join(self.blob(descriptor))
        if digest_of(content) != descriptor.digest:
            raise self._false(f"a blob with the digest {digest_of(content)}", descriptor.digest)
        return content

    def fetch_blob(self, descriptor: Descriptor, to: Path) -> None:
        """Download a blob to a file, completely or not at all, and check its size and digest.

        Raises:
            RegistryError: the blob is missing, or has another size or digest.
            ImageError: the file cannot be written.
        """
        with atomic_file(to) as target:
            found = hashlib.sha256()
            for piece in self.blob(descriptor):
                found.update(piece)
                target.write(piece)
            if f"sha256:{found.hexdigest()}" != descriptor.digest:
                raise self._false(
                    f"a blob with the digest sha256:{found.hexdigest()}", descriptor.digest
                )

    def blob(self, descriptor: Descriptor) -> Iterator[bytes]:
        """Yield the bytes of a blob as they arrive, with the size checked but not the digest.

        If the connection breaks, the download continues where it stopped.

        Raises:
            RegistryError: the blob is missing, has another size, or the connection breaks too
                often.
        """
        done, patience = 0, self.transport.patience
        for attempt in range(patience.attempts):
            try:
                for piece in self._from(descriptor, done):
                    done += len(piece)
                    if done > descriptor.size:
                        raise self._false("a longer blob", f"{descriptor.size} bytes")
                    yield piece
            except BrokenError:
                if attempt == patience.attempts - 1:
                    raise
                patience.wait(attempt)
            else:
                break
        if done != descriptor.size:
            raise self._false(f"a blob of {done} bytes", f"{descriptor.size}")

    def _from(self, descriptor: Descriptor, start: int) -> Iterator[bytes]:
        """Yield a blob from byte ``start`` on, even if the registry ignores ranges."""
        url = self.url(f"blobs/{descriptor.digest}")
        headers = {"Range": f"bytes={start}-"} if start else {}
        with self.transport.send("GET", url, scopes=self.reading, headers=headers) as answer:
            if answer.status_code not in ((200, 206) if start else (200,)):
                raise refused(answer, f"the blob {descriptor.digest}")
            skip = start if answer.status_code == 200 else 0
            for piece in pieces(answer):
                yield piece[skip:]
                skip = max(0, skip - len(piece))

    def _check(self, target: str, digest: str) -> None:
        if is_digest(target) and digest != target:
            raise self._false(f"a manifest with the digest {digest}", target)

    def _false(self, found: str, expected: str) -> RegistryError:
        return RegistryError(
            f"{self.transport.root.host} returned {found} for {self.name}, expected {expected}.",
            remedy="do not trust what this registry sends",
        )


def bare(kind: str) -> str:
    """Return a media type without its parameters."""
    return kind.partition(";")[0].strip()[:200]
