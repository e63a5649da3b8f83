"""onnxruntime's telemetry, watched from outside: what is written, and what is sent."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

CODE = """
import sys
import numpy as np
from onnxpack.pack.model import Pack
from onnxpack.runtime.model import Model
from pathlib import Path
path = Path(sys.argv[1])
model = Model(Pack(path=path, model_path=path))
assert model(np.ones((2, 4), np.float32)).tolist() == [[2] * 4] * 2
"""
OPENVINO = """
import sys
import numpy as np
from onnxpack.runtime.openvino import open_openvino
from onnxpack.signature import Signature, TensorSpec
from pathlib import Path
signature = Signature(*((TensorSpec(name, "float32", ("batch", 4)),) for name in "xy"))
session = open_openvino(Path(sys.argv[1]), signature, threads=1)
assert session.run(["y"], {"x": np.ones((2, 4), np.float32)})[0].tolist() == [[2] * 4] * 2
"""
SILENCED_BY = ("CI", "ORT_RUNNING_UNIT_TESTS", "ORT_DISABLE_TELEMETRY", "PYTHONPATH")
"""A continuous-integration variable alone switches telemetry off: a test of nothing."""


class Watch:
    """A model's run, traced: the files it left at home, and the addresses it called."""

    def __init__(self, folder: Path, graph: Path, code: str = CODE, **chosen: str) -> None:
        home, trace = folder / "home", folder / "trace"
        home.mkdir()
        own = {name: value for name, value in os.environ.items() if name not in SILENCED_BY}
        own = {name: value for name, value in own.items() if not name.startswith("XDG_")}
        command = ["strace", "-f", "-e", "trace=network,openat", "-o", trace]
        command += [sys.executable, "-B", "-c", code, graph]
        subprocess.run(command, env=own | {"HOME": str(home)} | chosen, check=True)
        lines = trace.read_text(errors="replace").splitlines()
        self.files = sorted(str(path.relative_to(home)) for path in home.rglob("*"))
        self.opened = [line for line in lines if f'"{home}' in line]
        self.called = [line for line in lines if re.search(r"(connect|sendto)\(.*AF_INET", line)]


@pytest.fixture
def graph(graphs) -> Path:
    return graphs.double().model_path


def test_nothing_is_written_and_nothing_is_sent(tmp_path, graph):
    watch = Watch(tmp_path, graph)
    assert (watch.files, watch.opened, watch.called) == ([], [], [])


def test_openvino_writes_nothing_and_sends_nothing(tmp_path, graph):
    pytest.importorskip("openvino")
    watch = Watch(tmp_path, graph, OPENVINO)
    assert (watch.files, watch.opened, watch.called) == ([], [], [])


def test_the_watch_sees_telemetry_that_the_user_switched_on(tmp_path, graph):
    watch = Watch(tmp_path, graph, ORT_DISABLE_TELEMETRY="0")
    assert any(file.endswith("onnxruntime.db") for file in watch.files)
    assert any("onnxruntime.db" in line for line in watch.opened)
