"""Rolling restarts under load: is any request lost?

    python benchmarks/serving/restart.py --restarts 20

Two servers share the load. One after the other gets SIGTERM and is started again when it has ended;
clients use it again when it is ready. Nobody tells them that it ends.

An HTTP client keeps its connection, and retries only a request of which it sent no byte: because
the connection was refused, or was closed before it sent. It then turns to the other server. A gRPC
client retries UNAVAILABLE, as gRPC's own retry policies do, also at the other server. Everything
else is a lost request: a status other than 200, a connection that ends after the request was sent,
another code of gRPC, or silence. The script prints both by cause, and ends with 1 if one was lost.
"""

from __future__ import annotations

import argparse
import json
import random
import select
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import grpc
import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))
import onnxpack
from onnxpack.server.grpc import inference_pb2 as pb

PROGRAM = Path(sys.executable).with_name("onnxpack")
SILENCE, START, END = 30, 120, 60
"""Seconds without an answer that count as lost; for a server to be ready; and to end."""
THINK = 0.02
"""Most seconds between an answer and the client's next request."""
UNSENT = "refused", "closed before a byte was sent"


class Instance:
    """One of the two servers."""

    def __init__(self, pack: Path, options: list[str]) -> None:
        self.port, self.grpc_port = _free_port(), _free_port()
        self._command = [str(PROGRAM), "serve", str(pack), "--port", str(self.port)]
        self._command += ["--grpc-port", str(self.grpc_port), *options]
        self.in_use = False
        self.start()

    def start(self) -> None:
        """Start the server, and let clients use it when it is ready."""
        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL)
        end = time.monotonic() + START
        while not self._is_ready():
            if self._process.poll() is not None or time.monotonic() > end:
                sys.exit("the server did not become ready")
            time.sleep(0.05)
        self.in_use = True

    def stop(self) -> float:
        """Send SIGTERM and return the seconds until the end, which clients notice by themselves."""
        begun = time.monotonic()
        self._process.send_signal(signal.SIGTERM)
        code = self._process.wait(END)
        self.in_use = False
        if code:
            sys.exit(f"the server ended with {code}")
        return time.monotonic() - begun

    def _is_ready(self) -> bool:
        with suppress(OSError):
            url = f"http://127.0.0.1:{self.port}/v2/health/ready"
            with urllib.request.urlopen(url, timeout=5) as answer:
                return bool(answer.status == 200)
        return False


class Clients:
    """All clients, and what became of their requests."""

    def __init__(self, instances: list[Instance], pack: str) -> None:
        self.instances = instances
        self.found: Counter[str] = Counter()
        self.retried: Counter[str] = Counter()
        self.lost: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._over = threading.Event()
        x = np.zeros((1, 64), np.float32)
        body = json.dumps([x[0].tolist()]).encode()
        self._request = (
            f"POST /v2/models/{pack}/predict HTTP/1.1\r\nhost: localhost\r\n"
            f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
        ).encode() + body
        message = pb.ModelInferRequest(model_name=pack)
        message.inputs.add(name="input", datatype="FP32", shape=x.shape)
        message.raw_input_contents.append(x.tobytes())
        self._message = message.SerializeToString()

    def run(self, http: int, calls: int, during: Callable[[], None]) -> None:
        """Run so many clients of each kind while a function runs."""
        kinds = [self._http] * http + [self._grpc] * calls
        threads = [
            threading.Thread(target=kind, args=(random.Random(number),))
            for number, kind in enumerate(kinds)
        ]
        for thread in threads:
            thread.start()
        try:
            during()
        finally:
            self._over.set()
            for thread in threads:
                thread.join()

    def _note(self, counter: Counter[str], cause: str) -> None:
        with self._lock:
            counter[cause] += 1

    def _other(self, now: Instance | None, chance: random.Random) -> Instance:
        """Return a server in use, another than the present one if there is one."""
        usable = [each for each in self.instances if each.in_use]
        others = [each for each in usable if each is not now]
        return chance.choice(others or usable or self.instances)

    def _http(self, chance: random.Random) -> None:
        connection, instance = None, self._other(None, chance)
        while not self._over.is_set():
            try:
                connection = connection or _connect(instance.port)
                if _closed(connection):
                    raise ConnectionError(UNSENT[1])
            except ConnectionError as exc:
                refused = isinstance(exc, ConnectionRefusedError)
                self._note(self.retried, UNSENT[0] if refused else UNSENT[1])
                connection, instance = None, self._other(instance, chance)
                continue
            connection = self._ask(connection)
            time.sleep(chance.random() * THINK)

    def _ask(self, connection: socket.socket) -> socket.socket | None:
        """Send one request; return the connection if it goes on."""
        try:
            connection.sendall(self._request)
            head, content = _read(connection)
        except OSError as exc:
            self._note(self.lost, f"{type(exc).__name__} after the request was sent")
            return None
        if not head:
            self._note(self.lost, "closed without an answer")
            return None
        status = head.split()[1].decode()
        if status == "200" and content.endswith(b"}"):
            self._note(self.found, "http")
        else:
            self._note(self.lost, f"status {status}")
        if b"connection: close" in head.lower():
            connection.close()
            return None
        return connection

    def _grpc(self, chance: random.Random) -> None:
        options = [("grpc.use_local_subchannel_pool", 1), ("grpc.enable_retries", 0)]
        calls = {
            each: grpc.insecure_channel(f"127.0.0.1:{each.grpc_port}", options=options).unary_unary(
                "/inference.GRPCInferenceService/ModelInfer"
            )
            for each in self.instances
        }
        instance = self._other(None, chance)
        while not self._over.is_set():
            try:
                calls[instance](self._message, timeout=SILENCE)
                self._note(self.found, "gRPC")
            except grpc.RpcError as exc:
                retry = exc.code() is grpc.StatusCode.UNAVAILABLE
                self._note(self.retried if retry else self.lost, f"gRPC {exc.code().name}")
                instance = self._other(instance, chance)
            time.sleep(chance.random() * THINK)


def main() -> None:
    """Restart servers under load, and print what became of the requests as JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--restarts", type=int, default=20)
    parser.add_argument("--http", type=int, default=64, help="HTTP clients")
    parser.add_argument("--grpc", type=int, default=8, help="gRPC clients")
    parser.add_argument("--pack", type=Path, help="of the MLP's signature; made if not given")
    parser.add_argument("options", nargs="*", help="options of the server, after --")
    options = parser.parse_args()
    with TemporaryDirectory() as folder:
        pack = onnxpack.open_pack(options.pack) if options.pack else _make(Path(folder))
        instances = [Instance(pack.path, options.options) for _ in range(2)]
        clients = Clients(instances, pack.name)
        seconds: list[float] = []

        def restart() -> None:
            for number in range(options.restarts):
                time.sleep(0.5)
                instance = instances[number % 2]
                seconds.append(instance.stop())
                instance.start()

        try:
            clients.run(options.http, options.grpc, restart)
        finally:
            for instance in instances:
                instance.stop()
    found = {"answered": clients.found, "retried": clients.retried, "lost": clients.lost}
    print(json.dumps({**found, "longest end in s": round(max(seconds), 2)}))
    if clients.lost:
        sys.exit(1)


def _make(folder: Path) -> onnxpack.Pack:
    from mlp import make_pack  # imports torch

    return make_pack(folder)


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _connect(port: int) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port), timeout=SILENCE)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def _closed(connection: socket.socket) -> bool:
    """Return whether the server closed a connection on which no answer is due."""
    heard, _, _ = select.select([connection], [], [], 0)
    return bool(heard) and connection.recv(1, socket.MSG_PEEK) == b""


def _read(connection: socket.socket) -> tuple[bytes, bytes]:
    """Return head and content of an answer; both are empty if the connection ended instead."""
    received = b""
    while b"\r\n\r\n" not in received:
        part = connection.recv(65536)
        if not part:
            return b"", b""
        received += part
    head, _, content = received.partition(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length:")[2].split()[0])
    while len(content) < length:
        part = connection.recv(65536)
        if not part:
            return b"", b""
        content += part
    return head, content


if __name__ == "__main__":
    main()
