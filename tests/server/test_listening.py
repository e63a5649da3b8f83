"""A listening socket that closes resets nobody who got in, and lets nobody in meanwhile."""

import errno
import socket
import sys

import pytest

from onnxpack.errors import UsageError
from onnxpack.server import listening
from onnxpack.server.settings import Settings


@pytest.fixture
def listener():
    with listening.bind(Settings(port=0)) as listener:
        yield listener


def test_who_got_in_is_accepted(listener):
    address = listener.getsockname()
    clients = [socket.create_connection(address) for _ in range(5)]
    accepted = [*listening.waiting(listener)]
    assert {each.getpeername() for each in accepted} == {each.getsockname() for each in clients}
    assert [*listening.waiting(listener)] == []
    for each in (*clients, *accepted):
        each.close()


@pytest.mark.skipif(sys.platform != "linux", reason="the filter is Linux's")
def test_nobody_gets_in_after_it_turned_away(listener):
    """Loopback shakes hands within ``connect``, so who is not in by then was not let in."""
    address = listener.getsockname()
    early = socket.create_connection(address)
    listening.turn_away(listener)
    with socket.socket() as late:
        late.setblocking(False)
        assert late.connect_ex(address) == errno.EINPROGRESS
        (accepted,) = listening.waiting(listener)
        early.sendall(b"heard")
        accepted.setblocking(True)
        assert accepted.recv(5) == b"heard"
    early.close()
    accepted.close()


def test_a_port_that_is_taken_is_told(listener):
    port = listener.getsockname()[1]
    with pytest.raises(UsageError, match=f"127.0.0.1:{port} cannot be bound: Address already"):
        listening.bind(Settings(port=port))
