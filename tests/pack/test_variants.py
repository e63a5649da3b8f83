"""Variants that come from outside: what opens, what is refused, what a check reports."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnx
import pytest
from onnx import helper

from onnxpack.errors import PackError
from onnxpack.pack import manifest as manifests
from onnxpack.pack.manifest import Distance, Variant
from onnxpack.pack.model import Pack
from onnxpack.pack.read import open_pack
from onnxpack.pack.tensor import encode_tensor
from onnxpack.pack.validate import validate


def rewrite(pack: Pack, **variants: Variant) -> Pack:
    """Change what the manifest says of variants, and of no file."""
    assert pack.manifest is not None
    manifest = msgspec.structs.replace(pack.manifest, variants=variants)
    (pack.path / "pack.json").write_bytes(manifests.encode(manifest))
    return open_pack(pack.path)


def faults(pack: Pack) -> str:
    """The errors of a check, but for digests: every test here alters files."""
    return "\n".join(
        f"{each.subject}: {each.message}"
        for each in validate(pack).errors
        if "was altered" not in each.message and "bytes, expected" not in each.message
    )


def test_variants_are_opened(varied: Pack) -> None:
    assert open_pack(varied.path) == varied
    assert sorted(varied.variants) == ["exact", "int8"]
    found = varied.variants["int8"]
    assert found.model_path == varied.path / "variants/int8/model.onnx"
    assert [path.name for path in found.golden[0].outputs] == ["output_0.pb"]
    assert (found.entry.exact, found.entry.ratio) == (False, 2.0)
    assert varied.variants["exact"].entry.exact
    report = validate(varied)
    assert report.ok
    assert "variants/int8" in [finding.subject for finding in report.findings]


def test_a_pack_without_variants_has_none(pack: Pack) -> None:
    assert pack.variants == {}
    hash(Pack(pack.path, pack.model_path))


def test_a_folder_and_an_entry_belong_together(varied: Pack) -> None:
    assert varied.manifest is not None
    entries = varied.manifest.variants
    shutil.rmtree(varied.path / "variants/exact")
    (varied.path / "variants/stray").mkdir()
    opened = open_pack(varied.path)
    assert list(opened.variants) == ["int8"]
    found = faults(opened)
    assert "variants/exact: pack.json lists it, but the folder does not exist" in found
    assert "variants/stray: it is in the folder, but pack.json does not list it" in found
    assert "variants/int8: it is in the folder" in faults(rewrite(varied, exact=entries["exact"]))


@pytest.mark.parametrize("name", ["auto", "base", "..", "a/b", "Int8", "-x", "a" * 64, ""])
def test_a_name_that_means_something_else_is_refused(varied: Pack, name: str) -> None:
    assert varied.manifest is not None
    with pytest.raises(PackError, match="not a manifest"):
        rewrite(varied, **{name: varied.manifest.variants["int8"]})


@pytest.mark.parametrize("part", ["variants", "variants/int8", "variants/int8/test_data_set_0"])
def test_a_symlink_is_refused(varied: Pack, tmp_path: Path, part: str) -> None:
    place = varied.path / part
    place.rename(tmp_path / "elsewhere")
    place.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(PackError, match="is not a folder"):
        open_pack(varied.path)


def test_a_graph_that_is_a_symlink_is_refused(varied: Pack) -> None:
    graph = varied.path / "variants/int8/model.onnx"
    graph.unlink()
    graph.symlink_to("/etc/passwd")
    with pytest.raises(PackError, match="symlink"):
        open_pack(varied.path)
    graph.unlink()
    with pytest.raises(PackError, match="does not exist"):
        open_pack(varied.path)
    os.mkfifo(graph)
    with pytest.raises(PackError, match="not a regular file"):
        open_pack(varied.path)


@pytest.mark.parametrize("location", ["../../model.onnx", "/etc/passwd", "../exact/model.onnx"])
def test_external_data_stays_inside_the_variant(varied: Pack, location: str) -> None:
    path = varied.path / "variants/int8/model.onnx"
    model = onnx.load(path, load_external_data=False)
    (entry,) = [e for e in model.graph.initializer[0].external_data if e.key == "location"]
    entry.value = location
    path.write_bytes(model.SerializeToString())
    with pytest.raises(PackError, match="external data that is refused"):
        open_pack(varied.path)


def test_golden_sets_are_bounded(varied: Pack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("onnxpack.pack.read.MAX_SETS", 2)
    shutil.copytree(varied.path / "test_data_set_0", varied.path / "variants/int8/test_data_set_7")
    open_pack(varied.path)
    shutil.copytree(varied.path / "test_data_set_0", varied.path / "variants/int8/test_data_set_8")
    with pytest.raises(PackError, match="3 golden sets"):
        open_pack(varied.path)


def test_variants_are_bounded(varied: Pack) -> None:
    assert varied.manifest is not None
    entry = varied.manifest.variants["int8"]
    with pytest.raises(PackError, match="not a manifest"):
        rewrite(varied, **{f"v{number}": entry for number in range(33)})


def test_a_variant_of_another_graph_is_an_error(varied: Pack, variants: Any) -> None:
    found = faults(rewrite(varied, int8=variants.entry(varied.manifest, base="0" * 64)))
    assert "variants/int8: it was made from 000" in found


def test_a_variant_of_another_signature_is_an_error(varied: Pack) -> None:
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        [helper.make_node("Identity", ["x"], ["z"])],
        "g",
        [value("x", onnx.TensorProto.FLOAT, ["batch", 3])],
        [value("z", onnx.TensorProto.FLOAT, ["batch", 3])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.save(model, varied.path / "variants/exact/model.onnx")
    assert "variants/exact: the graph's outputs contain z" in faults(open_pack(varied.path))


def test_golden_sets_that_do_not_fit_are_an_error(varied: Pack) -> None:
    file = varied.path / "variants/int8/test_data_set_0/input_0.pb"
    file.write_bytes(encode_tensor("x", np.zeros((1, 4), np.float32)))
    found = faults(open_pack(varied.path))
    assert "variants/int8/test_data_set_0/input_0.pb: it is float32[1, 4]" in found


def test_evidence_names_every_set_and_output_once(varied: Pack, variants: Any) -> None:
    def said(*evidence: Distance, **changes: Any) -> str:
        entry = variants.entry(varied.manifest, evidence=evidence, **changes)
        return faults(rewrite(varied, int8=entry, exact=varied.manifest.variants["exact"]))

    good = Distance(golden="test_data_set_0", output="y", distance=0.01, labels=1)
    change = msgspec.structs.replace
    assert said(good) == ""
    assert "names 'y' of test_data_set_0 2 times" in said(good, good)
    assert "names test_data_set_9, which" in said(good, change(good, golden="test_data_set_9"))
    assert "names output 'z', which" in said(good, change(good, output="z"))
    assert "names 'y' of test_data_set_0 0 times" in said()
    assert "keeps its agreement only in part, but no golden set" in said()
    for distance in (-0.1, 1.0, 5.0):
        assert "expected at least 0 and less than 1" in said(change(good, distance=distance))
