"""The order of the strategies, also where PyTorch has dropped one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

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
    assert exc.remedy == "export the module that the script was made of"
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
