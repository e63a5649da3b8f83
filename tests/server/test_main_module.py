"""``python -m onnxpack.server`` and its ``alive``: what runs in an image."""

import re
import signal
import subprocess
import sys
import threading
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from socketserver import BaseRequestHandler, TCPServer

import pytest

from onnxpack.server import __main__ as module
from onnxpack.server import alive
from onnxpack.server.settings import Settings

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


def test_a_pack_is_served_until_a_signal(packs):
    with started(packs / "mlp", packs / "two") as process:
        ready = re.fullmatch(
            r"ready: http://127\.0\.0\.1:(\d+) serves mlp 1 \(unchanged, proven\) on cpu, "
            r"two 1 \(unchanged, proven\) on cpu\n",
            process.stderr.readline(),
        )
        port = int(ready[1])
        assert alive.main(port) == 0
        asked = subprocess.run(
            [sys.executable, "-m", "onnxpack.server.alive", str(port)], check=False
        )
        assert asked.returncode == 0
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
        assert process.stderr.read() == ""
        assert alive.main(port) == 1


def test_it_loads_no_command_line():
    code = (
        "import sys, onnxpack.server.__main__, onnxpack.server.alive\n"
        "print({'onnxpack.cli', 'rich', 'onnx', 'onnx_ir', 'torch'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


@contextmanager
def answering(content):
    """The port of something that answers so, whatever it is asked."""

    class Handler(BaseRequestHandler):
        def handle(self):
            self.request.recv(65536)
            self.request.sendall(content)

    with TCPServer(("127.0.0.1", 0), Handler) as server:
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
def test_alive_is_what_answers_200(answer, code):
    with answering(answer) as port:
        assert alive.main(port) == code
