from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from onnxpack.pack.manifest import Manifest
from onnxpack.pack.model import Pack
from onnxpack.pack.sbom import write_sbom


@pytest.fixture
def manifest(pack: Pack) -> Manifest:
    assert pack.manifest is not None
    return pack.manifest


def bill(manifest: Manifest) -> dict[str, Any]:
    content = write_sbom(manifest)
    # The validator gives back what is wrong, and None where nothing is.
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(content.decode()) is None
    return json.loads(content)


def test_the_bill_in_a_pack_is_a_strict_cyclonedx_bill(pack: Pack) -> None:
    content = (pack.path / "SBOM.cdx.json").read_text()
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(content) is None


def test_the_model_is_described(manifest: Manifest) -> None:
    model = bill(manifest)["metadata"]["component"]
    assert model["type"] == "machine-learning-model"
    assert (model["name"], model["version"]) == ("tiny", "1.0")
    assert model["modelCard"]["modelParameters"] == {
        "inputs": [{"format": "x: float32[batch, 3]"}],
        "outputs": [{"format": "y: float32[batch, 2]"}],
    }
    properties = {entry["name"]: entry["value"] for entry in model["properties"]}
    assert properties["onnxpack:onnx:opset"] == "18"
    assert properties["onnxpack:parity:passed"] == "true"
    digests = {part["name"]: part["hashes"][0]["content"] for part in model["components"]}
    assert digests["model.onnx"] == manifest.files["model.onnx"].sha256


def test_the_framework_is_named_as_scanners_name_it(manifest: Manifest) -> None:
    source = msgspec.structs.replace(manifest.source, framework="sklearn")
    found = bill(msgspec.structs.replace(manifest, source=source))["components"]
    assert "pkg:pypi/scikit-learn@2.9.0%2Bcpu" in [part["purl"] for part in found]


def test_odd_words_make_no_invalid_bill(manifest: Manifest) -> None:
    odd = msgspec.structs.replace(
        manifest,
        license="",
        description='a\n"b"',
        source=msgspec.structs.replace(manifest.source, framework="", model_class=""),
    )
    assert "licenses" not in bill(odd)["metadata"]["component"]


def test_the_same_pack_has_the_same_bill_and_another_pack_another(manifest: Manifest) -> None:
    other = msgspec.structs.replace(manifest, version="2")
    assert write_sbom(manifest) == write_sbom(manifest)
    assert bill(manifest)["serialNumber"] != bill(other)["serialNumber"]
    assert "timestamp" not in bill(manifest)["metadata"]
