"""What a registry offers, by the distribution spec: manifests and blobs of one repository."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import Self

from onnxpack.errors import RegistryError
from onnxpack.oci import media
from onnxpack.oci.address import httpx
from onnxpack.oci.auth import Scopes
from onnxpack.oci.connection import Connection, Patience
from onnxpack.oci.credentials import Credential, find_credential
from onnxpack.oci.descriptor import Descriptor
from onnxpack.oci.digest import digest_of, is_digest
from onnxpack.oci.document import MAX_BYTES
from onnxpack.oci.fresh import fresh_file
from onnxpack.oci.reference import Reference
from onnxpack.oci.refusal import BrokenError, pieces, read, refused

ACCEPT = ", ".join(sorted(media.MANIFESTS | media.INDEXES))
_DIGEST = "docker-content-digest"


class Repository:
    """One repository of a registry; for several threads.

    Args:
        name: an image in it; of its tag and digest nothing is taken.
        credential: who one is there; None looks where docker and podman keep it.
        patience: how long to try.
    """

    def __init__(
        self,
        name: Reference,
        *,
        credential: Credential | None = None,
        patience: Patience | None = None,
    ) -> None:
        self.name = name.repository
        self.connection = Connection(
            name.url, credential or find_credential(name.registry), patience
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.connection.close()

    @property
    def reading(self) -> Scopes:
        """The scopes that reading wants."""
        return (f"repository:{self.name}:pull",)

    @property
    def writing(self) -> Scopes:
        """The scopes that writing wants."""
        return (f"repository:{self.name}:pull,push",)

    def url(self, rest: str) -> str:
        """The path of something in the repository."""
        return f"/v2/{self.name}/{rest}"

    def ping(self) -> None:
        """Find out that a registry is there, and lets us in.

        Raises:
            RegistryError: neither.
        """
        with self.connection.send("GET", "/v2/") as answer:
            if answer.status_code != 200:
                raise refused(answer, "to be a registry")

    def resolve(self, target: str) -> Descriptor:
        """What a tag or a digest stands for.

        Raises:
            RegistryError: the registry does not have it, or does not tell.
        """
        url = self.url(f"manifests/{target}")
        with self.connection.send(
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
        """A manifest or an index, to the byte, by its tag or digest.

        Raises:
            RegistryError: the registry does not have it, or it is not what it should be.
        """
        with self._get_manifest(target) as answer:
            return self._manifest(target, answer)

    def find_manifest(self, target: str) -> tuple[Descriptor, bytes] | None:
        """The same, or nothing where the registry does not have it.

        Raises:
            RegistryError: it is not what it should be, or the registry does not tell.
        """
        with self._get_manifest(target) as answer:
            return None if answer.status_code == 404 else self._manifest(target, answer)

    def _get_manifest(self, target: str) -> AbstractContextManager[httpx.Response]:
        url = self.url(f"manifests/{target}")
        return self.connection.send("GET", url, scopes=self.reading, headers={"Accept": ACCEPT})

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
        """Whether a blob is there.

        Raises:
            RegistryError: the registry does not tell.
        """
        url = self.url(f"blobs/{digest}")
        with self.connection.send("HEAD", url, scopes=self.writing) as answer:
            if answer.status_code not in (200, 404):
                raise refused(answer, f"to tell of {digest}")
            return answer.status_code == 200

    def read_blob(self, descriptor: Descriptor) -> bytes:
        """A small blob, such as a config.

        Raises:
            RegistryError: it is not there, too big, or not what it should be.
        """
        if descriptor.size > MAX_BYTES:
            raise self._false(f"a config of {descriptor.size} bytes", f"at most {MAX_BYTES}")
        content = b"".join(self.blob(descriptor))
        if digest_of(content) != descriptor.digest:
            raise self._false(f"a blob with the digest {digest_of(content)}", descriptor.digest)
        return content

    def fetch_blob(self, descriptor: Descriptor, to: Path) -> None:
        """Bring a blob to a file, whole or not at all, its size and digest checked.

        Raises:
            RegistryError: it is not there, or not what it should be.
            ImageError: the file cannot be written.
        """
        with fresh_file(to) as target:
            found = hashlib.sha256()
            for piece in self.blob(descriptor):
                found.update(piece)
                target.write(piece)
            if f"sha256:{found.hexdigest()}" != descriptor.digest:
                raise self._false(
                    f"a blob with the digest sha256:{found.hexdigest()}", descriptor.digest
                )

    def blob(self, descriptor: Descriptor) -> Iterator[bytes]:
        """The bytes of a blob as they come, as many as were announced, its digest unchecked.

        When the line breaks it goes on where it broke.

        Raises:
            RegistryError: it is not there, has another size, or the line breaks too often.
        """
        done, patience = 0, self.connection.patience
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
        """A blob from a byte on; a registry that knows no ranges sends it all again."""
        url = self.url(f"blobs/{descriptor.digest}")
        headers = {"Range": f"bytes={start}-"} if start else {}
        with self.connection.send("GET", url, scopes=self.reading, headers=headers) as answer:
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
            f"{self.connection.root.host} gives {found} for {self.name}, not {expected}.",
            remedy="do not trust what this registry sends",
        )


def bare(kind: str) -> str:
    """A media type without its parameters."""
    return kind.partition(";")[0].strip()[:200]
