"""Make the files of a pack that say nothing new: model card and bill of materials.

They are for people and scanners, who believe them. So a pack is checked for saying there what its
manifest says, and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import version
from typing import Any

import msgspec

from onnxpack.errors import PackError
from onnxpack.pack import manifest as manifests
from onnxpack.pack import paths
from onnxpack.pack.card import write_card
from onnxpack.pack.manifest import Manifest
from onnxpack.pack.model import Pack
from onnxpack.pack.read import CARD, GENERATED, SBOM
from onnxpack.pack.sbom import RUNTIMES, write_sbom
from onnxpack.report import Finding, error, warning

MAX_BYTES = 64 * 2**20


def make_generated(manifest: Manifest) -> dict[str, bytes]:
    """Return the content of each file that is made from a manifest, by its name."""
    others = {name: entry for name, entry in manifest.files.items() if name not in GENERATED}
    known = msgspec.structs.replace(manifest, files=others)
    # The card lists versions and sizes in their order, and pack.json sorts them when it is written.
    known = manifests.decode(manifests.encode(known))
    return {CARD: write_card(known).encode(), SBOM: write_sbom(known)}


def check_generated(pack: Pack, manifest: Manifest) -> Iterator[Finding]:
    """Yield a finding for each generated file that is not what its manifest gives.

    A pack of another version of onnxpack may have another card; then this is a warning.
    """
    wanted = make_generated(manifest)
    try:
        found = {name: _read(pack, name) for name in wanted}
    except PackError:
        return  # the check of the files reports it
    try:
        bill = msgspec.json.decode(found[SBOM])
        maker = str(bill["metadata"]["tools"]["components"][0]["version"])
        same_bill = _lasting(bill) == _lasting(msgspec.json.decode(wanted[SBOM]))
    except (msgspec.DecodeError, LookupError, TypeError, AttributeError):
        yield error(SBOM, "it is not a bill of materials that onnxpack made.")
        return
    here = version("onnxpack")
    for name, same in ((CARD, found[CARD] == wanted[CARD]), (SBOM, same_bill)):
        if same:
            continue
        if maker == here:
            yield error(name, "it is not what is made from pack.json, so somebody else wrote it.")
        else:
            yield warning(
                name,
                f"it was made by onnxpack {maker[:40]} and is not what {here} makes: whether it "
                "fits pack.json is not known.",
            )


def _read(pack: Pack, name: str) -> bytes:
    with paths.open_inside(pack.path, name) as stream:
        return paths.read(stream, limit=MAX_BYTES, what=name)


def _lasting(bill: Any) -> Any:
    """Return a bill of materials without the versions that were installed where it was made."""
    tools = [{**each, "version": ""} for each in bill["metadata"]["tools"]["components"]]
    return {
        **bill,
        "serialNumber": "",
        "metadata": {**bill["metadata"], "tools": {"components": tools}},
        "components": [each for each in bill["components"] if each["name"] not in RUNTIMES],
    }
