from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onnxpack.errors import PackError
from onnxpack.pack import paths


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "outside").write_text("secret")
    inside = tmp_path / "inside"
    (inside / "sub").mkdir(parents=True)
    (inside / "sub" / "file").write_text("content")
    return inside


def open_and_read(folder: Path, relative: str, *, alone: bool = False) -> bytes:
    with paths.open_inside(folder, relative, alone=alone) as stream:
        return stream.read()


@pytest.mark.parametrize(
    ("relative", "said"),
    [
        ("", "0 characters"),
        ("a" * 5000, "5000 characters"),
        ("/etc/passwd", "absolute"),
        ("C:/x", "absolute"),
        ("c:x", "absolute"),
        ("..", "climbs"),
        ("../outside", "climbs"),
        ("sub/../sub/file", "climbs"),
        ("sub//file", "empty part"),
        ("sub/", "empty part"),
        ("./sub/file", "empty part"),
        ("sub\\file", "backslash"),
        ("sub/file\0", "NUL"),
        ("sub/\ud800", "cannot be a file name"),
    ],
)
def test_unsafe_names_are_refused(folder: Path, relative: str, said: str) -> None:
    with pytest.raises(PackError, match=said):
        open_and_read(folder, relative)


def test_a_safe_name_is_opened(folder: Path) -> None:
    assert open_and_read(folder, "sub/file", alone=True) == b"content"


def test_the_folder_itself_may_be_the_users_symlink(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(folder)
    assert open_and_read(tmp_path / "link", "sub/file") == b"content"


def test_symlinks_are_refused_wherever_they_lead(folder: Path) -> None:
    (folder / "link").symlink_to(folder / "sub" / "file")
    (folder / "way").symlink_to(folder / "sub")
    for relative in ("link", "way/file"):
        with pytest.raises(PackError, match="symlink"):
            open_and_read(folder, relative)


def test_a_hard_link_is_refused_where_a_file_must_stand_alone(folder: Path) -> None:
    (folder / "twin").hardlink_to(folder.parent / "outside")
    assert open_and_read(folder, "twin") == b"secret"
    with pytest.raises(PackError, match="hard link: the file has 2 names"):
        open_and_read(folder, "twin", alone=True)


@pytest.mark.parametrize("relative", ["sub", "absent", "pipe", "sub/file/deeper"])
def test_what_is_no_regular_file_is_refused(folder: Path, relative: str) -> None:
    os.mkfifo(folder / "pipe")
    before = len(list(Path("/proc/self/fd").iterdir()))
    with pytest.raises(PackError, match=relative):
        open_and_read(folder, relative)
    assert len(list(Path("/proc/self/fd").iterdir())) == before


@given(st.text(max_size=30))
def test_what_is_split_stays_inside(relative: str) -> None:
    try:
        parts = paths.split(relative)
    except PackError:
        return
    assert not Path(relative).is_absolute()
    assert not {"", ".", ".."} & set(parts)
    assert os.path.normpath(relative) == relative == "/".join(parts)


def test_reading_is_bounded(folder: Path) -> None:
    with paths.open_file(folder / "sub" / "file") as stream:
        with pytest.raises(PackError, match="7 bytes long, expected at most 6"):
            paths.read(stream, limit=6, what="it")
        assert paths.read(stream, limit=7, what="it") == b"content"
        with pytest.raises(PackError, match="changed while it was read"):
            paths.read(stream, limit=7, what="it")


def test_listing_is_bounded(folder: Path) -> None:
    assert paths.list_names(folder) == {"sub"}
    with pytest.raises(PackError, match="more than 0 files"):
        paths.list_names(folder, limit=0)
    with pytest.raises(PackError, match="cannot be read"):
        paths.list_names(folder / "absent")
