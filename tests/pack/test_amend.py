"""A pack written again: what it holds, and that the old one survives every failure."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest

from onnxpack.errors import PackError
from onnxpack.pack import write
from onnxpack.pack.amend import amend_pack
from onnxpack.pack.manifest import Manifest, Measurement, Variant
from onnxpack.pack.model import Pack
from onnxpack.pack.read import open_pack
from onnxpack.pack.validate import validate


def snapshot(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def named(pack: Pack, **entries: Variant) -> Manifest:
    """The pack's manifest with these variants."""
    assert pack.manifest is not None
    return msgspec.structs.replace(pack.manifest, variants=entries)


@pytest.fixture
def manifest(pack: Pack, variants: Any) -> Manifest:
    return named(pack, int8=variants.entry(pack.manifest))


@pytest.fixture
def folder(variants: Any, tmp_path: Path) -> Path:
    made: Path = variants.folder(tmp_path / "made" / "any", external=True)
    return made


def test_variants_stand_beside_the_same_graph(
    pack: Pack, manifest: Manifest, folder: Path, tmp_path: Path
) -> None:
    (folder / "notes.txt").write_text("not part of a variant")
    made = amend_pack(pack, tmp_path / "new", manifest, variants={"int8": folder})
    assert validate(made).ok
    old, new = snapshot(pack.path), snapshot(made.path)
    written_again = {"README.md", "SBOM.cdx.json", "pack.json"}
    assert {name: new[name] for name in old.keys() - written_again} == {
        name: old[name] for name in old.keys() - written_again
    }
    assert sorted(new.keys() - old.keys()) == [
        "variants/int8/model.onnx",
        "variants/int8/test_data_set_0/input_0.pb",
        "variants/int8/test_data_set_0/output_0.pb",
        "variants/int8/weights.bin",
    ]
    assert new["variants/int8/weights.bin"] == (folder / "weights.bin").read_bytes()
    assert b"int8" in new["README.md"]
    assert b"variants/int8/model.onnx" in new["SBOM.cdx.json"]
    found = made.variants["int8"]
    assert [golden.name for golden in found.golden] == ["test_data_set_0"]
    assert found.entry == manifest.variants["int8"]


def test_the_same_variants_give_the_same_bytes(
    pack: Pack, manifest: Manifest, folder: Path, tmp_path: Path
) -> None:
    first = amend_pack(pack, tmp_path / "a", manifest, variants={"int8": folder})
    second = amend_pack(pack, tmp_path / "b", manifest, variants={"int8": folder})
    assert first.digest == second.digest
    assert snapshot(first.path) == snapshot(second.path)


def test_a_pack_takes_its_own_place(pack: Pack, manifest: Manifest, folder: Path) -> None:
    with pytest.raises(PackError, match="exists already"):
        amend_pack(pack, pack.path, manifest, variants={"int8": folder})
    made = amend_pack(pack, pack.path, manifest, variants={"int8": folder}, force=True)
    assert made.path == pack.path
    assert validate(made).ok
    assert list(made.variants) == ["int8"]


def test_variants_that_are_still_named_are_kept(
    varied: Pack, variants: Any, tmp_path: Path
) -> None:
    """And the others are left out; one that is given replaces that of its name."""
    assert varied.manifest is not None
    entries = varied.manifest.variants
    kept = amend_pack(varied, tmp_path / "kept", named(varied, int8=entries["int8"]))
    assert validate(kept).ok
    assert list(kept.variants) == ["int8"]
    assert snapshot(kept.path / "variants/int8") == snapshot(varied.path / "variants/int8")
    folder = variants.folder(tmp_path / "other" / "int8")
    replaced = amend_pack(
        varied, tmp_path / "replaced", named(varied, **entries), variants={"int8": folder}
    )
    assert validate(replaced).ok
    assert sorted(replaced.variants) == ["exact", "int8"]
    assert not (replaced.path / "variants/int8/weights.bin").exists()


def test_without_variants_the_pack_is_as_it_was(pack: Pack, varied: Pack, tmp_path: Path) -> None:
    plain = amend_pack(varied, tmp_path / "plain", named(varied))
    assert snapshot(plain.path) == snapshot(pack.path)


def test_measurements_are_added(varied: Pack, tmp_path: Path) -> None:
    assert varied.manifest is not None
    speed: Measurement = varied.manifest.variants["int8"].speed
    manifest = msgspec.structs.replace(varied.manifest, measurements=(speed,))
    made = amend_pack(varied, tmp_path / "measured", manifest)
    assert validate(made).ok
    assert made.manifest is not None
    assert made.manifest.measurements == (speed,)


def test_a_manifest_that_does_not_fit_is_a_mistake(
    pack: Pack, manifest: Manifest, folder: Path, variants: Any, tmp_path: Path
) -> None:
    def amend(manifest: Manifest, **folders: Path) -> None:
        amend_pack(pack, tmp_path / "new", manifest, variants=folders)

    with pytest.raises(ValueError, match="without files: \\['int8'\\]"):
        amend(manifest)
    with pytest.raises(ValueError, match="without a manifest entry: \\['other'\\]"):
        amend(manifest, int8=folder, other=folder)
    other = variants.entry(pack.manifest, base="0" * 64)
    with pytest.raises(ValueError, match="from a graph other"):
        amend(named(pack, int8=other), int8=folder)
    with pytest.raises(ValueError, match="evidence"):
        amend(manifest, int8=variants.folder(tmp_path / "two", sets=2))
    assert not (tmp_path / "new").exists()


def test_a_bare_graph_cannot_be_amended(parts: Any, manifest: Manifest, tmp_path: Path) -> None:
    with pytest.raises(PackError, match="no manifest"):
        amend_pack(open_pack(parts.model), tmp_path / "new", manifest)


@pytest.mark.parametrize(
    "file",
    ["model.onnx", "test_data_set_1/output_0.pb", "variants/int8/weights.bin"],
)
def test_a_file_that_was_altered_does_not_become_proven(
    varied: Pack, tmp_path: Path, file: str
) -> None:
    content = bytearray((varied.path / file).read_bytes())
    content[-1] ^= 1
    (varied.path / file).write_bytes(content)
    assert varied.manifest is not None
    with pytest.raises(PackError, match=f"altered files: {file}"):
        amend_pack(varied, tmp_path / "new", varied.manifest)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("in_place", [False, True])
def test_a_full_disk_leaves_the_old_pack(
    pack: Pack,
    manifest: Manifest,
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    in_place: bool,
) -> None:
    """Whichever file the disk is full at."""
    to = pack.path if in_place else tmp_path / "new"
    old, real, calls = snapshot(pack.path), write.measure, 0

    def fail_at(at: int) -> Any:
        def measure(*args: Any, **options: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls == at:
                raise OSError(errno.ENOSPC, "No space left on device")
            return real(*args, **options)

        return measure

    at = 0
    while True:
        at, calls = at + 1, 0
        monkeypatch.setattr(write, "measure", fail_at(at))
        with suppress(PackError):
            amend_pack(pack, to, manifest, variants={"int8": folder}, force=in_place)
            break
        assert snapshot(pack.path) == old
        assert sorted(path.name for path in tmp_path.iterdir()) == ["made", "tiny", "training"]
    assert at > len(old)
    assert validate(open_pack(to)).ok


KILLED = """
import sys
from pathlib import Path
import msgspec
from onnxpack.pack import write
from onnxpack.pack.amend import amend_pack
from onnxpack.pack.manifest import Manifest
from onnxpack.pack.read import open_pack

def wait(*_):
    print("writing", flush=True)
    sys.stdin.read()

write.make_generated = wait
pack = open_pack(sys.argv[1])
manifest = msgspec.json.decode(Path(sys.argv[2]).read_bytes(), type=Manifest)
amend_pack(pack, pack.path, manifest, variants={"int8": Path(sys.argv[3])}, force=True)
"""


def test_a_kill_leaves_the_old_pack(
    pack: Pack, manifest: Manifest, folder: Path, tmp_path: Path
) -> None:
    """Killed after it copied the graphs, where no handler runs."""
    old = snapshot(pack.path)
    (tmp_path / "manifest.json").write_bytes(msgspec.json.encode(manifest))
    command = [sys.executable, "-c", KILLED, pack.path, tmp_path / "manifest.json", folder]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"writing\n"
        os.kill(process.pid, signal.SIGKILL)
        process.wait(timeout=60)
    assert snapshot(pack.path) == old
    assert validate(open_pack(pack.path)).ok
    made = amend_pack(pack, pack.path, manifest, variants={"int8": folder}, force=True)
    assert validate(made).ok
