"""Packs to serve, and a real server process to ask."""

from __future__ import annotations

import http.client
import json
import os
import re
import select
import signal
import socket
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

import onnxpack

PROGRAM = Path(sys.executable).with_name("onnxpack")


@dataclass
class Served:
    """A server process and how to ask it."""

    process: subprocess.Popen[str]
    host: str
    port: int
    banner: str = ""

    def ask(
        self, method: str, path: str, body: bytes | None = None, **headers: str
    ) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection(self.host, self.port, timeout=60)
        named = {key.replace("_", "-"): value for key, value in headers.items()}
        try:
            connection.request(method, path, body, named)
            answer = connection.getresponse()
            return answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()
        finally:
            connection.close()

    def connect(self) -> socket.socket:
        return socket.create_connection((self.host, self.port), timeout=60)

    def state(self, model: str) -> Any:
        _, told = self.json("GET", "/v2/models")
        return next(each for each in told["models"] if each["name"] == model)

    def memory(self) -> int:
        """Resident bytes."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        found = re.search(r"VmRSS:\s+(\d+) kB", status)
        assert found
        return int(found[1]) * 1024

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)

    def json(self, method: str, path: str, value: Any = None, **headers: str) -> tuple[int, Any]:
        body = None if value is None else json.dumps(value).encode()
        status, _, content = self.ask(method, path, body, **headers)
        return status, json.loads(content)


def read_banner(process: subprocess.Popen[str]) -> str:
    """What the server says until it is ready, or ends."""
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if line.startswith("try: "):
            break
    return "".join(lines)


@contextmanager
def running(*argv: object, environment: dict[str, str] | None = None) -> Iterator[Served]:
    """``onnxpack serve`` on a free port, from when it is ready until it is told to end."""
    command = [str(PROGRAM), "serve", *map(str, argv), "--port", "0"]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **(environment or {})},
    )
    try:
        banner = read_banner(process)
        found = re.search(r"//([\d.]+):(\d+)", banner)
        assert found, (banner, process.communicate())
        yield Served(process, found[1], int(found[2]), banner)
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)


class Two(nn.Module):
    def forward(self, a, b):
        return {"sum": a + b, "product": a * b}


class Mixing(nn.Module):
    def forward(self, x):
        return x - x.mean(dim=0, keepdim=True)


class Slow(nn.Module):
    """Rows stay apart, and one takes long enough that a queue forms."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(*(nn.Conv1d(16, 16, 9, padding=4) for _ in range(12)))

    def forward(self, x):
        return self.layers(x).mean(dim=-1)


class Running(nn.Module):
    """A row depends on those before it, as in a network over time that forgot its batch."""

    def forward(self, x):
        return torch.cumsum(x, dim=0)


class Bag(nn.Module):
    """Two inputs whose second axis is dynamic too."""

    def __init__(self):
        super().__init__()
        self.table = nn.Embedding(50, 4)

    def forward(self, ids, mask):
        return (self.table(ids) * mask.unsqueeze(-1).float()).sum(1)


def graph(nodes, inputs, outputs, constants=()):
    made = helper.make_graph(
        [helper.make_node(*node) for node in nodes],
        "graph",
        [helper.make_tensor_value_info(*value) for value in inputs],
        [helper.make_tensor_value_info(*value) for value in outputs],
        [numpy_helper.from_array(array, name) for name, array in constants],
    )
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def echo(kind, shape):
    return graph([("Identity", ["x"], ["y"])], [("x", kind, shape)], [("y", kind, shape)])


def export_modules(folder: Path) -> None:
    mlp = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
    labels = [f"class {i}" for i in range(10)]
    onnxpack.export(mlp, torch.randn(1, 64), folder / "mlp", labels=labels)
    pair = (torch.randn(2, 5), torch.randn(2, 5))
    onnxpack.export(Two(), pair, folder / "two", dynamic={"a": {1: "n"}, "b": {1: "n"}})
    onnxpack.export(Mixing(), torch.randn(2, 4), folder / "mixing")
    onnxpack.export(Running(), torch.randn(2, 4), folder / "running")
    onnxpack.export(Slow(), torch.randn(1, 16, 512), folder / "slow")
    ids = torch.randint(0, 50, (2, 6))
    onnxpack.export(
        Bag(),
        {"ids": ids, "mask": torch.ones_like(ids)},
        folder / "bag",
        dynamic={"ids": {1: "tokens"}, "mask": {1: "tokens"}},
    )
    picture = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    onnxpack.export(
        picture.eval(),
        torch.rand(1, 3, 16, 16),
        folder / "picture",
        labels=["a", "b", "c", "d"],
        preprocess=onnxpack.Preprocess(resize=16, crop=(16, 16), mean=(0.5,) * 3, std=(0.2,) * 3),
    )


def loop():
    """``y = x``, after as many turns as the largest value says: 0.7 µs or so each."""
    f32, i64, boolean = TensorProto.FLOAT, TensorProto.INT64, TensorProto.BOOL
    value = helper.make_tensor_value_info
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["go_on"], ["going"]),
            helper.make_node("Add", ["sum", "one"], ["more"]),
        ],
        "body",
        [value("turn", i64, []), value("go_on", boolean, []), value("sum", f32, [])],
        [value("going", boolean, []), value("more", f32, [])],
        [numpy_helper.from_array(np.array(1, np.float32), "one")],
    )
    made = graph(
        [
            ("ReduceMax", ["x"], ["most"]),
            ("Cast", ["most"], ["long"]),
            ("Reshape", ["long", "scalar"], ["turns"]),
            ("Loop", ["turns", "true", "zero"], ["sum"]),
            ("Sub", ["sum", "sum"], ["nothing"]),
            ("Add", ["x", "nothing"], ["y"]),
        ],
        [("x", f32, ["batch", 2048])],
        [("y", f32, ["batch", 2048])],
        [
            ("true", np.array(True)),
            ("zero", np.array(0, np.float32)),
            ("scalar", np.array([], np.int64)),
        ],
    )
    made.graph.node[1].attribute.append(helper.make_attribute("to", i64))
    made.graph.node[3].attribute.append(helper.make_attribute("body", body))
    return made


def adopt_graphs(folder: Path) -> None:
    f32, f16, i64 = TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.INT64
    batch = ["batch", 2]
    half = graph([("Add", ["x", "x"], ["y"])], [("x", f16, batch)], [("y", f16, batch)])
    fixed = graph([("Add", ["x", "x"], ["y"])], [("x", f32, [2, 3])], [("y", f32, [2, 3])])
    where = graph(
        [("NonZero", ["x"], ["t"]), ("Transpose", ["t"], ["y"])],
        [("x", f32, batch)],
        [("y", i64, ["found", 2])],
    )
    for name, made, sample in (
        ("words", echo(TensorProto.STRING, ["batch"]), np.array(["a", "b"], object)),
        ("bytes", echo(TensorProto.UINT8, batch), np.ones((2, 2), np.uint8)),
        ("longs", echo(i64, batch), np.ones((2, 2), np.int64)),
        ("half", half, np.ones((2, 2), np.float16)),
        ("fixed", fixed, np.ones((2, 3), np.float32)),
        ("where", where, np.eye(2, dtype=np.float32)),
        ("loop", loop(), np.ones((2, 2048), np.float32)),
    ):
        path = folder / f"{name}.onnx"
        path.write_bytes(made.SerializeToString())
        onnxpack.export(str(path), {"x": sample}, folder / name)
        path.unlink()


@pytest.fixture(scope="session")
def packs(tmp_path_factory) -> Path:
    """A folder of packs, each exported once."""
    folder = tmp_path_factory.mktemp("packs")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        export_modules(folder)
        adopt_graphs(folder)
    return folder


@pytest.fixture(scope="session")
def server(packs) -> Iterator[Served]:
    """One server of all the packs, for tests that leave it as it was."""
    with running(packs, "--grpc-port", 0, "--max-batch", 64) as served:
        yield served


@pytest.fixture
def serve() -> Callable[..., Any]:
    """Start a server of one's own."""
    return running


def expected(pack: Path, **inputs: Any) -> dict[str, Any]:
    """onnxruntime's own answer."""
    import onnxruntime

    session = onnxruntime.InferenceSession(pack / "model.onnx", providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, inputs), strict=True))


@pytest.fixture
def truth() -> Callable[..., dict[str, np.ndarray]]:
    return expected


def raw_infer(**arrays: np.ndarray) -> tuple[bytes, dict[str, str]]:
    """The body and headers of a binary request that wants a binary answer."""
    kinds = {"float32": "FP32", "float16": "FP16", "int64": "INT64", "uint8": "UINT8"}
    inputs = [
        {
            "name": name,
            "shape": array.shape,
            "datatype": kinds[array.dtype.name],
            "parameters": {"binary_data_size": array.nbytes},
        }
        for name, array in arrays.items()
    ]
    head = json.dumps({"inputs": inputs, "parameters": {"binary_data_output": True}}).encode()
    body = b"".join([head, *(array.tobytes() for array in arrays.values())])
    return body, {"Inference-Header-Content-Length": str(len(head))}


def infer(served: Served, model: str, **arrays: np.ndarray) -> np.ndarray:
    """The first output of a binary request, which is of the first input's dtype."""
    body, headers = raw_infer(**arrays)
    status, told, content = served.ask("POST", f"/v2/models/{model}/infer", body, **headers)
    assert status == 200, content
    length = int(told["inference-header-content-length"])
    shape = json.loads(content[:length])["outputs"][0]["shape"]
    dtype = next(iter(arrays.values())).dtype
    return np.frombuffer(content[length:], dtype).reshape(shape)


@pytest.fixture(name="infer")
def infer_fixture() -> Callable[..., np.ndarray]:
    return infer


def request_bytes(model: str, **arrays: np.ndarray) -> bytes:
    """A whole binary request, as it goes over the wire."""
    body, headers = raw_infer(**arrays)
    lines = [f"POST /v2/models/{model}/infer HTTP/1.1", "Host: localhost"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""]).encode() + body


@pytest.fixture(name="request_bytes")
def request_bytes_fixture() -> Callable[..., bytes]:
    return request_bytes


def turns(*numbers: float) -> np.ndarray:
    """Rows for the pack ``loop``: a million turns take about 0.7 s."""
    x = np.zeros((len(numbers), 2048), np.float32)
    x[:, 0] = numbers
    return x


@pytest.fixture(name="turns")
def turns_fixture() -> Callable[..., np.ndarray]:
    return turns


def until_closed(connection: socket.socket) -> bytes:
    """All that the server sends until it ends the connection; fails when it does not."""
    received = bytearray()
    with connection:
        while True:
            ready, _, _ = select.select([connection], [], [], 60)
            assert ready, "the server keeps the connection"
            try:
                part = connection.recv(2**16)
            except (ConnectionError, ssl.SSLError):
                return bytes(received)
            if not part:
                return bytes(received)
            received += part


@pytest.fixture(name="until_closed")
def until_closed_fixture() -> Callable[[socket.socket], bytes]:
    return until_closed


@pytest.fixture
def onnxpack_serve() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run ``onnxpack serve`` where it is expected to end by itself."""

    def run(*argv: object, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [PROGRAM, "serve", *map(str, argv), "--port", "0"],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, **environment},
        )

    return run
