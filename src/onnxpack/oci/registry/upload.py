"""Upload a blob to a repository: mounted, whole, or in chunks that resume after a break."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Literal, TypeAlias

from onnxpack.errors import RegistryError
from onnxpack.oci.digest import CHUNK, digest_of
from onnxpack.oci.layer.layer import Layer
from onnxpack.oci.registry.address import follow, httpx
from onnxpack.oci.registry.auth import Scopes
from onnxpack.oci.registry.client import Client
from onnxpack.oci.registry.response import BrokenError, refused

Outcome: TypeAlias = Literal["present", "mounted", "sent"]
# Called with a blob's digest, the number of bytes sent so far, and its size.
Progress: TypeAlias = Callable[[str, int, int], None]

# Blobs of more bytes than this are sent in chunks.
MONOLITHIC = 4 * 2**20
CHUNK_SIZE = 32 * 2**20
_RANGE = re.compile(r"(?:bytes=)?0-([0-9]{1,15})")
# The registry was busy, or disagrees about how far the upload came.
_BROKEN = frozenset({416, 429, 500, 502, 503, 504})


def put_blob(
    client: Client,
    blob: bytes | Layer,
    *,
    mount_from: Sequence[str] = (),
    progress: Progress | None = None,
) -> Outcome:
    """Upload a blob to a repository, by the shortest way.

    Args:
        client: client of the repository to upload to.
        blob: bytes, or a layer in its file.
        mount_from: repositories of the same registry that may have the blob.
        progress: called as the blob is uploaded.

    Raises:
        RegistryError: the registry refuses the blob.
    """
    return _Upload(client, blob, progress).run(mount_from)


class _Upload:
    """The upload of one blob: its URL, and how many bytes have arrived."""

    def __init__(self, client: Client, blob: bytes | Layer, progress: Progress | None) -> None:
        self._client = client
        self._blob = blob
        self._progress = progress
        self._place = client.transport.root
        self._done = 0
        self._lost = False
        if isinstance(blob, bytes):
            self._digest, self._size = digest_of(blob), len(blob)
        else:
            self._digest, self._size = blob.descriptor.digest, blob.descriptor.size

    def run(self, mount_from: Sequence[str]) -> Outcome:
        if self._client.has_blob(self._digest):
            return "present"
        if any(self._mount(other) for other in mount_from if other != self._client.name):
            return "mounted"
        self._begin()
        patience = self._client.transport.patience
        for attempt in range(patience.attempts):
            try:
                self._send()
                break
            except BrokenError:
                if attempt == patience.attempts - 1:
                    raise
                patience.wait(attempt)
                if self._client.has_blob(self._digest):
                    break
                if self._lost:
                    self._begin()
                else:
                    self._resume()
        return "sent"

    def _mount(self, other: str) -> bool:
        """Mount the blob from another repository; a refusal begins an upload instead."""
        scopes = (*self._client.writing, f"repository:{other}:pull")
        return self._post({"mount": self._digest, "from": other}, scopes) == 201

    def _begin(self) -> None:
        self._done, self._lost = 0, False
        self._post({}, self._client.writing)

    def _post(self, parameters: dict[str, str], scopes: Scopes) -> int:
        url = httpx.URL(self._client.url("blobs/uploads/"), params=parameters)
        # Beginning twice leaves an unfinished upload behind: registries remove those.
        with self._client.transport.send(
            "POST", url, scopes=scopes, body=b"", repeatable=True
        ) as answer:
            if answer.status_code == 202:
                self._move(answer)
            elif not parameters or (answer.status_code != 201 and answer.status_code >= 500):
                raise refused(answer, f"the upload of {self._digest}")
            return answer.status_code

    def _send(self) -> None:
        if self._size <= MONOLITHIC:
            self._finish(0)
            return
        while self._done < self._size:
            self._patch(min(self._done + CHUNK_SIZE, self._size))
        self._finish(self._size)

    def _patch(self, stop: int) -> None:
        headers = {
            "Content-Type": "application/octet-stream",
            "Content-Length": str(stop - self._done),
            "Content-Range": f"{self._done}-{stop - 1}",
        }
        with self._client.transport.send(
            "PATCH",
            self._place,
            scopes=self._client.writing,
            headers=headers,
            body=lambda: self._part(self._done, stop),
        ) as answer:
            self._accept(answer, 202)
            self._move(answer)
        self._done = stop

    def _finish(self, start: int) -> None:
        """Send the bytes from ``start`` on, and state the digest of the whole blob."""
        headers = {
            "Content-Type": "application/octet-stream",
            "Content-Length": str(self._size - start),
        }
        with self._client.transport.send(
            "PUT",
            self._place.copy_merge_params({"digest": self._digest}),
            scopes=self._client.writing,
            headers=headers,
            body=lambda: self._part(start, self._size),
        ) as answer:
            self._accept(answer, 201)

    def _accept(self, answer: httpx.Response, status: int) -> None:
        # After a broken chunk docker-registry can find its own upload invalid and answers 404.
        self._lost = answer.status_code == 404
        if self._lost or answer.status_code in _BROKEN:
            raise BrokenError(refused(answer, f"the upload of {self._digest}").message)
        if answer.status_code != status:
            raise refused(answer, f"the upload of {self._digest}")

    def _resume(self) -> None:
        """Ask how far the upload came; start again if the registry no longer knows it."""
        if self._size <= MONOLITHIC:
            self._begin()
            return
        with self._client.transport.send("GET", self._place, scopes=self._client.writing) as answer:
            told = _RANGE.fullmatch(answer.headers.get("range", ""))
            if answer.status_code == 204 and told is not None and int(told[1]) < self._size:
                # Range names the last byte received; it is also 0 if nothing was received.
                self._done = int(told[1]) + 1 if int(told[1]) else 0
                if "location" in answer.headers:
                    self._move(answer)
                return
        self._begin()

    def _move(self, answer: httpx.Response) -> None:
        location = answer.headers.get("location")
        if not location:
            raise RegistryError(f"{answer.url.host} does not say where to upload to.")
        self._place = follow(answer.url, location, why="an upload")

    def _part(self, start: int, stop: int) -> Iterator[bytes]:
        if isinstance(self._blob, bytes):
            yield self._blob[start:stop]
            return
        with self._blob.open(start=start) as source:
            while start < stop and (piece := source.read(min(CHUNK, stop - start))):
                yield piece
                start += len(piece)
                if self._progress is not None:
                    self._progress(self._digest, start, self._size)
