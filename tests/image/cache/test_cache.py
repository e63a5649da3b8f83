"""The cache: whole or not at all, made again where it was damaged."""

import pytest

from onnxpack.errors import ImageError
from onnxpack.image.cache import Cache, cold_cache, key_of
from onnxpack.oci.layer.entry import Entry
from onnxpack.oci.layer.layer import write_layer


@pytest.fixture
def here(tmp_path):
    return Cache(tmp_path / "cache")


def maker(content=b"content", calls=None):
    def make(to):
        if calls is not None:
            calls.append(to)
        return write_layer([Entry("file", content)], to, compression="none")

    return make


def test_a_layer_is_made_once(here):
    calls = []
    first = here.layer("key", maker(calls=calls))
    assert here.layer("key", maker(calls=calls)) == first
    assert len(calls) == 1
    assert first.path == here.blob(first.descriptor.digest)


def test_a_layer_that_was_cut_short_or_cleared_away_is_made_again(here):
    first = here.layer("key", maker())
    whole = first.path.read_bytes()
    first.path.write_bytes(whole[:100])
    assert here.layer("key", maker()).path.read_bytes() == whole
    first.path.unlink()
    assert here.layer("key", maker()).path.read_bytes() == whole


def test_what_fails_leaves_nothing(here):
    def fail(to):
        to.write_bytes(b"half")
        raise KeyboardInterrupt

    def fail_in_tree(to):
        (to / "half").write_bytes(b"half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        here.layer("key", fail)
    with pytest.raises(KeyboardInterrupt):
        here.tree("key", fail_in_tree)
    assert [path for path in here.root.rglob("*") if path.is_file()] == []
    assert here.tree("key", lambda to: (to / "whole").touch()).joinpath("whole").exists()


def test_a_tree_that_is_wanted_anew_takes_the_place_of_the_other(here):
    here.tree("key", lambda to: (to / "old").touch())
    found = here.tree("key", lambda to: (to / "new").touch(), anew=True)
    assert [path.name for path in found.iterdir()] == ["new"]
    assert [path.name for path in found.parent.iterdir()] == ["key"]


def test_who_comes_second_takes_what_the_first_made(here):
    def make(to):
        here.tree("key", lambda other: (other / "first").touch())
        (to / "second").touch()

    assert [path.name for path in here.tree("key", make).iterdir()] == ["first"]


def test_a_fact_is_found_out_once(here):
    assert here.fact("key", lambda: {"version": "3.11"}) == {"version": "3.11"}
    assert here.fact("key", dict) == {"version": "3.11"}


def test_a_note_that_is_no_note_is_named(here):
    here.layer("key", maker())
    (here.root / "layers" / "key.json").write_text("[]")
    with pytest.raises(ImageError, match=r"key\.json"):
        here.layer("key", maker())


def test_a_place_that_cannot_be_written_has_a_cure(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ImageError) as refused:
        Cache(tmp_path / "file").tree("key", lambda to: None)
    assert "XDG_CACHE_HOME" in refused.value.remedy


def test_the_default_is_in_the_users_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert Cache().root == tmp_path / "onnxpack"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert Cache().root == tmp_path / ".cache" / "onnxpack"


def test_a_key_tells_things_apart():
    assert key_of(a=1, b=2) == key_of(b=2, a=1) != key_of(a=1, b=3)


def test_cold_has_bases_and_no_layer(built, cache):
    with cold_cache(cache) as fresh:
        trees = [path.name for path in (fresh.root / "trees").iterdir()]
        assert trees
        assert all(name.startswith("debian-") for name in trees)
        assert not (fresh.root / "layers").exists()
    assert not fresh.root.exists()
    assert all(layer.path.exists() for layer in built.images[0].layers)


def test_a_cache_that_is_a_dangling_link_is_refused_with_a_cure(tmp_path):
    link = tmp_path / "cache"
    link.symlink_to(tmp_path / "absent")
    with pytest.raises(ImageError, match="cannot be made") as caught, cold_cache(Cache(link)):
        pass
    assert "XDG_CACHE_HOME" in caught.value.remedy
