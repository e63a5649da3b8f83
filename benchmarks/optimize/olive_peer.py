"""Olive's ``optimize``, in an environment of its own, judged as our own graphs are.

    python benchmarks/optimize/olive_peer.py VENV [-o OUT]

Adds its rows to the results of ``measure_all.py``. Olive takes a precision and no data.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))
from cases import CASES
from exhaustive import Exhaustive
from markdown import write_table
from measure_all import THREADS, keep_away, named
from traps import measure_graph

import onnxpack
from onnxpack.benchmark.machine import load
from onnxpack.errors import OnnxpackError
from onnxpack.runtime.model import Model

PRECISIONS = ("int8", "fp16", "fp32")
LIMIT = 600
"""Seconds that one call may take."""


def main() -> None:
    """Measure, and write the results again with Olive's."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("venv", type=Path)
    parser.add_argument("--only", nargs="+", choices=CASES, metavar="CASE",
                        default=["efficientnet-lite0", "minilm-l6"])  # fmt: skip
    parser.add_argument("-o", "--output", type=Path, default=Path(__file__).parent / "results")
    options = parser.parse_args()
    stored = options.output / "optimize.json"
    results = json.loads(stored.read_text())
    code = "from importlib.metadata import version; print(version('olive-ai'))"
    version = subprocess.run(
        [options.venv / "bin/python", "-c", code], check=True, capture_output=True, text=True
    ).stdout.strip()
    rows = [row for name in options.only for row in _measure(name, options.venv)]
    results["olive"] = {"version": version, "rows": rows, "load": load()}
    stored.write_text(json.dumps(results, indent=1) + "\n")
    (options.output / "table.md").write_text(write_table(results))


def _measure(name: str, venv: Path) -> Iterator[dict[str, Any]]:
    case = CASES[name]()
    with TemporaryDirectory(prefix="bench-olive-") as folder:
        work = Path(folder)
        pack = work / "pack"
        model = case.model if case.exported is None else case.exported
        onnxpack.export(model, case.sample, pack, **(case.options or {}))
        given, _ = keep_away(named(case, Model(pack, variant="base")))
        space = Exhaustive(pack, given, threads=THREADS, metric=case.metric, work=work / "x")
        for precision in PRECISIONS:
            print(f"{case.name}: olive optimize --precision {precision}", file=sys.stderr)
            row: dict[str, Any] = {"case": case.name, "precision": precision}
            begun = time.perf_counter()
            graph, fault = _optimize(venv, pack / "model.onnx", precision, work / precision)
            row["seconds"] = time.perf_counter() - begun
            if graph is None:
                yield row | {"failure": fault}
                continue
            try:
                yield row | measure_graph(graph, space.original, precision)
            except OnnxpackError as exc:
                yield row | {"failure": exc.message}


def _optimize(venv: Path, source: Path, precision: str, to: Path) -> tuple[Path | None, str]:
    """The graph that Olive wrote, or the last line of what it said."""
    command: list[str | Path] = [
        venv / "bin/olive", "optimize", "--model_name_or_path", source, "--output_path", to,
        "--provider", "CPUExecutionProvider", "--device", "cpu", "--precision", precision,
        "--disable_telemetry",
    ]  # fmt: skip
    ended = subprocess.run(
        command, check=False, capture_output=True, text=True, timeout=LIMIT,
        env=os.environ | {"HF_HUB_OFFLINE": "1"},
    )  # fmt: skip
    found = sorted(to.rglob("*.onnx"))
    if found:
        return found[0], ""
    lines = (ended.stdout + ended.stderr).strip().splitlines() or ["it said nothing"]
    return None, next((line for line in reversed(lines) if "Error" in line), lines[-1])


if __name__ == "__main__":
    main()
