"""Every command that reads a graph refuses one that wants too much memory."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests import bombs

from onnxpack.pack.tensor import encode_tensor
from onnxpack.pack.write import GoldenData, write_pack

Run = Callable[..., Any]
WANTS = "model.onnx wants 4 TB of memory for the output of node 'c' (ConstantOfShape)"


@pytest.fixture
def zoo(tmp_path: Path) -> Path:
    """A folder of the model zoo with a bomb, and golden data that no one can compute."""
    folder = tmp_path / "zoo"
    golden = folder / "test_data_set_0"
    golden.mkdir(parents=True)
    (folder / "model.onnx").write_bytes(bombs.constant_of_shape())
    x = np.ones((2, 3), np.float32)
    for name, value in (("input_0", x), ("output_0", x), ("output_1", x[0])):
        (golden / f"{name}.pb").write_bytes(encode_tensor("", value))
    return folder


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (["inspect"], 2),
        (["inspect", "--nodes"], 2),
        (["check"], 1),
        (["run", "-i", "golden"], 2),
        (["run", "-i", "random"], 2),
        (["serve", "--port", "0"], 2),
        (["bench"], 2),
    ],
)
def test_each_command_refuses_a_bomb(
    onnxpack: Run, zoo: Path, command: list[str], code: int
) -> None:
    told = onnxpack(*command, zoo)
    assert told.code == code
    assert WANTS in " ".join((told.out + told.err).split())


def test_export_refuses_a_bomb(onnxpack: Run, zoo: Path, tmp_path: Path) -> None:
    told = onnxpack("export", zoo, "-o", tmp_path / "pack")
    assert told.code == 2
    assert WANTS in told.err
    assert not (tmp_path / "pack").exists()


def test_a_pack_with_a_bomb_is_neither_optimized_nor_run(
    onnxpack: Run, pack: Any, tmp_path: Path
) -> None:
    """Its digests are right, as its maker wrote them."""
    bomb = tmp_path / "bomb.onnx"
    bomb.write_bytes(bombs.constant_of_shape())
    golden = GoldenData({"x": np.ones((2, 2), np.float32)}, {"scores": np.ones((2, 3), np.float32)})
    path = tmp_path / "hostile"
    write_pack(path, pack.manifest, model=bomb, golden=[golden])
    for command in (["optimize", path, "-o", tmp_path / "faster"], ["run", path, "-i", "golden"]):
        told = onnxpack(*command)
        assert told.code == 2
        assert WANTS in told.err
