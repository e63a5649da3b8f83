"""Media types: the OCI's, which are written and read, and Docker's, which are only read."""

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
    """Return the OCI media type of a layer with compression ``none``, ``gzip`` or ``zstd``."""
    return _LAYERS[compression]


def compression_of(media_type: str) -> str | None:
    """Return the compression of this layer type; None if it is not a file-system layer."""
    return _COMPRESSION.get(media_type)


def as_oci(media_type: str) -> str:
    """Return the OCI's name for one of Docker's layer types; the bytes are the same."""
    compression = compression_of(media_type)
    return media_type if compression is None else layer_type(compression)
