"""Write timings into a pack, as part of its evidence."""

from __future__ import annotations

from pathlib import Path

import msgspec

from onnxpack.benchmark.outcome import Outcome
from onnxpack.errors import PackError
from onnxpack.pack.amend import amend_pack
from onnxpack.pack.model import Pack
from onnxpack.pack.read import open_pack


def record_outcome(path: Path, found: Outcome) -> Pack:
    """Write a pack again, with new timings instead of earlier ones.

    Raises:
        PackError: the path is not a pack or not the one that was timed, or cannot be written.
    """
    pack = open_pack(path)
    if pack.manifest is None:
        raise PackError(
            f"{path} has no manifest to record timings in.",
            remedy=f"onnxpack export {path} --sample SPEC -o DIR",
        )
    if pack.digest != found.digest:
        raise PackError(f"{path} changed while it was being timed, so nothing was recorded.")
    manifest = msgspec.structs.replace(pack.manifest, measurements=tuple(found.measurements()))
    return amend_pack(pack, path, manifest, force=True)
