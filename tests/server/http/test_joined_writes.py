"""What is written in one turn of the event loop is sent together, in order, and not later."""

import asyncio

import pytest

from onnxpack.server.http.joined_writes import LARGE, JoinedWrites


class Recorder(asyncio.Transport):
    """Keeps what it is told to send."""

    def __init__(self):
        super().__init__()
        self.sent = []
        self.closing = False

    def is_closing(self):
        return self.closing

    def writelines(self, parts):
        self.sent.append(b"".join(parts))

    def close(self):
        self.sent.append("closed")

    def abort(self):
        self.sent.append("aborted")

    pause_reading = resume_reading = get_write_buffer_size = lambda self: False


@pytest.fixture
def loop():
    loop = asyncio.new_event_loop()
    yield loop
    loop.close()


def one_turn(loop):
    loop.call_soon(loop.stop)
    loop.run_forever()


@pytest.fixture
def joined(loop):
    recorder = Recorder()
    return JoinedWrites(recorder, loop), recorder.sent


@pytest.fixture
def left(loop):
    """The same, after its client left."""
    recorder = Recorder()
    transport = JoinedWrites(recorder, loop)
    recorder.closing = True
    return transport, recorder.sent


def test_a_turn_is_sent_together(loop, joined):
    transport, sent = joined
    transport.write(b"head")
    transport.write(b"body")
    assert sent == []
    one_turn(loop)
    transport.write(b"next")
    one_turn(loop)
    assert sent == [b"headbody", b"next"]


def test_much_is_sent_at_once(loop, joined):
    transport, sent = joined
    body = b"x" * (LARGE + 1)
    transport.write(b"head")
    transport.write(body)
    assert sent == [b"head" + body]
    one_turn(loop)
    assert sent == [b"head" + body]


def test_an_end_comes_after_what_was_written(loop, joined):
    transport, sent = joined
    transport.write(b"last")
    transport.close()
    one_turn(loop)
    assert sent == [b"last", "closed"]


def test_an_abort_sends_nothing_more(loop, joined):
    transport, sent = joined
    transport.write(b"lost")
    transport.abort()
    one_turn(loop)
    assert sent == ["aborted"]


def test_nothing_is_written_to_a_client_that_left_within_the_turn(loop, left):
    """The transport would raise, and the loop write a traceback."""
    transport, sent = left
    transport.write(b"lost")
    one_turn(loop)
    assert sent == []
