"""A registry that drips, floods or hardly takes a byte meets a deadline; a slow one does not."""

from __future__ import annotations

import os
import socket
import threading
from contextlib import suppress

import pytest

from onnxpack.errors import RegistryError
from onnxpack.oci.image import make_image
from onnxpack.oci.layer.entry import Entry
from onnxpack.oci.layer.layer import write_layer
from onnxpack.oci.reference import Reference
from onnxpack.oci.registry import pace
from onnxpack.oci.registry.client import Client
from onnxpack.oci.registry.pace import Pace
from onnxpack.oci.registry.pull import pull
from onnxpack.oci.registry.push import push
from onnxpack.oci.registry.transport import Patience

HASTY = Patience(attempts=2, first=0.001, timeout=0.3, slowest=2**20)
SLOW = "timed out, slower than 1048576 bytes per second for 0.3 s"
OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/vnd.oci.image.manifest.v1+json\r\n"
DRIPS = {
    "headers": (OK + b"X-Long: ", b"a"),
    "a body": (OK + b"Content-Length: 1000000\r\n\r\n", b"x"),
    "chunks": (OK + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
    "the size of a chunk": (OK + b"Transfer-Encoding: chunked\r\n\r\n", b"0"),
    "answers that are none yet": (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
}


class Dripping:
    """A server that answers by a beginning, and then sends a drop until the client hangs up."""

    def __init__(self, begin: bytes, drop: bytes, *, every: float = 0.01) -> None:
        self._begin, self._drop, self._every = begin, drop, every
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._ended = threading.Event()
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self._listener.getsockname()[1]}"

    def close(self) -> None:
        self._ended.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                self._threads.append(
                    threading.Thread(target=self._drip, args=self._listener.accept()[:1])
                )
                self._threads[-1].start()

    def _drip(self, client: socket.socket) -> None:
        with client, suppress(OSError):
            client.recv(2**16)
            client.sendall(self._begin)
            while not self._ended.wait(self._every):
                client.sendall(self._drop)


@pytest.fixture
def dripping():
    made = []

    def make(*arguments, **settings):
        made.append(Dripping(*arguments, **settings))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.mark.parametrize("what", DRIPS)
def test_a_registry_that_drips_meets_a_deadline(what, dripping, tmp_path):
    server = dripping(*DRIPS[what])
    with pytest.raises(RegistryError, match=SLOW):
        pull(Reference.parse(f"{server.address}/a/b"), tmp_path, patience=HASTY)


def test_a_flood_that_says_nothing_meets_it_too(dripping, tmp_path):
    server = dripping(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 100, every=0)
    with pytest.raises(RegistryError, match=SLOW):
        pull(Reference.parse(f"{server.address}/a/b"), tmp_path, patience=HASTY)


def test_a_registry_that_takes_a_layer_by_the_byte_meets_it_too(dripping, tmp_path, server):
    """It says where to upload to, and hardly reads what comes there."""

    class Sipping(Dripping):
        def _drip(self, client: socket.socket) -> None:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2**12)
            with client, suppress(OSError):
                while not self._ended.wait(self._every) and client.recv(16):
                    pass

    slow = Sipping(b"", b"")

    def respond(asked):
        if asked.method == "HEAD":
            return server.answer(404)
        return server.answer(202, {"Location": f"http://{slow.address}/upload"})

    server.respond = respond
    layer = write_layer([Entry("large", os.urandom(2**25))], tmp_path / "layer", compression="none")
    try:
        with pytest.raises(RegistryError, match=SLOW):
            push(make_image([layer]), Reference.parse(f"{server.address}/a/b"), patience=HASTY)
    finally:
        slow.close()


@pytest.fixture
def clock(monkeypatch):
    class Clock:
        now = 100.0

        def monotonic(self):
            return self.now

    found = Clock()
    monkeypatch.setattr(pace, "time", found)
    return found


def test_a_large_body_may_take_as_long_as_its_size_allows(clock):
    """An hour at twice the slowest rate, with pauses that are shorter than the timeout."""
    kept = Pace(60, 1000)
    kept.left()
    for _ in range(120):
        clock.now += 30
        assert kept.left() > 0
        kept.advance(60_000)


def test_speed_at_first_saves_up_no_time(clock):
    kept = Pace(60, 1000)
    kept.left()
    kept.advance(10**12)
    clock.now += 59
    assert kept.left() == pytest.approx(1)
    kept.advance(1)
    clock.now += 1.1
    assert kept.left() < 0


def test_time_before_the_first_byte_is_asked_for_does_not_count(clock):
    kept = Pace(60, 1000)
    clock.now += 3600
    assert kept.left() == 60


def test_a_client_without_progress_is_told_which_registry(dripping):
    server = dripping(*DRIPS["headers"])
    name = Reference.parse(f"{server.address}/a/b")
    with (
        Client(name, patience=HASTY) as client,
        pytest.raises(RegistryError, match=f"^{server.address} cannot be reached: {SLOW}"),
    ):
        client.ping()
