"""Push an image to its registry, with its bill of materials attached."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from onnxpack.image.sbom import whole_bill
from onnxpack.oci.image import Image, make_artifact
from onnxpack.oci.layer.layer import blob_layer
from onnxpack.oci.reference import Reference
from onnxpack.oci.registry.connection import Connection
from onnxpack.oci.registry.push import Pushed, push
from onnxpack.oci.registry.referrers import attach
from onnxpack.oci.registry.transport import Patience
from onnxpack.oci.registry.upload import Progress
from onnxpack.oci.store.contents import Content, images_of

BILL_TYPE = "application/vnd.cyclonedx+json"
_NAME = {"org.opencontainers.image.title": "SBOM.cdx.json"}


@dataclass(frozen=True, slots=True)
class Published:
    """The result of publishing an image.

    Attributes:
        pushed: what the push did.
        bills: references to the bills of materials, one for each platform's image.
    """

    pushed: Pushed
    bills: tuple[Reference, ...]


def publish(
    content: Content,
    to: Reference,
    *,
    mount_from: Sequence[str] = (),
    patience: Patience | None = None,
    connection: Connection | None = None,
    progress: Progress | None = None,
) -> Published:
    """Push an image or index that was built here, with a bill of materials for each image.

    Args:
        content: the image or index.
        to: where to push.
        mount_from: repositories of the same registry that may have some of the blobs.
        patience: how often and how long to retry.
        connection: whether to use TLS, and whose certificates to accept.
        progress: called for each blob during its upload, from several threads.

    Raises:
        RegistryError: the registry refuses, or cannot be reached.
        ImageError: a model's bill, or the registry's list of attached artifacts, is malformed.
    """
    with TemporaryDirectory(prefix="onnxpack-") as folder:
        made = [_artifact(image, Path(folder)) for image in images_of(content)]
        pushed = push(
            content,
            to,
            mount_from=mount_from,
            patience=patience,
            connection=connection,
            progress=progress,
        )
        bills = [attach(each, to, patience=patience, connection=connection) for each in made]
        return Published(pushed, tuple(bills))


def _artifact(image: Image, folder: Path) -> Image:
    """Return the bill of an image as an artifact; the same image gives the same bytes."""
    path = folder / image.digest
    path.write_bytes(whole_bill(image))
    bill = blob_layer(path, BILL_TYPE, annotations=_NAME)
    return make_artifact([bill], artifact_type=BILL_TYPE, subject=image.descriptor)
