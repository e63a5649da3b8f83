"""Models of torchvision, one of each family, with random weights: each is proven, and right."""

from __future__ import annotations

import gc
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from torch import Tensor, nn
from torchvision import models

import onnxpack
from onnxpack.errors import ExportError
from onnxpack.pack.read import MANIFEST
from onnxpack.pack.validate import validate

pytestmark = pytest.mark.heavy

RGB = (3, 64, 64)
FAMILIES: dict[str, tuple[tuple[int, ...], dict[str, Any]]] = {
    "resnet18": (RGB, {}),
    "mobilenet_v3_small": (RGB, {}),
    "efficientnet_b0": (RGB, {}),
    "convnext_tiny": (RGB, {}),
    "densenet121": (RGB, {}),
    "squeezenet1_0": (RGB, {}),
    "googlenet": (RGB, {"init_weights": False}),
    "vit_b_16": (RGB, {"image_size": 64}),
    "swin_t": (RGB, {}),
    "maxvit_t": ((3, 224, 224), {}),
    "fcn_resnet50": ((3, 128, 128), {"weights_backbone": None}),
    "lraspp_mobilenet_v3_large": ((3, 128, 128), {"weights_backbone": None}),
    "r3d_18": ((3, 8, 64, 64), {}),
}
DETECTORS: dict[str, dict[str, Any]] = {
    "fasterrcnn_mobilenet_v3_large_320_fpn": {
        "weights_backbone": None,
        "box_score_thresh": 0.0,
        "box_detections_per_img": 20,
    },
    "ssdlite320_mobilenet_v3_large": {
        "weights_backbone": None,
        "score_thresh": 0.0,
        "detections_per_img": 20,
        "num_classes": 5,
    },
}


def lively(model: nn.Module) -> nn.Module:
    """Random statistics in the batch norms: as they start, they leave nothing to go wrong."""
    for part in model.modules():
        if isinstance(part, nn.BatchNorm2d | nn.BatchNorm3d):
            part.running_mean.uniform_(-0.1, 0.1)
            part.running_var.uniform_(0.8, 1.2)
    return model


def decided(model: nn.Module) -> None:
    """Scores far apart: as they start, all are equal, and which of them are kept is chance."""
    for part in model.head.classification_head.module_list:
        part[-1].weight.data *= 300


def build(name: str, **options: Any) -> nn.Module:
    torch.manual_seed(0)
    return lively(models.get_model(name, weights=None, **options))


@pytest.mark.parametrize("name", FAMILIES)
def test_proven(check: Any, name: str) -> None:
    shape, options = FAMILIES[name]
    model = build(name, **options)
    sample = torch.randn(1, *shape)
    pack = onnxpack.export(model, sample, check.folder / "pack")
    assert pack.manifest is not None
    assert pack.manifest.signature.dynamic == ("batch",)
    assert validate(pack).ok
    assert onnxpack.Model(pack).prove().ok
    check.compare(pack, model, [torch.randn(4, *shape)], factors=(1.0, -1.5))


@pytest.mark.parametrize("name", DETECTORS)
def test_detectors_are_proven(check: Any, name: str) -> None:
    model = build(name, **DETECTORS[name])
    if "ssd" in name:
        decided(model)
    pack = onnxpack.export(model, torch.rand(3, 256, 256), check.folder / "pack")
    assert pack.manifest is not None
    assert pack.manifest.signature.dynamic == ()
    assert {spec.name.rpartition("_")[2] for spec in pack.manifest.signature.outputs} == {
        "boxes",
        "labels",
        "scores",
    }
    assert validate(pack).ok
    assert onnxpack.Model(pack).prove().ok
    check.compare(pack, model, [[torch.rand(3, 256, 256)] for _ in range(3)], factors=(1.0,))


QUANTIZED = ["resnet18", "mobilenet_v2", "googlenet", "shufflenet_v2_x0_5"]


def quantized(name: str) -> nn.Module:
    """In int8, its scales measured on random pictures."""
    torch.manual_seed(0)
    with warnings.catch_warnings(action="ignore"), torch.no_grad():
        model = lively(getattr(models.quantization, name)(weights=None, quantize=False).eval())
        model.fuse_model(is_qat=False)
        model.qconfig = torch.ao.quantization.get_default_qconfig("x86")
        torch.ao.quantization.prepare(model, inplace=True)
        model(torch.randn(16, *RGB))
        torch.ao.quantization.convert(model, inplace=True)
    return model


@pytest.mark.parametrize("name", QUANTIZED)
def test_int8_is_refused(check: Any, name: str) -> None:
    with pytest.raises(ExportError) as caught:
        onnxpack.export(quantized(name), torch.randn(1, *RGB), check.folder / "pack")
    assert "quantise the pack" in caught.value.remedy
    assert list(check.folder.iterdir()) == []


@pytest.mark.parametrize("name", QUANTIZED)
def test_int8_that_was_never_calibrated_is_never_wrong(check: Any, name: str) -> None:
    """torchvision's own ``quantize=True``, which without weights answers next to nothing."""
    torch.manual_seed(0)
    with warnings.catch_warnings(action="ignore"):
        model = getattr(models.quantization, name)(weights=None, quantize=True)
    try:
        pack = onnxpack.export(model, torch.randn(1, *RGB), check.folder / "pack")
    except ExportError:
        assert list(check.folder.iterdir()) == []
    else:
        check.compare(pack, model, [torch.randn(4, *RGB)])


class Raft(nn.Module):
    """The last of the flows that RAFT refines."""

    def __init__(self) -> None:
        super().__init__()
        self.raft = models.optical_flow.raft_small(weights=None)

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        return self.raft(first, second, num_flow_updates=2)[-1]


def test_optical_flow_is_never_wrong(check: Any) -> None:
    torch.manual_seed(0)
    model = lively(Raft())
    sample = (torch.rand(1, 3, 128, 128), torch.rand(1, 3, 128, 128))
    try:
        pack = onnxpack.export(model, sample, check.folder / "pack")
    except ExportError:
        assert list(check.folder.iterdir()) == []
    else:
        fresh = (torch.rand(2, 3, 128, 128), torch.rand(2, 3, 128, 128))
        check.compare(pack, model, [fresh], factors=(1.0,))


def test_weights_of_almost_two_gigabytes(tmp_path: Path) -> None:
    """They go beside the graph, whole, and the pack answers."""
    rows, width = 450_000, 1000
    model = nn.Embedding(rows, width, _weight=torch.empty(rows, width))
    model.weight.data.view(torch.int32).random_(0x3E000000, 0x3F000000)
    ids = torch.tensor([[0, rows - 1, 7]])
    pack = onnxpack.export(model, ids, tmp_path / "pack")
    data = pack.path / "model.onnx.data"
    assert data.stat().st_size >= rows * width * 4
    assert pack.model_path.stat().st_size < 10_000
    assert pack.manifest is not None
    assert pack.manifest.files["model.onnx.data"].size == data.stat().st_size
    table = np.memmap(data, np.float32, "r", shape=(rows, width))
    assert np.array_equal(table[rows - 1], model.weight[rows - 1].detach().numpy())
    fresh = torch.randint(0, rows, (5, 3))
    wanted = model(fresh).detach().numpy()
    del model, table
    gc.collect()
    found = onnxpack.Model(pack)(fresh.numpy())
    np.testing.assert_array_equal(found, wanted)
    assert (pack.path / MANIFEST).stat().st_size < 100_000
    for file in (data, pack.model_path):
        file.unlink()
    assert onnxruntime.get_available_providers()
