"""Suggest commands for what lies in a folder: packs to run, and models to export."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from zipfile import BadZipFile, ZipFile, is_zipfile

MANIFEST = "pack.json"
SHOWN = 3
"""Packs, and files of models, for which commands are suggested."""
TORCH, PICKLED = {".pt", ".pth"}, {".joblib", ".pkl"}
MODELS = {".pt2", ".ckpt", ".onnx", ".keras", ".skops", ".cbm", ".ubj", *TORCH, *PICKLED}
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
        trust = " --trust" if path.suffix in PICKLED or _is_pickled(path) else ""
        yield f"onnxpack export {name} --sample SPEC -o {to}{trust}"


def _is_pickled(path: Path) -> bool:
    """Return whether torch.save wrote a file, not torch.jit.save, whose archive has constants."""
    if path.suffix not in TORCH or not is_zipfile(path):
        return False
    try:
        with ZipFile(path) as archive:
            return not any(name.endswith("/constants.pkl") for name in archive.namelist())
    except (OSError, BadZipFile):
        return False
