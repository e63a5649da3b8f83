"""Inputs of ``onnxpack run`` that are larger than they look, or run code."""

from __future__ import annotations

import io
import pickle
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from files import Runs
from trial import Attack


def attacks(pack: Path, work: Path) -> Iterator[Attack]:
    """Yield each input with the run that must refuse it."""
    marker = work / "ran"
    for name, (suffix, make) in _INPUTS.items():
        path = work / f"{name.replace(' ', '-')}{suffix}"
        path.write_bytes(make(marker))
        yield Attack(
            name, (("run", str(pack), "--input", str(path)),),
            after=lambda: "the input ran code" if marker.exists() else "",
        )  # fmt: skip


def _pickled(marker: Path) -> bytes:
    found = io.BytesIO()
    np.save(found, np.array([Runs(marker)], dtype=object), allow_pickle=True)
    return found.getvalue()


def _array(shape: str, *, kind: str = "<f4") -> bytes:
    head = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}}}\n".encode()
    return b"\x93NUMPY\x02\x00" + struct.pack("<I", len(head)) + head


def _zipped(content: bytes, times: int) -> bytes:
    found = io.BytesIO()
    with (
        zipfile.ZipFile(found, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("x.npy", "w", force_zip64=True) as member,
    ):
        member.write(_array(f"({times * len(content) // 4},)"))
        for _ in range(times):
            member.write(content)
    return found.getvalue()


def _png(width: int, height: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + check

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    rows = zlib.compress(b"\0" * 10**6)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


_INPUTS: dict[str, tuple[str, Callable[[Path], bytes]]] = {
    "a pickled array": (".npy", _pickled),
    "a pickle": (".npy", lambda marker: pickle.dumps(Runs(marker))),
    "an array of 1e15 numbers": (".npy", lambda _: _array("(1000000000000000,)")),
    "an array of negative size": (".npy", lambda _: _array("(-4,)")),
    "an array of 1e5 dims": (".npy", lambda _: _array("(" + "1," * 10**5 + ")")),
    "an archive of 8 GB in 8 MB": (".npz", lambda _: _zipped(b"\0" * 2**20, 2**13)),
    "a picture of 60000 x 60000": (".png", lambda _: _png(60_000, 60_000)),
    "a picture of 1 x 2e9": (".png", lambda _: _png(1, 2 * 10**9)),
    "json nested 1e6 deep": (".json", lambda _: b"[" * 10**6),
    "json of 1e7 empty lists": (".json", lambda _: b"[" + b"[]," * 10**7 + b"[]]"),
    "a table of one endless line": (".csv", lambda _: b"1," * (25 * 10**6)),
    "nothing": (".npy", lambda _: b""),
}
