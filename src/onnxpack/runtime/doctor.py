"""Find what makes models slow, wrong or fail on this machine and in this environment."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import PurePosixPath

from onnxpack.errors import ProviderError
from onnxpack.report import Finding, Report, error, ok, report, warning
from onnxpack.runtime.catalog import AZURE
from onnxpack.runtime.providers import ProviderStatus, survey
from onnxpack.runtime.session import TELEMETRY
from onnxpack.runtime.threads import CpuBudget, read_budget

PACKAGES = ("onnxpack", "numpy", "onnx", "torch")
"""Packages whose versions are reported, in addition to the onnxruntime wheels."""


@dataclass(frozen=True, slots=True)
class Environment:
    """The facts that the doctor examines.

    Attributes:
        budget: processors that this process may use.
        python: version of Python.
        packages: versions of the relevant packages, by name.
        wheels: versions of all installed wheels that contain ``onnxruntime``, by name.
        telemetry: value of ``ORT_DISABLE_TELEMETRY`` set by the user; None if unset.
        providers: results of trying the providers.
        fault: why onnxruntime cannot be imported; empty if it can.
    """

    budget: CpuBudget
    python: str
    packages: Mapping[str, str] = field(default_factory=dict)
    wheels: Mapping[str, str] = field(default_factory=dict)
    telemetry: str | None = None
    providers: tuple[ProviderStatus, ...] = ()
    fault: str = ""


def examine(environment: Environment | None = None) -> Report:
    """Return a report about the environment.

    Args:
        environment: facts to examine; by default those of this process.
    """
    patient = environment or observe()
    return report(
        [
            *_processors(patient.budget),
            ok("python", patient.python),
            *(ok(name, version) for name, version in sorted(patient.packages.items())),
            *_wheels(patient),
            _telemetry(patient.telemetry),
            *_providers(patient.providers, patient.wheels),
        ]
    )


def observe() -> Environment:
    """Return the facts of this process's environment; every provider in the build is tried."""
    telemetry = os.environ.get(TELEMETRY)
    providers: tuple[ProviderStatus, ...] = ()
    fault = ""
    try:
        providers = survey()
    except ProviderError as exc:
        fault = exc.message
    return Environment(
        budget=read_budget(),
        python=platform.python_version(),
        packages=installed_versions(PACKAGES),
        wheels=installed_wheels(),
        telemetry=telemetry,
        providers=providers,
        fault=fault,
    )


def installed_wheels(path: Sequence[str] | None = None) -> dict[str, str]:
    """Return the versions of the distributions that contain the module ``onnxruntime``, by name.

    Args:
        path: folders to search; ``sys.path`` by default.
    """
    module = PurePosixPath("onnxruntime/__init__.py")
    found = metadata.distributions() if path is None else metadata.distributions(path=list(path))
    wheels = {}
    for distribution in found:
        name = re.sub(r"[-_.]+", "-", distribution.metadata["Name"] or "").lower()
        if name.startswith(("onnxruntime", "ort-")) and module in (distribution.files or ()):
            wheels[name] = distribution.version
    return dict(sorted(wheels.items()))


def installed_versions(names: Sequence[str]) -> dict[str, str]:
    """Return the versions of those distributions that are installed, by name."""
    versions = {}
    for name in names:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions


def _processors(budget: CpuBudget) -> Iterator[Finding]:
    quota = "no quota" if budget.quota is None else f"a quota of {budget.quota:g}"
    yield ok(
        "processors",
        f"{budget.online} cores, {budget.affinity} for this process, {quota}: "
        f"{budget.threads} threads",
    )
    if budget.quota is not None and budget.quota < budget.affinity:
        yield warning(
            "processors",
            f"onnxruntime by itself would start {budget.affinity} threads for a quota of "
            f"{budget.quota:g}, and they would wait for each other; onnxpack starts "
            f"{budget.threads}.",
            f"outside onnxpack: SessionOptions().intra_op_num_threads = {budget.threads}",
        )


def _wheels(patient: Environment) -> Iterator[Finding]:
    wheels = patient.wheels
    if patient.fault:
        yield error("onnxruntime", patient.fault, "pip install --force-reinstall onnxruntime")
    if len(wheels) == 1:
        yield from (ok(name, version) for name, version in wheels.items())
    if len(wheels) > 1:
        special = [name for name in wheels if name != "onnxruntime"]
        listed = ", ".join(f"{name} {version}" for name, version in wheels.items())
        yield error(
            "onnxruntime",
            f"{listed} are installed over each other in one folder; expected one of them.",
            f"pip uninstall -y {' '.join(wheels)} && pip install {special[0]}",
        )


def _telemetry(value: str | None) -> Finding:
    if value is None or value.strip().lower() in ("1", "true", "yes", "on"):
        return ok("telemetry", f"off: onnxpack sets {TELEMETRY}=1 unless you set it")
    return warning(
        "telemetry",
        f"{TELEMETRY} is {value!r}: onnxruntime writes to your home folder and may send data.",
        f"export {TELEMETRY}=1",
    )


def _providers(providers: Sequence[ProviderStatus], wheels: Mapping[str, str]) -> Iterator[Finding]:
    for status in providers:
        if not status.in_build:
            continue
        if status.works:
            yield ok(status.short, f"works, on {status.hardware}")
        elif status.name == AZURE:
            yield ok(status.short, f"not used: {status.detail}")
        else:
            remedy = _nvidia_remedy(status.detail) if "onnxruntime-gpu" in wheels else ""
            yield warning(status.short, f"does not work: {status.detail}", remedy)


def _nvidia_remedy(detail: str) -> str:
    """Return how to install the NVIDIA libraries that a message names; empty if it names none."""
    if not re.search(r"lib(cu|nv)", detail):
        return ""
    first = ["NVIDIA's driver"] if "libcuda.so" in detail else []
    first += ["NVIDIA's TensorRT"] if "libnvinfer" in detail else []
    wheels = 'pip install "onnxruntime-gpu[cuda,cudnn]"'
    return f"install {' and '.join(first)}, then: {wheels}" if first else wheels
