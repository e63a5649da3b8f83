"""A disk that is full at any write: the build says so, and the next one with room works."""

import os
import subprocess
from itertools import count
from pathlib import Path

import pytest
from tests.image.small import image_arguments

from onnxpack.cli.main import main
from onnxpack.image.cache import Cache
from onnxpack.image.cache.upkeep import list_parts, verify_cache
from onnxpack.oci.store.validate import validate_layout

PAGE = 4096
ROOM = 100 * PAGE


@pytest.fixture
def disk(tmp_path):
    """A function that gives a file system of its own another size."""
    folder = tmp_path / "disk"
    folder.mkdir()

    def mount(*options: str) -> None:
        done = subprocess.run(
            ["mount", "-t", "tmpfs", *options, "tmpfs", folder],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode:
            pytest.skip(f"only who may mount can fill a small disk: {done.stderr}")

    mount("-o", f"size={ROOM}")
    try:
        yield lambda size: mount("-o", f"remount,size={size}")
    finally:
        subprocess.run(["umount", folder], check=True)


def free_pages(folder: Path) -> int:
    return os.statvfs(folder).f_bfree


def fill(path: Path, *, leave: int) -> None:
    """Fill the disk up to some pages."""
    path.write_bytes(bytes((free_pages(path.parent) - leave) * PAGE))


def test_a_full_disk_at_any_write(disk, stand_ins, tmp_path, monkeypatch, capsys):
    """With one page of room more each time, until the build has enough of it."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "disk"))
    output, filler = (tmp_path / "disk" / name for name in ("out", "filler"))
    failed = 0
    for room in count():
        assert main(["cache", "prune", "--all"]) == 0
        fill(filler, leave=room)
        capsys.readouterr()
        code = main(image_arguments(stand_ins, output))
        err = capsys.readouterr().err
        assert code == 0 or "No space left on device" in err, err
        assert "a bug in onnxpack" not in err
        assert code == 0 or not output.exists()
        assert verify_cache(Cache())[1] == []
        filler.unlink()
        if code == 0:
            break
        failed += 1
    assert failed > 10
    assert validate_layout(output) == ()
    assert not [part for part in list_parts(Cache()) if part.kind == "leftover"]
    assert main(image_arguments(stand_ins, output)) == 0
