"""Bases: which image has a Python, and what is said of one that has none."""

import pytest
from tests.image.small import make_stand_ins

from onnxpack.errors import ImageError
from onnxpack.image.base import debian
from onnxpack.image.base.open import DEBIAN, default_base, open_base
from onnxpack.image.cache import Cache
from onnxpack.oci.image import make_image
from onnxpack.oci.layer.entry import Entry
from onnxpack.oci.layer.layer import write_layer
from onnxpack.oci.platform import Platform
from onnxpack.oci.store.layout import write_layout

AMD64 = Platform("amd64")


@pytest.fixture
def layout(tmp_path):
    """A layout of an image of some empty files."""

    def make(*paths, compression="gzip"):
        layer = write_layer(
            [Entry(path, b"", 0o755) for path in paths], tmp_path / "layer", compression=compression
        )
        write_layout(make_image([layer], config={"Env": ["A=1"]}), tmp_path / "base")
        return f"oci:{tmp_path / 'base'}"

    return make


@pytest.fixture
def opened(tmp_path):
    def open_(name):
        return open_base(name, AMD64, Cache(tmp_path / "cache"), compression="gzip", mtime=0)

    return open_


@pytest.mark.parametrize("compression", ["gzip", "zstd", "none"])
def test_the_newest_python_is_taken(layout, opened, compression):
    name = layout("usr/bin/python3.11", "usr/local/bin/python3.13", compression=compression)
    found = opened(name)
    assert (found.interpreter, found.target.python) == ("/usr/local/bin/python3.13", "3.13")
    assert opened(name) == found


def test_without_python_there_is_no_base(layout, opened):
    with pytest.raises(ImageError, match="has no Python") as refused:
        opened(layout("usr/bin/perl", "srv/python3.11"))
    assert "--base" in refused.value.remedy


def test_a_python_that_is_too_old_is_named(layout, opened):
    with pytest.raises(ImageError, match=r"has Python 3\.9, expected 3\.11"):
        opened(layout("usr/bin/python3.9"))


def test_a_layer_that_is_no_tar(tmp_path, opened):
    (tmp_path / "layer").write_bytes(b"not a tar" * 1000)
    from onnxpack.oci.layer.layer import existing_layer

    write_layout(make_image([existing_layer(tmp_path / "layer")]), tmp_path / "base")
    with pytest.raises(ImageError, match="not a tar"):
        opened(f"oci:{tmp_path / 'base'}")


def test_the_default_needs_what_is_at_hand(monkeypatch):
    name, why = default_base()
    assert (name, "mmdebstrap is installed" in why) == ("debian", True)
    monkeypatch.setenv("PATH", "/nowhere")
    name, why = default_base()
    assert name.startswith("python:3.")
    assert name.endswith("-slim")
    assert "not installed" in why


def test_without_mmdebstrap_the_way_out_is_told(monkeypatch, opened):
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(ImageError, match="mmdebstrap is not installed") as refused:
        opened("debian")
    assert "apt install mmdebstrap" in refused.value.remedy


def test_other_packages_make_another_layer(stand_ins, tmp_path):
    """The cached layer is that of the packages that the bill of materials names."""

    def open_(*, anew):
        cache = Cache(tmp_path / "cache")
        found = open_base("debian", AMD64, cache, compression="gzip", mtime=0, anew=anew)
        return found.image, found.tree.path() / debian.STATUS / "libc6"

    first, _ = open_(anew=False)
    make_stand_ins(stand_ins, version="9")
    assert open_(anew=False)[0] == first
    assert open_(anew=True)[0] != first
    image, status = open_(anew=False)
    assert image != first
    assert "Version: 9" in status.read_text()


def test_a_release_that_is_unknown_is_told(monkeypatch, opened):
    monkeypatch.setattr(debian, "default_python", lambda: "3.42")
    with pytest.raises(ImageError, match=r"no known Debian release has Python 3\.42"):
        opened(DEBIAN)


def test_what_mmdebstrap_says_is_passed_on(opened, monkeypatch):
    monkeypatch.setitem(debian.SUITES, debian.default_python(), "no-such-suite")
    with pytest.raises(ImageError, match="could not build no-such-suite"):
        opened("debian")


def test_of_a_failed_mmdebstrap_the_cause_is_shown(stand_ins, opened):
    script = "echo I: working; echo 'W: cannot copy: No space left'; echo E: failed; exit 1"
    (stand_ins / "mmdebstrap").write_text(f"#!/bin/sh\nexec >&2\n{script}\n")
    with pytest.raises(ImageError) as failed:
        opened("debian")
    assert failed.value.message.splitlines()[1:] == ["W: cannot copy: No space left", "E: failed"]
