"""Ready means proven; told to end means no longer ready, and nothing in flight is lost."""

import hashlib
import json
import shutil
import signal
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import numpy as np
import pytest

from onnxpack.pack.manifest import FileEntry, decode, encode
from onnxpack.pack.tensor import encode_tensor, read_tensor

PROGRAM = Path(sys.executable).with_name("onnxpack")
ROWS = np.random.default_rng(0).standard_normal((16, 16, 512)).astype(np.float32)
HEALTH = b"GET /v2/health/ready HTTP/1.1\r\nhost: localhost\r\n\r\n"
LOOP_READY = HEALTH.replace(b"health", b"models/loop")


def rewrite(pack, files):
    """Change files of a pack, and the digests with them."""
    manifest = decode((pack / "pack.json").read_bytes())
    entries = dict(manifest.files)
    for name, content in files.items():
        path = pack / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
        entries[name] = FileEntry(hashlib.sha256(content).hexdigest(), len(content))
    changed = msgspec.structs.replace(manifest, files=entries)
    (pack / "pack.json").write_bytes(encode(changed))


@pytest.fixture
def altered(packs, tmp_path):
    """A pack whose golden output is off, with digests that say nothing of it."""
    pack = shutil.copytree(packs / "mlp", tmp_path / "mlp")
    name, array = read_tensor(pack / "test_data_set_0" / "output_0.pb")
    rewrite(pack, {"test_data_set_0/output_0.pb": encode_tensor(name, array + np.float32(1))})
    return pack


@pytest.fixture
def long_to_prove(packs, tmp_path):
    """The slow model with hundreds of golden sets."""
    pack = shutil.copytree(packs / "slow", tmp_path / "slow")
    first = pack / "test_data_set_0"
    have = len([*pack.glob("test_data_set_*")])
    files = {
        f"test_data_set_{number}/{file.name}": file.read_bytes()
        for number in range(have, 900)
        for file in first.iterdir()
    }
    rewrite(pack, files)
    return pack


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def connected(port, process):
    """A connection to a server that starts; it listens before it proves anything."""
    while process.poll() is None:
        try:
            return socket.create_connection(("127.0.0.1", port), timeout=60)
        except ConnectionRefusedError:
            continue
    raise AssertionError(process.communicate())


@pytest.mark.parametrize("workers", [1, 2])
def test_a_pack_that_answers_differently_here_is_never_ready(altered, workers):
    done = subprocess.run(
        [PROGRAM, "serve", altered, "--port", "0", "--workers", str(workers)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stdout == ""
    assert "error: mlp does not reproduce its golden data here:" in done.stderr
    assert "test_data_set_0/output: " in done.stderr
    assert "→ onnxpack check" in done.stderr
    assert "Traceback" not in done.stderr


def test_no_prove_serves_it_and_says_so(altered, serve):
    with serve(altered, "--no-prove") as served:
        assert "mlp 1: not proven on cpu" in served.banner
        assert served.json("GET", "/v2/models/mlp")[1]["parameters"]["proven"] is False
        assert served.state("mlp")["proven"] is False
        assert served.stop() == 0
        assert "warning: --no-prove" in served.process.stderr.read()


def test_a_bare_graph_is_served_and_not_called_proven(packs, serve, tmp_path):
    shutil.copy(packs / "mlp" / "model.onnx", tmp_path / "bare.onnx")
    with serve(tmp_path / "bare.onnx") as served:
        assert "bare 1: not proven on cpu" in served.banner
        assert served.json("GET", "/v2/models/bare")[1]["parameters"]["proven"] is False


def ask(connection, request):
    """The status and body of one answer."""
    connection.sendall(request)
    return read_answer(connection.makefile("rb"))


def read_answer(stream):
    status = int(stream.readline().split()[1])
    length = 0
    while (line := stream.readline()) not in (b"\r\n", b""):
        name, _, value = line.partition(b":")
        length = int(value) if name.lower() == b"content-length" else length
    return status, json.loads(stream.read(length))


def test_it_is_not_ready_while_it_proves_and_can_be_ended_then(long_to_prove):
    port = free_port()
    command = [PROGRAM, "serve", long_to_prove, "--port", str(port)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        with connected(port, process) as connection:
            assert ask(connection, HEALTH) == (503, {"ready": False})
            assert ask(connection, HEALTH.replace(b"ready", b"live")) == (200, {"live": True})
            told = {"name": "slow", "ready": False}
            assert ask(connection, HEALTH.replace(b"health", b"models/slow")) == (503, told)
            status, told = ask(
                connection, b"GET /v2/models/slow HTTP/1.1\r\nhost: localhost\r\n\r\n"
            )
            assert (status, "proving" in told["error"]) == (503, True)
        process.send_signal(signal.SIGTERM)
        assert process.communicate(timeout=60) == (b"", b"")
    assert process.returncode == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_what_is_in_flight_is_finished_and_ready_turns_false(
    packs, serve, request_bytes, turns, number
):
    """A slow request and, behind it on the same connection, the questions whether it is ready."""
    x = turns(2_000_000)
    with serve(packs / "loop") as served, served.connect() as connection:
        stream = connection.makefile("rb")
        connection.sendall(request_bytes("loop", x=x) + HEALTH + LOOP_READY)
        wait_for(served, in_flight=1)
        served.process.send_signal(number)
        status, length, content = read_raw(stream)
        assert status == 200
        np.testing.assert_array_equal(np.frombuffer(content[length:], np.float32), x[0])
        assert read_answer(stream) == (503, {"ready": False})
        assert read_answer(stream) == (503, {"name": "loop", "ready": False})
        assert stream.read() == b""
        assert served.process.wait(60) == 0
        assert served.process.stderr.read() == ""


def wait_for(served, *, in_flight):
    """Until so many requests are in the server's hands."""
    found = 0.0
    while found < in_flight:
        _, _, text = served.ask("GET", "/metrics")
        lines = text.decode().splitlines()
        found = sum(
            float(line.split()[-1])
            for line in lines
            if line.startswith("onnxpack_requests_in_flight{")
        )


def read_raw(stream):
    status = int(stream.readline().split()[1])
    headers = {}
    while (line := stream.readline()) not in (b"\r\n", b""):
        name, _, value = line.decode().partition(":")
        headers[name.lower()] = value.strip()
    content = stream.read(int(headers["content-length"]))
    return status, int(headers["inference-header-content-length"]), content


def test_many_in_flight_lose_nothing(packs, serve, request_bytes, until_closed, turns):
    options = ("--max-batch", 4, "--timeout", 60, "--drain", 60)  # others keep the machine busy
    with serve(packs / "loop", *options) as served, ThreadPoolExecutor(20) as threads:
        connections = [served.connect() for _ in range(20)]
        for number, connection in enumerate(connections):
            connection.sendall(request_bytes("loop", x=turns(500_000 + number)))
        answers = [threads.submit(until_closed, connection) for connection in connections]
        wait_for(served, in_flight=20)
        assert served.stop() == 0
        for number, answer in enumerate(answers):
            found = answer.result()
            assert found.startswith(b"HTTP/1.1 200")
            np.testing.assert_array_equal(
                np.frombuffer(found[-8192:], np.float32), turns(500_000 + number)[0]
            )


def test_a_drain_that_takes_too_long_is_cut(packs, serve, request_bytes, until_closed, turns):
    with serve(packs / "loop", "--drain", 1, "--max-batch", 1) as served:
        connections = [served.connect() for _ in range(10)]
        for connection in connections:
            connection.sendall(request_bytes("loop", x=turns(1_500_000)))
        wait_for(served, in_flight=10)
        assert served.stop() == 0
        assert served.process.stderr.read() == ""
        found = [until_closed(connection) for connection in connections]
        assert {answer.split()[1] for answer in found} <= {b"200", b"503"}  # one may be in time
        assert sum(b'{"error":"the server is shutting down"}' in answer for answer in found) >= 7
