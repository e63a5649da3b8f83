"""Suggest commands for what lies in a folder: packs to run, and models to export."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

MANIFEST = "pack.json"
SHOWN = 3
"""Packs, and files of models, for which commands are suggested."""
RUNS_CODE = {".joblib", ".pkl", ".pt", ".pt2", ".pth"}
"""Files whose reader runs code from them, so that they must be trusted."""
MODELS = {".ckpt", ".onnx", ".keras", ".skops", ".cbm", ".ubj", *RUNS_CODE}
"""Suffixes of files that hold a model, for which an export is suggested."""


def suggest(folder: Path) -> list[str]:
    """Return commands that work on the packs and models of a folder; empty if it has none."""
    return [*_for_packs(folder), *_for_models(folder)]


def _for_packs(folder: Path) -> Iterator[str]:
    packs = (path.parent.name for path in sorted(folder.glob(f"*/{MANIFEST}")))
    for name in islice(packs, SHOWN):
        yield f"onnxpack run {shlex.quote(name)} --input random"
        yield f"onnxpack serve {shlex.quote(name)}"


def _for_models(folder: Path) -> Iterator[str]:
    files = (path for path in sorted(folder.glob("*.*")) if path.suffix in MODELS)
    for path in islice(files, SHOWN):
        name = shlex.quote(path.name)
        to = shlex.quote(path.stem)
        trust = " --trust" if path.suffix in RUNS_CODE else ""
        yield f"onnxpack export {name} --sample SPEC -o {to}{trust}"
