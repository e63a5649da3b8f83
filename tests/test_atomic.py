"""Folders appear and are replaced in one step, also where a process is killed."""

import fcntl
import os
import random
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from onnxpack import atomic
from onnxpack.atomic import atomic_file, atomic_folder

KILLED = """
import os, signal, sys
from pathlib import Path
from onnxpack import atomic

if sys.argv[2] == "aside":
    atomic._exchange = lambda *_: False
    rename = Path.rename

    def rename_and_die(self, target):
        made = rename(self, target)
        os.kill(os.getpid(), signal.SIGKILL)
        return made

    Path.rename = rename_and_die
with atomic.atomic_folder(Path(sys.argv[1])) as made:
    (made / "which").write_text("new")
    if sys.argv[2] == "writing":
        os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def place(tmp_path):
    """A folder with a file that says ``old``."""
    folder = tmp_path / "pack"
    folder.mkdir()
    (folder / "which").write_text("old")
    return folder


def names(folder):
    return sorted(each.name for each in folder.iterdir())


def killed(place, when):
    done = subprocess.run([sys.executable, "-c", KILLED, place, when], check=False)
    assert done.returncode == -signal.SIGKILL


@pytest.mark.parametrize("exchanges", [True, False])
def test_a_folder_is_replaced(place, monkeypatch, exchanges):
    if not exchanges:
        monkeypatch.setattr(atomic, "_exchange", lambda *_: False)
    with atomic_folder(place) as made:
        (made / "which").write_text("new")
        assert (place / "which").read_text() == "old"
    assert (place / "which").read_text() == "new"
    assert names(place.parent) == ["pack"]


def test_two_names_are_exchanged_here(place):
    """Else the tests above would try one way twice."""
    other = place.with_name("other")
    other.mkdir()
    assert atomic._exchange(other, place)
    assert (names(other), names(place)) == (["which"], [])


def test_what_a_killed_process_was_making_is_removed_by_the_next(place):
    killed(place, "writing")
    assert len(names(place.parent)) == 2
    assert (place / "which").read_text() == "old"
    with atomic_folder(place) as made:
        (made / "which").write_text("next")
    assert names(place.parent) == ["pack"]


def test_what_a_killed_process_had_put_aside_is_put_back(place):
    killed(place, "aside")
    assert not place.exists()
    with pytest.raises(ZeroDivisionError), atomic_folder(place):
        raise ZeroDivisionError
    assert (place / "which").read_text() == "old"
    assert names(place.parent) == ["pack"]


def test_what_another_process_is_making_stays(place):
    with atomic_folder(place) as first:
        (first / "which").write_text("first")
        with atomic_folder(place) as second:
            (second / "which").write_text("second")
        assert (first / "which").read_text() == "first"
    assert (place / "which").read_text() == "first"


@pytest.mark.parametrize("makes", [atomic_file, atomic_folder])
def test_what_another_process_takes_for_left_behind_is_made_again(tmp_path, monkeypatch, makes):
    """The other process comes after it was made, and before it is locked."""
    to, real, come = tmp_path / "new", os.open, [None]

    def open_late(path, *more, **named):
        if come and os.fspath(path).endswith(".tmp"):
            come.pop()
            atomic.remove_leftovers(to)
            assert names(tmp_path) == []
        return real(path, *more, **named)

    monkeypatch.setattr(os, "open", open_late)
    with makes(to):
        pass
    assert names(tmp_path) == ["new"]


def test_what_another_process_is_removing_is_waited_for(tmp_path):
    made = tmp_path / ".new.0123456789abcdef.tmp"
    made.mkdir()

    def create():
        with atomic._created(made, lambda path: path.mkdir(exist_ok=True)):
            return made.exists()

    with ThreadPoolExecutor(1) as threads:
        with atomic._locked(made) as held:
            assert held
            created = threads.submit(create)
            made.rmdir()
        assert created.result()


def test_a_file_with_a_lock_stays_and_one_without_goes(tmp_path):
    left, held = (tmp_path / f".blob.{digit * 16}.tmp" for digit in "0a")
    left.touch()
    held.touch()
    handle = os.open(held, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        with atomic_file(tmp_path / "blob") as made:
            made.write(b"whole")
    finally:
        os.close(handle)
    assert names(tmp_path) == [held.name, "blob"]


def test_names_that_only_look_alike_stay(place):
    for name in (".pack.0123.tmp", ".other.0123456789abcdef.tmp", "pack.0123456789abcdef.tmp"):
        (place.parent / name).touch()
    os.mkfifo(place.parent / ".pack.0123456789abcdef.tmp")
    with atomic_folder(place):
        pass
    assert len(names(place.parent)) == 4


def test_a_kill_at_any_moment_leaves_one_whole_folder(place):
    """Thirty processes that replace the folder, each killed at another moment."""
    code = """if True:
        import sys
        from pathlib import Path
        from onnxpack.atomic import atomic_folder

        print(flush=True)
        for number in range(10**6):
            with atomic_folder(Path(sys.argv[1])) as made:
                for part in range(20):
                    (made / f"part{part}").write_text(str(number))
    """
    moments = random.Random(0)
    for _ in range(30):
        with subprocess.Popen(
            [sys.executable, "-c", code, place], stdout=subprocess.PIPE
        ) as process:
            process.stdout.readline()
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(moments.uniform(0, 0.1))
            process.kill()
        parts = [each.read_text() for each in place.iterdir()]
        assert parts == ["old"] or (len(parts), len(set(parts))) == (20, 1)
    with atomic_folder(place) as made:
        (made / "which").write_text("last")
    assert names(place.parent) == ["pack"]
