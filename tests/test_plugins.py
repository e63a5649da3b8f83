"""Exporters are found by their entry points, and none is imported to be found."""

from __future__ import annotations

import subprocess
import sys

from onnxpack.exporters.lightning.exporter import LightningExporter
from onnxpack.exporters.onnx.exporter import OnnxExporter
from onnxpack.exporters.torch.exporter import TorchExporter
from onnxpack.plugins import collections, exporters


def test_the_installed_exporters_in_order() -> None:
    assert {"lightning", "onnx", "torch"} <= exporters().keys()
    assert list(exporters()) == sorted(exporters())


def test_what_they_load() -> None:
    loaded = {name: exporters()[name].load() for name in ("lightning", "onnx", "torch")}
    assert loaded == {
        "lightning": LightningExporter,
        "onnx": OnnxExporter,
        "torch": TorchExporter,
    }


def test_the_installed_collections() -> None:
    assert "torchvision" in collections()


def test_finding_imports_none() -> None:
    code = (
        "import sys; from onnxpack.plugins import exporters; exporters(); "
        "print([m for m in sys.modules if m.startswith('onnxpack.exporters')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
