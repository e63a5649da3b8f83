"""The config of an image: entry point, user, environment and labels."""

from __future__ import annotations

from typing import Any

from onnxpack.image.runtime.layer import PREFIX
from onnxpack.pack.model import Pack

USER = "65532:65532"
PORT = 8000
SECOND = 10**9


def config(pack: Pack, interpreter: str) -> dict[str, Any]:
    """Return the part of an image's config that is the same on every base.

    Args:
        pack: the pack to serve.
        interpreter: path of the image's Python.
    """
    served = f"/model/{pack.name}"
    if pack.path.is_file():
        served = f"{served}/{pack.path.name}"
    python = [interpreter, "-m"]
    return {
        "Entrypoint": [*python, "onnxpack.server", served, "--host", "0.0.0.0"],  # noqa: S104
        "Cmd": [],
        "Env": [
            f"PYTHONPATH=/{PREFIX}", "PYTHONDONTWRITEBYTECODE=1", "PYTHONNOUSERSITE=1",
            "PYTHONUNBUFFERED=1", "ORT_DISABLE_TELEMETRY=1",
        ],
        "User": USER,
        "WorkingDir": "/",
        "ExposedPorts": {f"{PORT}/tcp": {}},
        "StopSignal": "SIGTERM",
        "Healthcheck": {
            "Test": ["CMD", *python, "onnxpack.server.alive"],
            "Interval": 10 * SECOND, "Timeout": 5 * SECOND, "StartPeriod": 60 * SECOND,
        },
    }  # fmt: skip


def labels(pack: Pack) -> dict[str, str]:
    """Return the labels that describe the pack."""
    manifest = pack.manifest
    found = {
        "org.opencontainers.image.title": pack.name,
        "org.opencontainers.image.version": manifest.version if manifest else "",
        "org.opencontainers.image.description": manifest.description if manifest else "",
        "org.opencontainers.image.licenses": (manifest.license or "") if manifest else "",
        "onnxpack.pack.digest": pack.digest or "",
    }
    return {name: value for name, value in found.items() if value}
