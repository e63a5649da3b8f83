from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from onnxpack.errors import PackError
from onnxpack.pack import manifest as manifests
from onnxpack.pack import read
from onnxpack.pack.model import Pack
from onnxpack.pack.read import open_pack
from onnxpack.pack.tensor import encode_tensor


@pytest.fixture
def zoo(parts: object, tmp_path: Path) -> Path:
    folder = tmp_path / "zoo"
    folder.mkdir()
    shutil.copy(parts.model, folder / "resnet18-v1-7.onnx")
    for number in (10, 2, 0):
        golden = folder / f"test_data_set_{number}"
        golden.mkdir()
        for file in ("input_0.pb", "input_10.pb", "output_0.pb"):
            (golden / file).write_bytes(encode_tensor("x", np.zeros(1)))
        for number in range(1, 10):
            (golden / f"input_{number}.pb").write_bytes(b"")
    return folder


def test_a_pack_is_opened(pack: Pack) -> None:
    opened = open_pack(str(pack.path))
    assert opened == pack
    assert opened.manifest is not None
    assert opened.name == "tiny"
    content = (pack.path / "pack.json").read_bytes()
    assert opened.digest == manifests.digest(content)
    assert [golden.name for golden in opened.golden] == ["test_data_set_0", "test_data_set_1"]


def test_a_zoo_folder_is_opened_in_order_of_numbers(zoo: Path) -> None:
    opened = open_pack(zoo)
    assert opened.model_path == zoo / "resnet18-v1-7.onnx"
    assert (opened.manifest, opened.digest, opened.name) == (None, None, "zoo")
    assert [golden.name[14:] for golden in opened.golden] == ["0", "2", "10"]
    assert [path.name for path in opened.golden[0].inputs] == [
        f"input_{number}.pb" for number in range(11)
    ]


def test_model_onnx_goes_before_other_graphs(zoo: Path, parts: object) -> None:
    shutil.copy(parts.model, zoo / "model.onnx")
    assert open_pack(zoo).model_path == zoo / "model.onnx"


def test_a_bare_graph_is_opened(parts: object) -> None:
    opened = open_pack(parts.model)
    assert opened == Pack(parts.model, parts.model)
    assert opened.name == "candidate"


def test_the_users_own_symlinks_are_followed(pack: Pack, parts: object, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(pack.path)
    (tmp_path / "link.onnx").symlink_to(parts.model)
    assert open_pack(tmp_path / "link").manifest == pack.manifest
    assert open_pack(tmp_path / "link.onnx").manifest is None


def test_what_is_absent_or_something_else_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PackError, match="does not exist"):
        open_pack(tmp_path / "absent")
    with pytest.raises(PackError, match=r"has no model\.onnx"):
        open_pack(tmp_path)
    with pytest.raises(PackError, match="cannot be read: File name too long"):
        open_pack(tmp_path / ("a" * 300))
    (tmp_path / "net.pt").touch()
    with pytest.raises(PackError, match=r"onnxpack export .*net\.pt") as caught:
        open_pack(tmp_path / "net.pt")
    assert "neither a pack nor" in caught.value.message
    os.mkfifo(tmp_path / "pipe.onnx")
    with pytest.raises(PackError, match="regular file"):
        open_pack(tmp_path / "pipe.onnx")


def test_two_graphs_are_refused_by_name(zoo: Path, parts: object) -> None:
    shutil.copy(parts.model, zoo / "other.onnx")
    with pytest.raises(PackError, match="holds 2 graphs") as caught:
        open_pack(zoo)
    assert caught.value.remedy == f"name one of them: {zoo / 'other.onnx'}"


def test_a_pack_has_its_graph_in_one_place_only(pack: Pack) -> None:
    pack.model_path.rename(pack.path / "other.onnx")
    with pytest.raises(PackError, match=r"has no model\.onnx"):
        open_pack(pack.path)


@pytest.mark.parametrize("name", ["pack.json", "model.onnx"])
@pytest.mark.parametrize("kind", ["symlink", "dangling", "pipe", "folder"])
def test_what_stands_for_a_file_must_be_one(pack: Pack, name: str, kind: str) -> None:
    path = pack.path / name
    path.rename(pack.path.parent / "elsewhere")
    if kind == "symlink":
        path.symlink_to("../elsewhere")
    elif kind == "dangling":
        path.symlink_to("nowhere")
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.mkdir()
    with pytest.raises(PackError, match=name):
        open_pack(pack.path)


def test_a_manifest_over_the_bound_is_refused_unread(pack: Pack) -> None:
    os.truncate(pack.path / "pack.json", manifests.MAX_MANIFEST_BYTES + 1)
    with pytest.raises(PackError, match="expected at most"):
        open_pack(pack.path)


def test_a_malformed_manifest_names_its_folder(pack: Pack) -> None:
    (pack.path / "pack.json").write_text("{}")
    with pytest.raises(PackError, match=r"tiny: pack\.json is not a manifest.*schema_version"):
        open_pack(pack.path)


def test_gaps_are_refused(zoo: Path) -> None:
    (zoo / "test_data_set_2" / "input_3.pb").unlink()
    with pytest.raises(PackError, match=r"test_data_set_2 has no input_3\.pb"):
        open_pack(zoo)


def test_a_set_without_outputs_is_refused(zoo: Path) -> None:
    (zoo / "test_data_set_2" / "output_0.pb").unlink()
    with pytest.raises(PackError, match=r"has no output_0\.pb"):
        open_pack(zoo)


def test_a_symlinked_set_is_refused(zoo: Path) -> None:
    (zoo / "test_data_set_11").symlink_to("test_data_set_0")
    with pytest.raises(PackError, match="not a folder"):
        open_pack(zoo)


@pytest.mark.parametrize("name", ["test_data_set_01", "test_data_set_x", "test_data_set_٣"])
def test_other_names_are_no_sets(zoo: Path, name: str) -> None:
    (zoo / name).mkdir()
    assert len(open_pack(zoo).golden) == 3


def test_numbers_of_sets_and_tensors_are_bounded(
    zoo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(read, "MAX_TENSORS", 10)
    with pytest.raises(PackError, match="11 inputs, expected at most 10"):
        open_pack(zoo)
    monkeypatch.setattr(read, "MAX_SETS", 2)
    with pytest.raises(PackError, match="3 golden sets, expected at most 2"):
        open_pack(zoo)


def test_reading_loads_nothing_that_an_image_lacks() -> None:
    script = (
        "import sys, onnxpack.pack.read, onnxpack.pack.tensor\n"
        "print({name.partition('.')[0] for name in sys.modules} & "
        "{'onnx', 'onnx_ir', 'rich', 'click', 'onnxruntime', 'torch', 'ml_dtypes'})"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    assert done.stdout == b"set()\n"
