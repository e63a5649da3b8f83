"""Container engines: find one, load an image into it, and build a Dockerfile with it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from time import perf_counter
from typing import Any, BinaryIO, cast

from onnxpack.errors import ImageError, UsageError
from onnxpack.image.dockerfile import PIP_SETTINGS
from onnxpack.oci.store.archive import stream_archive
from onnxpack.oci.store.contents import Content, Names

ENGINES = ("docker", "podman")
SECONDS = 10
BUILD_COMMANDS = {
    "docker": ("docker", "build"),
    # Only Docker's format supports a health check.
    "podman": ("podman", "build", "--format", "docker"),
    "buildah": ("buildah", "build", "--format", "docker"),
}
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


@dataclass(frozen=True, slots=True)
class Engine:
    """A container engine that answers."""

    name: str

    def load(self, content: Content, name: Names) -> None:
        """Load an image into the engine under one or several names, without a file between.

        Raises:
            ImageError: the engine refuses the image.
        """
        with subprocess.Popen(
            [self.name, "load"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        ) as loading:  # fmt: skip
            broken = False
            try:
                with cast(BinaryIO, loading.stdin) as pipe:
                    stream_archive(content, pipe, name=name)
            except BrokenPipeError:
                broken = True
            said = cast(BinaryIO, loading.stdout).read().decode(errors="replace").strip()
        if loading.returncode or broken:
            raise ImageError(f"{self.name} load failed: {said[-2000:]}")


def find_engine() -> Engine | None:
    """Return the first engine that answers, or None."""
    for name in ENGINES:
        if shutil.which(name) and _answers(name):
            return Engine(name)
    return None


def get_engine() -> Engine:
    """Return the first engine that answers.

    Raises:
        ImageError: no engine answers.
    """
    found = find_engine()
    if found is None:
        raise ImageError(
            f"no container engine answers here ({' or '.join(ENGINES)}).",
            remedy="-o image.tar writes a file that any engine loads, and --push needs no engine",
        )
    return found


def _answers(name: str) -> bool:
    try:
        done = subprocess.run([name, "info"], capture_output=True, timeout=SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def build_with(
    engine: str,
    folder: Path,
    name: str | Sequence[str],
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
        name: one or several names of the new image.
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
        names = [name] if isinstance(name, str) else name
        command = [
            *BUILD_COMMANDS[engine], "--network=host", *(f"--tag={each}" for each in names),
            "-f", str(folder / file),
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
