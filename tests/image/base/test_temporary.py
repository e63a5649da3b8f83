"""Temporary folders of programs: removed with what killed ones left, and nothing else."""

import os
import signal
import subprocess
import sys
import tempfile

import pytest

from onnxpack.image.base import temporary
from onnxpack.image.base.temporary import temporary_folder

KILLED = """
import os, signal
from onnxpack.image.base.temporary import temporary_folder
with temporary_folder("test") as (folder, _):
    (folder / "half").mkdir()
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def names(place):
    return [path.name for path in place.iterdir()]


def test_it_is_removed(place):
    with temporary_folder("test") as (folder, handle):
        (folder / "file").touch()
        assert os.path.samestat(os.fstat(handle), folder.stat())
        assert folder.stat().st_mode & 0o777 == 0o755
    assert names(place) == []


def test_what_a_killed_process_left_is_removed_by_the_next(place):
    done = subprocess.run(
        [sys.executable, "-c", KILLED], check=False, env={**os.environ, "TMPDIR": str(place)}
    )
    assert done.returncode == -signal.SIGKILL
    (left,) = names(place)
    with temporary_folder("test"):
        assert left not in names(place)


def test_what_is_in_use_or_of_others_stays(place, tmp_path_factory):
    other = tmp_path_factory.mktemp("other")
    (other / "file").touch()
    uid = os.getuid()
    (place / f"onnxpack-test-{uid}-link").symlink_to(other)
    (place / f"onnxpack-test-{uid}-file").touch()
    foreign = place / f"onnxpack-test-{uid}-foreign"
    foreign.mkdir()
    os.chown(foreign, 12345, 12345)
    with temporary_folder("test") as (first, _), temporary_folder("test"):
        assert first.exists()
    assert (other / "file").exists()
    assert len(names(place)) == 3


def test_nothing_is_removed_of_what_is_mounted_inside(place, monkeypatch):
    mounts = place / "mountinfo"
    monkeypatch.setattr(temporary, "MOUNTS", mounts)
    with temporary_folder("test") as (folder, _):
        (folder / "dev").mkdir()
        mounts.write_text(f"36 35 98:0 / {folder}/dev rw - tmpfs tmpfs rw\n")
    assert (folder / "dev").exists()
