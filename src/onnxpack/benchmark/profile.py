"""Find which operators take the time, with ONNX Runtime's own profiler."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

from onnxpack.benchmark.outcome import Operator
from onnxpack.pack.model import Pack
from onnxpack.runtime.catalog import CPU
from onnxpack.runtime.session import open_session, run
from onnxpack.signature import Array

RUNS = 10


def profile(pack: Pack, feeds: Mapping[str, Array], *, threads: int) -> tuple[Operator, ...]:
    """Return the operators of a graph on the CPU, the most expensive first.

    ONNX Runtime writes a time for each node of each run
    (https://onnxruntime.ai/docs/performance/tune-performance/profiling-tools.html). The first run
    is left out, because it allocates memory.
    """
    with TemporaryDirectory() as folder:
        session = open_session(
            pack.model_path, [CPU], threads=threads, profile_to=Path(folder) / "profile"
        )
        for _ in range(RUNS + 1):
            run(session, [], feeds, "cpu")
        events = json.loads(Path(session.end_profiling()).read_bytes())
    return _operators(events)


def _operators(events: list[dict[str, object]]) -> tuple[Operator, ...]:
    runs: dict[str, list[float]] = defaultdict(list)
    kinds: dict[str, str] = {}
    for event in events:
        arguments = event.get("args")
        if event.get("cat") != "Node" or not isinstance(arguments, dict):
            continue
        name = str(event["name"])
        if name.endswith("_kernel_time"):
            runs[name].append(float(str(event["dur"])) / 1e6)
            kinds[name] = str(arguments.get("op_name", "?"))
    seconds: dict[str, list[float]] = defaultdict(list)
    for name, found in runs.items():
        counted = found[1:] or found
        # A node in the body of a loop runs several times in a run.
        seconds[kinds[name]].append(sum(counted) / RUNS)
    total = sum(map(sum, seconds.values())) or 1.0
    rows = [
        Operator(name, len(found), sum(found) / total, sum(found))
        for name, found in seconds.items()
    ]
    return tuple(sorted(rows, key=lambda row: -row.seconds))
