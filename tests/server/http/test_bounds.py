"""Every bound, and what comes of clients that go beyond it."""

import json
import os
import random
import select
import socket
import struct
from contextlib import ExitStack, suppress

import numpy as np
import pytest

HEAD = b"POST /v2/models/mlp/infer HTTP/1.1\r\nhost: localhost\r\n"
CHUNKED = HEAD + b"transfer-encoding: chunked\r\n\r\n"
MB = 2**20


def chunk(size):
    return b"%x\r\n%s\r\n" % (size, b"x" * size)


def well(served):
    return served.ask("GET", "/v2/health/ready")[0] == 200


def send_for_ever(connection, content):
    while True:
        connection.sendall(content)


def status_of(connection):
    return int(connection.recv(65536).split()[1])


@pytest.mark.parametrize("size", ["1000", "1kB", "0.5"])
def test_a_body_that_is_too_large_is_refused(packs, serve, size, onnxpack_serve):
    if size == "0.5":
        assert "is not a size" in onnxpack_serve(packs / "mlp", "--max-body", size).stderr
        return
    with serve(packs / "mlp", "--max-body", size) as served:
        assert served.ask("POST", "/v2/models/mlp/infer", b"x" * 1000)[0] == 400
        status, _, told = served.ask("POST", "/v2/models/mlp/infer", b"x" * 1001)
        assert (status, json.loads(told)) == (413, {"error": "the body is larger than 1000 bytes"})
        with served.connect() as connection:
            connection.sendall(CHUNKED + chunk(600) + chunk(600))
            assert status_of(connection) == 413
        with served.connect() as connection:
            connection.sendall(HEAD + b"content-length: 100000000000\r\n\r\n")
            assert status_of(connection) == 413
        assert well(served)


def test_all_bodies_together_are_bounded(packs, serve, infer):
    """Two of eight fit; the others are refused, and who leaves makes room again."""
    with (
        serve(packs / "mlp", "--max-body", "8MB", "--max-held", "20MB") as served,
        ExitStack() as open_ones,
    ):
        before = served.memory()
        connections = [open_ones.enter_context(served.connect()) for _ in range(8)]
        left = dict.fromkeys(connections, 7_900_000)
        for connection in connections:
            connection.sendall(HEAD + b"content-length: 8000000\r\n\r\n")
            connection.setblocking(False)
        while left:
            for connection in select.select([], [*left], [], 60)[1]:
                left[connection] -= connection.send(b"x" * min(left[connection], MB))
                if not left[connection]:
                    del left[connection]
        refused = []
        while len(refused) < 6:
            for connection in select.select([c for c in connections if c not in refused], [], [])[
                0
            ]:
                told = connection.recv(65536)
                assert told.startswith(b"HTTP/1.1 503")
                assert b"retry-after: 1\r\n" in told
                refused.append(connection)
        assert served.memory() - before < 100 * MB
        open_ones.close()
        while served.ask("POST", "/v2/models/mlp/infer", b"x" * 7_000_000)[0] == 503:
            pass
        assert infer(served, "mlp", input=np.ones((1, 64), np.float32)).shape == (1, 10)


def test_slow_and_endless_clients_are_closed_and_cost_no_other(packs, serve, until_closed, infer):
    with serve(packs / "mlp", "--read-timeout", 1) as served:
        silent, line, headers, body, chunks, idle, empty = (served.connect() for _ in range(7))
        line.sendall(b"GET /v2")
        headers.sendall(b"POST /v2 HTTP/1.1\r\nhost: localhost\r\n")
        body.sendall(HEAD + b"content-length: 100\r\n\r\nhalf")
        chunks.sendall(CHUNKED + b"400\r\nhalf")
        idle.sendall(b"GET /v2 HTTP/1.1\r\nhost: localhost\r\n\r\n")
        empty.sendall(b"GET /v2 HTTP/1.1\r\nhost: localhost\r\n\r\n\r\n\r\n")
        assert infer(served, "mlp", input=np.ones((1, 64), np.float32)).shape == (1, 10)
        for connection in (silent, line, headers, body, chunks):
            assert until_closed(connection) == b""
        for connection in (idle, empty):
            assert until_closed(connection).startswith(b"HTTP/1.1 200")


LINE = b"x-a: " + b"a" * 1000 + b"\r\n"


@pytest.mark.parametrize(
    ("start", "piece"),
    [
        (b"GET /v2 HTTP/1.1\r\n", LINE),
        (b"GET /v2 HTTP/1.1\r\nx-a: ", b"a" * 1000),
        (b"GET /v2 HTTP/1.1\r\nx-", b"a" * 1000),
        (b"GET /", b"a" * 1000),
        (CHUNKED + b"5\r\nhello\r\n0\r\n", LINE),
        (CHUNKED + b"5\r\nhello\r\n0\r\nx-a: ", b"a" * 1000),
        (CHUNKED + b"5;", b"a" * 1000),
        (b"", b"\r\n" * 500),
    ],
)
def test_endless_headers_are_refused(server, start, piece, until_closed):
    with server.connect() as connection:
        connection.sendall(start)
        with pytest.raises(ConnectionError):
            send_for_ever(connection, piece * 64)


def test_headers_that_are_too_large_are_told_so(server, until_closed):
    connection = server.connect()
    connection.sendall(b"GET /v2 HTTP/1.1\r\n" + LINE * 70)
    told = until_closed(connection)
    # Closing with bytes unread can make TCP drop what was told: then the end is all there is.
    assert not told or told.startswith(b"HTTP/1.1 431 ")
    assert not told or b'{"error":"Request Header Fields Too Large"}' in told


def test_who_never_reads_his_answers_is_closed(packs, serve, request_bytes, turns):
    """Half a MB each: the system's buffers are full after some."""
    with serve(packs / "loop", "--read-timeout", 1, "--max-held", "8MB") as served:
        before = served.memory()
        with served.connect() as connection, pytest.raises(ConnectionError):
            send_for_ever(connection, request_bytes("loop", x=turns(*[1] * 60)))
        assert served.memory() - before < 50 * MB
        assert served.json("POST", "/v2/models/loop/predict", turns(1).tolist())[0] == 200


def test_pipelined_requests_are_answered_in_order(server, request_bytes, truth, packs):
    rows = [np.full((1, 64), i / 9, np.float32) for i in range(9)]
    wanted = truth(packs / "mlp", input=np.concatenate(rows))["output"]
    with server.connect() as connection:
        connection.sendall(b"".join(request_bytes("mlp", input=row) for row in rows))
        stream = connection.makefile("rb")
        for row in wanted:
            length = 0
            while (line := stream.readline()) != b"\r\n":
                length = int(line.split()[1]) if line.startswith(b"content-length") else length
            found = np.frombuffer(stream.read(length)[-40:], np.float32)
            np.testing.assert_allclose(found, row, rtol=1e-3, atol=1e-5)


def test_too_many_pipelined_requests_are_refused(server, until_closed):
    with server.connect() as connection:
        connection.sendall(b"GET /v2 HTTP/1.1\r\nhost: localhost\r\n\r\n" * 2000)
        until_closed(connection)
    assert well(server)


GARBAGE = [
    b"\x16\x03\x01\x02\x00",
    b"GET\r\n\r\n",
    b"GET /v2 HTTP/9.9\r\n\r\n",
    HEAD + b"content-length: -1\r\n\r\n",
    HEAD + b"content-length: 5\r\ncontent-length: 6\r\n\r\n",
    HEAD + b"content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    CHUNKED + b"zz\r\n",
    CHUNKED + b"f" * 40 + b"\r\n",
    b"GET /\xff\xfe HTTP/1.1\r\nhost: localhost\r\n\r\n",
    b"CONNECT x:1 HTTP/1.1\r\nhost: localhost\r\n\r\n",
    b"GET http://[ HTTP/1.1\r\nhost: localhost\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"\0" * 1000,
]


@pytest.mark.parametrize("garbage", GARBAGE)
def test_garbage_is_answered_or_closed(server, garbage, until_closed):
    connection = server.connect()
    with suppress(OSError):  # it may be closed already
        connection.sendall(garbage + b"\r\n\r\n")
        connection.shutdown(socket.SHUT_WR)
    told = until_closed(connection)
    assert told[9:12] in (b"400", b"404", b"405", b"")
    assert b"Traceback" not in told
    assert well(server)


def hostile_inputs():
    """Bodies of inference requests that mean harm."""
    deep = b"[" * 100_000 + b"]" * 100_000
    start = b'{"inputs":[{"name":"input","datatype":"FP32","shape":'
    yield b"["
    yield deep
    yield start + b'[1,64],"data":' + deep + b"}]}"
    yield start + deep + b',"data":[]}]}'
    yield start + b"[" + b"1," * 10_000 + b'1],"data":[1]}]}'
    yield start + b'[1099511627776,64],"data":[1]}]}'
    yield start + b'[0,4611686018427387904],"data":[]}]}'
    yield start + b"[" + b"9" * 5000 + b'],"data":[1]}]}'
    yield start + b'[1,64],"data":[' + b"9" * 5000 + b"]}]}"
    yield start + b'[1,64],"data":[1e' + b"9" * 5000 + b"]}]}"
    yield start + b'[1,64],"data":["' + b"\xff" * 10 + b'"]}]}'
    yield start + b'[1,64],"parameters":{"binary_data_size":1099511627776}}]}'
    yield start + b'[1,64],"parameters":{"binary_data_size":-1}}]}'
    yield b'{"inputs":[' + b'{"name":"input","datatype":"BOOL","shape":[0],"data":[]},' * 2 + b"]}"
    yield b'{"inputs":[{"name":"' + b"n" * 500_000 + b'","datatype":"X","shape":[],"data":[]}]}'
    yield b'{"inputs":[]}'
    yield b'{"inputs":[],"outputs":[{"name":"' + b"n" * 500_000 + b'"}]}'
    yield b"\xff\xfe" * 100


@pytest.mark.parametrize("body", [*hostile_inputs()], ids=lambda body: repr(body[:60]))
def test_hostile_inputs_are_refused_in_few_words(server, body):
    status, _, told = server.ask("POST", "/v2/models/mlp/infer", body)
    assert status == 400
    assert set(json.loads(told)) == {"error"}
    assert len(told) < 3000


@pytest.mark.parametrize("length", ["", "-1", "1e3", "9" * 30, "9" * 5000, "0x10", "99"])
def test_a_hostile_length_of_the_json(server, length):
    given = {"Inference-Header-Content-Length": length}
    status, _, told = server.ask("POST", "/v2/models/mlp/infer", b"{}", **given)
    assert (status, set(json.loads(told))) == (400, {"error"})


def test_memory_is_flat_after_thousands_of_hostile_requests(packs, serve, infer):
    """Measured after a first round, so that what is only loaded once does not count."""
    bodies = [*hostile_inputs(), b"x" * 1_000_001]
    chance = random.Random(0)

    def attack(served, count):
        for _ in range(count):
            kind = chance.randrange(4)
            if kind == 0:
                served.ask("POST", "/v2/models/mlp/infer", chance.choice(bodies))
                continue
            with served.connect() as connection:
                connection.setsockopt(
                    socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", kind == 1, 0)
                )
                sent = HEAD + b"content-length: 500000\r\n\r\n" + b"x" * 100_000
                with suppress(ConnectionError):
                    connection.sendall(chance.choice([sent, *GARBAGE, os.urandom(5000)]))

    with serve(packs / "mlp", "--max-body", "1MB", "--read-timeout", 1) as served:
        attack(served, 300)
        before = served.memory()
        attack(served, 2000)
        assert served.memory() - before < 30 * MB
        assert infer(served, "mlp", input=np.ones((1, 64), np.float32)).shape == (1, 10)
