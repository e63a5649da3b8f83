"""The end of a server: from the signal to the exit nobody loses a request, and it takes no longer
than it must.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest

RESTART = Path(__file__).parents[2] / "benchmarks" / "serving" / "restart.py"
READY = b"GET /v2/health/ready HTTP/1.1\r\nhost: localhost\r\n\r\n"


def read_answer(stream):
    """The status, headers and body of one answer; None at the end of the connection."""
    line = stream.readline()
    if not line:
        return None
    headers = {}
    while (header := stream.readline()) not in (b"\r\n", b""):
        name, _, value = header.decode().partition(":")
        headers[name.lower()] = value.strip()
    return int(line.split()[1]), headers, stream.read(int(headers.get("content-length", 0)))


def refused(served):
    """Until new connections are refused."""
    while True:
        try:
            socket.create_connection((served.host, served.port), timeout=60).close()
        except ConnectionRefusedError:
            return


def begun(served, model):
    """Until a request to the model is in the server's hands."""
    found = 0.0
    while not found:
        lines = served.ask("GET", "/metrics")[2].decode().splitlines()
        start = f'onnxpack_requests_in_flight{{model="{model}"'
        found = sum(float(line.split()[-1]) for line in lines if line.startswith(start))


@pytest.mark.parametrize("options", [[], ["--", "--workers", "2"]])
def test_rolling_restarts_under_load_lose_nothing(packs, options):
    """The short form of the benchmark, which restarts 20 times under 64 clients."""
    command = [sys.executable, RESTART, "--restarts", "2", "--http", "16", "--grpc", "4"]
    done = subprocess.run(
        [*command, "--pack", packs / "mlp", *options], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(done.stdout)
    assert found["lost"] == {}
    assert found["answered"]["http"] > 100
    assert found["answered"]["gRPC"] > 10
    assert done.stderr == ""


def test_idle_connections_are_told_before_they_close(packs, serve, request_bytes):
    """They are told by the answer to their next request, which nothing loses on the way."""
    x = np.ones((1, 64), np.float32)
    with serve(packs / "mlp", "--drain-delay", 60) as served, ExitStack() as open_ones:
        streams = []
        for _ in range(20):
            connection = open_ones.enter_context(served.connect())
            stream = open_ones.enter_context(connection.makefile("rwb"))
            stream.write(READY)
            stream.flush()
            status, headers, _ = read_answer(stream)
            assert (status, "connection" in headers) == (200, False)
            streams.append(stream)
        served.process.send_signal(signal.SIGTERM)
        while served.ask("GET", "/v2/health/ready")[0] == 200:
            pass
        for stream in streams:
            stream.write(request_bytes("mlp", input=x))
            stream.flush()
            status, headers, _ = read_answer(stream)
            assert (status, headers["connection"]) == (200, "close")
            assert read_answer(stream) is None
        served.process.send_signal(signal.SIGINT)  # the second signal, and it was Ctrl-C
        assert served.process.wait(60) == 0
        assert served.process.stderr.read() == ""


def test_a_client_that_stays_idle_holds_nothing_up(packs, serve):
    """Neither the time that it may read nor that of open requests is waited for."""
    with (
        serve(packs / "mlp", "--read-timeout", 600, "--drain", 600) as served,
        served.connect() as connection,
        connection.makefile("rwb") as stream,
    ):
        stream.write(READY)
        stream.flush()
        assert read_answer(stream)[0] == 200
        served.process.send_signal(signal.SIGTERM)
        assert read_answer(stream) is None
        assert served.process.wait(60) == 0


def test_the_delay_takes_new_connections_and_is_not_ready(packs, serve, infer):
    with serve(packs / "mlp", "--drain-delay", 60) as served:
        served.process.send_signal(signal.SIGTERM)
        status, headers, told = 200, {}, b""
        while status == 200:
            status, headers, told = served.ask("GET", "/v2/health/ready")
        assert (status, headers["connection"], told) == (503, "close", b'{"ready":false}')
        assert infer(served, "mlp", input=np.ones((1, 64), np.float32)).shape == (1, 10)
        served.process.send_signal(signal.SIGINT)
        assert served.process.wait(60) == 0


@pytest.mark.parametrize("workers", [1, 2])
def test_the_port_is_closed_while_requests_are_finished(
    packs, serve, request_bytes, turns, workers
):
    """Neither a worker nor the parent holds it."""
    x = turns(5_000_000)
    options = ("--workers", workers, "--timeout", 300, "--drain", 300)
    with (
        serve(packs / "loop", *options) as served,
        served.connect() as connection,
        connection.makefile("rb") as stream,
    ):
        connection.sendall(request_bytes("loop", x=x))
        begun(served, "loop")
        served.process.send_signal(signal.SIGTERM)
        refused(served)
        assert served.process.poll() is None
        status, headers, content = read_answer(stream)
        assert (status, headers["connection"]) == (200, "close")
        assert content[-8192:] == x[0].tobytes()
        assert served.process.wait(60) == 0


def test_who_stops_sending_gets_the_answer(packs, serve, request_bytes, turns):
    """At once if it is there at once; else the client is asked whether it still listens.

    The end may reach the server before its answer, after it, and between writing and sending it.
    """
    small = ("mlp", {"input": np.ones((1, 64), np.float32)})
    with serve(packs / "mlp", packs / "loop") as served:
        for model, arrays in (*[small] * 200, ("loop", {"x": turns(1_000_000)})):
            with served.connect() as connection, connection.makefile("rb") as stream:
                connection.sendall(request_bytes(model, **arrays))
                connection.shutdown(socket.SHUT_WR)
                statuses = [read_answer(stream)]
                while statuses[-1] is not None:
                    statuses.append(read_answer(stream))
                *interim, (status, _, _), end = statuses
                assert {each[0] for each in interim} <= {100}
                assert model == "mlp" or interim
                assert (status, end) == (200, None)


def test_who_stops_sending_gets_all_answers(packs, serve, request_bytes, turns):
    """Also to requests that it sent ahead, from which the server reads no more."""
    xs = [turns(300_000 + number) for number in range(4)]
    with (
        serve(packs / "loop") as served,
        served.connect() as connection,
        connection.makefile("rb") as stream,
    ):
        connection.sendall(b"".join(request_bytes("loop", x=x) for x in xs))
        connection.shutdown(socket.SHUT_WR)
        for x in xs:
            status, _, content = read_answer(stream)
            while status == 100:
                status, _, content = read_answer(stream)
            assert (status, content[-8192:]) == (200, x[0].tobytes())
        assert read_answer(stream) is None


HELD = """
import sys
from onnxpack.server import __main__ as module
from onnxpack.server.models.repository import Repository
def held(self, packs, settings):
    print("opening", flush=True)
    sys.stdin.readline()
Repository.open = held
sys.exit(module.main(sys.argv[1:]))
"""


def held(pack, *before):
    """A server that is loading a model and cannot be interrupted; it serves in one process."""
    command = [*before, sys.executable, "-c", HELD, pack, "--port", "0"]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True)


def test_a_signal_ends_a_server_that_is_loading(packs):
    with held(packs / "mlp") as process:
        assert process.stdout.readline() == "opening\n"
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0  # though its thread still waits for us
        assert process.stderr.read() == ""


@pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("unshare") is None, reason="needs a namespace of processes"
)
def test_a_signal_ends_process_1_of_a_container(packs):
    with held(packs / "mlp", "unshare", "--pid", "--fork") as process:
        assert process.stdout.readline() == "opening\n"
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        os.kill(int(children[0]), signal.SIGTERM)
        assert process.wait(60) == 0
        assert process.stderr.read() == ""
