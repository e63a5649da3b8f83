"""Build a Dockerfile with a container engine, and serve it wheels from a folder."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from time import perf_counter
from typing import Any

from onnxpack.errors import ImageError, UsageError
from onnxpack.image.dockerfile import PIP_SETTINGS

COMMANDS = {
    "docker": ("docker", "build"),
    # Only Docker's format supports a health check.
    "podman": ("podman", "build", "--format", "docker"),
    "buildah": ("buildah", "build", "--format", "docker"),
}
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


def build_with(
    engine: str,
    folder: Path,
    name: str,
    *,
    arguments: Mapping[str, str] | None = None,
    wheels: Path | None = None,
    cache: bool = True,
    file: str = "Dockerfile",
) -> float:
    """Build the Dockerfile of a folder and return the duration in seconds.

    Args:
        engine: ``docker``, ``podman`` or ``buildah``.
        folder: the build context.
        name: name of the new image.
        arguments: the Dockerfile's build arguments.
        wheels: the only folder that pip takes wheels from; None uses pip's settings in the
            environment.
        cache: whether the engine may reuse layers of earlier builds.
        file: name of the Dockerfile in the folder.

    Raises:
        ImageError: the engine is missing or failed; its output is in the message.
    """
    with _pip_settings(wheels) as settings:
        given = {**settings, **(arguments or {})}
        command = [
            *COMMANDS[engine], "--network=host", "-t", name, "-f", str(folder / file),
            *(f"--build-arg={key}={value}" for key, value in given.items()),
            *([] if cache else ["--no-cache"]), str(folder),
        ]  # fmt: skip
        begun = perf_counter()
        _run(engine, command)
        return perf_counter() - begun


def _run(engine: str, command: list[str]) -> None:
    if shutil.which(engine) is None:
        raise ImageError(
            f"{engine} is not installed.", remedy="a build without --engine needs no engine"
        )
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
        check=False,
    )  # fmt: skip
    if done.returncode:
        said = _COLOURS.sub("", done.stdout).strip()
        raise ImageError(f"{engine} could not build the image:\n{said[-3000:]}")


@contextmanager
def _pip_settings(wheels: Path | None) -> Iterator[dict[str, str]]:
    """Yield build arguments for pip; a folder is served by HTTP, since a build cannot see it."""
    if wheels is None:
        yield {key: os.environ[key] for key in PIP_SETTINGS if _is_of_use(os.environ.get(key))}
        return
    if not wheels.is_dir():
        raise UsageError(f"{wheels} is not a folder of wheels.", remedy="pip download -d wheels …")
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(wheels)))
    serving = Thread(target=server.serve_forever, daemon=True)
    serving.start()
    try:
        yield {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": f"http://127.0.0.1:{server.server_port}/"}
    finally:
        server.shutdown()
        server.server_close()
        serving.join()


def _is_of_use(value: str | None) -> bool:
    return bool(value) and not any(Path(each).exists() for each in str(value).split())


class _Quiet(SimpleHTTPRequestHandler):
    """Request handler that logs nothing."""

    def log_message(self, *_: Any) -> None:
        """Suppress the log line of a request."""
