from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
from onnx import TensorProto

from onnxpack.errors import FeedError, PackError, ProviderError
from onnxpack.runtime import session
from onnxpack.runtime.catalog import CPU


def python(code: str, **environment: str) -> str:
    env = {k: v for k, v in os.environ.items() if k != session.TELEMETRY} | environment
    command = [sys.executable, "-c", code]
    return subprocess.run(command, env=env, check=True, capture_output=True, text=True).stdout


def test_importing_the_model_does_not_import_onnxruntime_or_onnx():
    code = (
        "import sys, onnxpack.runtime.model, onnxpack.runtime.doctor, onnxpack.runtime.picture;"
        "heavy = {'onnxruntime', 'onnx', 'onnx_ir', 'torch', 'click', 'rich', 'PIL'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    assert python(code).strip() == "[]"


SPY = (
    "import os, sys; sys.modules.pop('x', None)\n"
    "{before}\n"
    "from onnxpack.runtime.session import load_onnxruntime\n"
    "load_onnxruntime(); print(os.environ['ORT_DISABLE_TELEMETRY'], {after})"
)
EARLY = (
    "import onnxruntime; calls = []; onnxruntime.disable_telemetry_events = lambda: calls.append(1)"
)


def test_telemetry_is_off_by_default():
    assert python(SPY.format(before="", after="0")).strip() == "1 0"


def test_the_users_choice_of_telemetry_stays():
    out = python(SPY.format(before=EARLY, after="len(calls)"), ORT_DISABLE_TELEMETRY="0")
    assert out.strip() == "0 0"


def test_telemetry_of_an_earlier_import_is_switched_off():
    # CI keeps this test's own early import from writing anything.
    out = python(SPY.format(before=EARLY, after="len(calls)"), CI="1")
    assert out.strip() == "1 1"


def test_missing_onnxruntime(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ProviderError, match="onnxruntime") as caught:
        session.load_onnxruntime()
    assert caught.value.remedy == "pip install onnxruntime"


def test_placement_counts_nodes(graphs):
    opened = session.open_session(graphs.mix().model_path, [CPU], threads=1)
    assert session.placement(opened) == {CPU: 2}


@pytest.mark.parametrize("content", [b"", b"garbage", b"\x08\x07", b"\xff" * 64])
def test_a_graph_that_is_none(content):
    with pytest.raises(PackError, match="cannot be loaded"):
        session.open_session(content, [CPU], threads=1)


def test_a_file_that_is_absent(tmp_path):
    with pytest.raises(PackError, match=r"'gone\.onnx' cannot be loaded"):
        session.open_session(tmp_path / "gone.onnx", [CPU], threads=1)


def test_no_kernel_for_a_dtype(graphs):
    pack = graphs.make(
        [("Conv", ["x", "w"], ["y"])],
        [("x", TensorProto.DOUBLE, ["b", 1, 4, 4])],
        [("y", TensorProto.DOUBLE, None)],
        [("w", np.ones((1, 1, 2, 2)))],
    )
    with pytest.raises(PackError, match=r"no implementation of Conv\(11\)") as caught:
        session.open_session(pack.model_path, [CPU], threads=1)
    assert "float32" in caught.value.remedy
    assert caught.value.__cause__ is not None


def test_an_unknown_operator(graphs):
    pack = graphs.make([("Nonesuch", ["x"], ["y"])], [("x", 1, ["b"])], [("y", 1, ["b"])], opset=17)
    with pytest.raises(PackError, match="Nonesuch") as caught:
        session.open_session(pack.model_path, [CPU], threads=1)
    assert "ONNXRuntimeError" not in str(caught.value)


def test_external_data_outside_the_folder_is_refused(graphs, tmp_path):
    import onnx

    secret = tmp_path.parent / f"{tmp_path.name}-secret"
    secret.write_bytes(bytes(16))
    model = onnx.load(graphs.double().model_path)
    tensor = model.graph.initializer.add(name="w", data_type=1, dims=[4], data_location=1)
    for key, value in (("location", f"../{secret.name}"), ("length", "16")):
        tensor.external_data.add(key=key, value=value)
    model.graph.node[0].input[1] = "w"
    with pytest.raises(PackError):
        session.open_session(graphs.save(model).model_path, [CPU], threads=1)


FROZEN = [("Reshape", ["x", "s"], ["y"])]


def test_a_run_that_fails_is_worded_and_silent(graphs, capfd):
    shape = ("s", np.array([1, 3]))
    pack = graphs.make(FROZEN, [("x", 1, ["b", 3])], [("y", 1, None)], [shape])
    opened = session.open_session(pack.model_path, [CPU], threads=1)
    with pytest.raises(PackError, match=r"failed on cpu: .*Reshape node.*cannot be reshaped") as e:
        session.run(opened, ["y"], {"x": np.zeros((2, 3), np.float32)}, "cpu")
    assert "onnxruntime_src" not in str(e.value)
    assert "ReshapeHelper" not in str(e.value)
    assert capfd.readouterr() == ("", "")


def test_a_feed_that_does_not_fit(graphs):
    opened = session.open_session(graphs.double().model_path, [CPU], threads=1)
    with pytest.raises(FeedError, match="rank"):
        session.run(opened, ["y"], {"x": np.zeros(3, np.float32)}, "cpu")


def test_bugs_stay_ordinary():
    with pytest.raises(AttributeError):
        session.run(None, ["y"], {}, "cpu")


def test_plain_keeps_a_message_that_is_already_plain():
    assert session.plain(RuntimeError("it broke. ")) == "it broke"
    assert session.plain(RuntimeError("")) == "RuntimeError"


def test_the_logger_is_quiet_only_while_a_library_loads(monkeypatch, graphs):
    levels: list[int] = []
    ort = session.load_onnxruntime()
    monkeypatch.setattr(ort, "set_default_logger_severity", levels.append)
    monkeypatch.setattr(ort, "preload_dlls", lambda: print("noise"))
    session.open_session(graphs.double().model_path, ["AzureExecutionProvider", CPU], threads=1)
    assert levels == [4, 2]
