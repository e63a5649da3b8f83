from __future__ import annotations

import gzip
import hashlib
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from onnxpack.errors import ImageError, OnnxpackError
from onnxpack.oci import media
from onnxpack.oci.layer.entry import Entry, Folder, Symlink, arrange, walk
from onnxpack.oci.layer.layer import (
    blob_layer,
    compress_layer,
    existing_layer,
    write_layer,
)
from onnxpack.oci.layer.tarball import BLOCK

# One folder serves all of a property's examples.
shared = settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=40
)

names = st.text(
    st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=120
).filter(lambda name: name not in (".", "..") and not name.startswith(".wh."))
sources = st.one_of(
    st.binary(max_size=2000), names.map(Symlink), st.just(Folder()), st.just(b"x" * (BLOCK + 1))
)
modes = st.none() | st.integers(0, 0o7777)


@st.composite
def trees(draw) -> list[Entry]:
    """Entries that fit together: nothing lies in a file."""
    found: dict[str, Entry] = {}
    folders = [""]
    for _ in range(draw(st.integers(0, 8))):
        path = f"{draw(st.sampled_from(folders))}{draw(names)}"
        if path not in found:
            found[path] = Entry(path, draw(sources), draw(modes))
            if isinstance(found[path].source, Folder):
                folders.append(f"{path}/")
    return draw(st.permutations(list(found.values())))


def told(entry: Entry) -> tuple[str, int, str, object]:
    match entry.source:
        case Folder():
            return entry.path, entry.permissions, "folder", None
        case Symlink(target):
            return entry.path, entry.permissions, "symlink", target
        case content:
            return entry.path, entry.permissions, "file", content


def read_back(path: Path, mtime: int = 0) -> list[tuple[str, int, str, object]]:
    found = []
    with tarfile.open(path) as tar:
        for member in tar:
            assert (member.uid, member.gid, member.uname, member.gname) == (0, 0, "", "")
            assert member.mtime == mtime
            kind, content = "file", None
            if member.isdir():
                kind = "folder"
            elif member.issym():
                kind, content = "symlink", member.linkname
            else:
                content = tar.extractfile(member).read()
            found.append((member.name, member.mode, kind, content))
    return found


@shared
@given(tree=trees(), mtime=st.integers(0, 2**33 - 1))
def test_any_tree_is_read_back_by_tarfile(tree, mtime, tmp_path):
    layer = write_layer(tree, tmp_path / "layer", compression="none", mtime=mtime)
    assert read_back(layer.path, mtime) == [told(entry) for entry in arrange(tree)]


@shared
@given(tree=trees(), data=st.data())
def test_the_order_of_the_entries_does_not_count(tree, data, tmp_path):
    one = write_layer(tree, tmp_path / "one")
    other = write_layer(data.draw(st.permutations(tree)), tmp_path / "other")
    assert one.path.read_bytes() == other.path.read_bytes()
    assert (one.descriptor, one.diff_id) == (other.descriptor, other.diff_id)


@shared
@given(tree=trees())
def test_every_compression_holds_the_same_tar(tree, tmp_path):
    made = {
        kind: write_layer(tree, tmp_path / kind, compression=kind)
        for kind in ("none", "gzip", "zstd")
    }
    plain = made["none"].path.read_bytes()
    assert gzip.decompress(made["gzip"].path.read_bytes()) == plain
    assert len({layer.diff_id for layer in made.values()}) == 1
    assert made["none"].diff_id == made["none"].descriptor.digest
    for kind, layer in made.items():
        content = layer.path.read_bytes()
        assert layer.descriptor.digest == f"sha256:{hashlib.sha256(content).hexdigest()}"
        assert layer.descriptor.size == len(content)
        assert layer.descriptor.media_type == media.layer_type(kind)
        assert existing_layer(layer.path) == layer
        for other in ("none", "gzip", "zstd"):
            again = compress_layer(layer, tmp_path / "again", compression=other)
            assert again.descriptor == made[other].descriptor
            assert again.diff_id == layer.diff_id


def test_parents_are_added_and_paths_are_sorted(tmp_path):
    entries = [Entry("b/c", b""), Entry("a-b", b""), Entry("a/z", b""), Entry("b", Folder(), 0o700)]
    layer = write_layer(entries, tmp_path / "layer")
    assert [(name, oct(mode)) for name, mode, *_ in read_back(layer.path)] == [
        ("a", "0o755"),
        ("a/z", "0o644"),
        ("a-b", "0o644"),
        ("b", "0o700"),
        ("b/c", "0o644"),
    ]


def test_gzip_tells_no_time_and_no_name(tmp_path):
    layer = write_layer([Entry("a", b"b")], tmp_path / "layer")
    start = layer.path.read_bytes()[:10]
    assert start[:4] == b"\x1f\x8b\x08\x00"  # no name
    assert start[4:8] == bytes(4)  # no time


def test_extended_headers_are_there_where_they_are_needed_alone(tmp_path):
    plain = write_layer([Entry("a/b", b"")], tmp_path / "plain", compression="none")
    assert plain.descriptor.size == 4 * 512
    long = write_layer([Entry("é" * 100, b"")], tmp_path / "long", compression="none")
    assert b"path=" in long.path.read_bytes()


@pytest.mark.parametrize("compression", ["gzip", "zstd"])
def test_the_number_of_processors_does_not_count(compression, tmp_path):
    content = bytes(range(256)) * 20000 + os.urandom(2**20)
    (tmp_path / "source").write_bytes(content)
    here = write_layer(
        [Entry("f", tmp_path / "source")], tmp_path / "here", compression=compression
    )
    script = (
        "import os, sys; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n"
        "from pathlib import Path\n"
        "from onnxpack.oci.layer.entry import Entry\n"
        "from onnxpack.oci.layer.layer import write_layer\n"
        "made = write_layer([Entry('f', Path(sys.argv[1]))], Path(sys.argv[2]),"
        " compression=sys.argv[3])\n"
        "print(made.descriptor.digest)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, tmp_path / "source", tmp_path / "there", compression],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "TZ": "Asia/Tokyo", "PYTHONHASHSEED": "7", "LC_ALL": "C"},
    )
    assert done.stdout.strip() == here.descriptor.digest


@pytest.mark.parametrize(
    "path", ["", "/", "/etc", "..", "a/../b", "./a", "a/", "a//b", ".", "a\0", "\ud800", "a/.wh.b"]
)
def test_a_path_that_is_none_is_refused(path):
    with pytest.raises(ImageError):
        Entry(path, b"")


@pytest.mark.parametrize("target", ["", "a\0b", "\ud800"])
def test_a_target_that_is_none_is_refused(target):
    with pytest.raises(ImageError):
        Entry("a", Symlink(target))


@pytest.mark.parametrize("mode", [-1, 0o10000])
def test_a_mode_that_is_none_is_refused(mode):
    with pytest.raises(ImageError):
        Entry("a", b"", mode)


@pytest.mark.parametrize(
    ("entries", "why"),
    [
        ([Entry("a", b""), Entry("a", b"")], "twice"),
        ([Entry("a", b""), Entry("a/b", b"")], "a is a file or a symlink"),
        ([Entry("a/b/c", b""), Entry("a/b", Symlink("x"))], "a/b is a file or a symlink"),
    ],
)
def test_entries_that_do_not_fit_are_refused(entries, why, tmp_path):
    with pytest.raises(ImageError, match=why):
        write_layer(entries, tmp_path / "layer")
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_left_of_a_layer_that_fails(tmp_path):
    (tmp_path / "layer").write_bytes(b"the old one")
    entries = [Entry("a", b"x" * 5 * BLOCK), Entry("b", tmp_path / "missing")]
    with pytest.raises(ImageError, match="missing cannot be read: No such file"):
        write_layer(entries, tmp_path / "layer")
    assert [each.name for each in tmp_path.iterdir()] == ["layer"]
    assert (tmp_path / "layer").read_bytes() == b"the old one"


def test_a_place_that_cannot_be_written_is_told(tmp_path):
    with pytest.raises(ImageError, match="cannot be written"):
        write_layer([], tmp_path / "no" / "layer")


def test_a_pipe_and_a_folder_are_no_files(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for source in (tmp_path / "pipe", tmp_path):
        with pytest.raises(ImageError, match="not a regular file"):
            write_layer([Entry("a", source)], tmp_path / "layer")


def test_a_tree_of_this_machine_is_walked(tmp_path):
    tree = tmp_path / "tree"
    (tree / "sub").mkdir(parents=True)
    (tree / "sub" / "run").write_text("x")
    (tree / "sub" / "run").chmod(0o750)
    (tree / "data").write_text("y")
    (tree / "data").chmod(0o600)
    (tree / "link").symlink_to("sub//run")
    assert list(walk(tree, at="opt/x")) == [
        Entry("opt/x/data", tree / "data", 0o644),
        Entry("opt/x/link", Symlink("sub//run")),
        Entry("opt/x/sub", Folder()),
        Entry("opt/x/sub/run", tree / "sub" / "run", 0o755),
    ]
    os.mkfifo(tree / "pipe")
    with pytest.raises(ImageError, match="neither a file, a folder nor a symlink"):
        list(walk(tree))


@pytest.mark.parametrize("start", [b"\x1f\x8b", b"\x28\xb5\x2f\xfd"])
def test_what_only_starts_like_a_compressed_blob_is_refused(start, tmp_path):
    (tmp_path / "blob").write_bytes(start + b"no more than that")
    with pytest.raises(ImageError, match="the layer is not"):
        existing_layer(tmp_path / "blob")


def test_a_blob_of_any_kind_is_described(tmp_path):
    (tmp_path / "weights").write_bytes(b"123")
    found = blob_layer(tmp_path / "weights", "a/b", annotations={"x": "y"})
    assert found.descriptor.media_type == "a/b"
    assert found.descriptor.annotations == {"x": "y"}
    assert found.diff_id == found.descriptor.digest
    with pytest.raises(ImageError, match="can be compressed"):
        compress_layer(found, tmp_path / "to")


def test_a_layer_whose_file_became_short_is_told(tmp_path):
    layer = write_layer([Entry("a", b"b")], tmp_path / "layer")
    os.truncate(layer.path, 10)
    with pytest.raises(ImageError, match="shorter"), layer.open():
        pass


@pytest.mark.parametrize("module", ["isal", "zstandard", "httpx"])
def test_a_missing_library_is_told_when_it_is_wanted(module, tmp_path):
    script = (
        f"import sys; sys.modules[{module!r}] = None\n"
        "from pathlib import Path\n"
        "from onnxpack.errors import MissingExtraError\n"
        "from onnxpack.oci.layer.entry import Entry\n"
        "from onnxpack.oci.layer.layer import write_layer\n"
        "kinds = {'isal': 'gzip', 'zstandard': 'zstd'}\n"
        "try:\n"
        f"    kind = kinds.get({module!r})\n"
        "    if kind is None:\n"
        "        import onnxpack.oci.registry.push\n"
        "    else:\n"
        "        write_layer([Entry('a', b'')], Path(sys.argv[1]), compression=kind)\n"
        "except MissingExtraError as exc:\n"
        "    print(exc.remedy)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, tmp_path / "layer"], capture_output=True, text=True
    )
    assert done.stdout.strip() == 'pip install "onnxpack[image]"', done.stderr
    assert list(tmp_path.iterdir()) == []


def test_nothing_heavy_is_imported():
    script = (
        "import sys\n"
        "import onnxpack.oci.layer.layer, onnxpack.oci.image, onnxpack.oci.store.read\n"
        "import onnxpack.oci.store.archive, onnxpack.oci.store.validate\n"
        "print(sorted({'httpx', 'isal', 'zstandard', 'onnx', 'numpy', 'msgspec'} & {*sys.modules}))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr


def test_every_error_is_one_of_ours():
    assert issubclass(ImageError, OnnxpackError)
