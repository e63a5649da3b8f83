"""Batching in a real server: everyone gets his own rows, and nobody costs another his answer."""

import json
import select
import socket
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest


def wave(seed, rows=1):
    return np.random.default_rng(seed).standard_normal((rows, 16, 512)).astype(np.float32)


@pytest.mark.parametrize("options", [(), ("--sessions", 2), ("--workers", 2)])
def test_hundreds_of_clients_with_inputs_of_their_own(packs, serve, infer, truth, options):
    with serve(packs / "slow", packs / "mlp", "--max-batch", 64, *options) as served:
        inputs = [wave(seed, rows=1 + seed % 3) for seed in range(48)]
        wanted = [truth(packs / "slow", x=x)["output"] for x in inputs]
        rows = [np.full((1 + i % 4, 64), i / 100, np.float32) for i in range(48)]
        small = [truth(packs / "mlp", input=x)["output"] for x in rows]

        def ask(number):
            index = number % 48
            if number % 2:
                found = infer(served, "mlp", input=rows[index])
                np.testing.assert_allclose(found, small[index], rtol=1e-3, atol=1e-5)
            else:
                found = infer(served, "slow", x=inputs[index])
                np.testing.assert_allclose(found, wanted[index], rtol=1e-3, atol=1e-5)

        with ThreadPoolExecutor(64) as threads:
            assert len([*threads.map(ask, range(300))]) == 300
        if "--workers" not in options:
            told = served.ask("GET", "/metrics")[2].decode()
            ran = float(line_of(told, "onnxpack_batch_rows_count", "slow"))
            asked = float(line_of(told, "onnxpack_requests_total", "slow"))
            assert (asked, ran < asked) == (150, True)


def line_of(text, name, model):
    start = f'{name}{{model="{model}"'
    return next(line for line in text.splitlines() if line.startswith(start)).split()[-1]


def test_256_connections_at_once(server, request_bytes, truth, packs):
    """All connections stay open, each sends three requests, each gets its own answers."""
    inputs = [np.full((1, 64), i / 256, np.float32) for i in range(256)]
    wanted = truth(packs / "mlp", input=np.concatenate(inputs))["output"]
    connections = [server.connect() for _ in inputs]
    try:
        for _ in range(3):
            for connection, x in zip(connections, inputs, strict=True):
                connection.sendall(request_bytes("mlp", input=x))
            for connection, row in zip(connections, wanted, strict=True):
                found = np.frombuffer(read_body(connection)[-40:], np.float32)
                np.testing.assert_allclose(found, row, rtol=1e-3, atol=1e-5)
    finally:
        for connection in connections:
            connection.close()


def read_body(connection):
    received = b""
    while b"\r\n\r\n" not in received:
        received += connection.recv(65536)
    head, _, body = received.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200"), received
    length = next(int(line.split(b":")[1]) for line in head.lower().split(b"\r\n")
                  if line.startswith(b"content-length:"))  # fmt: skip
    while len(body) < length:
        body += connection.recv(65536)
    return body


def test_other_sizes_never_run_together(packs, serve, infer, truth):
    """While one request holds the session, requests of several sizes queue up behind it."""
    with serve(packs / "bag", packs / "loop", "--max-batch", 64) as served:
        sent = []
        for seed in range(60):
            random = np.random.default_rng(seed)
            # Large enough to leave the event loop.
            tokens = 300 + seed % 4
            ids = random.integers(0, 50, (1 + seed % 2, tokens))
            sent.append({"ids": ids, "mask": random.integers(0, 2, ids.shape)})
        with ThreadPoolExecutor(30) as threads:
            found = [*threads.map(lambda each: bag(served, **each), sent)]
        for each, answer in zip(sent, found, strict=True):
            wanted = truth(packs / "bag", **each)["output"]
            np.testing.assert_allclose(answer, wanted, rtol=1e-3, atol=1e-4)


def bag(served, **arrays):
    inputs = [
        {"name": name, "shape": array.shape, "datatype": "INT64", "data": array.ravel().tolist()}
        for name, array in arrays.items()
    ]
    status, told = served.json("POST", "/v2/models/bag/infer", {"inputs": inputs})
    assert status == 200, told
    output = told["outputs"][0]
    return np.array(output["data"], np.float32).reshape(output["shape"])


@pytest.mark.parametrize("ahead", [0, 4])
def test_who_leaves_costs_no_other_his_answer(packs, serve, request_bytes, infer, turns, ahead):
    """One request holds the session; of those that queue behind it, every second one leaves.

    From who sends requests ahead the server reads no more, and the loop does not see him leave.
    """
    with serve(packs / "loop", "--max-batch", 8) as served, ThreadPoolExecutor(10) as threads:
        with served.connect() as holder:
            holder.sendall(request_bytes("loop", x=turns(2_000_000)))
            leaving = [served.connect() for _ in range(10)]
            for connection in leaving:
                connection.sendall(request_bytes("loop", x=turns(5)))
            staying = [
                threads.submit(infer, served, "loop", x=turns(number)) for number in range(10)
            ]
            waiting(served, 20)
            for connection in leaving:
                connection.sendall(request_bytes("loop", x=turns(5)) * ahead)
                connection.close()
            for number, answer in enumerate(staying):
                np.testing.assert_array_equal(answer.result(), turns(number))
            assert read_body(holder)[-8192:] == turns(2_000_000).tobytes()
        text = served.ask("GET", "/metrics")[2].decode()
        assert float(line_of(text, "onnxpack_rows_total", "loop")) == 11
        assert float(line_of(text, "onnxpack_requests_in_flight", "loop")) == 0
        assert 'failures_total{model="loop",status="499",version="1"} 10.0' in text


def waiting(served, count):
    """Until so many requests wait in the queue."""
    while True:
        text = served.ask("GET", "/metrics")[2].decode()
        if float(line_of(text, "onnxpack_queue_length", "loop")) >= count:
            return


def test_a_full_queue_says_when_to_come_back(packs, serve, request_bytes, turns):
    with serve(packs / "loop", "--max-queue", 2) as served:
        holder, *queued = (served.connect() for _ in range(3))
        for connection in (holder, *queued):
            connection.sendall(request_bytes("loop", x=turns(1_000_000)))
            if connection is holder:
                busy(served)
        waiting(served, 2)
        body = {
            "inputs": [{"name": "x", "shape": [1, 2048], "datatype": "FP32", "data": [0] * 2048}]
        }
        content = json.dumps(body).encode()
        status, headers, told = served.ask("POST", "/v2/models/loop/infer", content)
        assert (status, headers["retry-after"]) == (429, "1")
        assert json.loads(told) == {"error": "the queue is full"}
        for connection in (holder, *queued):
            assert read_body(connection)[-8192:] == turns(1_000_000).tobytes()
            connection.close()


def busy(served):
    """Until a request has left the queue for the session."""
    while True:
        text = served.ask("GET", "/metrics")[2].decode()
        if float(line_of(text, "onnxpack_queue_duration_seconds_count", "loop")) >= 1:
            return


def test_who_waits_too_long_is_told(packs, serve, request_bytes, infer, turns):
    with serve(packs / "loop", "--timeout", 0.2) as served:
        with served.connect() as connection:
            connection.sendall(request_bytes("loop", x=turns(1_500_000)))
            assert connection.recv(65536).startswith(b"HTTP/1.1 504")
        status = None
        while status != 200:  # the session is still at work for nobody
            body = {"x": turns(1).tolist()}
            status, _ = served.json("POST", "/v2/models/loop/predict", body)


def test_who_hangs_up_at_once(server, request_bytes, infer):
    """Half a request, a whole one without waiting, a reset in the middle."""
    whole = request_bytes("slow", x=wave(0))
    for size in (1, 50, len(whole) // 2, len(whole)):
        for reset in (False, True):
            with server.connect() as connection:
                connection.sendall(whole[:size])
                if reset:
                    connection.setsockopt(
                        socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0"
                    )
    assert infer(server, "slow", x=wave(1)).shape == (1, 16)


def test_two_sessions_work_side_by_side(packs, serve, infer, request_bytes, turns):
    """While one session is held, the other answers."""
    with serve(packs / "loop", "--sessions", 2, "--max-batch", 1) as served:
        holder = served.connect()
        holder.sendall(request_bytes("loop", x=turns(3_000_000)))
        busy(served)
        np.testing.assert_array_equal(infer(served, "loop", x=turns(1)), turns(1))
        assert select.select([holder], [], [], 0)[0] == []
        read_body(holder)
        holder.close()
