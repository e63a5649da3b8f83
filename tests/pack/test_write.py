from __future__ import annotations

import errno
import hashlib
import linecache
import os
import shutil
import sys
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Any

import msgspec
import numpy as np
import onnx
import pytest

from onnxpack import atomic
from onnxpack.errors import PackError
from onnxpack.pack import write
from onnxpack.pack.model import Pack
from onnxpack.pack.read import open_pack
from onnxpack.pack.tensor import read_tensor
from onnxpack.pack.validate import validate
from onnxpack.pack.write import GoldenData, check_destination


def snapshot(folder: Path) -> dict[str, tuple[int, int, bytes]]:
    """Mode, time and bytes of everything in a folder."""
    return {
        path.relative_to(folder).as_posix(): (
            path.lstat().st_mode,
            path.lstat().st_mtime_ns,
            path.read_bytes() if path.is_file() else b"",
        )
        for path in sorted(folder.rglob("*"))
    }


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_pack_holds_what_it_was_given(parts: Any, pack: Pack) -> None:
    assert list(snapshot(pack.path)) == [
        "README.md",
        "SBOM.cdx.json",
        "model.onnx",
        "pack.json",
        "test_data_set_0",
        "test_data_set_0/input_0.pb",
        "test_data_set_0/output_0.pb",
        "test_data_set_1",
        "test_data_set_1/input_0.pb",
        "test_data_set_1/output_0.pb",
    ]
    assert pack.model_path.read_bytes() == parts.model.read_bytes()
    name, array = read_tensor(pack.golden[1].outputs[0])
    assert name == "y"
    np.testing.assert_array_equal(array, parts.golden[1].outputs["y"])
    assert pack.manifest is not None
    for relative, entry in pack.manifest.files.items():
        content = (pack.path / relative).read_bytes()
        assert entry.sha256 == hashlib.sha256(content).hexdigest()
        assert entry.size == len(content)
    assert msgspec.structs.replace(pack.manifest, files={}) == parts.manifest
    assert validate(pack).ok


def test_the_same_pack_has_the_same_bytes_modes_and_times(parts: Any, tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        first = parts.write(tmp_path / "a")
        os.umask(0o000)
        second = parts.write(tmp_path / "b")
    finally:
        os.umask(before)
    assert first.digest == second.digest
    assert snapshot(first.path) == snapshot(second.path)
    assert {oct(mode) for mode, _, _ in snapshot(first.path).values()} == {"0o100644", "0o40755"}
    assert {moment for _, moment, _ in snapshot(first.path).values()} == {0}
    assert oct(first.path.stat().st_mode) == "0o40755"


def test_times_follow_source_date_epoch(
    parts: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    pack = parts.write(tmp_path / "a")
    assert {moment for _, moment, _ in snapshot(pack.path).values()} == {1700000000 * 10**9}


def test_external_data_comes_along(external_parts: Any, tmp_path: Path) -> None:
    pack = external_parts.write(tmp_path / "a")
    assert (pack.path / "model.onnx.data").stat().st_size == 24
    assert pack.manifest is not None
    assert "model.onnx.data" in pack.manifest.files
    assert validate(pack).ok


def test_external_data_cannot_take_another_files_place(
    parts: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(parts.model.parent)
    model = onnx.load(parts.model)
    onnx.save(
        model,
        parts.model,
        save_as_external_data=True,
        location="README.md",
        size_threshold=0,
    )
    with pytest.raises(PackError, match="cannot be written: File exists"):
        parts.write(tmp_path / "a")
    assert names(tmp_path) == ["training"]


def test_parents_are_made_and_unmade(parts: Any, tmp_path: Path) -> None:
    assert parts.write(tmp_path / "deep" / "deeper" / "a").path.is_dir()
    broken = msgspec.structs.replace(parts.manifest, name="no/name")
    with pytest.raises(PackError, match=r"\$\.name"):
        write.write_pack(
            tmp_path / "other" / "deeper" / "a", broken, model=parts.model, golden=parts.golden
        )
    assert names(tmp_path) == ["deep", "training"]


def test_evidence_that_cannot_be_written_as_json_is_refused(parts: Any, tmp_path: Path) -> None:
    case = parts.manifest.parity.cases[0]
    output = msgspec.structs.replace(case.outputs[0], max_abs=float("nan"))
    case = msgspec.structs.replace(case, outputs=(output,))
    parity = msgspec.structs.replace(parts.manifest.parity, cases=(case,))
    broken = msgspec.structs.replace(parts.manifest, parity=parity)
    with pytest.raises(PackError, match="max_abs"):
        write.write_pack(tmp_path / "a", broken, model=parts.model, golden=parts.golden[:1])
    assert names(tmp_path) == ["training"]


def test_golden_data_that_does_not_fit_the_evidence_is_a_mistake(
    parts: Any, tmp_path: Path
) -> None:
    for golden in (parts.golden[:1], [*parts.golden, parts.golden[0]]):
        with pytest.raises(ValueError, match="evidence names"):
            write.write_pack(tmp_path / "a", parts.manifest, model=parts.model, golden=golden)
    wrong = [parts.golden[0], GoldenData({"z": np.zeros(1)}, parts.golden[1].outputs)]
    with pytest.raises(ValueError, match="the signature"):
        write.write_pack(tmp_path / "a", parts.manifest, model=parts.model, golden=wrong)


def test_an_absent_graph_leaves_nothing(parts: Any, tmp_path: Path) -> None:
    parts.model.unlink()
    with pytest.raises(PackError, match=r"candidate\.onnx does not exist"):
        parts.write(tmp_path / "a")
    assert names(tmp_path) == ["training"]


def test_what_exists_is_not_replaced_unasked(parts: Any, pack: Pack, tmp_path: Path) -> None:
    before = snapshot(pack.path)
    (tmp_path / "empty").mkdir()
    for place in (pack.path, tmp_path / "empty"):
        with pytest.raises(PackError, match="exists already") as caught:
            parts.write(place)
        assert "force=True" in caught.value.remedy
        assert caught.value.option == f"-o {place}-2"
    assert snapshot(pack.path) == before


def test_force_replaces_a_pack_and_an_empty_folder(parts: Any, pack: Pack, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for place in (pack.path, tmp_path / "empty", tmp_path / "absent"):
        assert validate(parts.write(place, force=True)).ok
    assert names(tmp_path) == ["absent", "empty", "tiny", "training"]


@pytest.mark.parametrize("read_only", ["the pack", "the folder above it"])
def test_what_is_read_only_is_refused_before_the_work(
    parts: Any, pack: Pack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, read_only: str
) -> None:
    """As root, and in the tests of some, every folder can be written: so it is said to be none."""
    place = pack.path if read_only == "the pack" else tmp_path
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != place)
    before = snapshot(tmp_path)
    with pytest.raises(PackError, match="read-only"):
        parts.write(pack.path, force=True)
    assert snapshot(tmp_path) == before


def _folder_of_mine(place: Path) -> None:
    place.mkdir()
    (place / "thesis.txt").touch()


def _folder_with_other_json(place: Path) -> None:
    place.mkdir()
    (place / "pack.json").write_text('{"name": "a-node-package"}')


def _symlink_to_a_pack(place: Path) -> None:
    place.symlink_to("tiny")


@pytest.mark.parametrize(
    "make", [_folder_of_mine, _folder_with_other_json, _symlink_to_a_pack, Path.touch]
)
def test_force_never_deletes_what_is_not_a_pack(
    parts: Any, pack: Pack, tmp_path: Path, make: Any
) -> None:
    make(tmp_path / "mine")
    before = snapshot(tmp_path)
    with pytest.raises(PackError, match="--force replaces only"):
        parts.write(tmp_path / "mine", force=True)
    assert snapshot(tmp_path) == before


@pytest.mark.parametrize("name", ["thesis.tex", ".git/HEAD", "variants/int8/notes", "link"])
def test_force_never_deletes_a_file_that_the_pack_does_not_list(
    parts: Any, pack: Pack, tmp_path: Path, name: str
) -> None:
    place = pack.path / name
    place.parent.mkdir(parents=True, exist_ok=True)
    place.symlink_to(tmp_path) if name == "link" else place.touch()
    before = snapshot(tmp_path)
    with pytest.raises(PackError, match=f"holds {name}, which the pack there does not list"):
        parts.write(pack.path, force=True)
    assert snapshot(tmp_path) == before


@pytest.mark.parametrize("name", ["..", ".", "/"])
def test_a_pack_needs_a_name(name: str) -> None:
    with pytest.raises(PackError, match="not a valid name for a pack"):
        check_destination(Path(name), force=True)


class Interrupt:
    """Interrupts at the ``at``-th line of write.py, once."""

    def __init__(self, at: int) -> None:
        self.left = at
        self.line = ""

    def __call__(self, frame: FrameType, event: str, arg: Any) -> Any:
        file = frame.f_code.co_filename
        if file not in (write.__file__, atomic.__file__):
            return None
        if event == "line":
            self.left -= 1
            if self.left == 0:
                self.line = linecache.getline(file, frame.f_lineno)
                raise KeyboardInterrupt
        return self


def interrupted(parts: Any, to: Path, at: int, *, force: bool) -> Interrupt | None:
    """The interrupt, or None where the work was done before it came."""
    interrupt, before = Interrupt(at), sys.gettrace()
    sys.settrace(interrupt)
    try:
        parts.write(to, force=force)
    except KeyboardInterrupt:
        return interrupt
    finally:
        sys.settrace(before)
    return None


# An interrupt on the very line that closes a file leaves it to the garbage collector.
@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")
def test_an_interrupt_at_any_line_leaves_nothing_half_made(parts: Any, tmp_path: Path) -> None:
    at = 1
    while interrupt := interrupted(parts, tmp_path / "out" / "new", at, force=False):
        out = tmp_path / "out"
        if (out / "new").exists():
            assert validate(open_pack(out / "new")).ok
            assert names(out) == ["new"]
            shutil.rmtree(out)
        assert names(tmp_path) == ["training"], interrupt.line
        at += 1
    assert at > 100


# An interrupt on the very line that closes a file leaves it to the garbage collector.
@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")
@pytest.mark.parametrize("exchanges", [True, False])
def test_an_interrupt_at_any_line_leaves_the_old_pack_or_the_new(
    parts: Any, pack: Pack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exchanges: bool
) -> None:
    if not exchanges:
        monkeypatch.setattr(atomic, "_exchange", lambda *_: False)
    old = snapshot(pack.path)
    at = 1
    while interrupt := interrupted(parts, pack.path, at, force=True):
        assert snapshot(pack.path) == old
        # Interrupted while the old pack is deleted, it stays aside; that is no loss.
        aside = [name for name in names(tmp_path) if name.startswith(".")]
        if aside:
            assert "lexists(to)" in interrupt.line or "rmtree" in interrupt.line
            shutil.rmtree(tmp_path / aside[0])
        assert names(tmp_path) == ["tiny", "training"], interrupt.line
        at += 1
    assert at > 100


def test_all_is_on_the_disk_before_the_pack_appears(
    parts: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    to, synchronised, too_late = tmp_path / "new", set[int](), []

    def synchronise(handle: int) -> None:
        if to.exists() and os.fstat(handle).st_ino != tmp_path.stat().st_ino:
            too_late.append(handle)
        synchronised.add(os.fstat(handle).st_ino)

    monkeypatch.setattr(os, "fsync", synchronise)
    parts.write(to, force=False)
    wanted = [tmp_path, to, *to.rglob("*")]
    assert {path.stat().st_ino for path in wanted} <= synchronised
    assert not too_late


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize("step", ["fsync", "utime", "rename", "chmod"])
def test_a_disk_that_fails_leaves_nothing_half_made(
    parts: Any, pack: Pack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, force: bool
) -> None:
    real, calls = getattr(os, step), 0
    to = pack.path if force else tmp_path / "new"
    old = snapshot(pack.path)

    def fail(at: int) -> Any:
        def call(*args: Any, **named: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls == at:
                raise OSError(errno.ENOSPC, "No space left on device")
            return real(*args, **named)

        return call

    if step == "rename":  # as where a file system cannot exchange two names
        monkeypatch.setattr(atomic, "_exchange", lambda *_: False)
    at = 0
    while True:
        at, calls = at + 1, 0
        monkeypatch.setattr(os, step, fail(at))
        with suppress(PackError):
            parts.write(to, force=force)
            break
        assert snapshot(pack.path) == old
        if not force and to.exists():
            assert validate(open_pack(to)).ok
            shutil.rmtree(to)
        assert names(tmp_path) == ["tiny", "training"]
    assert at > 1
