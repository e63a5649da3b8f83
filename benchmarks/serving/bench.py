"""onnxpack serve against its peers and against the raw limit, in one run.

    python benchmarks/serving/bench.py --peers DIR -o benchmarks/serving/results

DIR holds an environment for each peer (``make bench-serving`` makes them). The rounds are
interleaved: every server is measured once, then all again, so that a machine whose speed drifts
is unfair to none. Load comes from wrk on the same cores.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))
from checked import check
from plot import draw
from servers import Request, Server, onnxpack_server, peers, read_answer, request_for, running

import onnxpack
from measure import machine
from onnxpack.signature import Array

CONNECTIONS = (1, 8, 32, 256)
RAW = "limit: onnxruntime in process, batch 1"
OURS = "onnxpack"
DISTINCT = 16


def main() -> None:
    """Measure, and write ``results.json``, ``table.md`` and ``plot.svg``."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peers", type=Path, default=Path(".venv-peers"))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=4)
    parser.add_argument("-o", "--output", type=Path, default=Path(__file__).parent / "results")
    options = parser.parse_args()
    results: dict[str, Any] = {"machine": machine(), "models": {}}
    with TemporaryDirectory() as folder:
        for name, pack in _packs(Path(folder)).items():
            results["models"][name] = _measure(pack, options, Path(folder))
    options.output.mkdir(parents=True, exist_ok=True)
    (options.output / "results.json").write_text(json.dumps(results, indent=2) + "\n")
    table = _table(results)
    (options.output / "table.md").write_text(table)
    draw(results, options.output / "plot.svg", raw=RAW, connections=CONNECTIONS)
    print(table)


def _packs(folder: Path) -> dict[str, onnxpack.Pack]:
    import torch
    import torchvision

    torch.manual_seed(0)
    mlp = torch.nn.Sequential(torch.nn.Linear(64, 64), torch.nn.ReLU(), torch.nn.Linear(64, 10))
    resnet = torchvision.models.resnet18()
    return {
        "MLP 64-64-10": onnxpack.export(mlp, torch.randn(1, 64), folder / "mlp"),
        "ResNet-18": onnxpack.export(resnet, torch.randn(1, 3, 224, 224), folder / "resnet18"),
    }


def _measure(pack: onnxpack.Pack, options: argparse.Namespace, work: Path) -> dict[str, Any]:
    model = onnxpack.Model(pack)
    spec = model.signature.inputs[0]
    shape = tuple(1 if isinstance(dim, str) else dim for dim in spec.shape or ())
    inputs = [
        np.random.default_rng(seed).standard_normal(shape).astype(np.float32)
        for seed in range(DISTINCT)
    ]
    expected = [np.asarray(model(x)) for x in inputs]
    servers = [onnxpack_server(pack.path), *peers(options.peers, pack.path, shape, work)]
    rows: dict[str, Any] = defaultdict(lambda: defaultdict(list))
    for round_ in range(options.rounds):
        for key, value in _bare(pack, shape, options.seconds).items():
            rows[RAW][key].append(value)
        for server in servers:
            print(f"{pack.name}, round {round_ + 1}: {server.name}", file=sys.stderr)
            _load(server, pack.name, spec.name, inputs, expected, options.seconds, rows, work)
    return {name: dict(row) for name, row in rows.items()}


def _load(
    server: Server, pack: str, name: str, inputs: list[Array], expected: list[Array],
    seconds: int, rows: Any, work: Path,
) -> None:  # fmt: skip
    requests = [_named(request_for(server, name, x), pack) for x in inputs]
    begun = time.perf_counter()
    with running(server) as (port, pid, _):
        row = rows[server.name]
        _first_answer(server, port, requests[0], expected[0])
        row["start_seconds"].append(time.perf_counter() - begun)
        for connections in CONNECTIONS:
            failed, wrong = asyncio.run(
                check(server, port, requests, expected, connections=connections,
                      each=max(2, 64 // connections))
            )  # fmt: skip
            rate, errors = _wrk(port, requests[0], connections, seconds, work)
            row[f"rate@{connections}"].append(rate)
            row[f"errors@{connections}"].append(errors + failed)
            row[f"wrong@{connections}"].append(wrong)
        row["rss_mb"].append(_resident(pid) / 1e6)


def _named(request: Request, pack: str) -> Request:
    return Request(request.path.replace("{pack}", pack), request.headers, request.body)


def _first_answer(server: Server, port: int, request: Request, expected: Array) -> None:
    import urllib.request

    url = f"http://127.0.0.1:{port}{request.path}"
    asked = urllib.request.Request(url, data=request.body, headers=request.headers)
    with urllib.request.urlopen(asked) as answer:
        headers = {key.lower(): value for key, value in answer.headers.items()}
        found = read_answer(server, headers, answer.read())
    np.testing.assert_allclose(found, expected.ravel(), rtol=1e-3, atol=1e-4)


def _bare(pack: onnxpack.Pack, shape: tuple[int, ...], seconds: int) -> dict[str, float]:
    command = [sys.executable, str(Path(__file__).with_name("bare.py")), str(pack.model_path)]
    done = subprocess.run(
        [*command, str(seconds), *map(str, shape)], capture_output=True, text=True, check=True
    )
    found: dict[str, float] = json.loads(done.stdout)
    return found


def _wrk(
    port: int, request: Request, connections: int, seconds: int, work: Path
) -> tuple[float, int]:
    body = work / "body"
    body.write_bytes(request.body)
    headers = ";".join(f"{key}={value}" for key, value in request.headers.items())
    script = str(Path(__file__).with_name("request.lua"))
    done = subprocess.run(
        ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "30s", "-s", script,
         f"http://127.0.0.1:{port}{request.path}"],
        env={**os.environ, "BODY": str(body), "HEADERS": headers},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    rate = re.search(r"Requests/sec:\s+([\d.]+)", done.stdout)
    errors = re.search(r"Non-2xx or 3xx responses: (\d+)", done.stdout)
    sockets = re.findall(r"(?:connect|read|write|timeout) (\d+)", done.stdout)
    bad = int(errors[1]) if errors else 0
    return float(rate[1]) if rate else 0.0, bad + sum(map(int, sockets))


def _resident(pid: int) -> int:
    """Bytes that the process and its children hold."""
    return sum(_own_resident(each) for each in _family(pid))


def _family(pid: int) -> Iterator[int]:
    yield pid
    children = Path(f"/proc/{pid}/task/{pid}/children")
    for child in children.read_text().split() if children.exists() else ():
        yield from _family(int(child))


def _own_resident(pid: int) -> int:
    status = Path(f"/proc/{pid}/status")
    found = re.search(r"VmRSS:\s+(\d+) kB", status.read_text()) if status.exists() else None
    return int(found[1]) * 1024 if found else 0


def _table(results: dict[str, Any]) -> str:
    lines = [results["machine"], ""]
    for model, rows in results["models"].items():
        rate, resident = (statistics.median(rows[RAW][key]) for key in ("rate", "rss_mb"))
        lines += [f"**{model}** ({RAW}: {rate:,.0f} runs/s, {resident:.0f} MB)", ""]
        heads = [f"{connections} conn." for connections in CONNECTIONS]
        lines += [f"| req/s | {' | '.join(heads)} | errors | wrong | start s | RSS MB |"]
        lines += [f"|---{'|---:' * (len(heads) + 4)}|"]
        lines += [_row(name, row) for name, row in rows.items() if name != RAW]
        lines += ["", *_ratios(rows), ""]
    return "\n".join(lines)


def _ratios(rows: dict[str, Any]) -> Iterator[str]:
    """Of ours to the limit and to the best peer, round by round: median, least and most."""
    ours = rows[OURS]
    peers_ = [name for name in rows if name not in (RAW, OURS)]
    yield f"- memory, to onnxruntime alone: {_spread(ours['rss_mb'], rows[RAW]['rss_mb'])}"
    for connections in CONNECTIONS:
        key = f"rate@{connections}"
        told = f"{_spread(ours[key], rows[RAW]['rate'])} of the limit"
        if peers_:
            best = max(peers_, key=lambda name: statistics.median(rows[name][key]))
            told += f", {_spread(ours[key], rows[best][key])} of the best peer ({best})"
        yield f"- {connections} connections: {told}"


def _spread(ours: list[float], theirs: list[float]) -> str:
    ratios = sorted(a / b for a, b in zip(ours, theirs, strict=True))
    return f"{statistics.median(ratios):.2f} ({ratios[0]:.2f}–{ratios[-1]:.2f})"


def _row(name: str, row: dict[str, list[float]]) -> str:
    rates = [f"{statistics.median(row[f'rate@{c}']):,.0f}" for c in CONNECTIONS]
    errors = sum(sum(row[f"errors@{c}"]) for c in CONNECTIONS)
    wrong = sum(sum(row[f"wrong@{c}"]) for c in CONNECTIONS)
    start = statistics.median(row["start_seconds"])
    rss = statistics.median(row["rss_mb"])
    return f"| {name} | {' | '.join(rates)} | {errors:g} | {wrong:g} | {start:.2f} | {rss:.0f} |"


if __name__ == "__main__":
    main()
