"""The machine that a figure was measured on."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")
FEATURES = ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "avx512_bf16", "amx_int8", "amx_bf16")
"""The instruction sets that decide how fast, and on some processors how right, int8 and bfloat16
are."""

BUSY = 0.3
"""Processes a core, see :func:`load`, above which the reader of a figure is told."""


def processor() -> str:
    """Return the processor as it names itself; else its architecture."""
    return _cpuinfo().get("model name") or platform.machine()


def features() -> tuple[str, ...]:
    """Return those of :data:`FEATURES` that the processor says it has."""
    flags = _cpuinfo().get("flags", "").split()
    return tuple(name for name in FEATURES if name in flags)


def load() -> float:
    """Return how many processes ran or waited on each core in the last minute, on the average."""
    return os.getloadavg()[0] / (os.cpu_count() or 1)


def _cpuinfo() -> Mapping[str, str]:
    """What Linux says of the first processor; nothing elsewhere."""
    try:
        first = CPUINFO.read_text(encoding="utf-8", errors="replace").partition("\n\n")[0]
    except OSError:
        return {}
    pairs = (line.partition(":") for line in first.splitlines())
    return {name.strip(): value.strip() for name, _, value in pairs}
