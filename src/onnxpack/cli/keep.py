"""Write outputs to a file for ``-o``, completely or not at all."""

from __future__ import annotations

import os
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING

from onnxpack.errors import UsageError

if TYPE_CHECKING:
    from onnxpack.signature import Array

_EPOCH = (1980, 1, 1, 0, 0, 0)
"""Date of every file in an archive, so that the same outputs give the same bytes."""


def check_path(path: Path, outputs: int) -> None:
    """Check, before the work, that a path can take the outputs.

    Raises:
        UsageError: the path ends in neither ``.npz`` nor ``.npy``, or its folder does not exist.
    """
    if path.suffix not in (".npz", ".npy"):
        raise UsageError(f"{path} must end in .npz or .npy.", remedy="-o out.npz")
    if path.suffix == ".npy" and outputs != 1:
        raise UsageError(
            f"an .npy file holds one array, but the model gives {outputs}.",
            remedy=f"-o {path.with_suffix('.npz')}",
        )
    if not path.absolute().parent.is_dir():
        raise UsageError(f"the folder {path.absolute().parent} does not exist.")


def keep(outputs: Mapping[str, Array], path: Path) -> None:
    """Write outputs to a temporary file, which then replaces ``path``.

    Raises:
        UsageError: the file cannot be written, or an output is text, which numpy only stores as
            pickle.
    """
    try:
        descriptor, beside = tempfile.mkstemp(dir=path.absolute().parent, prefix=".onnxpack-")
        try:
            with os.fdopen(descriptor, "wb") as file:
                _write(outputs, file, path.suffix)
            Path(beside).chmod(0o666 & ~_umask())
            Path(beside).replace(path)
        except BaseException:
            Path(beside).unlink(missing_ok=True)
            raise
    except OSError as exc:
        raise UsageError(f"{path} cannot be written: {exc.strerror}.") from exc
    except ValueError as exc:
        raise UsageError(f"{path} cannot hold these outputs: {exc}.", remedy="--json") from exc


def _write(outputs: Mapping[str, Array], file: IO[bytes], suffix: str) -> None:
    import numpy as np

    if suffix == ".npy":
        np.lib.format.write_array(file, next(iter(outputs.values())), allow_pickle=False)
        return
    with zipfile.ZipFile(file, "w") as archive:
        for name, array in outputs.items():
            entry = zipfile.ZipInfo(f"{name}.npy", _EPOCH)
            with archive.open(entry, "w", force_zip64=True) as member:
                np.lib.format.write_array(member, array, allow_pickle=False)


def _umask() -> int:
    # The umask can only be read by setting it.
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
