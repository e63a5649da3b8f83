"""What ``optimize`` reaches, beside PyTorch, onnxruntime, OpenVINO and an exhaustive search.

    python benchmarks/optimize/measure_all.py [--only CASE ...] [-o OUT]

Each case is measured in a process of its own. A third of its rows is kept away from ``optimize``,
to see whether what it promises also holds there. Results of cases that are not run again are kept.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

sys.path.insert(0, str(Path(__file__).parents[1]))
import msgspec
import numpy as np
from cases import CASES, Arrays, Case
from chart import draw
from exhaustive import Exhaustive, Judged
from markdown import write_table
from peers import Predict, time_all
from start import time_loads
from traps import measure_traps

import onnxpack
from onnxpack.benchmark.machine import features, load, processor
from onnxpack.errors import OnnxpackError
from onnxpack.optimizer.answers import collect
from onnxpack.optimizer.data import bind_rows
from onnxpack.optimizer.guard import judge
from onnxpack.optimizer.optimize import Optimized
from onnxpack.runtime.doctor import installed_versions
from onnxpack.runtime.model import Model

THREADS = 2
UNSEEN = 3
"""Each third row is kept away from ``optimize``."""
BEST = 3
"""Plans of the exhaustive run that are timed again beside what ``optimize`` chose."""
PACKAGES = ("onnxpack", "onnxruntime", "openvino", "nncf", "torch", "scikit-learn", "numpy")
ONNXRUNTIME, OPENVINO = "onnxruntime", "onnxruntime or OpenVINO"


def main() -> None:
    """Measure, and write ``optimize.json``, ``table.md`` and ``plot.svg``."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=CASES, default=list(CASES), metavar="CASE")
    parser.add_argument("--no-mixes", action="store_true", help="in the exhaustive run: no graphs "
                        "with layers left in float32, which take most of its time")  # fmt: skip
    parser.add_argument("--max-loss", nargs="+", type=float, default=(), metavar="LOSS",
                        help="only these of a case's")  # fmt: skip
    parser.add_argument("--draw", action="store_true", help="only make the table and the chart")
    parser.add_argument("-o", "--output", type=Path, default=Path(__file__).parent / "results")
    parser.add_argument("--worker", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        measure(
            options.only[0], options.worker, mixes=not options.no_mixes, max_losses=options.max_loss
        )
        return
    options.output.mkdir(parents=True, exist_ok=True)
    stored = options.output / "optimize.json"
    results = json.loads(stored.read_text()) if stored.exists() else {"cases": {}}
    for name in () if options.draw else options.only:
        results["cases"][name] = _in_process(name, options)
        stored.write_text(json.dumps(results, indent=1) + "\n")
    table = write_table(results)
    (options.output / "table.md").write_text(table)
    if find_spec("matplotlib"):
        draw(results, options.output / "plot.svg")
    print(table)


def _in_process(name: str, options: argparse.Namespace) -> dict[str, Any]:
    print(f"== {name}", file=sys.stderr)
    with TemporaryDirectory() as folder:
        said = Path(folder) / "found.json"
        command = [sys.executable, "-W", "ignore", __file__, "--only", name, "--worker", str(said)]
        command += ["--no-mixes"] if options.no_mixes else []
        command += ["--max-loss", *map(str, options.max_loss)] if options.max_loss else []
        environment = os.environ | {"OMP_NUM_THREADS": str(THREADS)}
        ended = subprocess.run(command, check=False, env=environment)
        found: dict[str, Any] = json.loads(said.read_text())
        return found | ({"stopped": ended.returncode} if ended.returncode else {})


def measure(name: str, to: Path, *, mixes: bool, max_losses: Sequence[float]) -> None:
    """Measure one case; what is found is written after each phase."""
    case = CASES[name]()
    found: dict[str, Any] = {"name": case.name, "weights": case.weights, "load": [load()]}

    def save(**more: Any) -> None:
        found.update(more)
        found["load"].append(load())
        to.write_text(json.dumps(found))

    with TemporaryDirectory(prefix="bench-optimize-") as folder:
        work = Path(folder)
        pack = work / "pack"
        model = case.model if case.exported is None else case.exported
        onnxpack.export(model, case.sample, pack, **(case.options or {}))
        base = Model(pack, variant="base", threads=THREADS)
        given, unseen = keep_away(named(case, base))
        save(
            rows={"given": len(_first(given)), "unseen": len(_first(unseen))},
            processor=processor(),
            features=features(),
            versions=installed_versions(PACKAGES),
            threads=THREADS,
            size=sum(file.stat().st_size for file in pack.glob("model.onnx*")),
        )
        runs: list[dict[str, Any]] = []
        for run in _optimize(case, base, given, unseen, work, max_losses):
            runs.append(run)
            # Its folder is gone when the run has ended.
            save(optimized=[{k: v for k, v in each.items() if k != "path"} for each in runs])
        space = Exhaustive(
            pack, given, threads=THREADS, metric=case.metric, work=work / "exhaustive"
        )
        judged = space.run(mixes=mixes)
        plans = [asdict(each) for each in judged]
        seconds = sum(each.seconds for each in judged)
        save(exhaustive={"mixes": mixes, "seconds": seconds, "plans": plans})
        timings, failures = time_all(case, base, _calls(runs, judged, space))
        save(timings=timings, failures=failures)
        save(traps=list(measure_traps(name, space.original, work)))


def named(case: Case, base: Model) -> Arrays:
    """The rows by the names that the pack gives its inputs."""
    names = [spec.name for spec in base.signature.inputs]
    if set(names) == set(case.rows):
        return case.rows
    return dict(zip(names, case.rows.values(), strict=True))


def keep_away(rows: Arrays) -> tuple[Arrays, Arrays]:
    """Split the rows at random into what ``optimize`` is given, and what it never sees."""
    count = len(_first(rows))
    order = np.random.default_rng(1).permutation(count)
    away, given = np.sort(order[: count // UNSEEN]), np.sort(order[count // UNSEEN :])
    parts = [{name: each[at] for name, each in rows.items()} for at in (given, away)]
    return parts[0], parts[1]


def _optimize(
    case: Case, base: Model, given: Arrays, unseen: Arrays, work: Path, wanted: Sequence[float]
) -> Iterator[dict[str, Any]]:
    """Run ``optimize`` with each set of runtimes and each loss, and judge what it chose."""
    for runtimes, max_losses in ((ONNXRUNTIME, case.alone), (OPENVINO, case.max_losses)):
        for max_loss in (each for each in max_losses if each in (wanted or max_losses)):
            print(f"optimize, {runtimes}, --max-loss {max_loss}", file=sys.stderr)
            to = work / f"{runtimes.replace(' ', '-')}-{max_loss}"
            run = {"runtimes": runtimes, "max_loss": max_loss}
            begun = time.perf_counter()
            try:
                with _only(runtimes):
                    found = onnxpack.optimize(
                        base.pack, to, max_loss=max_loss, data=given, metric=case.metric,
                        threads=THREADS, progress=lambda line: print(" ", line, file=sys.stderr),
                    )  # fmt: skip
            except OnnxpackError as exc:
                yield run | {"failure": exc.message}
                continue
            run |= {"seconds": time.perf_counter() - begun, "path": str(to)}
            yield run | _judge(found, base, to, unseen, case.metric)


def _judge(
    found: Optimized,
    base: Model,
    to: Path,
    unseen: Arrays,
    metric: str,
) -> dict[str, Any]:
    """What was chosen, what it keeps on rows that the search never saw, and what loading costs."""
    trials = [msgspec.to_builtins(trial) | {"name": trial.name} for trial in found.trials]
    if not found.variants:
        return {"variant": "", "trials": trials}
    name = found.variants[0]
    trial = next(each for each in found.trials if each.name == name)
    model = Model(to, variant=name, threads=THREADS)
    rows = bind_rows(unseen, base.signature, "unseen rows")
    manifest = base.pack.manifest
    there = judge(
        collect(base.run, rows),
        collect(model.run, rows),
        labels=manifest.labels if manifest else None,
        unordered=base.pack.unordered,
        metric=metric,
    )
    return {
        "variant": name,
        "taken": list(found.variants),
        "kept": msgspec.to_builtins(trial.kept),
        "size": trial.size,
        "unseen": {"value": there.value, "lower": there.lower, "rows": there.samples},
        "loads": time_loads(to, THREADS),
        "notes": list(found.notes),
        "trials": trials,
    }


def _calls(
    runs: Sequence[dict[str, Any]], judged: Sequence[Judged], space: Exhaustive
) -> dict[str, Predict]:
    """What ``optimize`` chose, and the fastest right plans of the exhaustive run."""
    calls: dict[str, Predict] = {}
    for run in runs:
        if run.get("variant"):
            chosen = Model(run["path"], variant=run["variant"], threads=THREADS)
            calls.setdefault(run["variant"], chosen.run)
        right = [each for each in judged if each.is_right(run["max_loss"])]
        if run["runtimes"] == ONNXRUNTIME:
            right = [each for each in right if each.plan.runtime == ONNXRUNTIME]
        for each in sorted(right, key=lambda plan: -plan.ratio)[:BEST]:
            if each.ratio > 1 and each.name not in calls:
                calls[each.name] = space.open(each.plan)
    return calls


@contextmanager
def _only(runtimes: str) -> Iterator[None]:
    """Search as on a machine without OpenVINO."""
    if runtimes != ONNXRUNTIME:
        yield
        return
    with patch("onnxpack.optimizer.space.has_openvino", return_value=False):
        yield


def _first(rows: Mapping[str, Any]) -> Any:
    return next(iter(rows.values()))


if __name__ == "__main__":
    main()
