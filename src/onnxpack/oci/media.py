"""Media types: those of the OCI, which are written, and Docker's, which are read as well."""

from __future__ import annotations

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"
LAYER_GZIP = f"{LAYER}+gzip"
LAYER_ZSTD = f"{LAYER}+zstd"
EMPTY = "application/vnd.oci.empty.v1+json"

DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_INDEX = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar"
DOCKER_LAYER_GZIP = f"{DOCKER_LAYER}.gzip"
DOCKER_LAYER_ZSTD = f"{DOCKER_LAYER}.zstd"

MANIFESTS = frozenset({MANIFEST, DOCKER_MANIFEST})
INDEXES = frozenset({INDEX, DOCKER_INDEX})
CONFIGS = frozenset({CONFIG, DOCKER_CONFIG})

_COMPRESSION = {
    LAYER: "none",
    LAYER_GZIP: "gzip",
    LAYER_ZSTD: "zstd",
    DOCKER_LAYER: "none",
    DOCKER_LAYER_GZIP: "gzip",
    DOCKER_LAYER_ZSTD: "zstd",
}
_LAYERS = {"none": LAYER, "gzip": LAYER_GZIP, "zstd": LAYER_ZSTD}


def layer_type(compression: str) -> str:
    """The OCI's media type of a layer so compressed: ``none``, ``gzip`` or ``zstd``."""
    return _LAYERS[compression]


def compression_of(media_type: str) -> str | None:
    """How a layer of this type is compressed; None where it is no file-system layer."""
    return _COMPRESSION.get(media_type)


def as_oci(media_type: str) -> str:
    """The OCI's name for a type of Docker's; the bytes are the same."""
    compression = compression_of(media_type)
    return media_type if compression is None else layer_type(compression)
