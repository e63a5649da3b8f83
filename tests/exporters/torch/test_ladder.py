"""The order of the strategies, also where PyTorch has dropped one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

import onnxpack
from onnxpack.errors import ExportError

WITHOUT = """
import sys
import torch.onnx
sys.modules["torch.onnx._internal.torchscript_exporter"] = None
import onnxpack
from onnxpack.errors import ExportError
from torch import nn
torch.manual_seed(0)
"""
ENCODER = """
model = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True).eval()
pack = onnxpack.export(model, torch.randn(2, 5, 8), sys.argv[1])
assert pack.manifest.source.strategy.startswith("dynamo"), pack.manifest.source.strategy
onnxpack.Model(pack).prove()
"""
SCRIPT = """
try:
    onnxpack.export(torch.jit.script(nn.Linear(2, 2)), torch.randn(2, 2), sys.argv[1])
except ExportError as exc:
    assert exc.message.endswith("has no exporter for TorchScript modules."), exc.message
    assert exc.remedy == "export the module that the script was made from"
else:
    raise SystemExit("it was exported")
"""


@pytest.mark.parametrize("code", [ENCODER, SCRIPT], ids=["encoder", "script"])
def test_without_the_torchscript_exporter(tmp_path: Path, code: str) -> None:
    subprocess.run(
        [sys.executable, "-W", "ignore", "-c", WITHOUT + code, str(tmp_path / "pack")],
        check=True,
        timeout=300,
    )


class Listed(nn.Module):
    """The compiler wants a type for ``tolist()``."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Decide from a value."""
        return x * 2 if max(x.flatten().tolist()) > 100 else x


class Checked(nn.Module):
    """A branch, which only a script keeps, and an error, which no graph keeps."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Decide from values."""
        if bool(x.isnan().any()):
            raise ValueError("not a number")
        return x * 2 if bool(x.sum() > 0) else x


def test_what_the_compiler_says_first(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"script: Expected type hint for result of tolist\(\)"):
        onnxpack.export(Listed(), torch.randn(2, 3), tmp_path / "pack")


@pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated:FutureWarning")
@pytest.mark.parametrize("scripted", [False, True])
def test_a_script_that_raises_has_a_note(tmp_path: Path, *, scripted: bool) -> None:
    model = torch.jit.script(Checked()) if scripted else Checked()
    pack = onnxpack.export(model, torch.randn(2, 3), tmp_path / "pack")
    assert pack.manifest is not None
    assert any("but a graph cannot" in note for note in pack.manifest.notes)
