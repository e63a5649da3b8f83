"""Bases of images that lie: layouts and tars with hostile members, headers and digests."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from trial import Attack

from onnxpack.oci import media


def attacks(pack: Path, work: Path) -> Iterator[Attack]:
    """Yield each base with the build that must refuse it, and look for what was written."""
    outside = work / "outside"
    for name, layer in _LAYERS.items():
        base = _folder(work, name)
        _layout(base, layer(outside))
        yield _build(name, pack, base, outside)
    for name, alter in _LAYOUTS.items():
        base = _folder(work, name)
        _layout(base, _tar(tarfile.TarInfo("file")))
        alter(base)
        yield _build(name, pack, base, outside)
    for name, content in _TARS.items():
        base = _folder(work, name).with_suffix(".tar")
        base.write_bytes(content())
        yield _build(name, pack, base, outside)


def _folder(work: Path, name: str) -> Path:
    return work / name.replace(" ", "-")


def _build(name: str, pack: Path, base: Path, outside: Path) -> Attack:
    to = base.with_name(f"{base.name}-image")

    def left() -> str:
        return next((f"{path.name} was written" for path in (outside, to) if path.exists()), "")

    line = ("image", str(pack), "--base", f"oci:{base}", "-o", str(to))
    cache = {"XDG_CACHE_HOME": str(base.with_name("cache"))}
    return Attack(name, (line,), after=left, environment=cache)


def _layout(folder: Path, layer: bytes) -> None:
    """Write a layout with one layer, which is as large as the layout says."""
    blobs = folder / "blobs" / "sha256"
    blobs.mkdir(parents=True)

    def blob(content: bytes, kind: str) -> dict[str, Any]:
        digest = hashlib.sha256(content).hexdigest()
        (blobs / digest).write_bytes(content)
        return {"mediaType": kind, "digest": f"sha256:{digest}", "size": len(content)}

    config = {
        "architecture": "amd64", "os": "linux", "config": {"Env": ["PATH=/usr/bin"]},
        "rootfs": {"type": "layers", "diff_ids": ["sha256:" + "0" * 64]},
    }  # fmt: skip
    manifest = {
        "schemaVersion": 2, "mediaType": media.MANIFEST,
        "config": blob(json.dumps(config).encode(), media.CONFIG),
        "layers": [blob(layer, media.LAYER_GZIP)],
    }  # fmt: skip
    index = {
        "schemaVersion": 2, "mediaType": media.INDEX,
        "manifests": [blob(json.dumps(manifest).encode(), media.MANIFEST)],
    }  # fmt: skip
    (folder / "index.json").write_text(json.dumps(index))
    (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')


def _tar(*members: tarfile.TarInfo, compressed: bool = True) -> bytes:
    found = io.BytesIO()
    with tarfile.open(fileobj=found, mode="w") as archive:
        for member in members:
            archive.addfile(member, io.BytesIO(b"\0" * member.size))
    return gzip.compress(found.getvalue()) if compressed else found.getvalue()


def _member(name: str, **fields: Any) -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    for field, value in fields.items():
        setattr(made, field, value)
    return made


def _filled(member: tarfile.TarInfo, content: bytes) -> bytes:
    """Return a gzip of one member, which repeats 16 MB of one byte until it is full."""
    part = gzip.compress(content * 2**24)
    head = gzip.compress(member.tobuf(tarfile.USTAR_FORMAT))
    return head + part * (member.size // 2**24)


def _long_header(kind: bytes, content: bytes = b"9") -> bytes:
    """Return a member whose header of another kind takes 900 MB."""
    return _filled(_member("long", type=kind, size=56 * 2**24), content)


_LAYERS: dict[str, Callable[[Path], bytes]] = {
    "a member that climbs": lambda outside: _tar(_member(f"../../../../../../..{outside}", size=4)),
    "an absolute member": lambda outside: _tar(_member(str(outside), size=4)),
    "a link out and a file through it": lambda outside: _tar(
        _member("way", type=tarfile.SYMTYPE, linkname=str(outside.parent)),
        _member("way/outside", size=4),
    ),
    "a hard link to a secret": lambda _: _tar(
        _member("usr/bin/python3", type=tarfile.LNKTYPE, linkname="/etc/shadow")
    ),
    "8 GB of zeros in 8 MB": lambda _: _filled(_member("zeros", size=511 * 2**24), b"\0"),
    "900 MB of PAX header in 1 MB": lambda _: _long_header(tarfile.XHDTYPE),
    "900 MB of long name in 1 MB": lambda _: _long_header(tarfile.GNUTYPE_LONGNAME),
    "900 MB of global header in 1 MB": lambda _: _long_header(tarfile.XGLTYPE),
    "half a gzip": lambda _: _tar(_member("file", size=10**5))[:50],
    "no tar": lambda _: gzip.compress(b"9" * 10**5),
}


def _edit(name: str, change: Callable[[dict[str, Any]], object]) -> Callable[[Path], None]:
    def alter(folder: Path) -> None:
        path = folder / name
        content = json.loads(path.read_text())
        change(content)
        path.write_text(json.dumps(content))

    return alter


def _first(found: dict[str, Any], **changes: Any) -> None:
    found["manifests"][0].update(changes)


def _alter_blobs(folder: Path) -> None:
    for blob in (folder / "blobs" / "sha256").iterdir():
        blob.write_bytes(blob.read_bytes()[:-1] + b" ")


def _link_out(folder: Path) -> None:
    (folder / "index.json").unlink()
    (folder / "index.json").symlink_to("/etc/passwd")


_LAYOUTS: dict[str, Callable[[Path], object]] = {
    "a digest that climbs": _edit(
        "index.json", lambda found: _first(found, digest="sha256:../../../../etc/passwd")
    ),
    "a size of 2 to the 62": _edit("index.json", lambda found: _first(found, size=2**62)),
    "an index that names itself": _edit(
        "index.json", lambda found: _first(found, mediaType=media.INDEX)
    ),
    "an index of a million images": _edit(
        "index.json", lambda found: found.update(manifests=found["manifests"] * 10**6)
    ),
    "altered blobs": _alter_blobs,
    "an index nested 1e6 deep": lambda folder: (folder / "index.json").write_text("[" * 10**6),
    "an index that is a link": _link_out,
}
_TARS: dict[str, Callable[[], bytes]] = {
    "a tar with 900 MB of PAX header": lambda: gzip.decompress(_long_header(tarfile.XHDTYPE)),
    "a tar whose index climbs": lambda: _tar(_member("../index.json", size=4), compressed=False),
    "a tar of nothing": bytes,
}
