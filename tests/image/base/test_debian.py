"""The base of Debian's packages: what is kept of them, and what hostile ones are told."""

import io
import tarfile

import pytest

from onnxpack.errors import ImageError
from onnxpack.image.base.debian import CERTIFICATES, LEFT_OUT, STATUS, _unpack, is_kept_package
from onnxpack.oci.layer.members import Bounded

KEPT_PACKAGE, OTHER = "libc6", "bash"


@pytest.fixture
def unpack(tmp_path):
    """Unpack a tar as mmdebstrap leaves it: ``libc6`` lists every path, ``bash`` one."""

    def run(*members):
        listed = "".join(f"./{name}\n" for name, _ in members if not name.startswith("bin/"))
        notes = [
            (f"{STATUS}/{KEPT_PACKAGE}", b"Package: libc6\n"),
            (f"{STATUS}/{KEPT_PACKAGE}.list", listed.encode()),
            (f"{STATUS}/{OTHER}", b"Package: bash\n"),
            (f"{STATUS}/{OTHER}.list", b"./bin/bash\n"),
        ]
        path = tmp_path / "unpacked.tar"
        with tarfile.open(path, "w") as tar:
            for name, content in (*members, *notes):
                info = tarfile.TarInfo(f"./{name}")
                if isinstance(content, str):
                    info.type, info.linkname = tarfile.SYMTYPE, content
                    tar.addfile(info)
                else:
                    info.size, info.mode = len(content), 0o755
                    tar.addfile(info, io.BytesIO(content))
        to = tmp_path / "tree"
        to.mkdir()
        with Bounded.open(path, "r:") as tar:
            _unpack(tar, to, "bookworm")
        return {found.relative_to(to).as_posix() for found in to.rglob("*") if not found.is_dir()}

    return run


def test_what_no_kept_package_lists_is_left_out(unpack):
    found = unpack(
        ("usr/lib/libc.so.6", b"library"),
        ("usr/lib/libc.so", "libc.so.6"),
        ("usr/share/doc/libc6/copyright", b"terms"),
        ("usr/share/doc/libc6/changelog", b"long"),
        ("usr/share/man/man1/x.1", b"manual"),
        ("bin/bash", b"shell"),
    )
    assert found == {
        "usr/lib/libc.so.6", "usr/lib/libc.so", "usr/share/doc/libc6/copyright",
        f"{STATUS}/libc6", "etc/ssl/certs/ca-certificates.crt",
    }  # fmt: skip


def test_certificates_are_in_one_file_in_order(unpack, tmp_path):
    unpack((f"{CERTIFICATES}b.crt", b"second\n"), (f"{CERTIFICATES}a.crt", b"first\n"))
    bundle = tmp_path / "tree" / "etc/ssl/certs/ca-certificates.crt"
    assert bundle.read_bytes() == b"first\nsecond\n"


@pytest.mark.parametrize(
    "members",
    [
        [("../evil", b"x")],
        [("usr/lib/../../../evil", b"x")],
        [("usr/lib/out", "/tmp"), ("usr/lib/out/evil", b"x")],
        [("usr/lib/out", "../../.."), ("usr/lib/out/evil", b"x")],
    ],
)
def test_a_path_that_leads_out_is_refused(unpack, tmp_path, members):
    with pytest.raises(ImageError, match="outside of the image"):
        unpack(*members)
    assert not (tmp_path / "evil").exists()


@pytest.mark.parametrize("name", ["libc6", "libssl3", "libssl3t64", "python3.13-minimal", "tzdata"])
def test_packages_that_are_kept(name):
    assert is_kept_package(name, "bookworm")


@pytest.mark.parametrize("name", ["bash", "dpkg", "apt", "perl-base", "libc6-dev", "python3.13"])
def test_packages_that_are_not(name):
    assert not is_kept_package(name, "trixie")


def test_a_release_has_wants_of_its_own():
    assert is_kept_package("libzstd1", "trixie")
    assert not is_kept_package("libzstd1", "bookworm")


@pytest.mark.parametrize(
    "path",
    [
        "usr/lib/python3.13/json/__init__.py",
        "usr/lib/python3.13/asyncio/events.py",
        "usr/lib/python3.13/lib-dynload/_ssl.cpython-313-x86_64-linux-gnu.so",
        "usr/lib/x86_64-linux-gnu/libssl.so.3",
        "usr/bin/python3.13",
        "usr/share/zoneinfo/Europe/Berlin",
        "etc/os-release",
        "etc/ssl/openssl.cnf",
    ],
)
def test_what_stays_of_a_kept_package(path):
    assert not LEFT_OUT.fullmatch(path)
