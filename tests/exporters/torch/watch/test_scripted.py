"""Scripts that read what was written through another view, and scripts that do not."""

from __future__ import annotations

import importlib.util
import textwrap
from pathlib import Path
from typing import Any

import pytest
import torch

from onnxpack.errors import ExportError
from onnxpack.exporters.torch.watch.scripted import raises_errors, refuse_lost_writes

LOSES = {
    "flat": "y = x * 1\nflat = y.view(-1)\nflat[flat > 0] = 3\nreturn y",
    "part": "y = x * 1\npart = y[0]\npart[1] = 3\nreturn part",
    "slice": "y = x * 1\nrest = y[:, 1:]\nrest += 1\nreturn y",
    "list": "y = x * 1\nkept = [y]\ny.add_(1)\nreturn kept[0].view(-1) + y.view(-1)",
    "next turn": (
        "y = x * 1\nfirst = y[0]\nfor i in range(1, 4):\n    y[:, i] = first.sum()\nreturn y"
    ),
    "branch": "y = x * 1\nfirst = y[0]\nif bool(x.sum() > 0):\n    y.add_(1)\nreturn first",
}
KEEPS = {
    "assignment": "y = x * 1\ny[:, 0] = 3\nreturn y",
    "mask": "y = x * 1\ny[y > 0] = 3\nreturn y",
    "input": "x[:, 0] = 1\nreturn x",
    "sum": "y = torch.zeros(4)\nfor i in range(3):\n    y += x[i]\nreturn y",
    "columns": "y = x * 1\nfor i in range(1, 4):\n    y[:, i] = y[:, i - 1]\nreturn y",
    "branch": "y = x * 1\nif bool(x.sum() > 0):\n    y += 1\nreturn y",
    "one tensor by two names": "y = x * 1\nz = y.relu_()\nz.add_(1)\nreturn y + z",
}


@pytest.fixture
def script(tmp_path: Path) -> Any:
    """Scripts the body of a function of ``x``; TorchScript reads the source from its file."""

    def scripted(body: str) -> Any:
        file = tmp_path / "scripted.py"
        lines = textwrap.indent(body, "    ")
        file.write_text(f"import torch\ndef f(x: torch.Tensor):\n{lines}\n")
        spec = importlib.util.spec_from_file_location("scripted", file)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return torch.jit.script(module.f)

    return scripted


@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated")
@pytest.mark.parametrize("kind", LOSES)
def test_a_write_that_the_exporter_loses(script: Any, kind: str) -> None:
    with pytest.raises(ExportError, match="read through another view"):
        refuse_lost_writes(script(LOSES[kind]))


@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated")
@pytest.mark.parametrize("kind", KEEPS)
def test_a_write_that_it_keeps(script: Any, kind: str) -> None:
    refuse_lost_writes(script(KEEPS[kind]))


def test_a_module_without_a_graph() -> None:
    refuse_lost_writes(torch.nn.Linear(1, 1))


RAISES = {
    "raise": "if bool(x.sum() > 9):\n    raise RuntimeError('large')\nreturn x",
    "assert": "assert x.shape[0] == 2, 'rows'\nreturn x",
}
QUIET = {
    "nothing": "return x * 2",
    "torch's own": "return torch.nn.functional.batch_norm(x, x[0], x[0], training=True)",
}


@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated")
@pytest.mark.parametrize("kind", RAISES | QUIET)
def test_errors_that_a_script_raises(script: Any, kind: str) -> None:
    assert raises_errors(script((RAISES | QUIET)[kind])) is (kind in RAISES)
