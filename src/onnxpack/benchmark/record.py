"""Putting timings into a pack, as evidence that goes with it."""

from __future__ import annotations

from pathlib import Path

import msgspec

from onnxpack.benchmark.outcome import Outcome
from onnxpack.errors import PackError
from onnxpack.pack.amend import amend_pack
from onnxpack.pack.model import Pack
from onnxpack.pack.read import open_pack


def record_outcome(path: Path, found: Outcome) -> Pack:
    """Write a pack again, with timings in the place of earlier ones.

    Raises:
        PackError: it is no pack, it is not the one that was timed, or it cannot be written.
    """
    pack = open_pack(path)
    if pack.manifest is None:
        raise PackError(
            f"{path} has no manifest that could hold timings.",
            remedy=f"onnxpack export {path} --sample SPEC -o DIR",
        )
    if pack.digest != found.digest:
        raise PackError(f"{path} changed while it was timed: nothing was recorded.")
    manifest = msgspec.structs.replace(pack.manifest, measurements=tuple(found.measurements()))
    return amend_pack(pack, path, manifest, force=True)
