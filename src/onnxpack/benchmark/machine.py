"""Describe the machine that a figure was measured on."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")
X86 = ("x86_64", "AMD64")
WIDE_SUMS = {"avx512_vnni", "avx_vnni", "amx_int8"}
"""Instructions that sum products of int8 in 32 bits."""
FEATURES = ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "avx512_bf16", "amx_int8", "amx_bf16")
"""Instruction sets that affect the speed, and sometimes the accuracy, of int8 and bfloat16."""

BUSY = 0.3
"""Processes per core, see :func:`load`, above which a result gets a note."""


def processor() -> str:
    """Return the processor's own name, else its architecture."""
    return _cpuinfo().get("model name") or platform.machine()


def features() -> tuple[str, ...]:
    """Return those of :data:`FEATURES` that the processor reports."""
    flags = _cpuinfo().get("flags", "").split()
    return tuple(name for name in FEATURES if name in flags)


def int8_saturates() -> bool:
    """Return whether products of uint8 and int8 are summed in 16 bits, where large sums saturate.

    This is so on x86 without VNNI: there ONNX Runtime uses ``vpmaddubsw``, which adds two products
    of at most 255 · 127. Weights of 7 bits keep each sum within int16 (onnxruntime's documentation,
    "Quantize ONNX models": ``reduce_range``).
    """
    return platform.machine() in X86 and not set(features()) & WIDE_SUMS


def load() -> float:
    """Return the average number of processes that ran or waited on each core in the last minute."""
    return os.getloadavg()[0] / (os.cpu_count() or 1)


def _cpuinfo() -> Mapping[str, str]:
    """Return Linux's facts about the first processor; empty on other systems."""
    try:
        first = CPUINFO.read_text(encoding="utf-8", errors="replace").partition("\n\n")[0]
    except OSError:
        return {}
    pairs = (line.partition(":") for line in first.splitlines())
    return {name.strip(): value.strip() for name, _, value in pairs}
