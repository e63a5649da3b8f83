"""Weights in .safetensors, and the class that the user names."""

from __future__ import annotations

import json
import tracemalloc
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


def header(content: str | bytes, size: int | None = None, data: bytes = bytes(64)) -> bytes:
    """A file with this header, whatever size it announces."""
    raw = content.encode() if isinstance(content, str) else content
    return (len(raw) if size is None else size).to_bytes(8, "little") + raw + data


def entry(begin: int, end: int, shape: list[int], dtype: str = "F32") -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def tensors(**entries: Any) -> bytes:
    return header(json.dumps({name.replace("__", "."): each for name, each in entries.items()}))


ONE, OTHER = json.dumps(entry(0, 12, [3])), json.dumps(entry(12, 64, [13]))
TWICE = f'{{"one.bias":{ONE},"one.bias":{OTHER}}}'
HOSTILE = {
    "no header": b"",
    "a header beyond the end": header("{}", 2**40),
    "a header of all bytes that there are": header("{}", 2**64 - 1),
    "a header that is no text": header(b"\xff" * 8),
    "a header that is no object": header("[]"),
    "a header that is deep": header('{"a":' * 100_000),
    "offsets beyond the end": tensors(one__bias=entry(0, 4096, [1024])),
    "offsets that go back": tensors(one__bias=entry(12, 0, [3])),
    "negative offsets": tensors(one__bias=entry(-12, 0, [3])),
    "offsets that overlap": tensors(one__bias=entry(0, 64, [16]), two__bias=entry(0, 64, [16])),
    "a hole between tensors": tensors(one__bias=entry(0, 12, [3]), two__bias=entry(16, 64, [12])),
    "bytes behind the last tensor": tensors(one__bias=entry(0, 12, [3])),
    "dims that overflow": tensors(one__bias=entry(0, 64, [2**32, 2**32])),
    "dims that overflow in bytes": tensors(one__bias=entry(0, 64, [2**62])),
    "dims of another size": tensors(one__bias=entry(0, 64, [3])),
    "negative dims": tensors(one__bias=entry(0, 64, [-4, -4])),
    "a dtype that is none": tensors(one__bias=entry(0, 64, [16], "PICKLE")),
    "a name that is there twice": header(TWICE),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_header_is_refused(name: str, code: str, tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    path.write_bytes(HOSTILE[name])
    tracemalloc.start()
    try:
        with pytest.raises(TargetError) as caught:
            load_target(str(path), class_name=f"{code}:Net")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert "\n" not in caught.value.message
    assert "key(s)" not in caught.value.message  # so it was not read as far as its names
    assert peak < 2**24
