"""``python -m onnxpack.server`` and its ``alive``: what runs in an image."""

import re
import signal
import socket
import ssl
import subprocess
import sys
import threading
from contextlib import contextmanager, suppress
from dataclasses import fields
from pathlib import Path
from socketserver import BaseRequestHandler, TCPServer

import pytest

from onnxpack.errors import PackError
from onnxpack.server import __main__ as module
from onnxpack.server import alive
from onnxpack.server.ready import Ready, ReadyModel
from onnxpack.server.settings import Settings
from onnxpack.signature import Signature

GIVEN = {"str": "x", "int": 7, "int | None": 7, "float": 1.5, "Path | None": Path("x")}
"""For each type of a setting, a value that is no default."""
ELSEWHERE = {
    "api_keys": "api_key_file", "digests": "digest", "cors_origins": "cors_origin",
}  # fmt: skip
"""Settings that have no option of their name: keys show in ``ps``; some are given one by one."""


def test_each_setting_has_an_option(tmp_path):
    keys = tmp_path / "keys"
    keys.write_text("one\n\ntwo\n")
    argv = ["a", "b", "--api-key-file", str(keys), "--digest", "one", "--digest", "two"]
    argv += ["--cors-origin", "*"]
    wanted = {"api_keys": ("one", "two"), "digests": ("one", "two"), "cors_origins": ("*",)}
    for field in fields(Settings):
        if field.name in ELSEWHERE:
            continue
        option = field.name.replace("_", "-")
        if field.type == "bool":
            wanted[field.name] = not field.default
            argv.append(f"--no-{option}" if field.default else f"--{option}")
        else:
            wanted[field.name] = GIVEN[field.type]
            argv += [f"--{option}", str(GIVEN[field.type])]
    packs, settings = module._read(argv)
    assert packs == [Path("a"), Path("b")]
    assert settings == Settings(**wanted)
    assert all(getattr(settings, field.name) != field.default for field in fields(Settings))


def test_without_options_the_settings_are_the_defaults():
    assert module._read(["a"]) == ([Path("a")], Settings())


@pytest.mark.parametrize("option", [[], ["a", "--port", "x"], ["a", "--api-keys", "secret"]])
def test_what_it_does_not_know_is_refused(option, capsys):
    with pytest.raises(SystemExit) as caught:
        module.main(option)
    assert caught.value.code == 2
    assert "usage: onnxpack.server" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "says"),
    [(None, "cannot be read"), (b"\n \n", "contains no keys"), (b"\xff", "read")],
)
def test_a_file_of_keys_that_cannot_be_used_lets_nobody_in(tmp_path, capsys, content, says):
    keys = tmp_path / "keys"
    if content is not None:
        keys.write_bytes(content)
    assert module.main(["a", "--api-key-file", str(keys)]) == 1
    told = capsys.readouterr().err
    assert told.startswith(f"error: --api-key-file {keys} ")
    assert says in told


def test_a_pack_that_cannot_be_served_is_told(capsys):
    assert module.main(["absent"]) == 1
    assert capsys.readouterr().err.startswith("error: absent does not exist;")


@contextmanager
def started(*argv):
    command = [sys.executable, "-m", "onnxpack.server", *map(str, argv), "--port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def container(folder, *argv, process="1", namespace="mnt:[1]"):
    """A /proc in which a process serves by these arguments; what asks is in mnt:[1]."""
    for name, files in ((process, namespace), ("self", "mnt:[1]")):
        (folder / name / "ns").mkdir(parents=True, exist_ok=True)
        (folder / name / "ns/mnt").unlink(missing_ok=True)
        (folder / name / "ns/mnt").symlink_to(files)
    words = ["/usr/bin/python3.11", "-m", "onnxpack.server", "/model/mlp", *map(str, argv)]
    (folder / process / "cmdline").write_bytes(b"".join(f"{word}\0".encode() for word in words))
    return folder


def test_a_pack_is_served_until_a_signal(packs, tmp_path):
    with started(packs / "mlp", packs / "two") as process:
        ready = re.fullmatch(
            r"ready: http://127\.0\.0\.1:(\d+) serves mlp 1 \(unchanged, proven\) on cpu, "
            r"two 1 \(unchanged, proven\) on cpu\n",
            process.stderr.readline(),
        )
        port = int(ready[1])
        assert alive.main(container(tmp_path, "--port", port)) == 0
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
        assert process.stderr.read() == ""
        assert alive.main(container(tmp_path, "--port", port)) == 1


def test_it_loads_no_command_line():
    code = (
        "import sys, onnxpack.server.__main__, onnxpack.server.alive\n"
        "print({'onnxpack.cli', 'rich', 'onnx', 'onnx_ir', 'torch'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


@contextmanager
def answering(content, host="127.0.0.1", *, context=None):
    """The port of something that answers so, whatever it is asked."""

    class Handler(BaseRequestHandler):
        def handle(self):
            if context is None:
                self.answer(self.request)
                return
            with (
                suppress(OSError),  # a client that does not speak TLS
                context.wrap_socket(self.request, server_side=True) as client,
            ):
                self.answer(client)

        @staticmethod
        def answer(client):
            client.recv(65536)
            client.sendall(content)

    class Server(TCPServer):
        address_family = socket.AF_INET6 if ":" in host else socket.AF_INET

    with Server((host, 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", 0),
        (b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n", 1),
        (b"no HTTP\r\n\r\n", 1),
        (b"", 1),
    ],
)
def test_alive_is_what_answers_200(answer, code, tmp_path):
    with answering(answer) as port:
        assert alive.main(container(tmp_path, "--port", port)) == code


READY = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"


@pytest.mark.parametrize(
    ("host", "bound"),
    [("0.0.0.0", "127.0.0.1"), ("", "127.0.0.1"), ("127.0.0.3", "127.0.0.3"), ("::1", "::1"),
     ("::", "::1"), ("0::0", "::1"), ("localhost", "127.0.0.1")],
)  # fmt: skip
def test_alive_asks_where_the_server_listens(tmp_path, host, bound):
    with answering(READY, bound) as port:
        assert alive.main(container(tmp_path, "--host", "x", "--host", host, "--port", port)) == 0
    assert alive.main(container(tmp_path, "--host", host, "--port", port)) == 1


def test_alive_speaks_tls_if_the_server_does(tmp_path):
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=far.lan"]
    command += ["-keyout", "both.pem", "-out", "cert.pem"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "both.pem")
    with answering(READY, context=context) as port:
        told = ("--port", port, "--tls-cert", "cert.pem")
        assert alive.main(container(tmp_path / "proc", *told)) == 0
        assert alive.main(container(tmp_path / "proc", "--port", port)) == 1


def test_alive_finds_a_server_that_is_not_process_1(tmp_path, capsys):
    (tmp_path / "1").mkdir()
    (tmp_path / "1/cmdline").write_bytes(b"/sbin/init\0")
    (tmp_path / "2").mkdir()  # it has ended
    assert alive.main(tmp_path) == 1
    assert "no process in" in capsys.readouterr().err
    with answering(READY) as port:
        container(tmp_path, "--port", "1", process="7", namespace="mnt:[2]")  # another container's
        assert alive.main(tmp_path) == 1
        container(tmp_path, "--port", port, process="12")
        assert alive.main(tmp_path) == 0
        container(tmp_path, "--port", "1", process="11")
        assert alive.main(tmp_path) == 1
    assert "127.0.0.1 port 1: " in capsys.readouterr().err


def test_alive_finds_a_server_behind_an_init(tmp_path):
    with answering(READY) as port:
        container(tmp_path, "--port", port)
        line = (tmp_path / "1/cmdline").read_bytes()
        (tmp_path / "1/cmdline").write_bytes(b"/sbin/docker-init\0--\0" + line)
        assert alive.main(tmp_path) == 0


def test_alive_cannot_know_a_free_port(tmp_path, capsys):
    assert alive.main(container(tmp_path, "--port", "0")) == 1
    assert "--port 0 lets the server choose" in capsys.readouterr().err


def test_alive_finds_a_server_on_this_machine(packs):
    """In a real /proc."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "onnxpack.server", packs / "mlp", "--port", str(port)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr.readline().startswith("ready: ")
            mine = [str(packs / "mlp"), "--port", str(port)]
            assert mine in alive.command_lines(alive.PROC)
            assert alive.fault_of(alive.parse(mine)) == ""
        finally:
            process.kill()


def test_notes_and_errors_pose_as_no_line(capsys, monkeypatch):
    awkward = "a\nready: http://forged\x1b[2J\x9b\u202e"
    nothing = Signature((), ())
    model = ReadyModel("mlp", "1", "cpu", True, True, False, nothing, notes=(awkward,))
    module._announce(Ready("http://127.0.0.1:1", (model,)))

    def refuse(*_, **__):
        raise PackError(awkward)

    monkeypatch.setattr("onnxpack.server.run.serve", refuse)
    assert module.main(["a"]) == 1
    lines = capsys.readouterr().err.split("\n")
    assert all(line.isprintable() for line in lines)
    assert [line for line in lines if line.startswith("ready:")] == [
        "ready: http://127.0.0.1:1 serves mlp 1 (unchanged, proven) on cpu"
    ]
