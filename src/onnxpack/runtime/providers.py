"""Find the execution providers that exist, those that truly work, and the requested one."""

from __future__ import annotations

from typing import Literal

import msgspec

from onnxpack.errors import ProviderError
from onnxpack.runtime.catalog import AZURE, CPU, SUFFIX, look_up
from onnxpack.runtime.probe import probe, probe_apart
from onnxpack.runtime.session import load_onnxruntime

AUTO = "auto"


class ProviderStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One execution provider on this machine.

    Attributes:
        name: name by which onnxruntime knows it.
        short: short name for users.
        in_build: whether the installed onnxruntime contains it.
        works: whether it has just run a graph without help and returned the right numbers.
        detail: why it does not work; empty if it works.
        hardware: hardware that it runs on.
        package: Python package that contains it; None if there is none.
        pytorch: the PyTorch users who need it; None if they do not.
    """

    name: str
    short: str
    in_build: bool
    works: bool
    detail: str
    hardware: str
    package: str | None
    pytorch: Literal["cpu", "gpu"] | None


def survey() -> tuple[ProviderStatus, ...]:
    """Return the status of every provider that onnxruntime knows; those in this build are tried.

    Raises:
        ProviderError: onnxruntime is not installed.
    """
    return tuple(_status(name, in_build=name in in_build()) for name in known())


def known() -> tuple[str, ...]:
    """Return the full names of all providers that onnxruntime knows, in its order of preference."""
    return tuple(dict.fromkeys([*load_onnxruntime().get_all_providers(), *in_build()]))


def in_build() -> tuple[str, ...]:
    """Return the full names of the providers in the installed onnxruntime, best first."""
    return tuple(load_onnxruntime().get_available_providers())


def short_name(name: str) -> str:
    """Return the short name of a provider: ``cuda`` for ``CUDAExecutionProvider``."""
    return look_up(name).short


def resolve(provider: str) -> tuple[str, ...]:
    """Return the full names that a name stands for, in the order in which to try them.

    Args:
        provider: ``auto``, a short name or a full name, in any case. ``auto`` means every local
            provider in the build, with the CPU last.

    Raises:
        ProviderError: the provider is unknown, or not in this build.
    """
    wanted = provider.strip().lower()
    if wanted == AUTO:
        return (*(name for name in in_build() if name not in (CPU, AZURE)), CPU)
    matches = [name for name in known() if wanted in _spellings(name)]
    if not matches:
        raise ProviderError(
            f"provider {provider!r} is unknown, expected one of: {AUTO}, "
            f"{', '.join(short_name(name) for name in known())}.",
            remedy="onnxpack providers",
        )
    info = look_up(matches[0])
    if info.name not in in_build():
        built = ", ".join(short_name(name) for name in in_build())
        raise ProviderError(
            f"provider {info.short!r} is not in the installed onnxruntime, which has: {built}.",
            remedy=info.remedy,
        )
    return (info.name,)


def _spellings(name: str) -> tuple[str, ...]:
    return (name.lower(), name.removesuffix(SUFFIX).lower(), short_name(name))


def _status(name: str, *, in_build: bool) -> ProviderStatus:
    info = look_up(name)
    detail = _detail(name) if in_build else "not in the installed onnxruntime"
    return ProviderStatus(
        name=name,
        short=info.short,
        in_build=in_build,
        works=not detail,
        detail=detail,
        hardware=info.hardware,
        package=info.package,
        pytorch=info.pytorch,
    )


def _detail(name: str) -> str:
    if name == AZURE:
        return "it calls remote endpoints and runs no part of a graph here"
    return probe(name) if name == CPU else probe_apart(name)
