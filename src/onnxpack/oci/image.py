"""Images: a manifest, a config and layers, as exact bytes. A change gives a new image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from onnxpack.errors import ImageError
from onnxpack.oci import media
from onnxpack.oci.descriptor import Descriptor
from onnxpack.oci.digest import digest_of
from onnxpack.oci.document import decode, encode, objects, strings
from onnxpack.oci.layer.layer import Layer
from onnxpack.oci.platform import Platform


@dataclass(frozen=True, slots=True)
class Image:
    """An image or an artifact: exact bytes, and where its layers are stored on this machine."""

    manifest: bytes
    config: bytes
    layers: tuple[Layer, ...]

    @property
    def digest(self) -> str:
        """The digest of the manifest, which identifies the image."""
        return digest_of(self.manifest)

    @property
    def size(self) -> int:
        """Bytes in a registry: the manifest, the config, and the compressed layers."""
        blobs = {layer.descriptor.digest: layer.descriptor.size for layer in self.layers}
        return len(self.manifest) + len(self.config) + sum(blobs.values())

    @property
    def media_type(self) -> str:
        """The media type that the manifest states."""
        return str(decode(self.manifest, what="the manifest").get("mediaType") or media.MANIFEST)

    @property
    def config_descriptor(self) -> Descriptor:
        """The descriptor of the config in the manifest."""
        found = decode(self.manifest, what="the manifest").get("config")
        return Descriptor.from_json(found, what="the config")

    @property
    def subject(self) -> Descriptor | None:
        """The descriptor of the manifest that this artifact is attached to, if any."""
        found = decode(self.manifest, what="the manifest").get("subject")
        return None if found is None else Descriptor.from_json(found, what="the subject")

    @property
    def settings(self) -> dict[str, Any]:
        """The config as a dict."""
        return decode(self.config, what="the config")

    @property
    def platform(self) -> Platform:
        """The platform that the image is for."""
        return Platform.from_json(self.settings, what="the config")

    @property
    def descriptor(self) -> Descriptor:
        """The descriptor of the manifest, as an index lists it."""
        found = decode(self.manifest, what="the manifest")
        platform = self.platform
        return Descriptor(
            self.media_type,
            self.digest,
            len(self.manifest),
            platform=platform if platform.architecture else None,
            artifact_type=str(found.get("artifactType", "")),
        )


def make_image(
    layers: Sequence[Layer],
    *,
    config: Mapping[str, Any] | None = None,
    platform: Platform | None = None,
    created: int = 0,
    history: Sequence[str] = (),
    labels: Mapping[str, str] | None = None,
    annotations: Mapping[str, str] | None = None,
) -> Image:
    """Return an image made of layers.

    Args:
        layers: layers from bottom to top.
        config: ``Env``, ``Entrypoint``, ``Cmd``, ``WorkingDir``, ``User``, ``ExposedPorts`` …
        platform: platform that the image is for; linux/amd64 by default.
        created: creation time in seconds since 1970.
        history: one line for each layer that says how it was made.
        labels: labels in the config, shown by ``docker inspect``.
        annotations: annotations in the manifest, for registries.
    """
    settings = {**dict(config or {}), **({"Labels": dict(labels)} if labels else {})}
    document = {
        **(platform or Platform()).to_json(),
        "created": moment(created),
        "config": settings,
        "rootfs": {"type": "layers", "diff_ids": [layer.diff_id for layer in layers]},
        "history": _history(layers, history, created),
    }
    return _assemble(document, layers, annotations or {})


def append_layers(
    base: Image,
    layers: Sequence[Layer],
    *,
    config: Mapping[str, Any] | None = None,
    created: int = 0,
    history: Sequence[str] = (),
    labels: Mapping[str, str] | None = None,
    annotations: Mapping[str, str] | None = None,
) -> Image:
    """Return an image with layers added on top of a base.

    Args:
        base: image to build on; its platform and history are kept, its annotations are not.
        layers: layers to add, from bottom to top.
        config: settings that replace the base's key by key; ``Env`` is merged by name.
        created: creation time in seconds since 1970.
        history: one line for each added layer that says how it was made.
        labels: labels added to the base's.
        annotations: annotations in the manifest.

    Raises:
        ImageError: the base's config is malformed.
    """
    document = base.settings
    settings = _object(document, "config")
    changes = dict(config or {})
    if "Env" in changes:
        changes["Env"] = join_env(_env(settings), changes["Env"])
    merged = {**settings, **changes}
    known = strings(settings.get("Labels"), what="the base's labels")
    if known or labels:
        merged["Labels"] = {**known, **(labels or {})}
    past = _past(document)
    every = (*base.layers, *layers)
    document |= {
        "created": moment(created),
        "config": merged,
        "rootfs": {"type": "layers", "diff_ids": [layer.diff_id for layer in every]},
        "history": [*past, *_history(layers, history, created)],
    }
    return _assemble(document, every, annotations or {})


def image_of(
    config: bytes, layers: Sequence[Layer], *, annotations: Mapping[str, str] | None = None
) -> Image:
    """Return an image of a finished config and the layers that it lists."""
    about = Descriptor.of(config, media.CONFIG)
    return Image(_manifest(about, layers, annotations or {}), config, tuple(layers))


def make_artifact(
    layers: Sequence[Layer],
    *,
    artifact_type: str,
    config: bytes = b"{}",
    config_type: str = media.EMPTY,
    annotations: Mapping[str, str] | None = None,
    subject: Descriptor | None = None,
) -> Image:
    """Return an artifact: a manifest of blobs that are not a file system, with any config.

    Args:
        layers: the blobs.
        artifact_type: media type of the artifact.
        config: bytes of the config.
        config_type: media type of the config.
        annotations: annotations in the manifest.
        subject: descriptor of the manifest that the artifact is attached to;
            :func:`onnxpack.oci.registry.referrers.attach` pushes it so that it is found from there.
    """
    about = Descriptor.of(config, config_type)
    return Image(
        _manifest(about, layers, annotations or {}, artifact_type=artifact_type, subject=subject),
        config,
        tuple(layers),
    )


def join_env(base: Sequence[str], more: Sequence[str]) -> list[str]:
    """Merge two lists of ``NAME=value``; a later value replaces an earlier one of the same name."""
    found = {line.partition("=")[0]: line for line in base}
    found.update((line.partition("=")[0], line) for line in more)
    return list(found.values())


def moment(seconds: int) -> str:
    """Return seconds since 1970 as a timestamp in the form that images use."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _assemble(
    document: Mapping[str, Any], layers: Sequence[Layer], annotations: Mapping[str, str]
) -> Image:
    return image_of(encode(document), layers, annotations=annotations)


def _manifest(
    config: Descriptor,
    layers: Sequence[Layer],
    annotations: Mapping[str, str],
    *,
    artifact_type: str = "",
    subject: Descriptor | None = None,
) -> bytes:
    document: dict[str, Any] = {
        "schemaVersion": 2,
        "mediaType": media.MANIFEST,
        "config": config.to_json(),
        "layers": [_described(layer) for layer in layers],
    }
    if artifact_type:
        document["artifactType"] = artifact_type
    if subject is not None:
        plain = Descriptor(subject.media_type, subject.digest, subject.size)
        document["subject"] = plain.to_json()
    if annotations:
        document["annotations"] = dict(annotations)
    return encode(document)


def _described(layer: Layer) -> dict[str, Any]:
    """Return the layer's descriptor with the OCI's media type, which an OCI manifest needs."""
    found = layer.descriptor.to_json()
    return {**found, "mediaType": media.as_oci(layer.descriptor.media_type)}


def _history(layers: Sequence[Layer], lines: Sequence[str], created: int) -> list[dict[str, str]]:
    if lines and len(lines) != len(layers):
        raise ValueError(f"{len(lines)} lines of history for {len(layers)} layers")
    made = moment(created)
    return [{"created": made, "created_by": line} for line in lines or ["onnxpack"] * len(layers)]


def _past(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    found = document.get("history")
    return [] if found is None else objects(found, what="the base's history")


def _env(settings: Mapping[str, Any]) -> list[str]:
    found = settings.get("Env")
    if found is None:
        return []
    if not isinstance(found, list) or not all(isinstance(each, str) for each in found):
        raise ImageError("the base's Env is not a list of strings.")
    return found


def _object(document: Mapping[str, Any], key: str) -> dict[str, Any]:
    found = document.get(key)
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise ImageError(f"{key!r} in the base's config is not an object.")
    return found
