"""What choosing a variant adds to the time in which a pack is opened, in fresh processes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

TIMES = 7
CODE = """\
import sys
import time

import onnxpack

Model = onnxpack.Model
begun = time.perf_counter()
Model(sys.argv[1], variant=sys.argv[2], threads=int(sys.argv[3]))
print(time.perf_counter() - begun)
"""


def time_loads(pack: Path, threads: int) -> dict[str, float]:
    """Return the seconds of opening the base and the best variant, the best of several each."""
    found: dict[str, list[float]] = {"base": [], "auto": []}
    for _ in range(TIMES):
        for variant, seconds in found.items():
            seconds.append(_load(pack, variant, threads))
    return {variant: min(seconds) for variant, seconds in found.items()}


def _load(pack: Path, variant: str, threads: int) -> float:
    command = [sys.executable, "-W", "ignore", "-c", CODE, str(pack), variant, str(threads)]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return float(said)
