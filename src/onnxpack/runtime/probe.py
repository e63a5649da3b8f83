"""Proof that a provider works: it runs a small graph, alone, and the numbers are right.

A provider's library can print, hang or kill the process, so each is tried in one of its own:
``python -m onnxpack.runtime.probe CUDAExecutionProvider``.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import msgspec
import numpy as np

from onnxpack.errors import OnnxpackError
from onnxpack.runtime import libraries, session
from onnxpack.runtime.catalog import CPU

GRAPH = Path(__file__).with_name("probe.onnx")
"""``y = x @ w``, with ``x`` float32[1, 4] and ``w`` the numbers 0 to 11 as float32[4, 3]."""
TIMEOUT_SECONDS = 120
"""TensorRT takes many seconds to build even a small engine."""
_MARK = "onnxpack-probe: "


def probe(provider: str) -> str:
    """Try a provider in this process.

    Args:
        provider: its full name; it must be in this build of onnxruntime.

    Returns:
        Why it does not work; empty where it does.
    """
    library = libraries.provider_library(provider)
    try:
        opened = session.open_session(GRAPH, [provider], threads=1)
        fault = _fault(opened, provider)
    except OnnxpackError as exc:
        fault = exc.message
    lacking = libraries.missing_libraries(library) if fault and library else ()
    return f"missing libraries: {', '.join(lacking)}" if lacking else fault


def probe_apart(provider: str, *, timeout: float = TIMEOUT_SECONDS) -> str:
    """Try a provider in a process of its own; returns what ``probe`` does.

    Args:
        provider: its full name.
        timeout: in seconds.
    """
    # -P: a file in the current folder must not stand in for one of our modules.
    command = [sys.executable, "-P", "-m", "onnxpack.runtime.probe", provider]
    try:
        done = subprocess.run(command, capture_output=True, timeout=timeout, check=False)
    except subprocess.TimeoutExpired:
        return f"it did not answer within {timeout:g} seconds"
    for line in done.stdout.decode(errors="replace").splitlines():
        if line.startswith(_MARK):
            return str(msgspec.json.decode(line.removeprefix(_MARK)))
    return _died(done)


def main(arguments: list[str]) -> None:
    """Print the result of ``probe`` on a line that a provider's own noise cannot resemble."""
    print(f"\n{_MARK}{msgspec.json.encode(probe(arguments[0])).decode()}", flush=True)


def _fault(opened: object, provider: str) -> str:
    placed = session.placement(opened)
    if provider != CPU and set(placed) != {provider}:
        return "it is in this build, but onnxruntime gave its work to the CPU"
    x = np.array([[1, 2, 3, 4]], np.float32)
    y = session.run(opened, ["y"], {"x": x}, provider)[0]
    right = x @ np.arange(12, dtype=np.float32).reshape(4, 3)
    return "" if np.array_equal(y, right) else f"it computes {y.tolist()}, not {right.tolist()}"


def _died(done: subprocess.CompletedProcess[bytes]) -> str:
    lines = done.stderr.decode(errors="replace").strip().splitlines()
    last = f": {lines[-1][:200]}" if lines else ""
    how = f"by signal {-done.returncode}" if done.returncode < 0 else f"code {done.returncode}"
    return f"its process ended ({how}){last}"


if __name__ == "__main__":
    main(sys.argv[1:])
