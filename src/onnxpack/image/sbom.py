"""Write bills of materials of images in CycloneDX: Debian's packages, wheels, and the model."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Collection, Iterator, Sequence
from email.parser import HeaderParser
from itertools import takewhile
from pathlib import Path
from typing import Any
from urllib.parse import quote

from onnxpack.image.base.debian import STATUS
from onnxpack.image.base.open import Base
from onnxpack.image.runtime.prune import has_grpc, is_kept
from onnxpack.oci.document import MAX_BYTES, decode
from onnxpack.oci.image import Image
from onnxpack.oci.layer.layer import Layer
from onnxpack.oci.layer.members import opened_tar

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
    layers = map(_read, reversed(image.layers))
    models = list(takewhile(lambda files: BILL not in files, layers))[::-1]
    serving = decode(_read(image.layers[-len(models) - 1])[BILL], what=BILL)
    title = image.settings["config"]["Labels"]["org.opencontainers.image.title"]
    about = {"type": "container", "bom-ref": "image", "name": title, "version": image.digest}
    return _bill(about, [*serving["components"], *_models(models)])


def _read(layer: Layer) -> dict[str, bytes]:
    """Return the files of an uncompressed layer; only bills of materials are read."""
    found = {}
    with layer.path.open("rb") as source:
        source.seek(layer.offset)
        with opened_tar(source, "r:", what=str(layer.path)) as members:
            for each in members:
                is_bill = each.name.endswith("SBOM.cdx.json")
                content = members.extractfile(each) if is_bill else None
                found[each.name] = content.read(MAX_BYTES + 1) if content else b""
    return found


def _models(layers: Sequence[dict[str, bytes]]) -> list[dict[str, Any]]:
    """Return each model's component; references are unique in a bill, so several get its name."""
    found = [_model(files) for files in layers]
    if len(found) == 1:
        return found
    return [_renamed(each, str(each["name"])) for each in found]


def _renamed(component: dict[str, Any], model: str) -> dict[str, Any]:
    inner = component.get("components")
    reference = {"bom-ref": f"{model}/{component['bom-ref']}"} if "bom-ref" in component else {}
    parts = [_renamed(each, model) for each in inner] if isinstance(inner, list) else []
    return {**component, **reference, **({"components": parts} if parts else {})}


def _model(files: dict[str, bytes]) -> dict[str, Any]:
    """Return the model's component from its own bill, with only the files that the image has."""
    title = next(name.split("/")[1] for name in files if "/" in name)
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
    grpc = has_grpc(wheels)
    for path in sorted(wheels.glob("*.dist-info/METADATA")):
        if is_kept(path.relative_to(wheels).as_posix(), grpc=grpc):
            about = HeaderParser().parsestr(path.read_text("utf-8"))
            # Package URLs require names normalized by PEP 503.
            name, version = re.sub(r"[-_.]+", "-", about["Name"]).lower(), about["Version"]
            yield _library(name, version, f"pkg:pypi/{quote(name)}@{quote(version)}")


def _library(name: str, version: str, purl: str) -> dict[str, Any]:
    return {"type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl}
