"""The config of an image: entry point, user, environment and labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from onnxpack.image.additions import ENVIRONMENT, Additions
from onnxpack.image.base import interpreter
from onnxpack.pack.model import Pack

USER = f"{interpreter.USER}:{interpreter.USER}"
PORT = 8000
GRPC_PORT = 8001
SECOND = 10**9


def config(packs: Sequence[Pack], python: str, additions: Additions) -> dict[str, Any]:
    """Return the part of an image's config that is the same on every base.

    Args:
        packs: the packs to serve.
        python: path of the image's Python.
        additions: what the user adds.
    """
    module = [python, "-m"]
    ports = [PORT, *([GRPC_PORT] if additions.grpc else [])]
    return {
        "Entrypoint": [
            *module, "onnxpack.server", *map(_served, packs), "--host", "0.0.0.0",  # noqa: S104
            *(["--grpc-port", str(GRPC_PORT)] if additions.grpc else []),
        ],
        "Cmd": [],
        "Env": [f"{name}={value}" for name, value in {**ENVIRONMENT, **additions.env}.items()],
        "User": USER,
        "WorkingDir": "/",
        "ExposedPorts": {f"{port}/tcp": {} for port in ports},
        "StopSignal": "SIGTERM",
        "Healthcheck": {
            "Test": ["CMD", *module, "onnxpack.server.alive"],
            "Interval": 10 * SECOND, "Timeout": 5 * SECOND, "StartPeriod": 60 * SECOND,
        },
    }  # fmt: skip


def _served(pack: Pack) -> str:
    folder = f"/model/{pack.name}"
    return f"{folder}/{pack.path.name}" if pack.path.is_file() else folder


def labels(packs: Sequence[Pack], additions: Additions) -> dict[str, str]:
    """Return the labels that describe the packs, and those that the user adds."""
    own = _of_one(packs[0]) if len(packs) == 1 else _of_several(packs)
    return {name: value for name, value in own.items() if value} | dict(additions.labels)


def _of_one(pack: Pack) -> dict[str, str]:
    manifest = pack.manifest
    return {
        "org.opencontainers.image.title": pack.name,
        "org.opencontainers.image.version": manifest.version if manifest else "",
        "org.opencontainers.image.description": manifest.description if manifest else "",
        "org.opencontainers.image.licenses": (manifest.license or "") if manifest else "",
        "onnxpack.pack.digest": pack.digest or "",
    }


def _of_several(packs: Sequence[Pack]) -> dict[str, str]:
    """Return labels without version, description and licence: each pack has its own."""
    return {
        "org.opencontainers.image.title": ", ".join(pack.name for pack in packs),
        "onnxpack.packs": " ".join(map(_named, packs)),
    }


def _named(pack: Pack) -> str:
    version = f":{pack.manifest.version}" if pack.manifest else ""
    return f"{pack.name}{version}{f'@{pack.digest}' if pack.digest else ''}"
