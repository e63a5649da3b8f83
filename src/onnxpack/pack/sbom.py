"""Write ``SBOM.cdx.json``: the pack's CycloneDX bill of materials for machine learning."""

from __future__ import annotations

import uuid
from importlib import metadata
from typing import Any
from urllib.parse import quote

import msgspec

from onnxpack.pack.manifest import FileEntry, Manifest
from onnxpack.signature import TensorSpec, describe

SPEC_VERSION = "1.6"

RUNTIMES = ("onnxruntime", "onnxruntime-gpu")
"""Distributions whose installed version is listed."""
_DISTRIBUTIONS = {"sklearn": "scikit-learn"}


def write_sbom(manifest: Manifest) -> bytes:
    """Return a pack's bill of materials; the same manifest and versions give the same bytes."""
    bill: dict[str, Any] = {
        "$schema": f"http://cyclonedx.org/schema/bom-{SPEC_VERSION}.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": SPEC_VERSION,
        "version": 1,
        "metadata": {
            "tools": {"components": [_component("application", "onnxpack", _version("onnxpack"))]},
            "component": _model(manifest),
        },
        "components": _libraries(manifest),
    }
    bill["serialNumber"] = f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, _text(bill))}"
    return _text(bill).encode() + b"\n"


def _text(bill: dict[str, Any]) -> str:
    return msgspec.json.format(msgspec.json.encode(bill, order="sorted"), indent=2).decode()


def _model(manifest: Manifest) -> dict[str, Any]:
    signature = manifest.signature
    component = _component("machine-learning-model", manifest.name, manifest.version) | {
        "bom-ref": "model",
        "description": manifest.description,
        "modelCard": {
            "modelParameters": {
                "inputs": [_format(spec) for spec in signature.inputs],
                "outputs": [_format(spec) for spec in signature.outputs],
            },
        },
        "properties": _properties(manifest),
        "components": [_file(path, entry) for path, entry in sorted(manifest.files.items())],
    }
    if manifest.license:
        component["licenses"] = [{"license": {"name": manifest.license}}]
    return component


def _format(spec: TensorSpec) -> dict[str, str]:
    return {"format": f"{spec.name}: {describe(spec.dtype, spec.shape)}"}


def _properties(manifest: Manifest) -> list[dict[str, str]]:
    source = manifest.source
    facts = {
        "onnxpack:exporter:strategy": source.strategy,
        "onnxpack:framework": source.framework,
        "onnxpack:framework:version": source.framework_version,
        "onnxpack:model:class": source.model_class,
        "onnxpack:onnx:ir_version": str(source.ir_version),
        "onnxpack:onnx:opset": str(source.opset),
        "onnxpack:parity:passed": str(manifest.parity.passed).lower(),
        "onnxpack:derived_from": manifest.derived_from or "",
    }
    return [{"name": name, "value": value} for name, value in sorted(facts.items()) if value]


def _file(path: str, entry: FileEntry) -> dict[str, Any]:
    return {
        "type": "file",
        "bom-ref": f"file:{path}",
        "name": path,
        "hashes": [{"alg": "SHA-256", "content": entry.sha256}],
        "properties": [{"name": "onnxpack:size", "value": str(entry.size)}],
    }


def _libraries(manifest: Manifest) -> list[dict[str, Any]]:
    source = manifest.source
    framework = _DISTRIBUTIONS.get(source.framework, source.framework)
    found = {framework: source.framework_version}
    found |= {name: _version(name) for name in RUNTIMES if _version(name)}
    return [
        _component("library", name, version)
        | {"bom-ref": f"library:{name}", "purl": f"pkg:pypi/{quote(name)}@{quote(version)}"}
        for name, version in sorted(found.items())
        if name
    ]


def _component(kind: str, name: str, version: str) -> dict[str, Any]:
    return {"type": kind, "name": name, "version": version}


def _version(distribution: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return ""
