"""How each server is started, and what a request to it looks like."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from onnxpack.signature import Array

HERE = Path(__file__).parent
START_SECONDS = 120


@dataclass(frozen=True)
class Request:
    """What a client sends, and how it reads the answer."""

    path: str
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True)
class Server:
    """A server that a benchmark can start.

    Attributes:
        name: in the table.
        command: its arguments; ``{port}`` and ``{model}`` are filled in.
        kind: of request: ``binary`` (V2 binary), ``v2`` (V2 JSON), ``json`` or ``raw``.
        ready: the path that answers 200 when it is ready.
        environment: besides this process's.
    """

    name: str
    command: list[str]
    kind: str
    ready: str
    environment: dict[str, str] = field(default_factory=dict)


def onnxpack_server(pack: Path) -> Server:
    """Ours."""
    binary = str(Path(sys.executable).with_name("onnxpack"))
    return Server(
        "onnxpack", [binary, "serve", str(pack), "--port", "{port}"], "binary", "/v2/health/ready"
    )


def peers(environments: Path, pack: Path, shape: tuple[int, ...], work: Path) -> Iterator[Server]:
    """Those of the three whose environment is there, as ``environments/NAME/bin``."""
    model = str(pack / "model.onnx")
    litserve = environments / "litserve/bin/python"
    if litserve.exists():
        app = str(HERE / "peers/litserve_app.py")
        yield Server("LitServe", [str(litserve), app, model, "{port}"], "json", "/health")
    bentoml = environments / "bentoml/bin/bentoml"
    if bentoml.exists():
        yield Server(
            "BentoML",
            [str(bentoml), "serve", "bentoml_app:Service", "--port", "{port}", "--working-dir",
             str(HERE / "peers")],
            "raw",
            "/readyz",
            {"MODEL": model, "SHAPE": "x".join(map(str, shape)), "BENTOML_DO_NOT_TRACK": "1"},
        )  # fmt: skip
    mlserver = environments / "mlserver/bin/mlserver"
    if mlserver.exists():
        yield Server(
            "MLServer", [str(mlserver), "start", _mlserver_folder(work, model)], "v2",
            "/v2/models/model/ready", {"PYTHONPATH": str(HERE / "peers")},
        )  # fmt: skip


def request_for(server: Server, name: str, x: Array) -> Request:
    """The request that carries ``x``."""
    if server.kind == "raw":
        return Request("/infer", {"Content-Type": "application/octet-stream"}, x.tobytes())
    if server.kind == "json":
        body = json.dumps({"input": x.tolist()}).encode()
        return Request("/predict", {"Content-Type": "application/json"}, body)
    tensor: dict[str, Any] = {"name": name, "shape": list(x.shape), "datatype": "FP32"}
    if server.kind == "v2":
        body = json.dumps({"inputs": [{**tensor, "data": x.ravel().tolist()}]}).encode()
        return Request("/v2/models/model/infer", {"Content-Type": "application/json"}, body)
    tensor["parameters"] = {"binary_data_size": x.nbytes}
    head = json.dumps({"inputs": [tensor], "parameters": {"binary_data_output": True}}).encode()
    headers = {
        "Content-Type": "application/octet-stream",
        "Inference-Header-Content-Length": str(len(head)),
    }
    return Request("/v2/models/{pack}/infer", headers, head + x.tobytes())


def read_answer(server: Server, headers: Mapping[str, str], body: bytes) -> Array:
    """The output's values, flat."""
    if server.kind == "raw":
        return np.frombuffer(body, dtype=np.float32)
    if server.kind == "json":
        return np.asarray(json.loads(body)["output"], dtype=np.float32).ravel()
    if server.kind == "v2":
        return np.asarray(json.loads(body)["outputs"][0]["data"], dtype=np.float32).ravel()
    length = int(headers["inference-header-content-length"])
    return np.frombuffer(body[length:], dtype=np.float32)


@contextmanager
def running(server: Server) -> Iterator[tuple[int, int, float]]:
    """The port, the process id, and the seconds from its start until it was ready."""
    port = _free_port()
    command = [part.replace("{port}", str(port)) for part in server.command]
    environment = {**os.environ, **server.environment, "MLSERVER_HTTP_PORT": str(port),
                   "MLSERVER_GRPC_PORT": str(_free_port()),
                   "MLSERVER_METRICS_PORT": str(_free_port())}  # fmt: skip
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    begun = time.perf_counter()
    process = subprocess.Popen(
        command,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        _await(f"http://127.0.0.1:{port}{server.ready}", process)
        yield port, process.pid, time.perf_counter() - begun
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _await(url: str, process: subprocess.Popen[bytes]) -> None:
    limit = time.monotonic() + START_SECONDS
    while time.monotonic() < limit:
        if process.poll() is not None:
            raise RuntimeError(f"the server ended with {process.returncode} before it was ready")
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                if answer.status == 200:
                    return
        except (OSError, urllib.error.HTTPError):
            time.sleep(0.01)
    raise RuntimeError(f"{url} was not ready within {START_SECONDS} s")


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _mlserver_folder(work: Path, model: str) -> str:
    folder = work / "mlserver"
    folder.mkdir(exist_ok=True)
    settings = {
        "name": "model",
        "implementation": "mlserver_app.OnnxModel",
        "parameters": {"uri": model},
    }
    (folder / "model-settings.json").write_text(json.dumps(settings))
    (folder / "settings.json").write_text(json.dumps({"parallel_workers": 0, "debug": False}))
    return str(folder)
