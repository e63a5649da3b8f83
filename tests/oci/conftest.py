from __future__ import annotations

import io
import os
import socket
import tarfile
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from onnxpack.oci.image import Image, make_image
from onnxpack.oci.layer.entry import Entry, Folder, Symlink
from onnxpack.oci.layer.layer import Layer, write_layer
from onnxpack.oci.registry.transport import Patience

BUSYBOX = Path("/bin/busybox")


@pytest.fixture(autouse=True)
def alone(monkeypatch, tmp_path_factory):
    """No test sees the machine's own passwords or proxies."""
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("DOCKER_CONFIG", str(home))
    for name in ("REGISTRY_AUTH_FILE", "XDG_RUNTIME_DIR", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture(scope="session")
def layers(tmp_path_factory) -> tuple[Layer, Layer]:
    """A root file system that runs, and a layer over it."""
    folder = tmp_path_factory.mktemp("layers")
    tools = [Entry(f"bin/{name}", Symlink("busybox")) for name in ("sh", "cat", "ls", "id")]
    root = [Entry("bin/busybox", BUSYBOX, 0o755), Entry("tmp", Folder(), 0o1777), *tools]
    over = [
        Entry("etc/greeting", b"hello from a layer\n"),
        Entry("srv/" + "long/" * 30 + "näme", b"deep"),
        Entry("srv/link", Symlink("/etc/greeting")),
    ]
    return write_layer(root, folder / "root"), write_layer(over, folder / "over")


@pytest.fixture(scope="session")
def image(layers) -> Image:
    return make_image(
        layers,
        config={"Cmd": ["/bin/cat", "/etc/greeting"], "Env": ["PATH=/bin"]},
        labels={"org.opencontainers.image.title": "greeting"},
        annotations={"made.by": "tests"},
        history=["the root", "what it says"],
    )


@pytest.fixture
def make_layer(tmp_path) -> Callable[..., Layer]:
    """A small layer of its own for each call."""

    def make(content: bytes = b"", *, path: str = "file", compression="gzip") -> Layer:
        content = content or os.urandom(64)
        name = f"layer-{len(list(tmp_path.iterdir()))}"
        return write_layer([Entry(path, content)], tmp_path / name, compression=compression)

    return make


@pytest.fixture
def make_tar(tmp_path) -> Iterator[Callable[..., Path]]:
    """A tar of whatever members, hostile ones too."""

    def make(*members: tuple[tarfile.TarInfo, bytes], name: str = "made.tar") -> Path:
        path = tmp_path / name
        with tarfile.open(path, "w") as tar:
            for info, content in members:
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
        return path

    return make


@dataclass
class Asked:
    """A request as a server got it."""

    method: str
    path: str
    headers: Message
    body: bytes


@dataclass
class Answer:
    """What a server says: a Content-Length of its own is sent as it is."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""


class Server(ThreadingHTTPServer):
    """A server that says what a test wants it to, and remembers what it was asked."""

    daemon_threads = True
    answer = Answer

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.asked: list[Asked] = []
        self.respond: Callable[[Asked], Answer | None] = lambda asked: Answer(404)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.server_port}"

    def handle_error(self, request, client_address) -> None:
        """A client that hangs up is no matter."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def handle_one_request(self) -> None:
        self.raw_requestline = self.rfile.readline(2**16)
        if not self.raw_requestline or not self.parse_request():
            self.close_connection = True
            return
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        asked = Asked(self.command, self.path, self.headers, body)
        self.server.asked.append(asked)
        answer = self.server.respond(asked)
        if answer is None:  # hang up without a word
            self.close_connection = True
            return
        self.send_response(answer.status)
        length = {"Content-Length": str(len(answer.body))}
        for name, value in {**length, **answer.headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)
        if "Content-Length" in answer.headers:
            self.close_connection = True

    def log_message(self, *arguments) -> None:
        """Quiet."""


@pytest.fixture
def make_server() -> Iterator[Callable[[], Server]]:
    with ExitStack() as stack:

        def make() -> Server:
            server = Server()
            thread = threading.Thread(target=server.serve_forever, args=(0.01,))
            thread.start()
            stack.callback(server.server_close)
            stack.callback(thread.join)
            stack.callback(server.shutdown)
            return server

        yield make


@pytest.fixture
def server(make_server) -> Server:
    return make_server()


class Line:
    """A line to a server that breaks: for each number, once so many bytes more were sent."""

    def __init__(self, address: str, breaks: list[int]) -> None:
        host, _, port = address.rpartition(":")
        self._to = (host, int(port))
        self._breaks = breaks
        self._count = 0
        self._lock = threading.Lock()
        self.sent = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._threads: list[threading.Thread] = []
        self._start(self._accept)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self._listener.getsockname()[1]}"

    @property
    def whole(self) -> bool:
        """Whether it has broken as often as it was to."""
        return not self._breaks

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join()

    def _start(self, target: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=target, args=arguments)
        thread.start()
        self._threads.append(thread)

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                here, _ = self._listener.accept()
                there = socket.create_connection(self._to)
                self._start(self._carry, here, there, True)
                self._start(self._carry, there, here, False)

    def _break_after(self, count: int) -> bool:
        with self._lock:
            self.sent += count
            self._count += count
            if not self._breaks or self._count <= self._breaks[0]:
                return False
            self._breaks.pop(0)
            self._count = 0
            return True

    def _carry(self, source: socket.socket, target: socket.socket, upward: bool) -> None:
        with suppress(OSError):
            while piece := source.recv(2**16):
                if upward and self._break_after(len(piece)):
                    break
                target.sendall(piece)
        for each in (source, target):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        source.close()


@pytest.fixture
def make_line() -> Iterator[Callable[[str, list[int]], Line]]:
    with ExitStack() as stack:

        def make(address: str, breaks: list[int]) -> Line:
            line = Line(address, breaks)
            stack.callback(line.close)
            return line

        yield make


@pytest.fixture
def eager() -> Patience:
    """Tries as often, and hardly waits."""
    return Patience(first=0.001, longest=0.01, timeout=10)
