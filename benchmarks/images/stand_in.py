"""What Dockerfiles need from afar: a base from a registry, and wheels; or what stands in for it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from onnxpack.image.base.debian import SUITES, default_python
from onnxpack.image.compare.pytorch import pytorch_requirements
from onnxpack.image.runtime.wheels import requirements

NAME = "onnxpack-bench/stand-in"
# As the slim images: no manual pages, and pip may install beside Debian's packages.
_HOOK = 'rm -f "$1"/usr/lib/python3*/EXTERNALLY-MANAGED'
_WITHOUT = ("man", "doc", "locale", "info")


def docker_base(work: Path) -> str:
    """python:X.Y-slim, or where no registry gives it, a name that says so: Debian with pip."""
    python = default_python()
    slim = f"python:{python}-slim"
    if _docker("image", "inspect", slim) or _docker("pull", slim):
        return slim
    name = f"{NAME}:{python}-slim"
    if _docker("image", "inspect", name):
        return name
    archive = work / "slim.tar"
    subprocess.run(
        ["mmdebstrap", "--quiet", "--variant=minbase", "--include=python3,python3-pip",
         "--include=ca-certificates", f"--customize-hook={_HOOK}",
         *(f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in _WITHOUT),
         SUITES[python], str(archive)],
        check=True,
    )  # fmt: skip
    subprocess.run(["docker", "import", str(archive), name], check=True, stdout=sys.stderr)
    archive.unlink()
    return name


def wheels(torch: Mapping[str, str], to: Path) -> Path:
    """All wheels of both images, by pip and its settings.

    Args:
        torch: PyTorch's requirement for each runtime.
    """
    for runtime, requirement in torch.items():
        _download(to, pytorch_requirements(requirement), check=True)
        # onnxruntime-gpu appears later than onnxruntime; its row is then told as not built.
        _download(to, requirements(runtime=runtime), check=runtime == "cpu")
    return to


def _download(to: Path, pins: Sequence[str], *, check: bool) -> None:
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--only-binary=:all:"]
    subprocess.run([*pip, "-d", str(to), *pins], check=check)


def _docker(*line: str) -> bool:
    return subprocess.run(["docker", *line], check=False, capture_output=True).returncode == 0
