"""Weights in .safetensors, and the class that the user names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file, save_model
from torch import nn

from onnxpack.errors import TargetError
from onnxpack.exporters.target.load import load_target

CODE = """
from torch import nn

class Net(nn.Module):
    def __init__(self, width=3):
        super().__init__()
        self.one = nn.Linear(4, width)
        self.two = nn.Linear(4, width)
        self.two.weight = self.one.weight

class Sized(nn.Module):
    def __init__(self, width):
        super().__init__()

def text():
    return "no module"
"""


@pytest.fixture
def code(tmp_path: Path) -> str:
    (tmp_path / "net.py").write_text(CODE)
    return f"{tmp_path / 'net.py'}"


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Linear(4, 3), nn.Linear(4, 3)
        self.two.weight = self.one.weight


def test_weights_go_into_the_class(code: str, tmp_path: Path) -> None:
    tied = Tied()
    save_model(tied, str(tmp_path / "w.safetensors"))
    loaded = load_target(str(tmp_path / "w.safetensors"), class_name=f"{code}:Net")
    assert loaded.name == "w"
    assert type(loaded.model).__name__ == "Net"
    for name, wanted in tied.state_dict().items():
        torch.testing.assert_close(loaded.model.state_dict()[name], wanted)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        (None, "not the code"),
        ("Sized", "without arguments failed: TypeError"),
        ("text", "makes a str"),
        ("Net", "Missing key"),
    ],
)
def test_what_does_not_fit(name: Any, words: str, code: str, tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    save_file({"one.bias": torch.zeros(3)}, str(path))
    with pytest.raises(TargetError) as caught:
        load_target(str(path), class_name=name and f"{code}:{name}")
    assert words.lower() in caught.value.message.lower()


def test_a_file_that_is_none(code: str, tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    path.write_bytes(b"\xff" * 40)
    with pytest.raises(TargetError):
        load_target(str(path), class_name=f"{code}:Net")
