from __future__ import annotations

import os
import re
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from onnxpack.pack import files as packed
from onnxpack.pack import manifest as manifests
from onnxpack.pack.digest import measure
from onnxpack.pack.generated import make_generated
from onnxpack.pack.manifest import FileEntry, Manifest
from onnxpack.pack.model import Pack
from onnxpack.pack.read import open_pack
from onnxpack.pack.tensor import encode_tensor
from onnxpack.pack.validate import validate
from onnxpack.report import Level
from onnxpack.signature import Signature, TensorSpec


def faults(pack: Pack) -> list[str]:
    return [f"{found.subject}: {found.message}" for found in validate(pack).errors]


def rewrite(pack: Pack, **changes: Any) -> Pack:
    """The pack with another manifest, whose digests and generated files fit what is there."""
    assert pack.manifest is not None
    changed = msgspec.structs.replace(pack.manifest, **changes)
    if "files" not in changes:
        changed = msgspec.structs.replace(changed, files=measured(pack))
        for name, content in make_generated(changed).items():
            (pack.path / name).write_bytes(content)
        changed = msgspec.structs.replace(changed, files=measured(pack))
    (pack.path / "pack.json").write_bytes(manifests.encode(changed))
    return open_pack(pack.path)


def measured(pack: Pack) -> dict[str, FileEntry]:
    assert pack.manifest is not None
    files = {}
    for relative in pack.manifest.files:
        with (pack.path / relative).open("rb") as stream:
            files[relative] = measure(stream)
    return files


def change_graph(pack: Pack, change: Callable[[onnx.ModelProto], None]) -> Pack:
    model = onnx.load(pack.model_path)
    change(model)
    onnx.save(model, pack.model_path)
    return rewrite(pack)


def test_a_sound_pack_has_one_finding_for_each_part(pack: Pack) -> None:
    report = validate(pack)
    assert report.ok
    assert [(found.level, found.subject) for found in report.findings] == [
        (Level.OK, "pack.json"),
        (Level.OK, "external data"),
        (Level.OK, "graph"),
        (Level.OK, "files"),
        (Level.OK, "signature"),
        (Level.OK, "golden data"),
        (Level.OK, "evidence"),
    ]


def test_all_faults_of_files_are_told(pack: Pack, tmp_path: Path) -> None:
    (pack.path / "README.md").unlink()
    altered = pack.path / "test_data_set_0" / "input_0.pb"
    altered.write_bytes(altered.read_bytes()[:-1] + b"\x01")
    with (pack.path / "test_data_set_0" / "output_0.pb").open("ab") as stream:
        stream.write(b"\x00")
    (pack.path / "extra.txt").touch()
    (pack.path / "test_data_set_0" / ".hidden").touch()
    (pack.path / "way").symlink_to(tmp_path)
    (pack.path / "SBOM.cdx.json").rename(tmp_path / "sbom")
    (pack.path / "SBOM.cdx.json").symlink_to(tmp_path / "sbom")
    os.mkfifo(pack.path / "pipe")
    found = "\n".join(faults(pack))
    for line in (
        "README.md: .* does not exist",
        "input_0.pb: it was altered: sha256 [0-9a-f]{64}, expected [0-9a-f]{64}",
        "output_0.pb: it has 20 bytes, expected 19",
        "extra.txt: it is in the folder, but pack.json does not list it",
        ".hidden: it is in the folder",
        "way: it is in the folder",
        "pipe: it is in the folder",
        "SBOM.cdx.json: .* symlink",
    ):
        assert re.search(line, found), (line, found)


def test_a_manifest_that_names_files_outside_is_refused(pack: Pack, tmp_path: Path) -> None:
    assert pack.manifest is not None
    entry = pack.manifest.files["README.md"]
    names = ("../training/candidate.onnx", "/etc/passwd", "a\\b", "")
    files = pack.manifest.files | dict.fromkeys(names, entry)
    found = faults(rewrite(pack, files=files))
    for name in names:
        assert any(fault.startswith(f"{name}: path {name!r}") for fault in found), (name, found)


def test_files_are_bounded(pack: Pack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packed, "MAX_FILES", 2)
    assert faults(pack) == ["files: there are more than 2 files."]


def test_an_edited_manifest_is_told(pack: Pack) -> None:
    path = pack.path / "pack.json"
    path.write_bytes(path.read_bytes().replace(b"  ", b" "))
    assert faults(pack) == ["pack.json: it changed after the pack was opened."]
    assert "not in its canonical form" in faults(open_pack(pack.path))[0]
    path.write_bytes(b"{}")
    assert "not a manifest" in faults(pack)[0]


def test_a_field_that_no_version_knows_is_told(pack: Pack) -> None:
    path = pack.path / "pack.json"
    content = msgspec.json.decode(path.read_bytes()) | {"trust_me": True}
    path.write_bytes(
        msgspec.json.format(msgspec.json.encode(content, order="sorted"), indent=2) + b"\n"
    )
    assert "not in its canonical form" in faults(open_pack(pack.path))[0]


@pytest.mark.parametrize("content", [b"", b"\xff", b"GIF89a", b"\x08\x0a"])
def test_a_graph_that_is_none_is_told(pack: Pack, content: bytes) -> None:
    pack.model_path.write_bytes(content)
    assert any(fault.startswith(("graph: ", "external data: ")) for fault in faults(pack))


def test_an_invalid_graph_is_told(pack: Pack) -> None:
    def break_it(model: onnx.ModelProto) -> None:
        model.graph.node[0].input[1] = "nowhere"

    assert any("is not a valid graph" in fault for fault in faults(change_graph(pack, break_it)))


def test_a_graph_too_large_to_parse_is_told(pack: Pack) -> None:
    os.truncate(pack.model_path, 2**31)
    assert any("expected at most 2147483647" in fault for fault in faults(pack))


def test_versions_that_differ_are_told(pack: Pack) -> None:
    def move(model: onnx.ModelProto) -> None:
        model.opset_import[0].version = 17
        model.ir_version = 9

    found = faults(change_graph(pack, move))
    assert "graph: its opset is 17, expected 18 as in pack.json." in found
    assert "graph: its IR version is 9, expected 10 as in pack.json." in found


def _rename(model: onnx.ModelProto) -> None:
    model.graph.input[0].name = model.graph.node[0].input[0] = "z"


def _freeze(model: onnx.ModelProto) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 2


def _rerank(model: onnx.ModelProto) -> None:
    model.graph.output[0].type.tensor_type.shape.dim.add()


def _add_output(model: onnx.ModelProto) -> None:
    model.graph.node.append(helper.make_node("Identity", ["y"], ["z"]))
    model.graph.output.append(helper.make_tensor_value_info("z", TensorProto.FLOAT, ["batch", 2]))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_rename, "inputs contain z: float32[batch, 3], expected x: float32[batch, 3]"),
        (_freeze, "inputs contain x: float32[2, 3], expected x: float32[batch, 3]"),
        (_rerank, "outputs contain y: float32[batch, 2, ?], expected y: float32[batch, 2]"),
        (_add_output, "the graph has 2 outputs, expected 1"),
    ],
)
def test_a_signature_that_differs_is_told(pack: Pack, change: Any, said: str) -> None:
    assert any(said in fault for fault in faults(change_graph(pack, change)))


def test_another_dtype_is_told(pack: Pack) -> None:
    assert pack.manifest is not None
    signature = Signature(
        (TensorSpec("x", "float64", ("batch", 3)),), pack.manifest.signature.outputs
    )
    found = faults(rewrite(pack, signature=signature))
    assert (
        "signature: the graph's inputs contain x: float32[batch, 3], expected x: float64[batch, 3]."
        in found
    )
    assert any("it is float32[1, 3], expected float64[batch, 3]" in fault for fault in found)


def test_what_a_graph_leaves_open_contradicts_nothing(pack: Pack) -> None:
    def forget(model: onnx.ModelProto) -> None:
        model.graph.output[0].type.tensor_type.ClearField("shape")
        model.graph.input[0].type.tensor_type.shape.dim[0].Clear()

    assert faults(change_graph(pack, forget)) == []


def test_a_graph_that_leaves_a_rank_open_is_checked_all_the_same(
    external_parts: Any, tmp_path: Path
) -> None:
    pack = external_parts.write(tmp_path / "big")
    model = onnx.load(pack.model_path, load_external_data=False)
    model.graph.output[0].type.tensor_type.ClearField("shape")
    pack.model_path.write_bytes(model.SerializeToString())
    assert faults(rewrite(pack)) == []
    model.graph.node[0].op_type = "NoSuchOperator"
    pack.model_path.write_bytes(model.SerializeToString())
    assert any("NoSuchOperator" in fault for fault in faults(rewrite(pack)))


def test_golden_data_that_does_not_fit_is_told(pack: Pack) -> None:
    folder = pack.path / "test_data_set_1"
    (folder / "input_0.pb").write_bytes(encode_tensor("z", np.zeros((2, 3), np.float32)))
    (folder / "output_0.pb").write_bytes(encode_tensor("y", np.zeros((5, 2), np.float32)))
    (pack.path / "test_data_set_0" / "output_0.pb").write_bytes(b"\xff")
    found = faults(rewrite(pack))
    assert "test_data_set_1/input_0.pb: it contains 'z', expected 'x'." in found
    assert any("float32[5, 2], expected float32[batch, 2] where batch = 2." in f for f in found)
    assert any("test_data_set_0/output_0.pb: " in f and "is not a tensor" in f for f in found)


def test_missing_and_surplus_tensors_are_told(pack: Pack) -> None:
    (pack.path / "test_data_set_0" / "output_1.pb").write_bytes(encode_tensor("y", np.zeros(1)))
    (pack.path / "test_data_set_1" / "input_0.pb").unlink()
    found = faults(open_pack(pack.path))
    assert "test_data_set_0: it has 2 outputs, expected 1." in found
    assert "test_data_set_1: it has 0 inputs, expected 1." in found


def change_cases(pack: Pack, *changes: dict[str, Any]) -> Pack:
    assert pack.manifest is not None
    parity = pack.manifest.parity
    cases = tuple(
        msgspec.structs.replace(case, **change)
        for case, change in zip(parity.cases, changes, strict=False)
    )
    return rewrite(pack, parity=msgspec.structs.replace(parity, cases=cases))


def test_evidence_and_golden_data_must_name_each_other(pack: Pack) -> None:
    found = faults(change_cases(pack, {"golden": "test_data_set_7"}, {"golden": None}))
    assert found == [
        "evidence: it names test_data_set_7, which is not in the pack.",
        "evidence: no case records the result of test_data_set_0.",
        "evidence: no case records the result of test_data_set_1.",
    ]
    twice = change_cases(pack, {}, {"golden": "test_data_set_0"})
    assert "evidence: more than one case names test_data_set_0." in faults(twice)


def test_evidence_that_failed_or_is_incomplete_is_told(pack: Pack) -> None:
    assert pack.manifest is not None
    output = pack.manifest.parity.cases[0].outputs[0]
    failed = msgspec.structs.replace(output, passed=False, reason="3 of 4 elements differ")
    found = faults(change_cases(pack, {"outputs": (failed,)}, {"outputs": ()}))
    assert found == [
        "evidence: case 'batch 1' failed: y 3 of 4 elements differ",
        "evidence: case 'batch 2' does not compare each output exactly once.",
    ]


def test_sets_of_what_is_no_output_are_told(pack: Pack) -> None:
    assert pack.manifest is not None
    for names, said in ((("z",), "'z', which is not an output"), (("y", "y"), "'y' twice")):
        parity = msgspec.structs.replace(pack.manifest.parity, unordered=(names,))
        (found,) = faults(rewrite(pack, parity=parity))
        assert said in found


def test_a_pack_without_a_case_is_told(pack: Pack) -> None:
    assert "evidence: no case passed the comparison with the framework." in faults(
        change_cases(pack)
    )


def test_external_data_that_was_changed_is_told(external_parts: Any, tmp_path: Path) -> None:
    pack = external_parts.write(tmp_path / "big")
    data = pack.path / "model.onnx.data"
    data.rename(tmp_path / "twin")
    data.hardlink_to(tmp_path / "twin")
    assert [fault.partition(":")[0] for fault in faults(pack)] == ["external data"]
    data.unlink()
    data.write_bytes(bytes(24))
    assert [fault.partition(":")[0] for fault in faults(pack)] == ["model.onnx.data"]


def test_a_bare_graph_carries_no_evidence_and_that_is_said(parts: Any) -> None:
    report = validate(open_pack(parts.model))
    assert report.ok
    [finding] = [found for found in report.findings if found.level is Level.WARNING]
    assert "nothing proves" in finding.message
    assert finding.remedy.startswith("onnxpack export ")


def test_a_zoo_folder_is_held_against_its_graph(pack: Pack) -> None:
    (pack.path / "pack.json").unlink()
    file = pack.path / "test_data_set_0" / "input_0.pb"
    file.write_bytes(encode_tensor("another name", np.zeros((1, 3), np.float32)))
    zoo = open_pack(pack.path)
    assert validate(zoo).ok
    assert "golden data" in [found.subject for found in validate(zoo).findings]
    file.write_bytes(encode_tensor("x", np.zeros((1, 4), np.float32)))
    assert len(faults(zoo)) == 1


def test_initializers_that_old_graphs_list_as_inputs_are_none(pack: Pack) -> None:
    def list_it(model: onnx.ModelProto) -> None:
        model.graph.input.append(helper.make_tensor_value_info("w", TensorProto.FLOAT, [3, 2]))

    assert faults(change_graph(pack, list_it)) == []


def test_a_manifest_is_what_the_writer_gave(pack: Pack) -> None:
    assert isinstance(pack.manifest, Manifest)
    assert faults(rewrite(pack)) == []


def test_a_file_that_the_format_does_not_know_is_an_error(pack: Pack) -> None:
    """Listed or not: whoever unpacks a pack next to a program could run it."""
    assert pack.manifest is not None
    for name in ("evil.py", "bin/payload", "test_data_set_0/input.txt"):
        place = pack.path / name
        place.parent.mkdir(exist_ok=True)
        place.touch()
        files = pack.manifest.files | {name: FileEntry(measure(BytesIO()).sha256, 0)}
        found = faults(rewrite(pack, files=files))
        assert f"{name}: pack.json lists it, but no part of a pack has this name." in found
        place.unlink()


def test_a_detached_signature_is_no_stranger(pack: Pack) -> None:
    (pack.path / "model.sig").write_text("signed")
    assert faults(pack) == []


@pytest.mark.parametrize("name", ["README.md", "SBOM.cdx.json"])
def test_a_generated_file_says_what_the_manifest_says(pack: Pack, name: str) -> None:
    """Also if pack.json has its new digest."""
    place = pack.path / name
    place.write_bytes(place.read_bytes().replace(b"tiny", b"huge"))
    assert faults(rewrite(pack, files=measured(pack))) == [
        f"{name}: it is not what is made from pack.json, so somebody else wrote it."
    ]


def test_the_card_of_another_version_is_a_warning(pack: Pack) -> None:
    bill = pack.path / "SBOM.cdx.json"
    content = msgspec.json.decode(bill.read_bytes())
    content["metadata"]["tools"]["components"][0]["version"] = "9.9"
    bill.write_bytes(msgspec.json.encode(content))
    (pack.path / "README.md").write_text("# tiny, as version 9.9 writes it")
    report = validate(rewrite(pack, files=measured(pack)))
    assert report.ok
    (warned,) = [each for each in report.findings if each.level is Level.WARNING]
    assert warned.message.startswith("it was made by onnxpack 9.9 and is not what ")


def test_a_bill_of_materials_of_nobody_is_an_error(pack: Pack) -> None:
    (pack.path / "SBOM.cdx.json").write_text("[]")
    assert faults(rewrite(pack, files=measured(pack))) == [
        "SBOM.cdx.json: it is not a bill of materials that onnxpack made."
    ]


def test_versions_of_installed_libraries_are_not_compared(pack: Pack) -> None:
    bill = pack.path / "SBOM.cdx.json"
    content = msgspec.json.decode(bill.read_bytes())
    for each in content["components"]:
        if each["name"] == "onnxruntime":
            each |= {"version": "1.0", "purl": "pkg:pypi/onnxruntime@1.0"}
    bill.write_bytes(msgspec.json.encode(content))
    assert faults(rewrite(pack, files=measured(pack))) == []


def change_evidence(pack: Pack, *, accepted: bool = False, **changes: Any) -> Pack:
    assert pack.manifest is not None
    parity = pack.manifest.parity
    cases = tuple(
        msgspec.structs.replace(
            case,
            accepted=accepted,
            outputs=tuple(msgspec.structs.replace(each, **changes) for each in case.outputs),
        )
        for case in parity.cases
    )
    return rewrite(pack, parity=msgspec.structs.replace(parity, cases=cases))


@pytest.mark.parametrize(
    "changes", [{"max_abs": 1e30}, {"error": 2.0, "allowed": 1.0}, {"noise": -1.0}]
)
def test_evidence_that_cannot_have_passed_is_an_error(pack: Pack, changes: Any) -> None:
    found = faults(change_evidence(pack, **changes))
    assert found
    assert all("passed with a difference of" in fault for fault in found)


def test_evidence_of_accepted_failures_only_is_an_error(pack: Pack) -> None:
    changed = change_evidence(pack, accepted=True, passed=False)
    assert "evidence: no case passed the comparison with the framework." in faults(changed)


def test_sizes_are_those_of_the_golden_data(pack: Pack) -> None:
    assert pack.manifest is not None
    parity = pack.manifest.parity
    first = msgspec.structs.replace(parity.cases[0], dims={"batch": 10**12})
    parity = msgspec.structs.replace(parity, cases=(first, *parity.cases[1:]))
    (found,) = faults(rewrite(pack, parity=parity))
    assert found.startswith("evidence: case 'batch 1' says batch = 1000000000000, test_data_set_0")


def test_impossible_sizes_are_errors(pack: Pack) -> None:
    assert pack.manifest is not None
    spec = pack.manifest.signature.inputs[0]
    wide = Signature(
        (TensorSpec(spec.name, spec.dtype, ("batch", -5)),), pack.manifest.signature.outputs
    )
    found = faults(rewrite(pack, signature=wide))
    assert f"signature: {spec.name!r} has an axis of size -5." in found
