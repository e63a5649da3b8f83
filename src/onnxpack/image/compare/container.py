"""Inspect an engine's images, and measure their containers."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path

from onnxpack.errors import ImageError
from onnxpack.image.config import PORT
from onnxpack.oci.layer import compress
from onnxpack.oci.layer.layer import compress_layer
from onnxpack.oci.store.read import read_image

DEADLINE = 120.0
PAUSE = 0.005
LOOK_EVERY = 2.0
"""Seconds between checks that a container still runs; each check takes time from it."""
HEALTH = "/v2/health/ready"


@dataclass(frozen=True, slots=True)
class Stored:
    """Size on disk in bytes and number of layers of an image in an engine's store."""

    size: int
    layers: int


@dataclass(frozen=True, slots=True)
class Trial:
    """A container's first prediction.

    Attributes:
        seconds: from the engine's ``run`` to the answer.
        memory: resident bytes of its processes then; None if they cannot be read from here.
        answer: body of the response.
    """

    seconds: float
    memory: int | None
    answer: bytes


def stored_image(engine: str, name: str) -> Stored:
    """Return size and number of layers of an image in the engine's store."""
    told = json.loads(ask(engine, "image", "inspect", name))[0]
    return Stored(int(told["Size"]), len(told["RootFS"]["Layers"]))


def compressed_size(engine: str, name: str, work: Path) -> int:
    """Return the bytes of an image in a registry, its layers compressed by this package."""
    archive = work / "saved.tar"
    ask(engine, "save", "-o", str(archive), name)
    try:
        total = 0
        for layer in read_image(archive, verify=False).layers:
            with layer.open() as source:
                plain = compress.detect(source.read(4)) == "none"
            packed = compress_layer(layer, work / "packed") if plain else layer
            total += packed.descriptor.size
        return total
    finally:
        archive.unlink(missing_ok=True)
        (work / "packed").unlink(missing_ok=True)


def try_image(engine: str, name: str, path: str, body: bytes) -> Trial:
    """Start a container, and send it requests until it predicts.

    Args:
        engine: the engine's command.
        name: name of the image.
        path: path of the predict request.
        body: body of the request, as JSON.

    Raises:
        ImageError: the container ends, or does not answer in time.
    """
    port = _free_port()
    options, arguments = _network(engine, port)
    begun = time.perf_counter()
    with _running(engine, *options, name, *arguments) as container:
        looked = begun
        while (answer := _ask_once(port, path, body)) is None:
            if (now := time.perf_counter()) - looked < LOOK_EVERY:
                continue
            looked = now
            if now - begun > DEADLINE or not _runs(engine, container):
                said = ask(engine, "logs", container, errors=True)
                raise ImageError(f"a container of {name} returned no prediction:\n{said[-2000:]}")
        seconds = time.perf_counter() - begun
        return Trial(seconds, _memory(engine, container), answer)


def ask(engine: str, *arguments: str, errors: bool = False) -> str:
    """Return the output of an engine's command.

    Raises:
        ImageError: the command failed.
    """
    done = subprocess.run(
        [engine, *arguments], stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT if errors else subprocess.PIPE, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        said = done.stdout if errors else done.stderr
        raise ImageError(f"{engine} {arguments[0]} failed: {said.strip()[-1000:]}")
    return done.stdout.strip()


@contextmanager
def _running(engine: str, *line: str) -> Iterator[str]:
    container = ask(engine, "run", "-d", *line)
    try:
        yield container
    finally:
        ask(engine, "rm", "-f", container)


def _network(engine: str, port: int) -> tuple[list[str], list[str]]:
    """Return arguments for ``run`` before and after the image; a bridge may be missing."""
    if engine == "docker" and not ask(engine, "network", "ls", "-q", "-f", "driver=bridge"):
        return ["--network=host"], ["--port", str(port)]
    return ["-p", f"127.0.0.1:{port}:{PORT}"], []


def _ask_once(port: int, path: str, body: bytes) -> bytes | None:
    """Return the prediction, or None if the server is not ready yet."""
    connection = HTTPConnection("127.0.0.1", port, timeout=DEADLINE)
    try:
        connection.request("GET", HEALTH)
        ready = connection.getresponse()
        ready.read()
        if ready.status == 200:
            connection.request("POST", path, body, {"Content-Type": "application/json"})
            found = connection.getresponse()
            answer = found.read()
            if found.status != 200:
                raise ImageError(f"{path} answers {found.status}: {answer[:300]!r}.")
            return answer
    except (OSError, HTTPException):
        pass
    finally:
        connection.close()
    time.sleep(PAUSE)
    return None


def _runs(engine: str, container: str) -> bool:
    return ask(engine, "inspect", "--format", "{{.State.Running}}", container) == "true"


def _memory(engine: str, container: str) -> int | None:
    process = int(ask(engine, "inspect", "--format", "{{.State.Pid}}", container))
    if process == 0 or not Path(f"/proc/{process}").exists():
        return None
    return sum(map(_resident, _family(process)))


def _family(process: int) -> Iterator[int]:
    yield process
    children = Path(f"/proc/{process}/task/{process}/children")
    with suppress(OSError):
        for child in children.read_text().split():
            yield from _family(int(child))


def _resident(process: int) -> int:
    with suppress(OSError):
        found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{process}/status").read_text())
        return int(found[1]) * 1024 if found else 0
    return 0


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port
