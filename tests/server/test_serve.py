"""``onnxpack serve`` and ``onnxpack.serve``: what is said, and what is loaded."""

import os
import re
import shlex
import socket
import subprocess
import sys
from pathlib import Path

import pytest

import onnxpack
from onnxpack.cli.serve import parse_size

PROGRAM = Path(sys.executable).with_name("onnxpack")


def test_it_tells_where_what_and_how_to_try(packs, serve):
    with serve(packs / "mlp", packs / "two") as served:
        first, mlp, two, line = served.banner.splitlines()
        assert first == f"ready: http://127.0.0.1:{served.port} (Ctrl-C stops it)"
        assert (mlp, two) == (
            "  mlp 1: unchanged, proven on cpu",
            "  two 1: unchanged, proven on cpu",
        )
        command = shlex.split(line.removeprefix("try: "))
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        assert '"model_name":"mlp"' in done.stdout
        assert served.stop() == 0
        assert served.process.stderr.read() == ""


@pytest.mark.parametrize("model", ["two", "words", "bytes", "half", "bag", "fixed", "where"])
def test_the_line_to_try_works_as_it_is(packs, serve, model):
    with serve(packs / model) as served:
        command = shlex.split(served.banner.splitlines()[-1].removeprefix("try: "))
        done = subprocess.run([*command, "-f"], capture_output=True, text=True, check=True)
        assert '"outputs":' in done.stdout


@pytest.mark.parametrize(
    ("model", "part"), [("picture", "@picture.jpg"), ("loop", "@input.npy"), ("slow", "@input.npy")]
)
def test_large_inputs_are_sent_from_a_file(packs, serve, model, part):
    with serve(packs / model) as served:
        assert part in served.banner


def test_a_folder_of_packs_is_served_whole(server, packs):
    _, told = server.json("GET", "/v2/models")
    assert sorted(each["name"] for each in told["models"]) == sorted(
        path.name for path in packs.iterdir()
    )


@pytest.mark.parametrize(
    ("options", "code", "says"),
    [
        (["absent"], 2, "absent does not exist"),
        ([], 2, "Missing argument 'PACK…'"),
        (["MLP", "MLP"], 2, "are both mlp version 1"),
        (["MLP", "--max-batch", "0"], 2, "--max-batch"),
        (["MLP", "--timeout", "0"], 2, "--timeout"),
        (["MLP", "--max-body", "0"], 2, "is not a size"),
        (["MLP", "--max-body", "many"], 2, "is not a size"),
        (["MLP", "--host", "no.such.host.invalid"], 2, "cannot be bound"),
        (["MLP", "--provider", "cuda"], 3, ""),
        (["MLP", "--api-key-file", "absent"], 2, "cannot be read"),
        (["MLP", "--api-key-file", "/dev/null"], 2, "contains no keys"),
    ],
)
def test_what_cannot_be_served_is_told(packs, onnxpack_serve, options, code, says):
    done = onnxpack_serve(*(str(packs / "mlp") if each == "MLP" else each for each in options))
    assert (done.returncode, done.stdout) == (code, "")
    assert says in done.stderr
    assert "Traceback" not in done.stderr


def test_a_port_that_is_taken(packs):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = subprocess.run(
            [PROGRAM, "serve", packs / "mlp", "--port", port],
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 2
    assert f"127.0.0.1:{port} cannot be bound: Address already in use." in done.stderr
    assert "--port 0" in done.stderr


@pytest.mark.parametrize(
    "missing", ["uvicorn", "httptools", "uvloop", "orjson", "prometheus_client"]
)
def test_without_the_extra_it_says_what_to_install(packs, tmp_path, onnxpack_serve, missing):
    # A module of this name that cannot be found, as if nothing were installed.
    (tmp_path / "sitecustomize.py").write_text(
        "import sys\n"
        "class Finder:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name.split('.')[0] == {missing!r}:\n"
        "            raise ModuleNotFoundError(f'No module named {name!r}', name=name)\n"
        "sys.meta_path.insert(0, Finder())\n"
    )
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    done = onnxpack_serve(packs / "mlp", PYTHONPATH=path)
    assert done.returncode == 3
    assert f"error: '{missing}' is needed for this and is not installed." in done.stderr
    assert '→ pip install "onnxpack[serve]"' in done.stderr


@pytest.mark.parametrize(
    ("options", "warned"),
    [
        (["--host", "0.0.0.0"], "without a key (--api-key-file) and TLS (--tls-cert)"),
        (["--host", "0.0.0.0", "--api-key-file", "KEYS"], "0.0.0.0 without TLS (--tls-cert)"),
        (["--api-key-file", "KEYS"], "can read KEYS: chmod 600 KEYS"),
    ],
)
def test_what_is_open_to_the_world_is_warned_of(packs, serve, tmp_path, options, warned):
    keys = tmp_path / "keys"
    keys.write_text("key\n")
    keys.chmod(0o644)
    given = [str(keys) if each == "KEYS" else each for each in options]
    with serve(packs / "mlp", *given) as served:
        served.stop()
        told = served.process.stderr.read()
        assert told.startswith("warning: ")
        assert warned.replace("KEYS", str(keys)) in told


@pytest.mark.parametrize(
    ("host", "bound", "typed"),
    [("0.0.0.0", "0.0.0.0", "127.0.0.1"), ("::", "[::]", "[::1]"), ("::1", "[::1]", "[::1]")],
)
def test_the_line_to_try_has_an_address_of_this_machine(packs, host, bound, typed):
    command = [PROGRAM, "serve", packs / "mlp", "--host", host, "--port", "0"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        ready, _, line = (process.stdout.readline() for _ in range(3))
        process.terminate()
    port = re.fullmatch(rf"ready: http://{re.escape(bound)}:(\d+) \(Ctrl-C stops it\)\n", ready)[1]
    assert shlex.split(line)[-1] == f"http://{typed}:{port}/v2/models/mlp/predict"


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1"])
def test_this_machine_alone_is_no_warning(packs, host):
    command = [PROGRAM, "serve", packs / "mlp", "--host", host, "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert re.match(rb"ready: http://(127\.0\.0\.1|\[::1\]):\d+ ", process.stdout.readline())
        process.terminate()
        assert process.communicate(timeout=60)[1] == b""
    assert process.returncode == 0


@pytest.mark.parametrize(
    ("text", "size"),
    [("1", 1), ("64MB", 64 * 10**6), ("64 MB", 64 * 10**6), ("64M", 64 * 10**6), ("1kB", 1000),
     ("1KiB", 1024), ("2Mi", 2**21), ("1GiB", 2**30), ("10B", 10)],
)  # fmt: skip
def test_sizes(text, size):
    assert parse_size(text) == size


LOADED = """
import sys, threading, os, signal
import onnxpack

def ready(told):
    print(str(told).startswith("http://127.0.0.1:"), told.models[0].name, flush=True)
    heavy = {"onnx", "onnx_ir", "onnxpack.cli", "rich", "torch", "opentelemetry", "PIL"}
    print(sorted(heavy & set(sys.modules)), os.environ["ORT_DISABLE_TELEMETRY"], flush=True)
    os.kill(os.getpid(), signal.SIGTERM)

onnxpack.serve(sys.argv[1], onnxpack.Settings(port=0), announce=ready)
print("ended")
"""


def test_a_server_loads_nothing_but_what_it_serves_with(packs):
    done = subprocess.run(
        [sys.executable, "-c", LOADED, packs / "mlp"], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == ["True mlp", "[] 1", "ended"]
    assert done.stderr == ""


def test_packs_that_are_open_already_are_served(packs):
    opened = onnxpack.open_pack(packs / "mlp")
    with pytest.raises(onnxpack.errors.UsageError, match="are both mlp version 1"):
        onnxpack.serve([opened, packs / "mlp"])
    with pytest.raises(onnxpack.errors.UsageError, match="no packs to serve"):
        onnxpack.serve([])
