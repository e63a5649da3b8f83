"""Images of ResNet-18 by onnxpack beside PyTorch's, in one run.

    python benchmarks/images/run.py --torch torch==2.13.0 -o OUT

Builds are measured as whole processes of the command line. The base tree and the wheels are on
this disk, as they are for docker; its builds are those with --no-cache.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))
from builds import Bench, repeat
from registry import running_registry
from stand_in import docker_base, wheels
from targets import judge

from measure import machine
from onnxpack.image.cache import Cache

MODELS = """\
import torch
import torchvision


def make_model(seed: int = 0) -> torch.nn.Module:
    torch.manual_seed(seed)
    return torchvision.models.resnet18()


def make_other() -> torch.nn.Module:
    return make_model(1)
"""


def main() -> None:
    """Measure, and write ``results.json``, ``table.md`` and ``plot.svg``."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--torch", required=True, help="a requirement, for CPU: torch==2.13.0")
    parser.add_argument("--torch-cuda", help="a requirement; with it the CUDA images are rows too")
    parser.add_argument("-o", "--output", type=Path, default=Path(__file__).parent / "results")
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix="bench-images-") as folder:
        work = Path(folder)
        work.chmod(0o755)
        results = _measure(work, options)
        if find_spec("matplotlib"):
            shutil.copyfile(work / "comparison/plot.svg", options.output / "plot.svg")
        compared_table = (work / "comparison/table.md").read_text()
    (options.output / "results.json").write_text(json.dumps(results, indent=2) + "\n")
    table = f"{results['machine']}\n\n{judge(results)}\n\n{compared_table}"
    (options.output / "table.md").write_text(table)
    print(table)


def _measure(work: Path, options: argparse.Namespace) -> dict[str, Any]:
    bench = Bench(Cache(work / "cache"), work)
    bench.cache.root.mkdir()
    model, other = _packs(bench, work)
    first = bench.build(model)  # brings the base and the wheels here
    results: dict[str, Any] = {"machine": machine(), "weights": _weights(model), "builds": {}}
    for name in ("cold", "changed", "nothing_changed"):
        print(f"building: {name}", file=sys.stderr)
        runs = repeat(getattr(bench, name), model, options.rounds)
        digests = {run.told["digest"] for run in (first, *runs)}
        if len(digests) > 1:
            raise RuntimeError(f"{name}: builds gave {digests}")
        results["builds"][name] = {
            "process": [run.process for run in runs],
            "build": [run.build for run in runs],
        }
    print("building as another user", file=sys.stderr)
    digest = bench.otherwise(model).told["digest"]
    results["reproduced"] = digest == first.told["digest"]
    results["push"] = _push(bench, work, model, other)
    results["comparison"] = _compare(bench, work, model, options)
    return results


def _packs(bench: Bench, work: Path) -> tuple[Path, Path]:
    (work / "net.py").write_text(MODELS)
    found = []
    for name in ("make_model", "make_other"):
        # The same name: another version of one model.
        pack = work / name / "resnet18"
        pack.parent.mkdir()
        bench.run("export", f"{work / 'net.py'}:{name}", "--sample", "1x3x224x224", "-o", str(pack))
        found.append(pack)
    return found[0], found[1]


def _weights(pack: Path) -> int:
    return (pack / "model.onnx").stat().st_size


def _push(bench: Bench, work: Path, model: Path, other: Path) -> dict[str, Any]:
    """What each push sends: all at first, then another model, then nothing."""
    print("pushing", file=sys.stderr)
    found = {}
    with running_registry(work) as address:
        for name, pack in (("first", model), ("changed", other), ("nothing", other)):
            run = bench.build(pack, "-t", f"{address}/resnet18:1", "--push")
            layers = {layer["digest"] for layer in run.told["images"][0]["layers"]}
            sent = run.told["pushed"]["sent"]
            found[name] = {
                "process": run.process,
                "layers": len(layers.intersection(sent)),
                "model_layer": run.told["images"][0]["layers"][-1]["digest"] in sent,
                "bytes": run.told["pushed"]["bytes"],
            }
    return found


def _compare(bench: Bench, work: Path, model: Path, options: argparse.Namespace) -> dict[str, Any]:
    print("comparing", file=sys.stderr)
    torch, given = {"cpu": options.torch}, ["--torch", options.torch]
    if options.torch_cuda:
        torch["cuda"] = options.torch_cuda
        given += ["--cuda", "--torch-cuda", options.torch_cuda]
    given += ["--wheels", str(wheels(torch, work / "wheels")), "--docker-base", docker_base(work)]
    said = bench.run(
        "image", "compare", str(model), "--against", f"{work / 'net.py'}:make_model",
        "--no-cache", "--runs", str(options.rounds), "-o", str(work / "comparison"), "--json",
        *given,
    )  # fmt: skip
    found: dict[str, Any] = json.loads(said)
    return found


if __name__ == "__main__":
    main()
