"""Debian's docker-registry, on a port of its own, for as long as it is wanted."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def running_registry(folder: Path) -> Iterator[str]:
    """Start it with an empty store; gives its address."""
    config = {
        "version": 0.1,
        "log": {"level": "info", "formatter": "json"},
        "storage": {"filesystem": {"rootdirectory": str(folder / "data")}},
        "http": {"addr": "127.0.0.1:0", "secret": "of the benchmark"},
    }
    path = folder / "registry.yml"  # JSON is YAML
    path.write_text(json.dumps(config))
    log = folder / "registry.log"
    with log.open("w") as target, subprocess.Popen(
        ["docker-registry", "serve", str(path)], stdout=target, stderr=target
    ) as process:  # fmt: skip
        try:
            yield _address(process, log)
        finally:
            process.terminate()


def _address(process: subprocess.Popen[bytes], log: Path) -> str:
    start = "listening on "
    while process.poll() is None:
        for line in log.read_text().splitlines():
            message = json.loads(line).get("msg", "") if line.endswith("}") else ""
            if message.startswith(start):
                return str(message.removeprefix(start))
    raise RuntimeError(f"docker-registry ended: {log.read_text()}")
