"""Check that a pack's files match its manifest, while the pack is loaded."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from onnxpack.errors import PackError
from onnxpack.pack.files import check_files
from onnxpack.pack.manifest import FileEntry
from onnxpack.pack.model import Pack
from onnxpack.pack.read import VARIANTS
from onnxpack.report import Finding

SHOWN = 10
"""Most files that an error message names."""
_GOLDEN = re.compile(r"test_data_set_[0-9]+/", re.ASCII)
_VARIANT = re.compile(rf"{VARIANTS}/([^/]+)/", re.ASCII)


@contextmanager
def intact(pack: Pack) -> Iterator[None]:
    """Hash a pack's files in a thread while the caller works; hashing releases the GIL.

    Raises:
        PackError: a file was altered, is missing, or is not in the manifest. This error replaces
            any error of the caller's work, which it may explain.
    """
    with ThreadPoolExecutor(1, thread_name_prefix="digests") as threads:
        looking = threads.submit(find_faults, pack)
        try:
            yield
        finally:
            faults = looking.result()
            if faults:
                raise _not_intact(pack, faults)


def find_faults(pack: Pack) -> tuple[Finding, ...]:
    """Return the differences between the files and the manifest; empty without a manifest."""
    return tuple(check_files(pack.path, _expected(pack))) if pack.manifest else ()


def _expected(pack: Pack) -> dict[str, FileEntry]:
    """Return the required files: an image leaves out golden sets and whole variants."""
    named = pack.manifest.files if pack.manifest else {}
    return {
        relative: entry
        for relative, entry in named.items()
        if not _may_be_absent(relative, pack) or os.path.lexists(pack.path / relative)
    }


def _may_be_absent(relative: str, pack: Pack) -> bool:
    variant = _VARIANT.match(relative)
    if variant:
        return variant[1] not in pack.variants
    return _GOLDEN.match(relative) is not None


def _not_intact(pack: Pack, faults: tuple[Finding, ...]) -> PackError:
    lines = [f"  {fault.subject}: {fault.message}" for fault in faults[:SHOWN]]
    if len(faults) > SHOWN:
        lines.append(f"  and {len(faults) - SHOWN} more")
    return PackError(
        "\n".join(["its files do not match pack.json:", *lines]),
        remedy=f"onnxpack check {pack.path}; --no-prove serves it anyway",
    )
