"""Prove that a provider works: it runs a small graph without help, and returns the right numbers.

A provider's library can print, hang or kill the process, so each provider is tried in its own
process: ``python -m onnxpack.runtime.probe CUDAExecutionProvider``.
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
"""The graph ``y = x @ w``: ``x`` is float32[1, 4], ``w`` the numbers 0 to 11 as float32[4, 3]."""
TIMEOUT_SECONDS = 120
"""Time limit: TensorRT takes many seconds to build even a small engine."""
_MARK = "onnxpack-probe: "


def probe(provider: str) -> str:
    """Try a provider in this process.

    Args:
        provider: full name of a provider in this build of onnxruntime.

    Returns:
        Why it does not work; empty if it works.
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
    """Try a provider in its own process, and return the same as ``probe``.

    Args:
        provider: full name of the provider.
        timeout: time limit in seconds.
    """
    # -P: a file in the current folder must not replace one of our modules.
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
    """Print the result of ``probe`` on a line that differs from any output of a provider."""
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
