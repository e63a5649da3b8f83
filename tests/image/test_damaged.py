"""Whatever byte of the cache is damaged: the build says so, and gives the same image."""

import shutil

import pytest
from tests.image.small import image_arguments

from onnxpack.cli.main import main
from onnxpack.image.cache.cache import FORMAT
from onnxpack.oci.store.validate import validate_layout


@pytest.fixture
def build(stand_ins, tmp_path, monkeypatch, capsys):
    """Build an image; give its index, and what was said of damage."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))

    def run():
        capsys.readouterr()
        code = main(image_arguments(stand_ins, tmp_path / "out"))
        lines = capsys.readouterr().err.splitlines()
        assert (code, validate_layout(tmp_path / "out")) == (0, ())
        index = (tmp_path / "out" / "index.json").read_bytes()
        return index, [line for line in lines if line.startswith("the cache is damaged: ")]

    return run


@pytest.mark.parametrize("layers", ["kept", "gone"])
def test_any_file_with_a_flipped_byte(build, tmp_path, layers):
    """Trees are read if a layer is made from them, so they are damaged where layers are gone."""
    first, said = build()
    assert not said
    root, copy = tmp_path / "home" / "onnxpack" / FORMAT, tmp_path / "copy"
    shutil.copytree(root, copy, symlinks=True)
    damaged = 0
    for path in [path for path in copy.rglob("*") if path.is_file() and path.stat().st_size]:
        shutil.rmtree(root)
        shutil.copytree(copy, root, symlinks=True)
        if layers == "gone":
            shutil.rmtree(root / "layers")
            shutil.rmtree(root / "blobs")
        changed = root / path.relative_to(copy)
        if not changed.exists():
            continue
        whole = bytearray(changed.read_bytes())
        whole[len(whole) // 2] ^= 1
        changed.write_bytes(whole)
        index, said = build()
        assert index == first
        is_read = layers == "gone" or "trees" not in path.parts or path.name.startswith("debian-")
        assert len(said) == is_read, path
        damaged += is_read
    assert damaged >= 7
