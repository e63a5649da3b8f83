"""Write bills of materials of images in CycloneDX: Debian's packages, wheels, and the model."""

from __future__ import annotations

import json
import re
import tarfile
import uuid
from collections.abc import Collection, Iterator
from email.parser import HeaderParser
from pathlib import Path
from typing import Any
from urllib.parse import quote

from onnxpack.image.base.debian import STATUS
from onnxpack.image.base.open import Base
from onnxpack.image.runtime.prune import is_kept
from onnxpack.oci.document import MAX_BYTES, decode
from onnxpack.oci.image import Image
from onnxpack.oci.layer.layer import Layer

SPEC_VERSION = "1.6"
BILL = "usr/share/onnxpack/SBOM.cdx.json"
_MODELS = re.compile(r"(model/[^/]+/)SBOM\.cdx\.json")


def write_bill(base: Base, wheels: Path) -> bytes:
    """Return the bill of materials of what serves a model; the same parts give the same bytes.

    Args:
        base: base of the image.
        wheels: folder of the installed packages.
    """
    about = {"type": "container", "bom-ref": "image", "name": "onnxpack"}
    return _bill(about, [*_base(base), *_wheels(wheels)])


def whole_bill(image: Image) -> bytes:
    """Return the bill of materials of an image that was built here, including the model's own.

    The tools that made the model, such as PyTorch, are not part of the image: the model's
    properties and the bill inside the pack name them.

    Raises:
        ImageError: the model's own bill is malformed.
    """
    *_, below, model = image.layers
    serving = decode(_read(below)[BILL], what=BILL)
    title = image.settings["config"]["Labels"]["org.opencontainers.image.title"]
    about = {"type": "container", "bom-ref": "image", "name": title, "version": image.digest}
    return _bill(about, [*serving["components"], _model(_read(model), title)])


def _read(layer: Layer) -> dict[str, bytes]:
    """Return the files of an uncompressed layer; only bills of materials are read."""
    found = {}
    with layer.path.open("rb") as source:
        source.seek(layer.offset)
        with tarfile.open(fileobj=source, mode="r:") as members:
            for each in members:
                is_bill = each.name.endswith("SBOM.cdx.json")
                content = members.extractfile(each) if is_bill else None
                found[each.name] = content.read(MAX_BYTES + 1) if content else b""
    return found


def _model(files: dict[str, bytes], title: str) -> dict[str, Any]:
    """Return the model's component from its own bill, with only the files that the image has."""
    unknown = {"type": "machine-learning-model", "bom-ref": "model", "name": title}
    own = next((match for name in files if (match := _MODELS.fullmatch(name))), None)
    if own is None:
        return unknown
    told = decode(files[own[0]], what=own[0]).get("metadata")
    component = told.get("component") if isinstance(told, dict) else None
    if not isinstance(component, dict):
        return unknown
    return {**component, "components": _shipped(component.get("components"), own[1], files)}


def _shipped(told: object, folder: str, files: Collection[str]) -> list[Any]:
    listed = told if isinstance(told, list) else []
    return [
        each for each in listed if isinstance(each, dict) and f"{folder}{each.get('name')}" in files
    ]


def _bill(about: dict[str, Any], components: list[dict[str, Any]]) -> bytes:
    bill: dict[str, Any] = {
        "bomFormat": "CycloneDX",
        "specVersion": SPEC_VERSION,
        "version": 1,
        "metadata": {"component": about},
        "components": components,
    }
    text = json.dumps(bill, sort_keys=True)
    bill["serialNumber"] = f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, text)}"
    return (json.dumps(bill, indent=1, sort_keys=True) + "\n").encode()


def _base(base: Base) -> Iterator[dict[str, Any]]:
    if base.tree is None:
        yield {
            "type": "container",
            "bom-ref": "base",
            "name": base.name,
            "version": base.image.digest,
        }
        return
    for path in sorted((base.tree.path() / STATUS).iterdir()):
        about = HeaderParser().parsestr(path.read_text("utf-8"))
        name, version, machine = about["Package"], about["Version"], about["Architecture"]
        purl = f"pkg:deb/debian/{quote(name)}@{quote(version)}?arch={machine}"
        yield _library(name, version, purl)


def _wheels(wheels: Path) -> Iterator[dict[str, Any]]:
    for path in sorted(wheels.glob("*.dist-info/METADATA")):
        if is_kept(path.relative_to(wheels).as_posix()):
            about = HeaderParser().parsestr(path.read_text("utf-8"))
            # Package URLs require names normalized by PEP 503.
            name, version = re.sub(r"[-_.]+", "-", about["Name"]).lower(), about["Version"]
            yield _library(name, version, f"pkg:pypi/{quote(name)}@{quote(version)}")


def _library(name: str, version: str, purl: str) -> dict[str, Any]:
    return {"type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl}
