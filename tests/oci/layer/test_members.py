"""Tars that take memory or time without limit: whoever reads one refuses them at once."""

import gzip
import io
import tarfile
import tracemalloc

import pytest

from onnxpack.errors import ImageError
from onnxpack.image.base.open import open_base
from onnxpack.image.cache import Cache
from onnxpack.oci import media
from onnxpack.oci.descriptor import Descriptor
from onnxpack.oci.digest import digest_of
from onnxpack.oci.image import make_image
from onnxpack.oci.layer import compress, members
from onnxpack.oci.layer.layer import Layer
from onnxpack.oci.layer.members import MAX_GLOBAL, MAX_HEADER, MAX_NAME, opened_tar
from onnxpack.oci.layer.scan import scan_layer
from onnxpack.oci.platform import Platform
from onnxpack.oci.store.layout import write_layout

END = bytes(1024)


def extended(kind: bytes, content: bytes) -> bytes:
    """An extended header with this content."""
    info = tarfile.TarInfo("././@PaxHeader")
    info.type, info.size = kind, len(content)
    return info.tobuf(tarfile.USTAR_FORMAT) + content + bytes(-len(content) % 512)


def record(name: str, value: str) -> bytes:
    """A record of an extended header; its length counts itself."""
    rest = f" {name}={value}\n"
    size = len(rest)
    while size != len(f"{size}{rest}"):
        size = len(f"{size}{rest}")
    return f"{size}{rest}".encode()


def member(name: str = "x") -> bytes:
    info = tarfile.TarInfo(name)
    info.mode = 0o755
    return info.tobuf(tarfile.USTAR_FORMAT)


def records(count: int, size: int = 0) -> bytes:
    return b"".join(record(f"k{at:x}", "v" * size) for at in range(count))


def sparse_of_gnu(blocks: int) -> bytes:
    """A sparse file whose map goes on over so many blocks."""
    info = tarfile.TarInfo("x")
    info.type = tarfile.GNUTYPE_SPARSE
    head = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    head[482] = 1  # more of the map follows
    head[148:156] = b"%06o\0 " % (sum(head[:148]) + sum(head[156:512]) + 8 * 32)
    more = (b"00000000001\0" * 42 + b"\1" + bytes(7)) * blocks
    return bytes(head) + more


MANY = 64
TARS = {
    "a header that is too large": extended(tarfile.XHDTYPE, b"9 a=bcde\n" * 2**17) + member(),
    "a name that is too long": extended(tarfile.GNUTYPE_LONGNAME, b"n" * (MAX_NAME + 1)) + member(),
    "a target that is too long": extended(tarfile.GNUTYPE_LONGLINK, b"n" * (MAX_NAME + 1))
    + member(),
    "a chain of headers": extended(tarfile.XHDTYPE, records(9)) * 600 + member(),
    "a chain of large headers": extended(tarfile.XHDTYPE, records(9, 9000)) * 20 + member(),
    "a chain of names": extended(tarfile.GNUTYPE_LONGNAME, b"n\0") * 2000 + member(),
    "many global fields": extended(tarfile.XGLTYPE, records(MAX_GLOBAL + 1)) + member(),
    "large global fields": b"".join(
        extended(tarfile.XGLTYPE, record(f"k{at}", "v" * (MAX_HEADER // 3))) + member()
        for at in range(4)
    ),
    "a sparse file of GNU": sparse_of_gnu(100),
    "a sparse file of GNU with a large map": sparse_of_gnu(3000),
    "a negative size": extended(tarfile.XHDTYPE, record("size", "-512")) + member(),
    "a sparse file, 0.0": extended(
        tarfile.XHDTYPE,
        record("GNU.sparse.size", "9") + record("GNU.sparse.offset", "1") * 99,
    )
    + member(),
    "a sparse file, 0.1": extended(
        tarfile.XHDTYPE, record("GNU.sparse.map", ",".join(["1"] * 1000))
    )
    + member(),
    "a sparse file, 1.0": extended(
        tarfile.XHDTYPE, record("GNU.sparse.major", "1") + record("GNU.sparse.minor", "0")
    )
    + member()
    + b"999999999\n" + b"0\n" * 10_000,
}  # fmt: skip


@pytest.mark.parametrize("mode", ["r:", "r|"])
@pytest.mark.parametrize("name", TARS)
def test_it_is_refused(name, mode):
    with pytest.raises(ImageError), opened_tar(io.BytesIO(TARS[name] + END), mode, what="it") as t:
        list(t)


@pytest.mark.parametrize("mode", ["r:", "r|"])
def test_what_tar_writes_is_read(mode):
    for form in (tarfile.PAX_FORMAT, tarfile.GNU_FORMAT):
        target = io.BytesIO()
        with tarfile.open(fileobj=target, mode="w", format=form) as tar:
            for name in ("a" * 300, "b", "ü" * 200):
                info = tarfile.TarInfo(name)
                info.size = 3
                tar.addfile(info, io.BytesIO(b"abc"))
            link = tarfile.TarInfo("l")
            link.type, link.linkname = tarfile.SYMTYPE, "t" * 300
            tar.addfile(link)
        target.seek(0)
        with opened_tar(target, mode, what="it") as tar:
            names = [(each.name, each.linkname) for each in tar]
        assert names == [("a" * 300, ""), ("b", ""), ("ü" * 200, ""), ("l", "t" * 300)]


def test_too_many_members_are_refused(monkeypatch):
    monkeypatch.setattr(members, "MAX_MEMBERS", 3)
    source = io.BytesIO(member() * 4 + END)
    with (
        pytest.raises(ImageError, match="more than 3 members"),
        opened_tar(source, "r|", what="it") as tar,
    ):
        list(tar)


def bomb(folder, content, count):
    """A layer of gzip of so many repetitions."""
    path = folder / "bomb"
    with gzip.open(path, "wb", compresslevel=1) as target:
        for _ in range(count):
            target.write(content)
        target.write(END)
    packed = path.read_bytes()
    about = Descriptor(media.LAYER_GZIP, digest_of(packed), len(packed))
    return Layer(path, about, digest_of(gzip.decompress(packed)))


def peak(call):
    tracemalloc.start()
    try:
        call()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_extended_headers_of_many_members_are_not_kept(tmp_path):
    """Each of them costs a few KB of the file, and MBs in memory while it is read."""
    one = extended(tarfile.XHDTYPE, records(900, 1000)) + member("usr/bin/python3.11")
    layer = bomb(tmp_path, one, MANY)
    assert layer.descriptor.size * 20 < len(one) * MANY
    image = make_image([layer], config={"Env": ["A=1"]})
    write_layout(image, tmp_path / "base")
    cache, amd64 = Cache(tmp_path / "cache"), Platform("amd64")
    base = f"oci:{tmp_path / 'base'}"
    assert peak(lambda: scan_layer(layer, "gzip")) < 2**24
    assert peak(lambda: open_base(base, amd64, cache, compression="gzip", mtime=0)) < 2**24


@pytest.mark.parametrize("name", ["many global fields", "a sparse file, 0.0"])
def test_a_hostile_layer_of_a_base_is_refused(tmp_path, name):
    layer = bomb(tmp_path, TARS[name], 1)
    write_layout(make_image([layer], config={"Env": ["A=1"]}), tmp_path / "base")
    with pytest.raises(ImageError, match="the tar has"):
        open_base(f"oci:{tmp_path / 'base'}", Platform("amd64"), Cache(tmp_path / "cache"),
                  compression="gzip", mtime=0)  # fmt: skip


@pytest.mark.parametrize("kind", ["gzip", "zstd"])
def test_a_layer_is_not_decompressed_without_end(monkeypatch, kind):
    packer = compress.compressor(kind)
    packed = packer.compress(bytes(2**22)) + packer.flush()
    monkeypatch.setattr(compress, "MAX_UNPACKED", 2**21)
    with pytest.raises(ImageError, match="has more than"):
        compress.decompressed(io.BytesIO(packed), kind).read()
