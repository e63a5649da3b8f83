"""Install the wheels that serving needs with uv, for the platform of the image."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, metadata, requires, version
from pathlib import Path

from onnxpack.errors import ImageError, MissingExtraError
from onnxpack.image.cache import Cache, key_of
from onnxpack.image.child import run_child
from onnxpack.image.target import Target

NEEDED = ("msgspec", "numpy", "onnxruntime")
"""The dependencies of onnxpack that serving imports."""
RUNTIMES = {"cpu": "onnxruntime", "cuda": "onnxruntime-gpu"}

_EXTRA = re.compile(r"extra == ['\"](\w+)['\"]")


def requirements(
    *, runtime: str = "cpu", pictures: bool = False, grpc: bool = False
) -> tuple[str, ...]:
    """Return the requirements, pinned to the versions that are installed here and proven.

    Args:
        runtime: ``cpu`` or ``cuda``.
        pictures: whether the model takes pictures, which Pillow decodes.
        grpc: whether gRPC is served.
    """
    names = [RUNTIMES[runtime] if name == "onnxruntime" else name for name in NEEDED]
    names += _of_extra("serve")
    names += _of_extra("grpc") if grpc else []
    names += ["pillow"] if pictures else []
    return tuple(sorted(set(map(_pinned, names))))


def install(
    pins: Sequence[str],
    target: Target,
    cache: Cache,
    *,
    also: Sequence[str] | None = None,
    options: Sequence[str] = (),
) -> Path:
    """Return the folder of the wheels of these requirements and their dependencies.

    Args:
        pins: pinned requirements.
        target: platform and Python version.
        cache: cache of trees.
        also: constraints; None pins dependencies to the versions installed here.
        options: additional options of uv.

    Raises:
        MissingExtraError: uv is not installed.
        ImageError: uv found no wheels; its output is in the message.
    """
    also = required(pins) if also is None else also
    key = key_of(
        pins=pins, also=also, options=options, python=target.python, platform=target.wheels
    )

    def place(folder: Path) -> None:
        constraints = folder.with_name("constraints")
        constraints.write_text("".join(f"{pin}\n" for pin in also))
        _run((*options, *pins), target, folder, constraints)

    return cache.tree(f"wheels-{key}", place).path()


def _run(pins: Sequence[str], target: Target, folder: Path, constraints: Path) -> None:
    command = [
        _uv(), "pip", "install", "--quiet", "--target", str(folder), "--only-binary", ":all:",
        "--python-version", target.python, "--python-platform", target.wheels,
        "--python", sys.executable, "--constraints", str(constraints), *pins,
    ]  # fmt: skip
    done = run_child(command)
    if done.returncode:
        raise ImageError(
            f"uv could not install wheels for Python {target.python} on "
            f"{target.platform}:\n{done.stderr.strip()}",
            remedy="uv's own settings apply: UV_DEFAULT_INDEX, UV_FIND_LINKS, UV_OFFLINE",
        )


def required(pins: Sequence[str]) -> list[str]:
    """Return the indirect dependencies, pinned to the versions installed here."""
    waiting, found = [_name(pin) for pin in pins], dict[str, str]()
    while waiting:
        name = waiting.pop().lower()
        if name in found:
            continue
        try:
            about = metadata(name)
        except PackageNotFoundError:
            continue  # for another platform or runtime
        found[name] = about["Version"]
        needs = about.get_all("Requires-Dist") or requires(name) or ()
        waiting += [_name(line) for line in needs if "extra ==" not in line]
    return sorted(f"{name}=={number}" for name, number in found.items())


def _of_extra(extra: str) -> list[str]:
    """Return the packages of one of onnxpack's extras, without other extras that it names."""
    lines = [line for line in requires("onnxpack") or () if extra in _EXTRA.findall(line)]
    return [name for name in map(_name, lines) if name != "onnxpack"]


def _pinned(name: str) -> str:
    other = RUNTIMES["cpu" if name == RUNTIMES["cuda"] else "cuda"]
    for installed in (name, other) if name in RUNTIMES.values() else (name,):
        try:
            number = version(installed)
        except PackageNotFoundError:
            continue
        extras = "[cuda,cudnn]" if name == RUNTIMES["cuda"] else ""
        # The two are not released together: the other may lack this version.
        return f"{name}{extras}{'==' if installed == name else '<='}{number}"
    raise MissingExtraError(name, extra="grpc" if name in _of_extra("grpc") else "image")


def _name(requirement: str) -> str:
    end = next((at for at, char in enumerate(requirement) if char in " <>=!~;[("), None)
    return requirement[:end]


def _uv() -> str:
    try:
        from uv import find_uv_bin
    except ModuleNotFoundError as exc:
        raise MissingExtraError("uv", extra="image") from exc
    return str(find_uv_bin())
