"""Exports of several threads, and what a model's code does to the process in between."""

from __future__ import annotations

import logging
import os
import random
import sys
import threading
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import jax
import keras
import numpy as np
import pytest
import torch
from torch import Tensor, nn

import onnxpack
from onnxpack.errors import ExportError, OnnxpackError
from onnxpack.exporters.exclusive import exclusive
from onnxpack.exporters.silence import SHOWN, descriptors_hidden, hidden
from onnxpack.testing import changes, process_state

LOG = logging.getLogger("tests.exclusive")


class Net(nn.Module):
    """One of the models that are exported at a time: each watches and patches in its own way."""

    def __init__(self, kind: int) -> None:
        super().__init__()
        self.linear, self.kind = nn.Linear(4, 3), kind % 4

    def forward(self, x: Tensor) -> Tensor:
        if self.kind == 1:
            with torch.autocast("cpu", torch.bfloat16, enabled=False):
                return self.linear(x)
        if self.kind == 2:
            print("printed by the model")
            warnings.warn("warned by the model", stacklevel=1)
        if self.kind == 3:
            return self.linear(x) / x.norm(dim=1, keepdim=True).clamp(min=1e-3)
        return self.linear(x)


def export_in_threads(folder: Path, threads: int, each: int) -> None:
    """Export in many threads while one prints and one logs; nothing that they say is lost."""
    onnxpack.export(Net(0), torch.ones(2, 4), folder / "first")
    nets = [[Net(number + turn) for turn in range(each)] for number in range(threads)]
    before = process_state()
    records: list[logging.LogRecord] = []
    handler = logging.Handler()
    handler.emit = records.append  # type: ignore[method-assign]
    LOG.addHandler(handler)
    LOG.setLevel(logging.INFO)
    ended = threading.Event()
    said = 0

    def speak() -> None:
        nonlocal said
        while not ended.wait(0.01):
            said += 1
            print(f"line {said}")
            LOG.info("line %d", said)

    def work(number: int) -> None:
        for turn, net in enumerate(nets[number]):
            pack = onnxpack.export(net, torch.ones(2, 4), folder / f"{number}-{turn}")
            assert pack.manifest is not None
            assert pack.manifest.parity.passed

    speaker = threading.Thread(target=speak)
    speaker.start()
    try:
        with ThreadPoolExecutor(threads) as pool:
            for done in [pool.submit(work, number) for number in range(threads)]:
                done.result()
    finally:
        ended.set()
        speaker.join()
        LOG.removeHandler(handler)
        LOG.setLevel(logging.NOTSET)
    assert said > 1
    assert len(records) == said
    assert not changes(before, process_state())


def lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return [line for line in capsys.readouterr().out.splitlines() if line.startswith("line")]


@pytest.mark.filterwarnings("ignore:warned by the model")
@pytest.mark.parametrize(
    ("threads", "each"), [(3, 2), pytest.param(8, 20, marks=pytest.mark.heavy)]
)
def test_many_threads_export(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], threads: int, each: int
) -> None:
    export_in_threads(tmp_path, threads, each)
    assert lines(capsys)


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_the_lock_is_free_after_a_failure(tmp_path: Path, error: type[BaseException]) -> None:
    def stop(_: str) -> None:
        raise error

    net = Net(0)
    before = process_state()
    with pytest.raises(error):
        onnxpack.export(net, torch.ones(2, 4), tmp_path / "pack", progress=stop)
    with ThreadPoolExecutor(1) as pool:
        pool.submit(onnxpack.export, net, torch.ones(2, 4), tmp_path / "pack").result(60)
    assert not changes(before, process_state())


def test_an_export_within_an_export(tmp_path: Path) -> None:
    said: list[str] = []

    def again(line: str) -> None:
        if not said:
            said.append(line)
            onnxpack.export(Net(0), torch.ones(2, 4), tmp_path / "inner")

    onnxpack.export(Net(0), torch.ones(2, 4), tmp_path / "outer", progress=again)
    assert {each.name for each in tmp_path.iterdir()} == {"inner", "outer"}


SETTINGS: dict[str, Callable[[], Any]] = {
    "default device": lambda: torch.set_default_device("meta"),
    "default dtype": lambda: torch.set_default_dtype(torch.float64),
    "deterministic": lambda: torch.use_deterministic_algorithms(True),
    "fast path": lambda: torch.backends.mha.set_fastpath_enabled(
        not torch.backends.mha.get_fastpath_enabled()
    ),
    "grad": lambda: torch.set_grad_enabled(False),
    "logging": lambda: logging.disable(logging.CRITICAL),
    "precision": lambda: torch.set_float32_matmul_precision("medium"),
    "random": lambda: (random.random(), np.random.random(), torch.rand(1)),
    "seeds": lambda: (random.seed(1), np.random.seed(1), torch.manual_seed(1)),
    "streams": lambda: setattr(sys, "stdout", sys.stderr),
    "warnings": lambda: warnings.simplefilter("ignore", ResourceWarning),
    "autocast": lambda: torch.set_autocast_enabled("cpu", True),
}


@pytest.mark.parametrize("name", SETTINGS)
def test_what_a_model_sets_is_set_back(tmp_path: Path, name: str) -> None:
    class Setting(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            SETTINGS[name]()
            raise ValueError("no answer")

    before = process_state()
    with pytest.raises(OnnxpackError):
        onnxpack.export(Setting(), torch.ones(2, 4), tmp_path / "pack")
    assert not changes(before, process_state())


def test_what_a_function_of_jax_sets_is_set_back(tmp_path: Path) -> None:
    def function(x: Any) -> Any:
        jax.config.update("jax_enable_x64", True)
        jax.config.update("jax_default_matmul_precision", "float32")
        raise ValueError("no answer")

    before = process_state()
    with pytest.raises(OnnxpackError):
        onnxpack.export(jax.jit(function), np.ones((2, 4), np.float32), tmp_path / "pack")
    assert not changes(before, process_state())


def test_what_a_layer_of_keras_sets_is_set_back(tmp_path: Path) -> None:
    class Setting(keras.layers.Layer):
        def call(self, x: Any) -> Any:
            if asked:
                keras.config.set_floatx("float64")
                keras.config.set_image_data_format("channels_first")
                keras.layers.Dense(2)
                raise ValueError("no answer")
            return x

    asked: list[bool] = []
    model = keras.Sequential([keras.Input((4,)), Setting()])
    asked.append(True)
    keras.layers.Dense(2)
    count = int(keras.layers.Dense(2).name.rpartition("_")[2])
    before = process_state()
    with pytest.raises(OnnxpackError):
        onnxpack.export(model, np.ones((2, 4), np.float32), tmp_path / "pack")
    assert not changes(before, process_state())
    assert keras.layers.Dense(2).name == f"dense_{count + 1}"


def test_only_this_thread_is_silenced(capsys: pytest.CaptureFixture[str]) -> None:
    def speak() -> None:
        print("other")
        with warnings.catch_warnings(action="always", record=True) as caught:
            warnings.warn("other", stacklevel=1)
        found.append(len(caught))
        LOG.error("other")

    found: list[Any] = []
    handler = logging.Handler()
    handler.emit = found.append  # type: ignore[assignment, method-assign]
    LOG.addHandler(handler)
    before = process_state()
    try:
        with hidden():
            print("this")
            print("this", file=sys.stderr)
            warnings.warn("this", stacklevel=1)
            LOG.error("this")
            thread = threading.Thread(target=speak)
            thread.start()
            thread.join()
    finally:
        LOG.removeHandler(handler)
    told = capsys.readouterr()
    assert (told.out, told.err) == ("other\n", "")
    assert [getattr(each, "msg", each) for each in found] == [1, "other"]
    assert not changes(before, process_state())


def test_a_file_is_printed_to(tmp_path: Path) -> None:
    with hidden(), (tmp_path / "file").open("w") as file:
        print("kept", file=file)
    assert (tmp_path / "file").read_text() == "kept\n"


def test_the_command_line_alone_hides_what_goes_past_python(
    capfd: pytest.CaptureFixture[str],
) -> None:
    before = process_state()
    with hidden():
        os.write(2, b"library\n")
    with descriptors_hidden(), hidden():
        os.write(2, b"command\n")
        os.write(1, b"command\n")
    assert capfd.readouterr() == ("", "library\n")
    assert not changes(before, process_state())


def test_what_is_wanted_is_shown_and_then_no_longer(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with exclusive():
        SHOWN.set(True)
        with hidden():
            print("shown")
    assert not SHOWN.get()
    assert capsys.readouterr().out == "shown\n"


def test_a_missing_private_attribute_fails_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from torch.nn.modules import transformer

    monkeypatch.delattr(transformer, "_detect_is_causal_mask")
    with pytest.raises(
        ExportError, match=rf"torch {torch.__version__[:4]}.*_detect_is_causal_mask"
    ):
        onnxpack.export(Net(0), torch.ones(2, 4), tmp_path / "pack")
