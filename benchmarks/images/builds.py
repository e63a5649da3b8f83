"""Builds by the command line, each a process of its own, with caches in a known state."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from onnxpack.image.cache import Cache, cold_cache
from onnxpack.image.cache.cache import FORMAT

PROGRAM = Path(sys.executable).with_name("onnxpack")
NOBODY = 65534
OTHERWISE = {"TZ": "Pacific/Auckland", "PYTHONHASHSEED": "7", "LC_ALL": "C"}


@dataclass(frozen=True)
class Timed:
    """One run: the whole process, and what it says that the build took."""

    process: float
    build: float
    told: Mapping[str, Any]


@dataclass(frozen=True)
class Bench:
    """A cache, and where layouts go."""

    cache: Cache
    work: Path

    def build(self, pack: Path, *options: str, root: Path | None = None, **more: Any) -> Timed:
        """Build a pack's image; with no options, to a layout.

        Args:
            root: of the cache; None is this bench's.
            more: of :meth:`run`.
        """
        options = options or ("-o", str(self.work / "layout"), "--force")
        begun = time.perf_counter()
        said = self.run("image", str(pack), *options, "--json", root=root, **more)
        seconds = time.perf_counter() - begun
        told = json.loads(said)
        return Timed(seconds, told["seconds"], told)

    def run(
        self,
        *line: str,
        root: Path | None = None,
        environment: Mapping[str, str] | None = None,
        before: Sequence[str] = (),
        umask: int = -1,
    ) -> str:
        """Run a command with this cache; gives what it prints.

        Args:
            before: a command that runs it, such as ``setpriv``.
        """
        with _home(root or self.cache.root) as home:
            done = subprocess.run(
                [*before, str(PROGRAM), *line], stdout=subprocess.PIPE, text=True, check=True,
                env={
                    **os.environ, "UV_CACHE_DIR": str(self.work / "uv"),
                    "XDG_CACHE_HOME": str(home), **(environment or {}),
                }, umask=umask,
            )  # fmt: skip
        return done.stdout

    def cold(self, pack: Path) -> Timed:
        """Wheels and the base's tree are there, and no layer."""
        with cold_cache(self.cache) as fresh:
            return self.build(pack, root=fresh.root)

    def changed(self, pack: Path) -> Timed:
        """All layers are there but the model's."""
        for note in (self.cache.root / "layers").glob("model-*.json"):
            note.unlink()
        return self.build(pack)

    def nothing_changed(self, pack: Path) -> Timed:
        """All layers are there."""
        return self.build(pack)

    def otherwise(self, pack: Path) -> Timed:
        """As another user, where this one may, with another umask, zone, locale and hash seed."""
        with TemporaryDirectory(dir=self.work) as folder:
            root = Path(folder)
            (root / "trees").mkdir()
            for tree in (self.cache.root / "trees").glob("debian-*"):
                if tree.is_dir():
                    (root / "trees" / tree.name).symlink_to(tree)
                else:  # the note that names the folder
                    shutil.copy(tree, root / "trees")
            environment = {**OTHERWISE, "HOME": folder, "UV_CACHE_DIR": f"{folder}/uv"}
            return self.build(
                pack, "-o", f"{folder}/layout",
                root=root, environment=environment, umask=0o077, before=_as_nobody(root),
            )  # fmt: skip


def _as_nobody(root: Path) -> Sequence[str]:
    """Another user, who may yet read this one's Python; the same where this one is not root."""
    if os.geteuid() != 0:
        return ()
    for path in (root, root / "trees"):
        os.chown(path, NOBODY, NOBODY)
    return (
        "setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups",
        "--inh-caps=+dac_override", "--ambient-caps=+dac_override",
    )  # fmt: skip


@contextmanager
def _home(root: Path) -> Iterator[Path]:
    """A XDG_CACHE_HOME in which onnxpack's cache is this one."""
    home = Path(f"{root}.home")
    (home / "onnxpack").mkdir(parents=True)
    (home / "onnxpack" / FORMAT).symlink_to(root)
    home.chmod(0o755)
    try:
        yield home
    finally:
        shutil.rmtree(home)


def repeat(run: Callable[[Path], Timed], pack: Path, rounds: int) -> list[Timed]:
    """The same build, several times."""
    return [run(pack) for _ in range(rounds)]
