"""``onnxpack view``, in a terminal of its own."""

from __future__ import annotations

import signal
import socket
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pexpect
import pytest

Run = Callable[..., Any]
# A terminal of one's own takes a fork, which Python ≥ 3.12 warns of where threads run.
pytestmark = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
PROGRAM = str(Path(sys.executable).with_name("onnxpack"))


@contextmanager
def viewing(path: Path) -> Iterator[tuple[Any, str]]:
    # A shell's background jobs ignore Ctrl-C, and so do their children unless told otherwise.
    child = pexpect.spawn(
        PROGRAM,
        ["view", str(path), "--no-browser"],
        encoding="utf-8",
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    try:
        child.expect(r"(http://localhost:\d+) \(Ctrl-C stops it\)\r\n")
        yield child, child.match[1]
    finally:
        child.close(force=True)


def get(url: str) -> bytes:
    with urllib.request.urlopen(url) as answer:
        return bytes(answer.read())


def test_the_graph_is_served_until_ctrl_c(pack: Any) -> None:
    with viewing(pack.path) as (child, url):
        assert b"<html" in get(url)
        assert get(f"{url}/data/model.onnx") == pack.model_path.read_bytes()
        child.sendintr()
        child.expect(pexpect.EOF)
        assert "Traceback" not in child.before
        child.wait()
        assert child.exitstatus == 0


def test_what_lies_beside_a_bare_graph_is_not_served(graph: Path) -> None:
    (graph.parent / "private.txt").write_text("secret")
    with viewing(graph) as (_, url):
        assert get(f"{url}/data/bare.onnx") == graph.read_bytes()
        with pytest.raises(urllib.error.HTTPError, match="404") as caught:
            get(f"{url}/data/private.txt")
        caught.value.close()


def test_a_port_that_is_taken(onnxpack: Run, pack: Any) -> None:
    with socket.socket() as taken:
        taken.bind(("localhost", 0))
        taken.listen()
        port = taken.getsockname()[1]
        told = onnxpack("view", pack.path, "--no-browser", "--port", port)
    assert told.code == 2
    assert f"nothing can be served on localhost:{port}" in told.err


def test_without_netron(onnxpack: Run, pack: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "netron", None)
    told = onnxpack("view", pack.path)
    assert told.code == 3
    assert told.err.endswith('→ pip install "onnxpack[view]"\n')
