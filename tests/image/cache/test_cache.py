"""The cache: whole or not at all, checked when it is used, made again where it was damaged."""

import os
import shutil
import warnings

import pytest

from onnxpack.errors import ImageError
from onnxpack.image.cache import Cache, cold_cache, key_of
from onnxpack.image.cache.note import Note
from onnxpack.oci.layer.entry import Entry
from onnxpack.oci.layer.layer import write_layer

GOOD = {"interpreter": "/usr/bin/python3.11", "version": "3.11"}


@pytest.fixture
def said():
    return []


@pytest.fixture
def here(tmp_path, said):
    """A function that opens the cache anew, as another process would."""
    return lambda: Cache(tmp_path / "cache", told=said.append)


@pytest.fixture
def root(tmp_path):
    return tmp_path / "cache"


def maker(content=b"content", calls=None):
    def make(to):
        if calls is not None:
            calls.append(to)
        return write_layer([Entry("file", content)], to, compression="none")

    return make


def fill(to):
    (to / "folder").mkdir()
    (to / "folder" / "file").write_bytes(b"content")
    (to / "link").symlink_to("folder/file")


def flips(path):
    """Damage each byte of a file in turn, and its end."""
    whole = path.read_bytes()
    for at in range(len(whole)):
        yield whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :]
    yield from (whole[:at] for at in range(0, len(whole), 16))
    yield whole + b" x"


def files(folder):
    return [path for path in folder.rglob("*") if path.is_file() and path.parent.name != "locks"]


def test_a_layer_is_made_once(here):
    calls = []
    first = here().layer("key", maker(calls=calls))
    assert here().layer("key", maker(calls=calls)) == first
    assert len(calls) == 1
    assert first.path == here().blob(first.descriptor.digest)


def test_a_layer_that_was_cleared_away_is_made_again(here, said):
    first = here().layer("key", maker())
    whole = first.path.read_bytes()
    first.path.unlink()
    assert here().layer("key", maker()).path.read_bytes() == whole
    assert not said


def test_a_blob_with_a_flipped_byte_is_never_used(here, said):
    first = here().layer("key", maker(b"c"))
    whole = first.path.read_bytes()
    for damaged in (
        whole[:100],
        whole + b"\0",
        *(whole[:at] + b"!" + whole[at + 1 :] for at in (0, 512, 9000)),
    ):
        first.path.write_bytes(damaged)
        calls = []
        found = here().layer("key", maker(b"c", calls))
        assert (found, len(calls), found.path.read_bytes()) == (first, 1, whole)
        assert first.descriptor.digest.removeprefix("sha256:") in said.pop()
    assert not said


def test_a_note_with_any_flipped_byte_is_made_again(here, root, said):
    first = here().layer("key", maker())
    note = root / "layers" / "key.json"
    whole = note.read_bytes()
    for damaged in flips(note):
        note.write_bytes(damaged)
        assert here().layer("key", maker()) == first
        assert note.read_bytes() == whole
        assert "layers/key.json" in said.pop()
    assert not said


def test_a_fact_with_any_flipped_byte_is_found_again(here, root, said):
    assert here().fact("key", lambda: GOOD) == GOOD
    assert here().fact("key", dict) == GOOD
    note = root / "facts" / "key.json"
    for damaged in flips(note):
        note.write_bytes(damaged)
        assert here().fact("key", lambda: GOOD) == GOOD
        assert "facts/key.json" in said.pop()
    assert not said


def test_a_note_does_not_pass_for_another(here, root, said):
    here().layer("one", maker(b"one"))
    second = here().layer("two", maker(b"two"))
    shutil.copy(root / "layers" / "one.json", root / "layers" / "two.json")
    assert here().layer("two", maker(b"two")) == second
    assert "two.json does not have the digest that it states" in said.pop()


@pytest.mark.parametrize("what", ["folder", "fifo", "link"])
def test_a_note_that_is_no_file_is_refused_or_made_again(here, root, said, what):
    note = root / "facts" / "key.json"
    note.parent.mkdir(parents=True)
    if what == "folder":
        note.mkdir()
        with pytest.raises(ImageError, match="cannot be written"):
            here().fact("key", lambda: GOOD)
    else:
        os.mkfifo(note) if what == "fifo" else note.symlink_to("/etc/passwd")
        assert here().fact("key", lambda: GOOD) == GOOD
        assert not note.is_symlink()
    assert said


def test_without_a_listener_damage_is_a_warning(root):
    Cache(root).fact("key", lambda: GOOD)
    (root / "facts" / "key.json").write_text("{")
    with pytest.warns(UserWarning, match="the cache is damaged"):
        Cache(root).fact("key", lambda: GOOD)


DAMAGE = {
    "a byte": lambda tree: (tree / "folder" / "file").write_bytes(b"Content"),
    "an end": lambda tree: (tree / "folder" / "file").write_bytes(b"conten"),
    "a mode": lambda tree: (tree / "folder" / "file").chmod(0o755),
    "a file less": lambda tree: (tree / "folder" / "file").unlink(),
    "a file more": lambda tree: (tree / "more").touch(),
    "a folder more": lambda tree: (tree / "more").mkdir(),
    "a name": lambda tree: (tree / "folder").rename(tree / "holder"),
    "a link": lambda tree: ((tree / "link").unlink(), (tree / "link").symlink_to("folder/fil")),
    "a file for a link": lambda tree: (
        (tree / "link").unlink(),
        (tree / "link").write_text("folder/file"),
    ),
    "a pipe": lambda tree: os.mkfifo(tree / "pipe"),
    "a name that is not text": lambda tree: (tree / "\udcff").touch(),
    "a whiteout": lambda tree: (tree / ".wh.file").touch(),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_tree_that_was_altered_is_made_again(here, said, damage):
    first = here().tree("key", fill)
    path, digest = first.path(), first.digest
    damage(path)
    again = here().tree("key", fill)
    assert again.path() != path
    assert (again.path() / "folder" / "file").read_bytes() == b"content"
    assert again.digest == digest
    assert str(path) in said.pop()
    assert not said


def test_a_tree_is_gone_or_its_note_is(here, root, said):
    for remove in (lambda tree: shutil.rmtree(tree), lambda _: (root / "trees/key.json").unlink()):
        remove(here().tree("key", fill).path())
        assert (here().tree("key", fill).path() / "folder" / "file").exists()
    assert not said


def test_a_note_of_a_tree_with_any_flipped_byte(here, root, said):
    here().tree("key", fill).path()
    for damaged in flips(root / "trees" / "key.json"):
        (root / "trees" / "key.json").write_bytes(damaged)
        assert here().tree("key", fill).path().parent == root / "trees"
        assert "trees/key.json" in said.pop()
    assert not said


@pytest.mark.parametrize("name", ["..", "/etc", "key", "../layers.0123456789abcdef", "", 1])
def test_a_tree_lies_in_the_cache(here, root, said, name):
    digest = here().tree("key", fill).digest
    Note(root / "trees" / "key.json").write({"folder": name, "digest": digest})
    assert here().tree("key", fill).path().parent == root / "trees"
    assert "not a folder there" in said.pop()


def test_a_tree_is_read_once(here, monkeypatch):
    from onnxpack.image.cache import tree as module

    here().tree("key", fill).path()
    read, digest_tree = [], module.digest_tree
    monkeypatch.setattr(
        module, "digest_tree", lambda folder: read.append(folder) or digest_tree(folder)
    )
    cache = here()
    assert cache.tree("key", fill).digest
    assert not read
    for _ in range(2):
        cache.tree("key", fill).path()
    assert len(read) == 1


def test_what_fails_leaves_nothing(here, root):
    def fail(to):
        to.write_bytes(b"half")
        raise KeyboardInterrupt

    def fail_in_tree(to):
        (to / "half").write_bytes(b"half")
        to.with_name("beside").write_bytes(b"half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        here().layer("key", fail)
    with pytest.raises(KeyboardInterrupt):
        here().tree("key", fail_in_tree).path()
    assert [path.name for path in files(root)] == ["lock"]
    assert (here().tree("key", lambda to: (to / "whole").touch()).path() / "whole").exists()


def test_a_tree_that_is_wanted_anew_leaves_the_other_to_those_that_read_it(here, root):
    reader = here()
    first = reader.tree("key", lambda to: (to / "old").touch()).path()
    second = here().tree("key", lambda to: (to / "new").touch())
    second.renew()
    assert [path.name for path in second.path().iterdir()] == ["new"]
    assert (first / "old").exists()
    del reader, second
    assert [path.name for path in here().folder("trees").glob("key.*")] != []
    assert not first.exists()
    assert len([path for path in (root / "trees").iterdir() if path.is_dir()]) == 1


def test_an_error_about_another_file_is_not_the_caches(here, tmp_path):
    def make(to):
        (tmp_path / "absent").read_bytes()

    with pytest.raises(FileNotFoundError, match="absent"):
        here().tree("key", make).path()


def test_a_place_that_cannot_be_written_has_a_cure(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ImageError) as refused:
        Cache(tmp_path / "file").tree("key", lambda to: None)
    assert "XDG_CACHE_HOME" in refused.value.remedy


def test_the_default_is_in_the_users_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert Cache().root == tmp_path / "onnxpack" / "v2"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert Cache().root == tmp_path / ".cache" / "onnxpack" / "v2"


def test_a_key_tells_things_apart():
    assert key_of(a=1, b=2) == key_of(b=2, a=1) != key_of(a=1, b=3)


def test_cold_has_bases_and_no_layer(here, root):
    here().tree("debian-key", fill).path()
    here().tree("wheels-key", fill).path()
    layer = here().layer("key", maker())
    with warnings.catch_warnings(), cold_cache(here()) as cold:
        trees = {path.name.partition(".")[0] for path in (cold.root / "trees").iterdir()}
        assert trees == {"debian-key"}
        assert (cold.tree("debian-key", None).path() / "folder" / "file").exists()
        assert not (cold.root / "layers").exists()
    assert not cold.root.exists()
    assert layer.path.exists()
    assert (here().tree("debian-key", None).path() / "folder" / "file").exists()


def test_a_cache_that_is_a_dangling_link_is_refused_with_a_cure(tmp_path):
    link = tmp_path / "cache"
    link.symlink_to(tmp_path / "absent")
    with pytest.raises(ImageError, match="cannot be made") as caught, cold_cache(Cache(link)):
        pass
    assert "XDG_CACHE_HOME" in caught.value.remedy
