"""Attack onnxpack with hostile files, registries, kills and full disks, and count what held.

    python benchmarks/hostile/attack_all.py [--only CLASS ...] [-o OUT]

Each attack is met by ``onnxpack`` in a process of its own, with its memory and time measured. The
disks that fill are mounted, so all of it runs only as root on Linux.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeAlias

sys.path.insert(0, str(Path(__file__).parents[1]))
import bases
import files
import graphs
import inputs
import numpy as np
import packs
import registries
import writers
from trial import Attack, Trial, attempt, run

from onnxpack.benchmark.machine import processor
from onnxpack.runtime.doctor import installed_versions

Trials: TypeAlias = Iterator[Trial]
PACKAGES = ("onnxpack", "onnxruntime", "onnx", "torch", "xgboost", "lightgbm", "catboost", "keras")


def _of(attacks: Iterator[Attack]) -> Trials:
    return map(attempt, attacks)


def _onnx_file(folder: Path) -> Path:
    """Write a plain graph whose export takes no framework."""
    from onnx import TensorProto, helper, numpy_helper

    weights = np.random.default_rng(0).normal(size=(64, 64)).astype(np.float32)
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])], "plain",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 64])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 64])],
        [numpy_helper.from_array(weights, "w")],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    path = folder / "plain.onnx"
    path.write_bytes(model.SerializeToString())
    return path


CLASSES: dict[str, Callable[[Path, Path], Trials]] = {
    "altered packs": lambda pack, work: _of(packs.attacks(pack, work)),
    "graphs that ask for too much": lambda _, work: _of(graphs.attacks(work)),
    "model files": lambda _, work: _of(files.attacks(work)),
    "inputs": lambda pack, work: _of(inputs.attacks(pack, work)),
    "bases of images": lambda pack, work: _of(bases.attacks(pack, work)),
    "registries": lambda pack, work: _of(registries.attacks(pack, work)),
    "kills": lambda pack, work: writers.kills(pack, _onnx_file(work), work),
    "full disks": lambda pack, work: writers.full_disks(pack, _onnx_file(work), work),
    "cold builds at once": writers.meetings,
}


def main() -> None:
    """Try all attacks, and write ``hostile.json`` and ``table.md``."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--only", nargs="+", choices=CLASSES, default=list(CLASSES), metavar="CLASS"
    )
    parser.add_argument("-o", "--output", type=Path, default=Path(__file__).parent / "results")
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    stored = options.output / "hostile.json"
    results: dict[str, Any] = json.loads(stored.read_text()) if stored.exists() else {}
    results |= {"processor": processor(), "versions": installed_versions(PACKAGES)}
    with TemporaryDirectory(prefix="bench-hostile-") as folder:
        pack = packs.make_pack(Path(folder))
        if run(("check", str(pack)))[0]:
            raise SystemExit("the pack that the attacks alter does not pass the check itself")
        for number, name in enumerate(options.only):
            work = Path(folder) / str(number)
            work.mkdir()
            results.setdefault("classes", {})[name] = [
                asdict(_said(name, trial)) for trial in CLASSES[name](pack, work)
            ]
            stored.write_text(json.dumps(results, indent=1) + "\n")
    (options.output / "table.md").write_text(write_table(results))
    print(write_table(results))


def _said(name: str, trial: Trial) -> Trial:
    print(f"{name}: {trial.name}: {trial.fault or 'held'}", file=sys.stderr)
    return trial


def write_table(results: dict[str, Any]) -> str:
    """Return the page of results."""
    versions = ", ".join(f"{name} {found}" for name, found in results["versions"].items() if found)
    lines = [
        f"""# Attacks, and how many were held

`make bench-hostile` writes this page.

{results["processor"]}. {versions}.

An attack is held if each command refuses it, or ends in 30 s and 2 GiB, with no traceback and no
signal, and leaves nothing behind. A registry that is too slow is given {registries.PATIENCE:.0f} s.

| class | tries | held | slowest, s | largest process, MiB |
|---|---|---|---|---|"""
    ]
    for name, trials in results["classes"].items():
        lines.append(_row(name, trials))
    faults = [
        f"- {name}: {trial['name']}: {trial['fault']}"
        for name, trials in results["classes"].items()
        for trial in trials
        if trial["fault"]
    ]
    if faults:
        lines += ["", "## Not held", "", *faults]
    return "\n".join(lines) + "\n"


def _row(name: str, trials: Sequence[dict[str, Any]]) -> str:
    held = sum(not trial["fault"] for trial in trials)
    slowest = max((trial["seconds"] for trial in trials), default=0.0)
    largest = max((trial["memory"] for trial in trials), default=0) / 2**20
    size = f"{largest:.0f}" if largest else ""
    return f"| {name} | {len(trials)} | {held} | {slowest:.1f} | {size} |"


if __name__ == "__main__":
    main()
