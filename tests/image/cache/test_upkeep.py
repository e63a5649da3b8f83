"""``onnxpack cache``: what is listed, found damaged and removed, and when nothing is."""

import os
import shutil
import subprocess
import sys
import time

import pytest

from onnxpack.cli.main import main
from onnxpack.errors import ImageError
from onnxpack.image.cache import Cache, upkeep
from onnxpack.image.cache import cache as module
from onnxpack.image.cache.upkeep import list_parts, prune_cache, verify_cache
from onnxpack.oci.layer.entry import Entry
from onnxpack.oci.layer.layer import write_layer

OLD = 1_000_000
LEFT = """
import os, signal, sys
from pathlib import Path
from onnxpack.image.cache import Cache

def make(to):
    (to / "half").touch()
    os.kill(os.getpid(), signal.SIGKILL)

Cache(Path(sys.argv[1])).tree("key", make).path()
"""


def fill(to):
    (to / "file").write_bytes(bytes(1000))


def layer(content):
    return lambda to: write_layer([Entry("file", content)], to, compression="none")


@pytest.fixture
def root(tmp_path):
    """A cache of one part of each kind, and a blob that was pulled."""
    root = tmp_path / "onnxpack" / module.FORMAT
    cache = Cache(root)
    cache.tree("wheels", fill).path()
    cache.layer("runtime", layer(b"runtime"))
    cache.fact("python", lambda: {"version": "3.11"})
    pulled = write_layer([Entry("pulled", b"x")], tmp_path / "pulled")
    pulled.path.rename(cache.blob(pulled.descriptor.digest))
    return root


@pytest.fixture
def onnxpack(root, monkeypatch, capsys):
    monkeypatch.setenv("XDG_CACHE_HOME", str(root.parent.parent))

    def run(*argv):
        code = main(list(argv))
        return code, *capsys.readouterr()

    return run


def kinds(root):
    return sorted(part.kind for part in list_parts(Cache(root)))


def age(root, *kinds):
    for kind in kinds:
        for path in (root / kind).iterdir():
            os.utime(path, (OLD, OLD), follow_symlinks=False)


def test_every_part_is_listed_with_its_size(root):
    parts = {part.kind: part for part in list_parts(Cache(root))}
    assert kinds(root) == ["blob", "blob", "fact", "layer", "tree"]
    assert parts["tree"].name == "wheels"
    assert 1000 < parts["tree"].size < 1500
    assert sum(part.size for part in parts.values() if part.kind != "blob") < 3000


def test_what_a_killed_build_left_is_removed_by_the_next(root):
    done = subprocess.run([sys.executable, "-c", LEFT, root], check=False)
    assert done.returncode == -9
    assert kinds(root).count("leftover") == 1
    Cache(root).folder()
    assert kinds(root) == ["blob", "blob", "fact", "layer", "tree"]


def test_what_a_living_build_makes_stays(root):
    def make(to):
        (to / "half").touch()
        Cache(root).folder()
        with pytest.raises(ImageError, match="in use by another process") as refused:
            prune_cache(Cache(root), unused_since=float("inf"))
        assert refused.value.remedy.startswith("onnxpack cache prune")
        assert (to / "half").exists()

    assert (Cache(root).tree("key", make).path() / "half").exists()


def test_old_parts_are_removed_and_used_ones_stay(root):
    age(root, "trees", "layers", "facts", "blobs/sha256")
    Cache(root).layer("runtime", layer(b"runtime"))
    pruned = prune_cache(Cache(root), unused_since=OLD + 1)
    assert kinds(root) == ["blob", "layer"]
    assert pruned.parts == 3
    assert 1000 < pruned.size < 2000
    assert Cache(root).layer("runtime", layer(b"")).path.exists()
    assert list((root / "trees").iterdir()) == []


def test_a_blob_of_a_used_layer_stays_and_a_young_one_too(root):
    age(root, "blobs/sha256")
    assert prune_cache(Cache(root), unused_since=OLD + 1).parts == 1
    assert kinds(root) == ["blob", "fact", "layer", "tree"]


def test_all_is_all(root):
    prune_cache(Cache(root), unused_since=float("inf"))
    assert kinds(root) == []
    assert verify_cache(Cache(root)) == (0, [])


def test_a_cache_that_is_not_there(tmp_path):
    cache = Cache(tmp_path / "none")
    assert (list_parts(cache), verify_cache(cache)) == ([], (0, []))
    assert prune_cache(cache, unused_since=float("inf")).parts == 0
    assert not cache.root.exists()


def test_every_damage_is_found(root, tmp_path):
    assert verify_cache(Cache(root)) == (5, [])
    files = [path for path in root.rglob("*") if path.is_file() and path.stat().st_size]
    assert len(files) == 6
    for number, path in enumerate(files):
        copy = shutil.copytree(root, tmp_path / f"{number}")
        whole = path.read_bytes()
        (copy / path.relative_to(root)).write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
        checked, faults = verify_cache(Cache(copy))
        assert (checked, len(faults)) == (5, 1), path


def test_without_locks_nothing_is_removed_and_builds_go_on(root, monkeypatch):
    def no_locks(*_):
        raise OSError(95, "Operation not supported")

    for where in (upkeep, module):
        monkeypatch.setattr(where, "try_lock", no_locks)
    with pytest.raises(ImageError, match=r"cannot be locked \(Operation not supported\)"):
        prune_cache(Cache(root), unused_since=float("inf"))
    assert Cache(root).layer("runtime", layer(b"runtime")).path.exists()
    assert kinds(root) == ["blob", "blob", "fact", "layer", "tree"]


def test_the_commands(onnxpack, root):
    code, out, _ = onnxpack("cache", "ls")
    assert code == 0
    assert out.splitlines()[0].split() == ["part", "name", "size", "used"]
    assert f"{root}: 5 parts, " in out.splitlines()[-1]
    assert onnxpack("cache", "verify")[:2] == (0, f"{root}: 5 parts checked, 0 damaged\n")
    (root / "facts" / "python.json").write_text("{")
    code, out, _ = onnxpack("cache", "verify")
    assert code == 1
    assert out.startswith(f"damaged: {root}/facts/python.json is not JSON")
    assert onnxpack("cache", "prune")[1] == f"{root}: removed 0 parts, 0 B\n"
    assert onnxpack("cache", "prune", "--days", "1")[1] == f"{root}: removed 0 parts, 0 B\n"
    age(root, "facts")
    assert "removed 1 parts" in onnxpack("cache", "prune", "--days", "1")[1]
    assert "removed 4 parts" in onnxpack("cache", "prune", "--all")[1]


def test_the_commands_in_json(onnxpack, root):
    import json

    listed = json.loads(onnxpack("cache", "ls", "--json")[1])
    assert listed["folder"] == str(root)
    assert listed["size"] == sum(part["size"] for part in listed["parts"])
    assert {tuple(part) for part in listed["parts"]} == {("kind", "name", "size", "used")}
    assert all(abs(part["used"] - time.time()) < 3600 for part in listed["parts"])
    found = json.loads(onnxpack("cache", "verify", "--json")[1])
    assert found == {"folder": str(root), "checked": 5, "damaged": []}
    removed = json.loads(onnxpack("cache", "prune", "--all", "--json")[1])
    assert removed == {"folder": str(root), "removed": 5, "size": listed["size"]}


def test_two_wishes_at_once_are_refused(onnxpack):
    code, _, err = onnxpack("cache", "prune", "--all", "--days", "3")
    assert code == 2
    assert "cannot be combined" in err
    assert onnxpack("cache", "prune", "--days", "nan")[0] == 2
