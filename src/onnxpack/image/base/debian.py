"""Make a base of Debian's signed packages: Python and its libraries, no shell, no package manager.

mmdebstrap fetches, verifies and unpacks. Nothing of the base is run, so any machine can make the
base of any architecture, without root if user namespaces are available. Only the packages in KEPT
stay, and of these only the files that a server opens. Scanners find the remaining packages in
``/var/lib/dpkg/status.d``, as in Google's distroless images.
"""

from __future__ import annotations

import re
import shutil
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

from onnxpack.errors import ImageError
from onnxpack.image.base.standard_library import UNUSED
from onnxpack.image.base.temporary import temporary_folder
from onnxpack.image.cache import Cache, Tree, key_of
from onnxpack.image.child import run_child
from onnxpack.image.runtime.bytecode import compile_tree, find_interpreter
from onnxpack.oci.layer.members import Bounded
from onnxpack.oci.platform import Platform

SUITES = {"3.11": "bookworm", "3.13": "trixie"}
"""The release of Debian that has each version of Python."""
KEPT = re.compile(
    r"base-files|ca-certificates|gcc-\d+-base|libbz2-1\.0|libc6|libexpat1|libffi8"
    r"|libgcc-s1|liblzma5|libpython3\.\d+-(minimal|stdlib)|libssl3(t64)?|libstdc\+\+6|libuuid1"
    r"|media-types|netbase|python3\.\d+-minimal|tzdata|zlib1g"
)
"""Packages that stay; their other dependencies are for scripts that are never run."""
KEPT_TOO = {"trixie": re.compile("libzstd1")}
"""Packages that only one release needs: in trixie, libssl3t64 is linked with libzstd."""
LEFT_OUT = re.compile(
    r"(usr/)?s?bin/(?!python3).*|usr/share/(?!zoneinfo/|doc/[^/]+/copyright).*"
    r"|usr/share/zoneinfo/(right|posix)/.*|usr/lib/[^/]+/gconv/.*|usr/lib/locale/.*"
    r"|(boot|dev|home|media|mnt|opt|proc|root|run|srv|sys|tmp|var)(/.*)?"
    r"|etc/(?!debian_version|host\.conf|ld\.so\.conf|mime\.types|os-release|protocols|services|ssl/)"
    r".*"
    r"|usr/share/zoneinfo/(tzdata\.zi|leap.*)"
    r"|(usr/)?lib/[^/]+/(libmvec|libnsl|libexpatw|libcrypt|libthread_db|libBrokenLocale)\.so.*"
    r"|(usr/)?lib/[^/]+/(libc_malloc_debug|libmemusage|libpcprofile|libnss_(compat|hesiod))\.so.*"
    rf"|usr/lib/[^/]+/(ossl-modules|engines-3)/.*|{UNUSED}"
    r"|usr/lib/(python3/.*|valgrind/.*|tmpfiles\.d/.*|sysusers\.d/.*|systemd/.*|mime/.*|binfmt.*)"
)
"""Files of the kept packages that are left out."""
CERTIFICATES = "usr/share/ca-certificates/mozilla/"
STATUS = "var/lib/dpkg/status.d"
# For each unpacked package: its dpkg status, and the list of its files.
_HOOK = (
    f'set -e; d="$1/{STATUS}"; mkdir -p "$d"; for deb in "$1"/var/cache/apt/archives/*.deb; do '
    'name=$(dpkg-deb -f "$deb" Package); dpkg-deb -f "$deb" > "$d/$name"; '
    'dpkg-deb --fsys-tarfile "$deb" | tar -t > "$d/$name.list"; done'
)
_USERS = (
    "root:x:0:0:root:/root:/sbin/nologin\n"
    "nonroot:x:65532:65532:nonroot:/home/nonroot:/sbin/nologin\n"
)
_GROUPS = "root:x:0:\nnonroot:x:65532:\n"


def is_at_hand() -> bool:
    """Return whether mmdebstrap and dpkg are installed."""
    return all(map(shutil.which, ("mmdebstrap", "dpkg-deb")))


def debian_tree(python: str, platform: Platform, cache: Cache) -> Tree:
    """Return the folder of a base with this version of Python.

    Args:
        python: version of Python, such as ``3.13``.
        platform: platform of the base.
        cache: cache of trees.

    Raises:
        ImageError: no release of Debian has this Python.
    """
    suite = SUITES.get(python)
    if suite is None:
        raise ImageError(
            f"no known Debian release has Python {python}.",
            remedy=f"--base python:{python}-slim",
        )
    recipe = (KEPT.pattern, repr(KEPT_TOO), LEFT_OUT.pattern, _HOOK, _USERS)
    compiles = find_interpreter(python) is not None
    key = key_of(suite=suite, platform=str(platform), recipe=recipe, compiles=compiles)
    return cache.tree(f"debian-{suite}-{key}", lambda to: _make(python, suite, platform, to))


def _make(python: str, suite: str, platform: Platform, to: Path) -> None:
    archive = to.with_name("debian.tar")
    _bootstrap(python, suite, platform, archive)
    with Bounded.open(archive, "r:") as unpacked:
        _unpack(unpacked, to, suite)
    archive.unlink()
    _finish(python, to)
    compile_tree(to, python)


def _bootstrap(python: str, suite: str, platform: Platform, to: Path) -> None:
    packages = (
        f"python{python}-minimal,libpython{python}-stdlib,libstdc++6,ca-certificates,tzdata,"
        "base-files,netbase"
    )
    command = [
        "mmdebstrap", "--variant=extract", f"--include={packages}",
        f"--architectures={platform.architecture}", f"--extract-hook={_HOOK}", suite, str(to),
    ]  # fmt: skip
    if shutil.which("mmdebstrap") is None:
        raise ImageError(
            "mmdebstrap is not installed.",
            remedy=f"apt install mmdebstrap, or --base python:{python}-slim",
        )
    with temporary_folder("mmdebstrap") as (folder, handle):
        done = run_child(command, environment={"TMPDIR": str(folder)}, keep_open=handle)
    if done.returncode:
        # Without its warnings (--quiet) it does not say that the disk is full.
        said = [line for line in done.stderr.splitlines() if not line.startswith("I: ")]
        raise ImageError(
            "\n".join([f"mmdebstrap could not build {suite} for {platform}:", *said[-20:]]),
            remedy=f"--base python:{python}-slim",
        )


def _unpack(unpacked: tarfile.TarFile, to: Path, suite: str) -> None:
    """Unpack the kept files, and concatenate the certificates."""
    kept = _kept_paths(unpacked, suite)
    certificates: dict[str, bytes] = {}
    for member in unpacked:
        path = member.name.removeprefix("./")
        if path.startswith(CERTIFICATES) and member.isfile():
            content = unpacked.extractfile(member)
            certificates[path] = content.read() if content else b""
        elif path in kept:
            _place(unpacked, member, to / path, inside=to)
    bundle = to / "etc/ssl/certs/ca-certificates.crt"
    bundle.parent.mkdir(parents=True, exist_ok=True)
    bundle.write_bytes(b"".join(certificates[path] for path in sorted(certificates)))


def _place(unpacked: tarfile.TarFile, member: tarfile.TarInfo, to: Path, *, inside: Path) -> None:
    to.parent.mkdir(parents=True, exist_ok=True)
    if not to.parent.resolve().is_relative_to(inside.resolve()) or to.name == "..":
        raise ImageError(f"a Debian package has a path outside of the image: {member.name}.")
    if member.issym():
        to.symlink_to(member.linkname)
        return
    content = unpacked.extractfile(member)
    if content is None:
        raise ImageError(f"a Debian package contains something that is not a file: {member.name}.")
    with content, to.open("xb") as target:
        shutil.copyfileobj(content, target)
    to.chmod(0o755 if member.mode & 0o100 else 0o644)


def is_kept_package(name: str, suite: str) -> bool:
    """Return whether a package stays in a base of this release."""
    more = KEPT_TOO.get(suite)
    return bool(KEPT.fullmatch(name) or (more and more.fullmatch(name)))


def _kept_paths(unpacked: tarfile.TarFile, suite: str) -> set[str]:
    """Return the paths that stay: files of kept packages, and these packages' descriptions."""
    kept: set[str] = set()
    for member in unpacked:
        folder, _, name = member.name.removeprefix("./").rpartition("/")
        package = name.removesuffix(".list")
        if folder == STATUS and name != package and is_kept_package(package, suite):
            kept.add(f"{STATUS}/{package}")
            kept.update(_listed(unpacked, member))
    return kept


def _listed(unpacked: tarfile.TarFile, member: tarfile.TarInfo) -> Iterator[str]:
    content = unpacked.extractfile(member)
    for line in (content.read().decode() if content else "").splitlines():
        path = line.removeprefix("./")
        if path and not path.endswith("/") and not LEFT_OUT.fullmatch(path):
            yield path


def _finish(python: str, to: Path) -> None:
    """Do what the packages' scripts would have done."""
    (to / "etc").mkdir(exist_ok=True)
    (to / "etc/passwd").write_text(_USERS)
    (to / "etc/group").write_text(_GROUPS)
    (to / "etc/nsswitch.conf").write_text("hosts: files dns\n")
    (to / "usr/bin/python3").symlink_to(f"python{python}")
    home = to / "home/nonroot"
    home.mkdir(parents=True)
    temporary = to / "tmp"
    temporary.mkdir()


def default_python() -> str:
    """Return the Python version that runs here if a release of Debian has it, else the newest."""
    here = f"{sys.version_info.major}.{sys.version_info.minor}"
    return here if here in SUITES else max(SUITES, key=lambda each: int(each.partition(".")[2]))
